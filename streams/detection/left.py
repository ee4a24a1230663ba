"""Who is not hit yet: where the KB stands on the other nodes, and whom it would hit next."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

from msgspec import Struct

from schemas.evidence import DomainEvidence
from schemas.verdicts import LEFT_LIMIT, Blast, Left
from streams.detection.members import Case, already_there, newest_nodes
from streams.detection.rule import literals

_LIST_BYTES = 100 * 1024
_STATES = {
    "effective": "effective",
    "confirmed": "effective",
    "offered": "offered",
    "installing": "offered",
    "staged": "staged",
}


class Standing(Struct, frozen=True):
    """Where the case's KB stands on one node."""

    node: str
    state: str
    """``untouched``, ``offered``, ``staged`` or ``effective``."""
    literals: frozenset[str]
    """What rules can say of the node."""


def standing(case: Case, evidence: Iterable[DomainEvidence]) -> list[Standing]:
    """The nodes of the branch by name, but those that ran the case's build from the beginning."""
    out = []
    for domain, node in newest_nodes(evidence):
        patch = next((p for p in node.patches if p.kb == case.kb), None)
        if patch is not None or not already_there(case, node):
            state = _STATES.get(patch.state, "untouched") if patch else "untouched"
            out.append(Standing(node.node, state, literals(node, domain)))
    return out


def left(standings: Iterable[Standing]) -> Left:
    """How many nodes are where, and the names of those that can still be spared."""
    groups: dict[str, list[str]] = defaultdict(list)
    for standing in standings:
        groups[standing.state].append(standing.node)
    return Left(
        untouched=len(groups["untouched"]),
        offered=len(groups["offered"]),
        staged=len(groups["staged"]),
        effective=len(groups["effective"]),
        untouched_nodes=listed(groups["untouched"]),
        staged_nodes=listed(groups["staged"]),
    )


def blast(standings: Iterable[Standing], rule: Sequence[str]) -> Blast:
    """The nodes under the rule on which the KB is not in effect yet."""
    under = [s.state for s in standings if s.state != "effective" and s.literals.issuperset(rule)]
    return Blast(nodes=len(under), staged=under.count("staged"))


def listed(nodes: Iterable[str]) -> tuple[str, ...]:
    """Names up to a limit in number and in bytes: a verdict must stay below the message cap."""
    room = _LIST_BYTES
    kept = []
    for name in islice(nodes, LEFT_LIMIT):
        room -= len(name.encode()) + 3
        if room < 0:
            break
        kept.append(name)
    return tuple(kept)
