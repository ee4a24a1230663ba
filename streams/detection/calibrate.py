"""What a harmless roll-out showed: the negative controls that ρ is learned from."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from schemas.evidence import DomainEvidence
from streams.detection.chains import DAY_MS, HOUR_MS
from streams.detection.fold import Shocks, onsets_of
from streams.detection.margins import FLOOR, Control, Table, learn
from streams.detection.members import Member
from streams.detection.tilt import HISTORY_MS
from streams.detection.tree import NodeOnset, baseline, impact_chain, symptom_chain
from streams.detection.wealth import EXPOSED_AGES

Controls = dict[str, list[Control]]
"""Per level: one Control per window."""
_ENOUGH = 5
"""With fewer incidents on exposed nodes a level stays at the floor in that window."""


def controls(
    members: Sequence[Member], evidence: Sequence[DomainEvidence], started_ms: int
) -> tuple[Controls, Controls]:
    """Observed and expected incidents of a harmless case, for incidents with impact and for all.

    The expectation takes each level's rate over the branch in the 30 days before the case.
    """
    base = baseline(evidence, started_ms)
    hours = _exposed_hours(members)
    node_hours = HISTORY_MS / HOUR_MS * len(members)
    both = []
    for part in (impact_chain, symptom_chain):
        onsets = onsets_of(members, evidence, base, part, started_ms - HISTORY_MS)
        both.append(_count(members, onsets, started_ms, hours, node_hours))
    return both[0], both[1]


def _count(
    members: Sequence[Member],
    onsets: Sequence[NodeOnset],
    started_ms: int,
    hours: list[float],
    node_hours: float,
) -> Controls:
    by_node = {m.node.node: m for m in members}
    shocks = Shocks()
    before: Counter[str] = Counter()
    exposed: dict[str, list[int]] = defaultdict(lambda: [0] * len(EXPOSED_AGES))
    for onset in onsets:
        place = by_node[onset.node].place(onset.t_ms)
        if onset.t_ms < started_ms - HISTORY_MS or place is None:
            continue
        # What follows in a shock is bet on inside the shock, where no margin of time is needed.
        if shocks.condition(onset, place)[0]:
            continue
        level = _level(onset.level)
        if onset.t_ms < started_ms:
            before[level] += 1
        for window, ages in enumerate(EXPOSED_AGES):
            if onset.t_ms >= started_ms and place.age in ages:
                exposed[level][window] += 1
    return {
        level: [
            Control(exposed[level][w], before[level] / node_hours * hours[w])
            for w in range(len(EXPOSED_AGES))
        ]
        for level in sorted({*before, *exposed})
    }


def _level(level: str) -> str:
    return "/".join(level.split("/")[:2]) if level.startswith("sig:") else level


def _exposed_hours(members: Sequence[Member]) -> list[float]:
    hours = [0.0] * len(EXPOSED_AGES)
    for member in members:
        if member.patch is None:
            continue
        lived = max(member.node.service[-1][1] - member.patch.t_ms, 0)
        ages = {
            1: min(lived, HOUR_MS) / HOUR_MS,
            2: max(min(lived, DAY_MS) - HOUR_MS, 0) / HOUR_MS,
            3: max(lived - DAY_MS, 0) / HOUR_MS,
        }
        for window, exposed in enumerate(EXPOSED_AGES):
            hours[window] += sum(ages[age] for age in exposed)
    return hours


def table(cases: Sequence[Controls]) -> Table:
    """ρ per level and window from harmless cases; levels that stay at the floor are left out."""
    rho = {}
    for level in sorted({level for case in cases for level in case}):
        per_window = [[case[level][w] for case in cases if level in case] for w in range(3)]
        acute, subacute, chronic = (
            round(learn(cs, floor), 2) if sum(c.observed for c in cs) >= _ENOUGH else floor
            for cs, floor in zip(per_window, FLOOR, strict=True)
        )
        if (acute, subacute, chronic) != FLOOR:
            rho[level] = (acute, subacute, chronic)
    return Table(rho)
