"""``kbwatch replay``: the detection on a file, without a broker."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.cli_options import with_settings
from schemas.settings import Settings
from streams.calibration.options import CalibrationFile, Pinned

app = typer.Typer(help="Run the detection on a recording and print its verdicts as JSON lines.")


@app.command()
@with_settings
def replay_file(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help="Recording: .jsonl or .jsonl.zst.")],
    calibration: CalibrationFile = None,
    pinned: Pinned = False,
) -> None:
    """Read FILE, fold every case that is open at its end, print one verdict per line.

    Verdicts go to standard output, counts to standard error. Without --calibration or --pinned
    the shipped margins hold. Example:

        kbwatch replay build/demo/reports.jsonl.zst | jq -r '[.case, .state, .sentence] | @tsv'
    """
    from rich.console import Console

    from schemas.codec import encode
    from streams.calibration.chosen import chosen
    from streams.recording import read
    from streams.replay import replay

    calibrations = chosen(calibration, pinned, settings.kafka)
    console = Console(stderr=True)
    with console.status(f"replaying {file}"):
        result = replay(read(file), settings.detector, calibrations)
    for verdict in result.verdicts:
        typer.echo(encode(verdict).decode())
    console.print(
        f"{result.reports} reports, {result.dead_lettered} dead-lettered, "
        f"{len(result.verdicts)} open case{'' if len(result.verdicts) == 1 else 's'}"
    )
