"""The inventory as ingest holds it: who bears a name."""

from itertools import permutations

import pytest

from schemas.codec import DecodeError, encode
from schemas.inventory import InventoryNode
from schemas.topics import key
from streams.ingest.nodes import Inventory


def node(name: str, *aliases: str, site: str = "fra") -> InventoryNode:
    return InventoryNode(v=1, fleet="default", node=name, domain=name, site=site, aliases=aliases)


def put(inventory: Inventory, one: InventoryNode) -> None:
    inventory.put(key(one.fleet, one.node), encode(one))


def of(*nodes: InventoryNode) -> Inventory:
    inventory = Inventory()
    for one in nodes:
        put(inventory, one)
    return inventory


def test_a_node_is_found_by_its_name_in_its_fleet_only() -> None:
    inventory = of(node("web07"))
    assert inventory.find("default", "web07") == node("web07")
    assert inventory.find("default", "web08") is None
    assert inventory.find("emea", "web07") is None


def test_a_renamed_computer_is_found_by_its_former_names() -> None:
    web07 = node("web07", "win-p4s", "old")
    assert of(web07).find("default", "old") == of(web07).find("default", "win-p4s") == web07


def test_the_name_that_a_node_has_outranks_one_that_another_had() -> None:
    first, second = node("a", "b"), node("b")
    for order in permutations((first, second)):
        assert of(*order).find("default", "b") == second


def test_an_alias_of_two_is_the_same_ones_in_any_order() -> None:
    for order in permutations((node("a", "x"), node("b", "x"))):
        found = of(*order).find("default", "x")
        assert found is not None
        assert found.node == "a"


def test_the_newest_record_holds_and_old_aliases_end_with_it() -> None:
    inventory = of(node("a", "x"))
    put(inventory, node("a", "y", site="ams"))
    assert inventory.find("default", "x") is None
    assert inventory.find("default", "y") == node("a", "y", site="ams")


def test_a_record_without_a_value_takes_the_node_away() -> None:
    inventory = of(node("a", "x"), node("b"))
    inventory.put(key("default", "a"), None)
    inventory.put(key("default", "never-there"), None)
    assert inventory.find("default", "a") is None
    assert inventory.find("default", "x") is None
    assert len(inventory) == 1


@pytest.mark.parametrize(
    ("record_key", "value"),
    [
        (b"default|a", b"not json"),
        (b"default|a", encode(node("b"))),
        (b"", encode(node("a"))),
    ],
)
def test_what_is_no_inventory_record_changes_nothing(record_key: bytes, value: bytes) -> None:
    inventory = of(node("a"))
    with pytest.raises(DecodeError):
        inventory.put(record_key, value)
    assert inventory.find("default", "a") == node("a")
