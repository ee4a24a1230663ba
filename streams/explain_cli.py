"""``kbwatch explain``: a verdict's evidence for a human."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.cli_options import AsJson, InFleet, with_settings
from schemas.errors import KbwatchError
from schemas.settings import Settings
from streams.calibration.options import CalibrationFile, Pinned

app = typer.Typer(help="Print what a verdict rests on.")


@app.command()
@with_settings
def explain(
    settings: Settings,
    case: Annotated[str, typer.Argument(help="A case, e.g. KB5062557@17763; or a KB: all of it.")],
    file: Annotated[
        Path | None, typer.Argument(help="A recording; without it the verdict comes from Kafka.")
    ] = None,
    fleet: InFleet = "default",
    calibration: CalibrationFile = None,
    pinned: Pinned = False,
    as_json: AsJson = False,
) -> None:
    """Print the verdict on CASE and its evidence: wealth against the threshold, victims, patched
    and unpatched nodes, corroboration, typical incidents with their record ids, what is left.
    A recording is judged with the shipped margins without --calibration or --pinned. Example:

        kbwatch explain KB5062557@17763 build/demo/reports.jsonl.zst
    """
    import asyncio

    from schemas.codec import encode
    from streams.calibration.chosen import chosen
    from streams.explain import explained
    from streams.tables import console
    from streams.verdicts import from_kafka, from_recording

    if file:
        calibrations = chosen(calibration, pinned, settings.kafka)
        verdicts = from_recording(file, settings.detector, calibrations)
    elif calibration or pinned:
        raise KbwatchError(
            "--calibration and --pinned are for a recording: without FILE the verdict is the "
            "detector's, with the calibration that the case pins"
        )
    else:
        verdicts = asyncio.run(from_kafka(settings.kafka))
    meant = [v for v in verdicts if case.upper() in (v.case.upper(), v.kb)]
    mine = [v for v in meant if v.fleet == fleet]
    if meant and not mine:
        fleets = ", ".join(sorted({v.fleet for v in meant}))
        raise KbwatchError(f"no open case {case!r} in fleet {fleet!r}; --fleet may be: {fleets}")
    if not mine:
        known = ", ".join(sorted(v.case for v in verdicts if v.fleet == fleet)) or "none"
        raise KbwatchError(f"no open case {case!r} in fleet {fleet!r}; there are: {known}")
    shown = console()
    for verdict in mine:
        if as_json:
            typer.echo(encode(verdict).decode())
        else:
            shown.print(explained(verdict), crop=False)
