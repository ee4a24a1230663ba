"""The nodes of a fleet: what a contribution changes, and what that costs."""

from collections.abc import Iterator

from msgspec.structs import replace

from dashboards.noc.fleet import Fleet
from dashboards.noc.sightings import Contribution, Node

_NODE = Node(
    fleet="default",
    node="",
    site="s",
    cluster="",
    ring="",
    role="web",
    kind="web",
    branch="17763",
    build="17763.1",
    order=(17763, 1),
    last_ms=1_000,
    wait_ms=-1,
    ill_ms=0,
    rebooting=False,
    patches={},
)


class Counted(tuple[Node, ...]):
    """Nodes that note how often somebody went through them."""

    walks = 0

    def __iter__(self) -> Iterator[Node]:
        Counted.walks += 1
        return super().__iter__()


def part(offset: int, nodes: tuple[Node, ...]) -> Contribution:
    return Contribution("default", "17763", "big", (0, offset), nodes)


def test_a_big_domain_is_gone_through_once_and_not_once_a_node() -> None:
    fleet = Fleet()
    nodes = Counted(replace(_NODE, node=f"n{number}") for number in range(100))
    Counted.walks = 0

    touched = fleet.contribute(b"big", part(1, nodes))

    assert len(touched) == 100
    assert Counted.walks == 1


def test_a_node_that_left_its_domain_is_gone() -> None:
    fleet = Fleet()
    one, two = (replace(_NODE, node=name) for name in ("one", "two"))
    fleet.contribute(b"big", part(1, (one, two)))

    assert fleet.contribute(b"big", part(2, (two,))) == {("default", "one")}
    assert fleet.nodes == {("default", "two"): two}


def test_of_a_node_that_is_named_twice_the_newest_holds() -> None:
    fleet = Fleet()
    old, new = replace(_NODE, node="n"), replace(_NODE, node="n", last_ms=2_000)

    fleet.contribute(b"big", part(1, (new, old)))

    assert fleet.nodes == {("default", "n"): new}
