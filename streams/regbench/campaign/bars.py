"""What kbwatch must show: the bar of each row, what it is measured by, and whether it was met."""

from collections.abc import Callable

from msgspec import Struct

from streams.regbench.bench.bounds import Quantile, Share
from streams.regbench.bench.score import Scores


class Measure(Struct, frozen=True):
    """A figure, its 95 % bound on the bad side, and how many it rests on; None: nothing seen."""

    value: float | None
    bound: float | None
    of: int


class Check(Struct, frozen=True):
    """One figure of a row. Smaller is better, but where ``at_least``."""

    what: str
    metric: str
    """Name in `METRICS`."""
    bar: float | None
    """None: only the stretch asks for it."""
    stretch: float | None = None
    """None: nothing beyond the bar."""
    at_least: bool = False

    def holds(self, value: float, limit: float) -> bool:
        """Whether a figure keeps to a limit."""
        return value >= limit if self.at_least else value <= limit


class Bar(Struct, frozen=True):
    """A row: a cell and what is asked of it."""

    title: str
    cell: str
    checks: tuple[Check, ...]


def _upper(part: Share) -> Measure:
    return Measure(part.share, part.upper, part.of)


def _lower(part: Share) -> Measure:
    return Measure(part.share, part.lower, part.of)


def _quantile(part: Quantile) -> Measure:
    return Measure(part.value, part.upper, part.of)


def _missed(reached: Share) -> Measure:
    if reached.share is None or reached.lower is None:
        return Measure(None, None, reached.of)
    return Measure(1 - reached.share, 1 - reached.lower, reached.of)


METRICS: dict[str, Callable[[Scores], Measure]] = {
    "halt_median": lambda s: _quantile(s.halt.victims_median),
    "halt_p95": lambda s: _quantile(s.halt.victims_p95),
    "warn_median": lambda s: _quantile(s.warn.victims_median),
    "warn_p95": lambda s: _quantile(s.warn.victims_p95),
    "halt_never": lambda s: _upper(s.halt.never),
    "warn_never": lambda s: _upper(s.warn.never),
    "warn_missed": lambda s: _missed(s.warn.reached),
    "halted": lambda s: _lower(s.halt.reached),
    "rule_exact": lambda s: _lower(s.rule.exact),
    "innocent_alone": lambda s: _upper(s.blame.innocent_alone),
    "top1": lambda s: _lower(s.blame.top1),
    "halts_per_200": lambda s: Measure(
        s.null.halts_per_200, s.null.halts_per_200_upper, s.null.cases
    ),
    "warns_per_200": lambda s: Measure(
        s.null.warns_per_200, s.null.warns_per_200_upper, s.null.cases
    ),
    "null_halts": lambda s: _upper(s.null.halts),
    "notices": lambda s: _lower(s.null.symptoms_noticed),
}

FALSE_HALTS = Check("false halts per 200 cases", "halts_per_200", 1.0, 0.0)
FALSE_WARNS = Check("false WARNs per 200 cases", "warns_per_200", 4.0, 1.0)
NONE_SEEN = ("N0", "N1")
"""Families in which not a single false halt may be seen."""
VICTIMS = {
    "halt_median": "at halt, median",
    "halt_p95": "at halt, p95",
    "warn_median": "at WARN, median",
    "warn_p95": "at WARN, p95",
}
"""Figures of victims, in the order in which they are told as one: ``2/4 (2/3)``."""
RECORDS_A_SECOND = 100_000
"""Of `judge` on one core, with files of 10,000 nodes."""

_Pair = tuple[float, float]


def _victims(title: str, cell: str, *pairs: _Pair) -> Bar:
    """``pairs`` of bar and stretch: the halt's median and p95, the WARN's median and p95."""
    told = zip(VICTIMS.items(), pairs, strict=False)
    return Bar(title, cell, tuple(Check(what, metric, *pair) for (metric, what), pair in told))


def _never(title: str, cell: str, bar: float, stretch: float) -> Bar:
    """Of all cases with a victim, and of those in which ten were possible."""
    return Bar(
        title,
        cell,
        (
            Check("never a WARN", "warn_missed", bar, stretch),
            Check("never a WARN, ≥ 10 possible", "warn_never", bar, stretch),
        ),
    )


