"""A campaign's results as tables: headings and cells of text."""

from collections.abc import Iterator

from streams.regbench.bench.judge import DETECTORS
from streams.regbench.bench.score import PER_YEAR, Power, Scores
from streams.regbench.campaign.bars_table import bars_sheet
from streams.regbench.campaign.cost import Cost
from streams.regbench.campaign.rank import RANKED, Rank, ranked
from streams.regbench.campaign.results import KBWATCH, Results, Scored
from streams.regbench.campaign.sheet import Sheet, hits, number, pair, rate

_MIB = 1 << 20


def sheets(results: Results) -> Iterator[Sheet]:
    """All tables that have something to say."""
    made = (bars_sheet, _alarms, _twins, _victims, _baselines, _blame, _rank, _cost)
    for sheet in (make(results) for make in made):
        if sheet.rows:
            yield sheet


def _alarms(results: Results) -> Sheet:
    rows = []
    for scored in results.of("null", "apart"):
        apart = "" if scored.cell.group == "null" else " (apart)"
        kbwatch = scored.scores[KBWATCH]
        null = kbwatch.null
        others = [scored.scores[name].null for name in DETECTORS if name != KBWATCH]
        rows.append(
            (
                scored.cell.name + apart,
                f"{null.cases:,}",
                rate(null.halts, null.halts_per_200, null.halts_per_200_upper),
                rate(null.warns, null.warns_per_200, null.warns_per_200_upper),
                *(number(other.halts_per_200) for other in others),
            )
        )
        rows += [
            (
                f"· {variant}",
                f"{its.null.cases:,}",
                rate(its.null.halts, its.null.halts_per_200, its.null.halts_per_200_upper),
                rate(its.null.warns, its.null.warns_per_200, its.null.warns_per_200_upper),
                *("" for _ in others),
            )
            for variant, its in scored.variants.items()
        ]
    return Sheet(
        f"False alarms per {PER_YEAR} cases",
        f"A large fleet has about {PER_YEAR} cases a year. In brackets the upper 95 % bound "
        "(Clopper and Pearson), after the semicolon how many were seen.",
        (
            "family and nodes",
            "cases",
            "halts",
            "WARNs",
            *(f"halts, {name}" for name in DETECTORS if name != KBWATCH),
        ),
        rows,
    )


def _twins(results: Results) -> Sheet:
    words = {True: "yes", False: "NO", None: "no decisions to compare"}
    return Sheet(
        "Duplicates and late lines",
        "Whether decisions are identical to those on the clean twin of each stream.",
        ("cell", *DETECTORS),
        [
            (cell, *(words[told[name]] for name in DETECTORS))
            for cell, told in results.twins.items()
        ],
    )


def _victims(results: Results) -> Sheet:
    rows = []
    for scored in results.of("power", "blame", "named"):
        told = {scored.cell.name: scored.scores[KBWATCH]}
        told |= {f"· {variant}": its for variant, its in scored.variants.items()}
        rows += [_power(name, its) for name, its in told.items() if its.halt.cases]
    return Sheet(
        "Victims at the halt",
        "Median / 95th percentile over the cases that were halted (warned of); a case is one KB on "
        "one branch with at least one victim. In brackets the upper 95 % bound of the percentile, "
        "where there are the 59 cases that one needs. *Never* is the share of the cases with at "
        "least ten victims possible; minutes count from the first victim.",
        (
            "cell",
            "cases",
            "possible",
            "halted",
            "victims at halt",
            "never",
            "warned",
            "victims at WARN",
            "never",
            "minutes to halt",
        ),
        rows,
    )


def _power(name: str, scores: Scores) -> tuple[str, ...]:
    halt, warn = scores.halt, scores.warn
    return (
        name,
        f"{halt.cases}",
        number(halt.possible_median.value),
        number(halt.reached.share),
        pair(halt.victims_median, halt.victims_p95),
        hits(halt.never),
        number(warn.reached.share),
        pair(warn.victims_median, warn.victims_p95),
        hits(warn.never),
        pair(halt.minutes_median, halt.minutes_p95),
    )


def _baselines(results: Results) -> Sheet:
    def told(power: Power) -> str:
        return f"{pair(power.victims_median, power.victims_p95)}; {number(power.reached.share)}"

    return Sheet(
        "The same, every detector",
        "Victims at the halt, median / 95th percentile; share of the cases that were halted.",
        ("cell", *DETECTORS),
        [
            (scored.cell.name, *(told(scored.scores[name].halt) for name in DETECTORS))
            for scored in results.of("power")
            if scored.scores[KBWATCH].halt.cases
        ],
    )


def _blame(results: Results) -> Sheet:
    def row(scored: Scored) -> tuple[str, ...]:
        blame, rule = scored.scores[KBWATCH].blame, scored.scores[KBWATCH].rule
        return (
            scored.cell.name,
            hits(blame.top1),
            hits(blame.covered),
            number(blame.set_size_median.value),
            hits(blame.innocent_alone),
            hits(rule.exact),
            number(rule.jaccard),
        )

    return Sheet(
        "Who did it, and to whom",
        "At the halt. A dash: kbwatch does not say.",
        (
            "cell",
            "harmful KB first",
            "in the 95 % set",
            "size of the set",
            "innocent alone",
            "rule exact",
            "rule, Jaccard",
        ),
        [
            row(s)
            for s in results.of("power", "blame", "named")
            if s.scores[KBWATCH].blame.top1.of
            or s.scores[KBWATCH].blame.innocent_alone.of
            or s.scores[KBWATCH].rule.jaccard is not None
        ],
    )


def _rank(results: Results) -> Sheet:
    def row(rank: Rank) -> tuple[str, ...]:
        place = "–" if rank.place is None else f"{rank.place}"
        worst = f"{number(rank.worst_per_200)} ({rank.worst_cell})"
        return place, rank.detector, worst, number(rank.p95), number(rank.reached)

    return Sheet(
        "Ranking",
        "By the largest 95th percentile of victims at the halt among "
        + ", ".join(f"`{name}`" for name in RANKED)
        + ", for the detectors with at most one false halt per 200 cases in every family.",
        ("place", "detector", "worst family", "victims, p95", "halted"),
        [row(rank) for rank in ranked(results.cells)],
    )


def _cost(results: Results) -> Sheet:
    def row(cost: Cost) -> tuple[str, ...]:
        grown = cost.peak_bytes - cost.idle_bytes
        return (
            f"{cost.nodes:,}",
            f"{cost.records:,}",
            f"{1e6 * cost.judge_s / cost.records:.1f}",
            f"{cost.records / cost.judge_s:,.0f}",
            f"{grown / cost.nodes:,.0f}",
            f"{cost.peak_bytes / _MIB:,.0f}",
        )

    return Sheet(
        "Cost",
        "`judge` on one N2 file, kbwatch's detector, one process that does nothing else; bytes a "
        "node are what the process grew by.",
        ("nodes", "records", "µs a record", "records a second", "bytes a node", "peak MiB"),
        [row(cost) for cost in results.costs],
    )
