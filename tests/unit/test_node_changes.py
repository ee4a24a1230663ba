"""Which drivers, agents and firmware came to a node, and when, from what its facts say."""

from schemas.evidence import NodeChange
from schemas.reports import Facts
from streams.detection.domain_state import DomainState
from tests.fixtures.stories import (
    BUILD,
    DAY,
    HOUR,
    MINUTE,
    OLD_BUILD,
    T0,
    NodeStory,
    a_node,
    evidence_of,
    put,
)


def changes_of(node: NodeStory) -> tuple[NodeChange, ...]:
    (evidence,) = evidence_of([node])
    return evidence.nodes[0].changes


def facts(at: int, **versions: str) -> Facts:
    return Facts(t_ms=T0 + at, changes={f"driver:{n}": v for n, v in versions.items()})


def node_told(*told: Facts) -> NodeStory:
    return a_node().boots(OLD_BUILD, 0).boots(BUILD, 2 * DAY).says(*told)


def test_a_version_that_the_first_facts_did_not_name_is_a_change() -> None:
    node = node_told(facts(HOUR, mpio="1"), facts(DAY, mpio="2", nic="7"), facts(3 * DAY))
    assert changes_of(node) == (
        NodeChange("driver:mpio", "2", T0 + DAY),
        NodeChange("driver:nic", "7", T0 + DAY),
    )


def test_what_is_seen_soon_after_a_boot_came_with_it() -> None:
    def seen(after: int) -> list[int]:
        node = node_told(facts(0), facts(2 * DAY + after, mpio="2"))
        return [change.t_ms - T0 for change in changes_of(node)]

    assert seen(59 * MINUTE) == [2 * DAY]
    assert seen(61 * MINUTE) == [2 * DAY + 61 * MINUTE]


def test_it_is_dated_at_its_first_sight_whatever_order_facts_come_in() -> None:
    told = [facts(0), facts(DAY, mpio="2"), facts(4 * DAY, mpio="2")]
    states = []
    for order in (told, told[::-1]):
        state = DomainState()
        for one in order:
            put(state, node_told().report(*node_told().records, one))
        (evidence,) = state.evidence("default", "hv01", 0)
        states.append(evidence.nodes[0].changes)
    assert states[0] == states[1] == (NodeChange("driver:mpio", "2", T0 + DAY),)


def test_many_are_bounded_to_the_newest() -> None:
    told = [facts(0), *(facts(DAY + i * MINUTE, x=str(i)) for i in range(40))]
    kept = [int(change.version) for change in changes_of(node_told(*told))]
    assert sorted(kept) == list(range(40 - 16, 40)), "the state keeps 32, the evidence 16"
    long = facts(DAY, **{f"{'x' * 200}{i}": "1" for i in range(20)})
    assert len(changes_of(node_told(facts(0), long))) < 5
