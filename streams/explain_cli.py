"""``kbwatch explain``: a verdict's evidence for a human."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.cli_options import AsJson, Config, PrintConfig, Set, settings_from

app = typer.Typer(help="Print what a verdict rests on.")


@app.command()
def explain(
    case: Annotated[str, typer.Argument(help="A case, e.g. KB5062557@17763; or a KB: all of it.")],
    file: Annotated[
        Path | None, typer.Argument(help="A recording; without it the verdict comes from Kafka.")
    ] = None,
    fleet: Annotated[str, typer.Option(help="Which fleet.")] = "default",
    as_json: AsJson = False,
    config: Config = None,
    overrides: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Print the verdict on CASE and its evidence: wealth against the threshold, victims, patched
    and unpatched nodes, corroboration, typical incidents with their record ids, what is left.
    Example:

        kbwatch explain KB5062557@17763 build/demo/reports.jsonl.zst
    """
    settings = settings_from(config, overrides, print_config)
    import asyncio

    from schemas.codec import encode
    from schemas.errors import KbwatchError
    from streams.explain import explained
    from streams.tables import console
    from streams.verdicts import from_kafka, from_recording

    if file:
        verdicts = from_recording(file, settings.detector)
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
