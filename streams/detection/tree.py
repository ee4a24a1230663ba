"""The signature tree: at which levels a failure is counted, and how the bet is spread over them.

Prior weights π: any failure .08; the classes share .20; signatures that are new on the branch .12;
rare ones .12; whatever comes in loops .10, and its classes share .16; each single signature
.22/400. Spread in advance, so that looking at all of them costs no guarantee.

A loop is the same failure four times within an hour: Windows' service manager tries three times,
so the fourth says that a restart does not help. What restarts of nodes break rarely loops, and
loops are rare, so a few of them on patched nodes say much.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping

from msgspec import Struct

from schemas.evidence import DomainEvidence, Onset
from streams.detection.chains import HOUR_MS, Chain, merge, to_s
from streams.detection.node_evidence import WEEK_MS
from streams.detection.node_state import ONSET_GAP_MS

CLASSES = (
    "service",
    "cluster",
    "crash",
    "vm",
    "storage",
    "identity",
    "install",
    "silence",
    "other",
)
UNUSUAL = ("novel", "rare", "novel:reboot", "rare:reboot")
LOOPS = ("loop", *(f"loop:{c}" for c in CLASSES))
UPPER = ("any", *UNUSUAL, *(f"class:{c}" for c in CLASSES), *LOOPS)
MAX_SIGNATURES = 400
"""Later signatures of a case count at the upper levels only: the prior is spent."""
_BASELINE_WEEKS = 13
BASELINE_MS = _BASELINE_WEEKS * WEEK_MS
_RARE_MASS = 0.10
_RECURRENCE = 3
_LOOP = 4


def _listed(cls: str) -> str:
    return cls if cls in CLASSES else "other"


def weight(level: str) -> float:
    """π of a level."""
    if level == "any":
        return 0.08
    if level in ("novel", "rare", "loop"):
        return 0.10
    if level in ("novel:reboot", "rare:reboot"):
        return 0.02
    if level.startswith("class:"):
        return 0.20 / len(CLASSES)
    if level.startswith("loop:"):
        return 0.16 / len(CLASSES)
    return 0.22 / MAX_SIGNATURES


def names_a_failure(level: str) -> bool:
    """Whether what counts at ``level`` is one kind of failure: a signature, or loops of a class."""
    return level.startswith(("sig:", "loop:"))


class NodeOnset(Struct, frozen=True, order=True, gc=False):
    """One counted onset of a node at one level of the tree."""

    t_ms: int
    node: str
    level: str

    @property
    def t_s(self) -> int:
        """The second it lies in: onsets of one second have no order, whoever shipped them."""
        return to_s(self.t_ms)


def impact_chain(onset: Onset) -> Chain | None:
    """The part of an onset that counts as harm, or None.

    Outage counts at once. Anything else counts from the third event within an hour: a service
    that logs one error per boot and nothing else is a symptom, not harm. Dating it at the third
    event keeps the bet honest: by then, and not before, it is known.
    """
    if onset.impact == "outage":
        return Chain(onset.first_ms, onset.last_ms)
    return _from_recurrence(onset, _RECURRENCE)


def loop_chain(onset: Onset) -> Chain | None:
    """The part of an onset that is a loop, from its fourth event within an hour on, or None."""
    return _from_recurrence(onset, _LOOP)


def _from_recurrence(onset: Onset, events: int) -> Chain | None:
    for first, last in zip(onset.times, onset.times[events - 1 :], strict=False):
        if last - first <= HOUR_MS:
            return Chain(last, max(onset.last_ms, last))
    return None


def symptom_chain(onset: Onset) -> Chain:
    """The whole onset, harmful or not."""
    return Chain(onset.first_ms, onset.last_ms)


class Baseline(Struct, frozen=True):
    """Which signatures are novel and which are rare on a branch, fixed at the case's start."""

    known: dict[str, int]
    """Onsets of each signature in the 13 weeks before."""
    rare: frozenset[str]
    classes: dict[str, str]
    """Class of each signature with onsets in the evidence."""
    chatter: frozenset[str]
    """Classes of which restarts break more than their share (margins.Margins)."""

    @property
    def logged(self) -> dict[str, str]:
        """Class of each signature that is known."""
        return {s: cls for s, cls in self.classes.items() if s in self.known}

    def levels(self, signature: str, cls: str) -> tuple[str, ...]:
        """The levels at which an onset of ``signature`` counts."""
        upper = ("any", f"class:{_listed(cls)}")
        unusual = self.unusual(signature, cls)
        return (*upper, unusual, f"sig:{signature}") if unusual else (*upper, f"sig:{signature}")

    def unusual(self, signature: str, cls: str) -> str:
        """The level of what is new or rare; empty for what is usual."""
        if signature not in self.known:
            level = "novel"
        elif signature in self.rare:
            level = "rare"
        else:
            return ""
        return f"{level}:reboot" if cls in self.chatter else level


def baseline(
    evidence: Collection[DomainEvidence], started_ms: int, chatter: frozenset[str]
) -> Baseline:
    """Novel: not seen on the branch in the 13 weeks before the case's first week. Rare: the least
    frequent signatures that together make up at most a tenth of the baseline.
    """
    week = started_ms // WEEK_MS
    counts: dict[str, int] = defaultdict(int)
    first = week - _BASELINE_WEEKS
    for part in evidence:
        for signature, weeks in part.baseline.items():
            for w, n in weeks.items():
                if first <= w < week:
                    counts[signature] += n
    known = {signature: n for signature, n in counts.items() if n}
    classes = {o.signature: o.cls for part in evidence for o in part.onsets}
    mass = _RARE_MASS * sum(known.values())
    rare = set()
    for signature, n in sorted(known.items(), key=lambda item: (item[1], item[0])):
        mass -= n
        if mass < 0:
            break
        rare.add(signature)
    return Baseline(known, frozenset(rare), classes, chatter)


def node_onsets(
    node: str,
    chains: Mapping[tuple[str, str], list[Chain]],
    levels: Callable[[str, str], tuple[str, ...]],
) -> list[NodeOnset]:
    """All onsets of one node at every level, from the chains by (signature, class); ``levels``:
    Baseline.levels.
    """
    if len(chains) == 1:
        (kind, runs) = next(iter(chains.items()))
        if len(runs) == 1:
            t_ms = runs[0].first_ms
            return [NodeOnset(t_ms, node, level) for level in levels(*kind)]
    by_level: dict[str, list[Chain]] = defaultdict(list)
    for kind, runs in chains.items():
        for level in levels(*kind):
            by_level[level].extend(runs)
    return [
        NodeOnset(chain.first_ms, node, level)
        for level, runs in by_level.items()
        for chain in (merge(runs, ONSET_GAP_MS) if len(runs) > 1 else runs)
    ]


def loop_onsets(node: str, chains: Mapping[str, list[Chain]]) -> list[NodeOnset]:
    """All onsets of one node at the levels of loops, from the chains of its loops by class."""
    by_level: dict[str, list[Chain]] = defaultdict(list)
    for cls, runs in chains.items():
        for level in (f"loop:{_listed(cls)}", "loop"):
            by_level[level] += runs
    return [
        NodeOnset(chain.first_ms, node, level)
        for level, runs in by_level.items()
        for chain in merge(runs, ONSET_GAP_MS)
    ]
