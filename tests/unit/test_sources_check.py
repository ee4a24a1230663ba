"""What arrives, what is missing, and who can't be judged."""

from msgspec.structs import replace

from schemas.inventory import InventoryNode
from streams.sources_check import Arrival, NodeSources, check

HOUR_MS = 3_600_000
NOW_MS = 1_752_600_000_000


def arrival(
    kind: str,
    channel: str = "",
    *,
    node: str = "hv01",
    site: str = "north",
    newest_ms: int = NOW_MS,
    promise_s: int = 0,
) -> Arrival:
    return Arrival(node, node, site, kind, channel, 5, newest_ms, promise_s)


def whole(node: str = "hv01", newest_ms: int = NOW_MS) -> list[Arrival]:
    """A node of which everything arrives."""
    kinds = [("event", "System"), ("boot", ""), ("patch", ""), ("facts", "")]
    found = [arrival(kind, channel, node=node, newest_ms=newest_ms) for kind, channel in kinds]
    return [*found, arrival("heartbeat", node=node, newest_ms=newest_ms, promise_s=60)]


def listed(node: str) -> InventoryNode:
    return InventoryNode(v=1, fleet="default", node=node, domain="c1", site="north")


def only(arrivals: list[Arrival], *nodes: str) -> NodeSources:
    (found,) = check(arrivals, {node: listed(node) for node in nodes})
    return found


def test_a_node_of_which_everything_arrives_has_nothing_missing() -> None:
    found = only(whole(), "hv01")
    assert (found.missing, found.unjudged) == ((), ())
    assert found.arrives == {
        "System": 5,
        "boots": 5,
        "facts": 5,
        "heartbeats": 5,
        "patch states": 5,
    }


def test_without_a_boot_nobody_knows_what_it_runs() -> None:
    found = only([a for a in whole() if a.kind != "boot"])
    assert "its build is unknown" in found.unjudged[0]


def test_a_listed_node_that_never_reported_comes_first_and_says_so() -> None:
    first, second = check(whole(), {"hv01": listed("hv01"), "zz9": listed("zz9")})
    assert (first.node, first.unjudged) == (
        "zz9",
        ("is in the inventory, but nothing has arrived",),
    )
    assert second.unjudged == ()


def test_a_node_is_silent_against_its_promise_and_the_others() -> None:
    lively = whole("hv02")
    quiet = whole(newest_ms=NOW_MS - 2 * HOUR_MS)
    silent = check([*lively, *quiet], {})[0]
    assert silent.node == "hv01"
    assert silent.unjudged == ("silent for 2 hours while others of the fleet are heard",)
    unpromised = [a for a in quiet if a.kind != "heartbeat"]
    assert not any(node.unjudged for node in check([*lively, *unpromised], {}))


def test_a_long_silence_is_told_in_days() -> None:
    quiet = whole(newest_ms=NOW_MS - 72_680 * HOUR_MS)
    silent = check([*whole("hv02"), *quiet], {})[0]
    assert silent.unjudged == ("silent for 3028 days while others of the fleet are heard",)


def test_what_stands_under_an_alias_is_no_node_to_be_judged() -> None:
    renamed = replace(listed("web08"), aliases=("web07",))
    old = whole("web07", newest_ms=NOW_MS - 2_000 * HOUR_MS)
    found = {node.node: node for node in check([*whole("web08"), *old], {"web08": renamed})}
    assert found["web08"].missing == ()
    assert found["web07"].missing[0].startswith("an alias of web08: ")
    assert found["web07"].unjudged == ()


def test_a_fleet_that_is_silent_as_a_whole_is_not_silent_against_itself() -> None:
    assert only(whole(newest_ms=NOW_MS - 9_000 * HOUR_MS)).unjudged == ()


def test_a_node_with_little_lacks_patches_facts_heartbeats_system_site_and_inventory() -> None:
    arrivals = [arrival("boot", site="unknown"), arrival("event", "Application", site="unknown")]
    lacking = next(node for node in check(arrivals, {"hv02": listed("hv02")}) if node.arrives)
    words = ("patch states", "facts", "heartbeats", "System", "site unknown", "inventory")
    assert [word for word in words if word not in " ".join(lacking.missing)] == []
    assert lacking.unjudged == ()
