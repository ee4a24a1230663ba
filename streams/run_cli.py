"""``kbwatch run``: the workers."""

from enum import StrEnum
from importlib import import_module
from typing import Annotated

import typer

from schemas.cli_options import with_settings
from schemas.settings import Settings

app = typer.Typer(help="Run a worker until Ctrl-C or SIGTERM.")


class App(StrEnum):
    """The workers."""

    detector = "detector"
    sink = "sink"
    halts = "halts"
    ingest = "ingest"


@app.command()
@with_settings
def run(settings: Settings, name: Annotated[App, typer.Argument(help="Which worker.")]) -> None:
    """Run one worker: detector (reports to verdicts), halts (verdicts to webhooks), sink
    (everything to the store) or ingest (other shippers' topics to reports).

    Start more workers of one kind with --set worker_id=2, 3 and so on.
    """
    raise typer.Exit(import_module(f"streams.{name}.app").run(settings))
