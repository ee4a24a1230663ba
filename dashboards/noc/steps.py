"""What to do next, for each group of nodes: the most urgent first."""

from collections.abc import Callable, Iterable, Sequence

from dashboards.noc.casemap import CaseMap
from dashboards.noc.model import LETTERS, NextStep, StepKind
from dashboards.noc.sightings import Node
from schemas.halts import Halt
from schemas.verdicts import Verdict
from schemas.windows.fixes import fixes_of

ACTING = ("halt", "warn")
"""States of a case in which there is something to do."""

_TITLES: dict[StepKind, str] = {
    "victims": "Victims: failed after the KB took effect",
    "leaked": "Took effect after the crossing",
    "clusters": "Clusters in the middle of patching",
    "staged": "Staged: on disk, takes effect at the next reboot",
    "untouched": "Not patched yet",
    "silent": "Silent: not heard of for too long",
    "exposed": "Patched, no failure so far",
}


def leaked(halt: Halt, nodes: Iterable[Node]) -> list[str]:
    """The names of those of a branch's nodes that ``leaks`` through a halt, in order."""
    return sorted(node.node for node in nodes if leaks(halt, node))


def leaks(halt: Halt, node: Node) -> bool:
    """Whether a halt's KB took effect on a node of its branch after the crossing, by the node's
    time, and holds; of a halt that goes by its rule only nodes under the rule. Never while the halt
    is not active.
    """
    patch = node.patches.get(halt.kb)
    return (
        halt.state == "active"
        and patch is not None
        and patch.in_effect
        and patch.t_ms > halt.crossing.t_ms
        and (halt.scope_by != "rule" or node.facts.issuperset(halt.rule))
    )


def next_steps(
    verdict: Verdict, at: CaseMap, node: Callable[[str], Node | None], late: Sequence[str]
) -> tuple[NextStep, ...]:
    """The groups of a case that is at WARN or HALT, with every name; else only those ``late``,
    on which the KB took effect after an active halt's crossing.

    ``node`` finds a node of the case's fleet by name.
    """
    # A person may have approved the halt long after its crossing: nothing need have failed.
    after = _step("leaked", "Where the halt was active by then, find the way it took", late)
    if verdict.state not in ACTING:
        return (after,) if late else ()
    names = at.names()
    of = {state: names[letter] for state, letter in LETTERS.items()}
    kb = verdict.kb
    known = [(name, found) for name in of["victim"] if (found := node(name)) is not None]
    sick = [name for name, found in known if _has(found, kb)]
    patched = [found for name in of["exposed"] if (found := node(name)) is not None]
    patched += [found for _, found in known if _has(found, kb)]
    waiting = map(node, (*of["staged"], *of["untouched"]))
    clusters = sorted(
        {n.cluster for n in waiting if n and n.cluster} & {n.cluster for n in patched}
    )
    steps = (
        _step("victims", _repair(kb), sick),
        after,
        _step("clusters", "Pause patching there; leave the owner nodes where they are", clusters),
        _step("staged", "Hold the reboot", of["staged"]),
        _step("untouched", f"Decline {kb} for them, or pause the roll-out", of["untouched"]),
        _step(
            "silent", "Look at the console: the node may hang before it can report", of["silent"]
        ),
        _step("exposed", "Watch them; move what matters away before it fails", of["exposed"]),
    )
    return tuple(step for step in steps if step.count)


def shortened(steps: Iterable[NextStep], limit: int) -> tuple[NextStep, ...]:
    """The steps with at most ``limit`` names each; their counts stay true."""
    return tuple(
        NextStep(step.kind, step.title, step.action, step.count, step.nodes[:limit])
        for step in steps
    )


def _step(kind: StepKind, action: str, names: Sequence[str]) -> NextStep:
    return NextStep(kind, _TITLES[kind], action, len(names), tuple(names))


def _repair(kb: str) -> str:
    fixes = fixes_of(kb)
    if fixes:
        return f"Install {' or '.join(fixes)}, which repairs it; else remove {kb} and reboot"
    return f"Known issue rollback if Microsoft offers one, else remove {kb}; then reboot"


def _has(node: Node, kb: str) -> bool:
    patch = node.patches.get(kb)
    return patch is not None and patch.in_effect
