"""``kbwatch replay``: the detection on a file, without a broker."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.cli_options import Config, PrintConfig, Set, settings_from

app = typer.Typer(help="Run the detection on a recording and print its verdicts as JSON lines.")


@app.command()
def replay_file(
    file: Annotated[Path, typer.Argument(help="Recording: .jsonl or .jsonl.zst.")],
    config: Config = None,
    overrides: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Read FILE, fold every case that is open at its end, print one verdict per line.

    Verdicts go to standard output, counts to standard error. Example:

        kbwatch replay build/demo/reports.jsonl.zst | jq -r '[.case, .state, .sentence] | @tsv'
    """
    settings = settings_from(config, overrides, print_config)
    from rich.console import Console

    from schemas.codec import encode
    from streams.recording import read
    from streams.replay import replay

    console = Console(stderr=True)
    with console.status(f"replaying {file}"):
        result = replay(read(file), settings.detector)
    for verdict in result.verdicts:
        typer.echo(encode(verdict).decode())
    console.print(
        f"{result.reports} reports, {result.dead_lettered} dead-lettered, "
        f"{len(result.verdicts)} open case{'' if len(result.verdicts) == 1 else 's'}"
    )
