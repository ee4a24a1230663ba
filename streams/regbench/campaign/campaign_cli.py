"""``kbwatch regbench run``, ``report`` and ``plot``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from schemas.cli_options import AsJson

if TYPE_CHECKING:
    from streams.regbench.campaign.results import Results

Calibration = Annotated[
    Path | None,
    typer.Option(help="What `calibrate` learned; default: the shipped margins."),
]


def run(
    full: Annotated[
        bool,
        typer.Option("--full", help="All of it, as the bars ask; else a few roll-outs of each."),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="'N2*'", help="Cells by name, as in a shell; repeatable."),
    ] = None,
    limit_minutes: Annotated[
        float | None,
        typer.Option(min=0.0, help="Start nothing after so long.", show_default=False),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 2,
    calibration: Calibration = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the streams, in build/regbench/streams.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is left and how long it takes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the benchmark: make, judge with every detector, and score what is still missing.

    Whatever ends it (Ctrl-C too), the same command goes on from there. Results are kept by version
    of the code and of the calibration, in build/regbench/results. Examples:

        kbwatch regbench run
        kbwatch regbench run --full --only 'N2*' --limit-minutes 60
    """
    from streams.regbench.campaign.conduct import Campaign
    from streams.regbench.campaign.plan import chosen
    from streams.regbench.campaign.results import results_of
    from streams.regbench.campaign.run import Asked

    cells = tuple(cell for cell in chosen(only or []) if cell.rollouts(full))
    limit_s = None if limit_minutes is None else 60 * limit_minutes
    campaign = Campaign(Asked(cells, full, jobs, limit_s, calibration, keep), costs=not only)
    if dry_run:
        campaign.announce()
        return
    complete = campaign.run()
    _show(results_of(campaign.folder), as_json)
    if not complete:
        print("not complete: the same command goes on from here", file=sys.stderr)


def report(
    page: Annotated[
        Path, typer.Option(help="The page with the two markers; its picture goes beside it.")
    ] = Path("docs/regbench.md"),
    calibration: Calibration = None,
    version: Annotated[
        str | None,
        typer.Option(help="Results of another code or calibration (default: this one's)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the figures and the picture of what `run` has kept into docs/regbench.md."""
    from streams.regbench.campaign import picture
    from streams.regbench.campaign.conduct import folder_of
    from streams.regbench.campaign.report import PICTURE, write
    from streams.regbench.campaign.results import results_of

    results = results_of(folder_of(version, calibration))
    picture.draw(results, page.with_name(PICTURE))
    write(results, page)
    if as_json:
        _show(results, as_json)
    else:
        typer.echo(f"{len(results.cells)} cells of {results.version} → {page}")


def plot(
    what: Annotated[
        Literal["wealth"],
        typer.Argument(help="wealth: over time, in a true case and in 50 harmless ones."),
    ],
    out: Annotated[Path, typer.Option(help="Where the SVG goes.")] = Path("docs/wealth.svg"),
) -> None:
    """Draw a picture for the documentation; what it shows is made anew, which takes a minute."""
    from streams.regbench.campaign import wealth

    wealth.draw(out)
    typer.echo(f"{what} → {out}")


def _show(results: "Results", as_json: bool) -> None:
    import msgspec
    from msgspec.structs import replace
    from rich.table import Table

    from streams.regbench.campaign.results import NOT_RUN
    from streams.regbench.campaign.tables import sheets
    from streams.tables import add_columns, console

    if as_json:
        typer.echo(msgspec.json.encode(results).decode())
        return
    ran = replace(results, rows=[row for row in results.rows if row.verdict != NOT_RUN])
    for sheet in sheets(ran):
        table = Table(box=None, padding=(0, 2, 0, 0), title=sheet.title, title_justify="left")
        add_columns(table, sheet.headings, sheet.rows)
        console().print(table, crop=False)
        console().print()
