"""The bars as a table: what is asked, what was measured, and the verdict."""

from collections.abc import Sequence

from streams.regbench.campaign.bars import VICTIMS
from streams.regbench.campaign.results import NOT_MET, Results, Row
from streams.regbench.campaign.sheet import Sheet, number


def bars_sheet(results: Results) -> Sheet:
    """One line for each bar; rows of one group are one."""
    groups: dict[str, list[Row]] = {}
    for row in results.rows:
        groups.setdefault(row.group, []).append(row)
    return Sheet(
        "The bars",
        "kbwatch's figures against what it must show. Of false alarms the worst family is shown; "
        "in N0 and N1 not a single halt may be seen. Victims: median/95th percentile at the halt, "
        "in brackets at the WARN. *Runs* are roll-outs, of false alarms cases, and how many the "
        "bar asks for: with fewer it may be missed, but not met.",
        ("what", "bar", "stretch", "measured", "95 % bound", "runs", "verdict"),
        [
            (group, *(_victims_bar(rows) if rows[0].check.metric in VICTIMS else _bar(rows)))
            for group, rows in groups.items()
        ],
    )


def _bar(rows: list[Row]) -> tuple[str, ...]:
    """Of several, which are families, the worst."""
    row = max(
        rows,
        key=lambda row: (row.verdict == NOT_MET, row.measured.value or 0, row.measured.bound or 0),
    )
    sign = "≥" if row.check.at_least else "≤"
    bar, stretch, bound = (
        "–" if figure is None else f"{sign} {number(figure)}"
        for figure in (_loosest(rows), row.check.stretch, row.measured.bound)
    )
    family = f" ({row.title})" if len(rows) > 1 and row.measured.value else ""
    measured = f"{number(row.measured.value)}{family}"
    return bar, stretch, measured, bound, _runs(row), _verdict(rows)


def _loosest(rows: list[Row]) -> float | None:
    return max((row.check.bar for row in rows if row.check.bar is not None), default=None)


def _runs(row: Row) -> str:
    return f"{row.done:,} of {row.needed:,}"


def _victims_bar(rows: list[Row]) -> tuple[str, ...]:
    bounds = [row.measured.bound for row in rows]
    return (
        f"≤ {_joined([row.check.bar for row in rows])}",
        f"≤ {_joined([row.check.stretch for row in rows])}",
        _joined([row.measured.value for row in rows]),
        "–" if set(bounds) == {None} else f"≤ {_joined(bounds)}",
        _runs(rows[0]),
        _verdict(rows),
    )


def _joined(figures: Sequence[float | None]) -> str:
    """``2/4 (2/3)``: of the halt, of the WARN; or those of the halt."""
    if set(figures) == {None}:
        return "–"
    pairs = ["/".join(map(number, figures[at : at + 2])) for at in range(0, len(figures), 2)]
    return pairs[0] if len(pairs) == 1 else f"{pairs[0]} ({pairs[1]})"


def _verdict(rows: list[Row]) -> str:
    """The one they share, else each with whom it is about, the worst first."""
    by_verdict: dict[str, list[str]] = {}
    for row in rows:
        by_verdict.setdefault(row.verdict, []).append(row.title)
    if len(by_verdict) == 1:
        return rows[0].verdict
    order = sorted(by_verdict, key=lambda verdict: (verdict != NOT_MET, verdict))
    return "; ".join(f"{verdict}: {', '.join(by_verdict[verdict])}" for verdict in order)
