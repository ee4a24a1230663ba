"""What a harmless roll-out showed: the negative controls that ρ is learned from."""

from collections import defaultdict
from collections.abc import Sequence

from schemas.evidence import DomainEvidence
from streams.detection.chains import DAY_MS, HOUR_MS
from streams.detection.fold import Shocks, onsets_of
from streams.detection.margins import FLOOR, Control, Rho, Table, learn
from streams.detection.members import AGES, EXPOSED_MS, Member
from streams.detection.tilt import HISTORY_MS
from streams.detection.tree import (
    BASELINE_MS,
    UPPER,
    Baseline,
    NodeOnset,
    baseline,
    impact_chain,
    symptom_chain,
)
from streams.detection.wealth import EXPOSED_AGES

Seen = tuple[Control, Control, Control]
"""Per window."""
Controls = dict[str, list[Seen]]
"""By level; of ``sig:<class>`` one for each signature that the branch had logged before."""
_ENOUGH = 5
_NOTHING = Control(0, 0.0)
"""With fewer incidents on exposed nodes a level stays at the floor in that window."""


def controls(
    members: Sequence[Member],
    evidence: Sequence[DomainEvidence],
    started_ms: int,
    chatter: frozenset[str],
) -> tuple[Controls, Controls]:
    """Observed and expected incidents of a harmless case, for incidents with impact and for all.

    A level is expected at its rate over the branch in the 30 days before the case, where novel and
    rare are told by what was known at the beginning of those; a single signature at its rate in
    the 13 weeks before. Single signatures are looked at in the acute window only: what differs
    between them is what restarts do to each.
    """
    begin_ms = started_ms - HISTORY_MS
    before, after = (baseline(evidence, t_ms, chatter) for t_ms in (begin_ms, started_ms))
    hours = _exposed_hours(members)
    out = []
    for part in (impact_chain, symptom_chain):
        onsets = onsets_of(members, evidence, before, part, begin_ms)
        past = _counted(members, [o for o in onsets if begin_ms <= o.t_ms < started_ms])
        onsets = onsets_of(members, evidence, after, part, started_ms)
        seen = _counted(members, [o for o in onsets if o.t_ms >= started_ms])
        out.append(_compared(members, past, seen, after, hours))
    return out[0], out[1]


_Counts = dict[str, list[int]]
"""Level → onsets by age (members.Place)."""


def _counted(members: Sequence[Member], onsets: Sequence[NodeOnset]) -> _Counts:
    by_node = {m.node.node: m for m in members}
    shocks = Shocks()
    out: _Counts = defaultdict(lambda: [0] * AGES)
    for onset in onsets:
        place = by_node[onset.node].place(onset.t_ms)
        # What follows in a shock is bet on inside the shock, where no margin of time is needed.
        if place is not None and shocks.condition(onset, place)[0] == 0:
            out[onset.level][place.age] += 1
    return out


def _compared(
    members: Sequence[Member], past: _Counts, seen: _Counts, base: Baseline, hours: list[float]
) -> Controls:
    out: Controls = defaultdict(list)
    none = [0] * AGES
    for level in UPPER:
        rate = sum(past.get(level, none)) / (HISTORY_MS / HOUR_MS * len(members))
        counts = seen.get(level, none)
        if rate or any(counts):
            acute, subacute, chronic = (
                Control(sum(counts[age] for age in ages), rate * exposed)
                for ages, exposed in zip(EXPOSED_AGES, hours, strict=True)
            )
            out[level].append((acute, subacute, chronic))
    for signature, cls in base.logged.items():
        rate = base.known[signature] / (BASELINE_MS / HOUR_MS * len(members))
        acute = Control(seen.get(f"sig:{signature}", none)[1], rate * hours[0])
        out[f"sig:{cls}"].append((acute, _NOTHING, _NOTHING))
    return dict(out)


def _exposed_hours(members: Sequence[Member]) -> list[float]:
    hours = [0.0] * len(EXPOSED_AGES)
    for member in members:
        if member.patch is None:
            continue
        last_ms = min(member.node.service[-1][1], member.patch.t_ms + EXPOSED_MS)
        if member.patch.end_ms is not None:
            last_ms = min(last_ms, member.patch.end_ms)
        lived = max(last_ms - member.patch.t_ms, 0)
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
        found = [seen for case in cases for seen in case.get(level, ())]
        acute, subacute, chronic = (
            round(learn(cs, floor), 2) if sum(c.observed for c in cs) >= _ENOUGH else floor
            for cs, floor in zip(zip(*found, strict=True), FLOOR, strict=True)
        )
        if (acute, subacute, chronic) != FLOOR:
            rho[level] = (acute, subacute, chronic)
    return Table(rho)


def widest(tables: Sequence[Table]) -> Table:
    """The widest margin of each level and window."""
    rho: dict[str, Rho] = {}
    for one in tables:
        for level, found in one.rho.items():
            acute, subacute, chronic = map(max, found, rho.get(level, FLOOR))
            rho[level] = (acute, subacute, chronic)
    return Table(dict(sorted(rho.items())))
