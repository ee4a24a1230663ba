"""Whom a case suspects: KBs and other changes that its victims had in effect when they failed.

A KB without a build, and a change, is a suspect only where two failure domains have it, because any
one node can name any number; and nothing is that only one domain's victims had, where others have
victims too: one domain's word must not hold up a halt. What a terminal can't show is none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from schemas.evidence import DomainEvidence, NodePatch
from streams.detection.fold import Hit
from streams.detection.members import EXPOSED_MS, Case, Member, members

CHANGE = "change:"
"""What the names of suspects begin with that are no KBs."""
_MAX_SUSPECTS = 32
_IN_EFFECT = ("effective", "rolled_back")


def suspects_of(
    case: Case,
    people: Sequence[Member],
    evidence: Sequence[DomainEvidence],
    victims: Sequence[Hit],
) -> dict[str, list[Member]]:
    """The suspects by name, each with the branch's nodes as exposed to it; the case's own KB first.
    Of very many those that most victims share.
    """
    nodes = {member.node.node: member for member in people}
    shared: Counter[str] = Counter()
    where: dict[str, set[str]] = defaultdict(set)
    builds: dict[str, str] = {}
    for hit in victims:
        for name, patch in _things(nodes[hit.node]):
            ends_ms = patch.t_ms + EXPOSED_MS if patch.end_ms is None else patch.end_ms
            if name != case.kb and patch.t_ms <= hit.t_ms < ends_ms:
                shared[name] += 1
                where[name].add(hit.place.domain)
                builds[name] = patch.build
    if len({hit.place.domain for hit in victims}) > 1:
        for name in [name for name, domains in where.items() if len(domains) == 1]:
            del shared[name]
    believed = _believed(people, shared, builds)
    ranked = sorted(believed, key=lambda name: (-shared[name], name))[: _MAX_SUSPECTS - 1]
    out = {case.kb: list(people)}
    for name in ranked:
        if name.startswith(CHANGE):
            out[name] = [_exposed_to(name, member) for member in people]
        else:
            out[name] = members(replace(case, kb=name, build=builds[name]), evidence)
    return out


def _believed(people: Sequence[Member], shared: Counter[str], builds: dict[str, str]) -> list[str]:
    if not shared:
        return []
    domains: dict[str, set[str]] = defaultdict(set)
    for member in people:
        for name, _ in _things(member):
            if name in shared:
                domains[name].add(member.domain)
    return [name for name in shared if builds[name] or len(domains[name]) > 1]


def _things(member: Member) -> Iterator[tuple[str, NodePatch]]:
    """Everything that came to a node, by the suspect's name; a change as if it were a patch."""
    for patch in member.node.patches:
        if patch.state in _IN_EFFECT:
            yield patch.kb, patch
    for change in member.node.changes:
        name = f"{CHANGE}{change.name}={change.version}"
        if name.isprintable():
            yield name, NodePatch(name, "", "effective", change.t_ms)


def _exposed_to(name: str, member: Member) -> Member:
    return replace(member, patch=next((p for n, p in _things(member) if n == name), None))
