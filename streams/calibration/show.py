"""Calibrations and placebo tests, for people at a terminal."""

from collections.abc import Iterable, Sequence

import typer
from msgspec import Struct
from rich.table import Table as RichTable

from schemas.calibration import Calibration
from streams import tables
from streams.calibration import report as page
from streams.calibration.aa import Report
from streams.calibration.learning import Learned, Rollout
from streams.calibration.past import day
from streams.detection.margins import Margins, Rho, Table, default_margins

_STREAMS = ("impact", "symptoms")


class Printed(Struct, frozen=True):
    """What ``kbwatch calibrate --json`` prints."""

    rollouts: tuple[Rollout, ...]
    harmless: int
    missing: int
    """Harmless roll-outs that a calibration still needs."""
    margins: Margins
    calibration: Calibration | None
    """What was written, or would be; None while roll-outs are missing."""


def learned(found: Learned) -> None:
    """Print the roll-outs, and the margins beside the shipped ones."""
    rows = [
        (r.case, day(r.started_ms), str(r.exposed), "yes" if r.harmless else "no", r.why, r.source)
        for r in found.rollouts
    ]
    _print(("case", "began", "patched", "learned", "why", "source"), rows)
    shipped = default_margins()
    margins = []
    for stream in _STREAMS:
        own: Table = getattr(found.margins, stream)
        default: Table = getattr(shipped, stream)
        upper = {level for level in default.rho if not level.startswith("sig:")}
        for level in sorted({*own.rho, *upper}):
            margins.append((level, stream, _rho(own.of(level)), _rho(default.of(level))))
    if found.harmless:
        typer.echo("\nρ, acute / sub-acute / chronic:")
        _print(("level", "incidents", "learned", "shipped"), margins)


def calibrations(found: Sequence[Calibration]) -> None:
    """Print what is on the topic."""
    if not found:
        typer.echo("no calibration yet, the shipped default holds: kbwatch calibrate --from FILE")
        return
    rows = [(c.fleet, c.name, day(c.valid_from_ms), str(c.rollouts), _rho(_any(c))) for c in found]
    _print(("fleet", "name", "for cases after", "roll-outs", "ρ any, with impact"), rows)


def aa(found: Report) -> None:
    """Print the result of a placebo test."""
    _print(page.RATE_HEADINGS, page.rate_rows(found))
    typer.echo("\nworst cases:")
    _print(page.WORST_HEADINGS, page.worst_rows(found))
    typer.echo("")
    _print(page.BRANCH_HEADINGS, page.branch_rows(found))
    typer.echo("\n" + "\n".join(f"- {line}" for line in page.assumptions(found)))


def _any(calibration: Calibration) -> Rho:
    return Table(calibration.impact.rho).of("any")


def _rho(rho: Rho) -> str:
    return " / ".join(f"{one:g}" for one in rho)


def _print(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = RichTable(box=None, pad_edge=False)
    tables.add_columns(table, headings, [[tables.printable(cell) for cell in row] for row in rows])
    tables.console().print(table, crop=False)
