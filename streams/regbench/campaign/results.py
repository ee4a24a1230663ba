"""What a campaign has come to so far: every cell scored, every bar held against its figure."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from streams.regbench.bench.judge import DETECTORS
from streams.regbench.bench.score import Scores
from streams.regbench.bench.score_variants import identical
from streams.regbench.campaign.bars import (
    BARS,
    FALSE_HALTS,
    FALSE_WARNS,
    METRICS,
    NONE_SEEN,
    RECORDS_A_SECOND,
    VICTIMS,
    Check,
    Measure,
)
from streams.regbench.campaign.cost import Cost
from streams.regbench.campaign.outcome import Outcome, scores
from streams.regbench.campaign.plan import CLEAN, Cell, cases_needed, plan
from streams.regbench.campaign.store import Store

KBWATCH = "kbwatch"
NOT_RUN = "not run"
NOT_MET = "NOT MET"
TOO_FEW = "too few"


class Scored(Struct, frozen=True):
    """A cell and its scores by detector, over all roll-outs that were made of it."""

    cell: Cell
    done: int
    scores: dict[str, Scores]
    variants: dict[str, Scores]
    """kbwatch's, where the cell has several."""

    @property
    def family(self) -> str:
        """As the generator calls it."""
        return self.cell.request.family

    @property
    def nodes(self) -> int:
        """Of each fleet."""
        return self.cell.request.nodes or 0


class Row(Struct, frozen=True):
    """A bar and what was measured."""

    group: str
    """Rows of one group are reported as one."""
    title: str
    check: Check
    measured: Measure
    done: int
    needed: int
    """Roll-outs, or cases for false alarms, that the bar asks for."""
    verdict: str


class Results(Struct, frozen=True):
    """All that the report is made of."""

    version: str
    cells: list[Scored]
    rows: list[Row]
    twins: dict[str, dict[str, bool | None]]
    """Disturbed cell → detector → decisions identical to the clean twin's; None: no decisions."""
    costs: list[Cost]

    def of(self, *groups: str) -> list[Scored]:
        """The cells of some groups."""
        return [scored for scored in self.cells if scored.cell.group in groups]


def results_of(folder: Path) -> Results:
    """Score what there is in the folder of one version; KbwatchError when it can't be read."""
    store = Store(folder)
    found = {cell.name: (cell, store.outcomes(cell)) for cell in plan()}
    cells = [_scored(cell, outcomes) for cell, outcomes in found.values() if outcomes]
    by_name = {scored.cell.name: scored for scored in cells}
    costs = store.costs()
    return Results(
        version=folder.name,
        cells=cells,
        rows=[*_null_rows(by_name), *_bar_rows(by_name), *_speed(costs)],
        twins=dict(_twins({name: outcomes for name, (_, outcomes) in found.items()})),
        costs=costs,
    )


def _scored(cell: Cell, outcomes: Mapping[int, Outcome]) -> Scored:
    variants = sorted({outcome.variant for outcome in outcomes.values()})
    apart = {
        variant: scores({i: o for i, o in outcomes.items() if o.variant == variant}, KBWATCH)
        for variant in variants
    }
    by_detector = {name: scores(outcomes, name) for name in DETECTORS}
    return Scored(cell, len(outcomes), by_detector, apart if len(apart) > 1 else {})


def verdict_on(check: Check, measured: Measure, done: int, needed: int) -> str:
    """In words; a bar is met only with as many runs as it asks for, but missed with any."""
    if not done:
        return NOT_RUN
    if check.stretch is not None and _holds(check, measured, check.stretch):
        return "stretch met" if done >= needed else TOO_FEW
    if check.bar is None:
        return "no bar; stretch not met"
    if not _holds(check, measured, check.bar):
        return NOT_MET
    return "met" if done >= needed else TOO_FEW


def _holds(check: Check, measured: Measure, limit: float) -> bool:
    return measured.value is not None and check.holds(measured.value, limit)


def _null_rows(cells: Mapping[str, Scored]) -> Iterable[Row]:
    planned = [c for c in plan() if c.group == "null" and c.request.nodes in (1_000, 10_000)]
    for check in (FALSE_HALTS, FALSE_WARNS):
        for cell in planned:
            family, scored = cell.request.family, cells.get(cell.name)
            own = check
            if check is FALSE_HALTS and family in NONE_SEEN:
                own = replace(check, bar=0.0)
            measured, done = Measure(None, None, 0), 0
            if scored is not None:
                measured = METRICS[check.metric](scored.scores[KBWATCH])
                done = measured.of
            needed = cases_needed(family)
            said = verdict_on(own, measured, done, needed)
            group = f"{check.what}, {cell.request.nodes:,} nodes"
            yield Row(group, family, own, measured, done, needed, said)


def _bar_rows(cells: Mapping[str, Scored]) -> Iterable[Row]:
    planned = {cell.name: cell for cell in plan()}
    for bar in BARS:
        scored, needed = cells.get(bar.cell), planned[bar.cell].full
        for check in bar.checks:
            measured, done = Measure(None, None, 0), 0
            if scored is not None:
                measured, done = METRICS[check.metric](scored.scores[KBWATCH]), scored.done
            said = verdict_on(check, measured, done, needed)
            what = "victims" if check.metric in VICTIMS else check.what
            group = f"{bar.title}: {what}"
            yield Row(group, check.what, check, measured, done, needed, said)


def _speed(costs: Iterable[Cost]) -> Iterable[Row]:
    check = Check("records a second, one core", "", RECORDS_A_SECOND, None, True)
    for cost in costs:
        if cost.nodes == 10_000:
            measured = Measure(cost.records / cost.judge_s, None, cost.records)
            said = verdict_on(check, measured, 1, 1)
            yield Row("`judge`, 10,000 nodes: records a second", "", check, measured, 1, 1, said)


def _twins(
    found: Mapping[str, Mapping[int, Outcome]],
) -> Iterable[tuple[str, dict[str, bool | None]]]:
    for name, clean in found.items():
        disturbed = found.get(name.removesuffix(CLEAN), {})
        both = sorted(clean.keys() & disturbed.keys())
        if not name.endswith(CLEAN) or not both:
            continue
        told: dict[str, bool | None] = {}
        for detector in DETECTORS:
            pairs = [(clean[i].decisions[detector], disturbed[i].decisions[detector]) for i in both]
            said = any(one or other for one, other in pairs)
            told[detector] = all(identical(*pair) for pair in pairs) if said else None
        yield name.removesuffix(CLEAN), told