# Of each pair the bar comes first; a WARN for which no stretch is set keeps its bar.
BARS: tuple[Bar, ...] = (
    _victims("100 % × 20 %", "100x20-10000", (3, 2), (5, 3), (2, 2), (3, 3)),
    _victims("5 % × 20 %", "5x20-10000", (5, 3), (8, 5), (3, 3), (6, 6)),
    _victims("100 % × 2 %", "100x2-10000", (3, 2), (5, 3), (3, 3), (4, 4)),
    _victims("5 % × 5 %", "5x5-10000", (5, 3), (8, 5), (3, 3), (6, 6)),
    _victims("1 % × 100 %", "1x100-10000", (8, 5), (17, 10), (5, 3), (10, 5)),
    _victims("5 % × 100 %, whole clusters", "5x100-10000", (7, 4), (13, 8), (4, 3), (9, 5)),
    _victims("bang, 100 % × 5 %", "bang-100x5-10000", (4, 3), (6, 4), (3, 3), (4, 4)),
    _victims("fast, 5 % × 20 %", "fast-5x20-10000", (5, 3), (9, 6), (3, 3), (6, 6)),
    _victims("onset 48 h, 5 % × 20 %", "late-5x20-10000", (7, 4), (12, 8)),
    _victims("boot-class, 100 % × 5 %", "boot-100x5-10000", (7, 4), (14, 8)),
    _victims("ring = site, 5 % × 20 %", "site-5x20-10000", (7, 4), (11, 7), (4, 4), (8, 8)),
    _victims("flaky canaries, 5 % × 20 %", "flaky-5x20-10000", (5, 3), (7, 5)),
    _victims("1,000 nodes, 100 % × 20 %", "100x20-1000", (3, 3), (6, 4), (2, 2), (4, 4)),
    _victims("1,000 nodes, 5 % × 100 %", "5x100-1000", (9, 5), (15, 9), (6, 3), (12, 6)),
    _victims("3,000 nodes, 5 % × 20 %", "5x20-3000", (5, 4), (9, 6)),
    _victims("3,000 nodes, 1 % × 100 %", "1x100-3000", (9, 6), (16, 10)),
    _never("1,000 nodes, 5 % × 20 %", "5x20-1000", 0.15, 0.05),
    _never("1,000 nodes, 1 % × 100 %", "1x100-1000", 0.30, 0.10),
    _never("1,000 nodes, bang, 100 % × 5 %", "bang-100x5-1000", 0.05, 0.0),
    *(
        Bar(f"rule, {title}", cell, (Check("rule exact", "rule_exact", 0.90, 0.97, True),))
        for title, cell in (("5 % × 20 %", "5x20-10000"), ("1 % × 100 %", "1x100-10000"))
    ),
    *(
        Bar(
            f"C1, overlap {overlap:g}",
            f"C1-{overlap:g}",
            (Check("innocent KB alone in the 95 % set", "innocent_alone", 0.0),),
        )
        for overlap in (0.0, 0.5, 0.99, 1.0)
    ),
    Bar(
        "C1, overlap 0.9",
        "C1-0.9",
        (
            Check("innocent KB alone in the 95 % set", "innocent_alone", 0.0),
            Check("harmful KB suspected most", "top1", None, 0.8, True),
        ),
    ),
    *(
        Bar(
            title,
            cell,
            (
                Check("share halted", "null_halts", 0.0),
                Check("share noticed", "notices", 1.0, None, True),
            ),
        )
        for title, cell in (("N10, harmless event per boot", "N10-10000"), ("SgrmBroker", "R1-R28"))
    ),
    Bar(
        "silence-only boot failure, 5 % of nodes",
        "R1-silent-boot",
        (Check("share halted", "halted", 1.0, None, True),),
    ),
    _victims("silence-only boot failure, 5 % of nodes", "R1-silent-boot", (10, 5), (10, 5)),
    _victims("KB5062557 as a script", "R1-R01", (6, 4), (6, 4)),
)
"""Rows about one cell each. Those over all null families, the twins and the cost are apart."""
