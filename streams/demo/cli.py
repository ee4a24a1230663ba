"""``kbwatch demo``: the founding incident, end to end, on real Kafka and the embedded store."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from schemas.cli_options import with_settings
from schemas.settings import Settings

app = typer.Typer(help="Watch KB5062557 being caught while it rolls out (simulated fleet).")


@app.command()
@with_settings
def demo(
    settings: Settings,
    seed: Annotated[int, typer.Option(help="Another simulated month.")] = 7,
    harmless: Annotated[bool, typer.Option(help="The same month without the defect.")] = False,
    out: Annotated[Path, typer.Option(help="Where summary, logs and store go.")] = Path(
        "build/demo"
    ),
    record: Annotated[
        Path | None,
        typer.Option(
            help="Where the recording of what Kafka got goes, .jsonl or .jsonl.zst.",
            show_default="reports.jsonl.zst in --out",
        ),
    ] = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Leave the NOC page open at the end, until Ctrl-C.")
    ] = False,
) -> None:
    """Start a local Kafka, the detector, halts, the sink, the NOC page and a webhook receiver; play
    July 2025 in a simulated fleet of 480 nodes, then the log of a real Windows 10 machine; tell
    what happens; stop everything.

    It sets kafka.bootstrap, store.*, data_dir, halts.policy and noc.* but the port itself: yours
    don't hold here.

    Exits with 0 only if KB5062557 was halted, nothing else was, and every record that was
    produced is stored or dead-lettered (harmless: if nothing was halted).
    """
    from streams.demo.run import run_demo

    raise typer.Exit(asyncio.run(run_demo(settings, seed, not harmless, out, record, hold)))
