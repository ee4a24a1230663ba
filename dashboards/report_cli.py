"""``kbwatch report``: a case as one page, for the incident ticket."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from schemas.cli_options import InFleet, with_settings
from schemas.errors import KbwatchError
from schemas.settings import Settings

app = typer.Typer()


@app.command()
@with_settings
def report(
    settings: Settings,
    case: Annotated[str, typer.Argument(help="A case, e.g. KB5062557@17763; or its KB.")],
    out: Annotated[Path, typer.Option(help="Write it to this file.", metavar="FILE")],
    fleet: InFleet = "default",
) -> None:
    """Write what is known of CASE as one HTML page that needs nothing else: the evidence with
    plots, the nodes, what to do next with the node lists. Example:

        kbwatch report KB5062557@17763 --out report.html
    """
    from dashboards.noc.book import Book
    from dashboards.noc.follow import Follower
    from dashboards.noc.gate import Terms
    from dashboards.report import page
    from dashboards.report import report as gathered
    from schemas.log import configure

    configure("warning", settings.log_format)
    book = Book(Terms(settings.noc.well_s, settings.noc.stale_after_s))
    follower = Follower(settings.kafka, book, lambda: time.time_ns() // 1_000_000)
    asyncio.run(follower.read_once())
    mine = [c for c in book.cases if c.verdict.fleet == fleet]
    meant = [c for c in mine if case.upper() in (c.verdict.case.upper(), c.verdict.kb)]
    if len(meant) != 1:
        known = ", ".join(sorted(c.verdict.case for c in meant or mine)) or "none"
        found = "several cases" if meant else "no open case"
        raise KbwatchError(f"{found} {case!r} in fleet {fleet!r}; there are: {known}")
    text = page(gathered(book, meant[0], time.time_ns() // 1_000_000))
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        raise KbwatchError(f"--out {out}: {error.strerror}") from None
    typer.echo(f"{out}: {meant[0].verdict.case}, {meant[0].verdict.state}")
