"""What a file changes of the inventory: no more is written than that."""

from msgspec.structs import replace

from schemas.inventory import InventoryNode
from streams.inventory.changes import Field, clashes, compare, new_aliases, place_of


def node(name: str, fleet: str = "default", site: str = "fra", **covariates: bool) -> InventoryNode:
    return InventoryNode(
        v=1, fleet=fleet, node=name, domain=name, site=site, covariates={**covariates}
    )


def known(*nodes: InventoryNode) -> dict[tuple[str, str], InventoryNode]:
    return {place_of(one): one for one in nodes}


def test_a_file_against_an_empty_inventory_adds_everything() -> None:
    found = compare({}, [node("b"), node("a")], prune=False)
    assert [one.node for one in found.added] == ["b", "a"]
    assert found.records == [(("default", "b"), node("b")), (("default", "a"), node("a"))]


def test_the_same_file_again_writes_nothing() -> None:
    found = compare(known(node("a"), node("b")), [node("a"), node("b")], prune=True)
    assert (found.same, found.records) == (2, [])


def test_a_change_is_told_by_field_and_covariate() -> None:
    old, new = node("a", s2d=True, csv_bitlocker=False), node("a", site="ams", csv_bitlocker=True)
    new = replace(new, aliases=("old",))
    (changed,) = compare(known(old), [new], prune=False).changed
    assert changed.fields == (
        Field("site", "fra", "ams"),
        Field("aliases", (), ("old",)),
        Field("covariate:csv_bitlocker", False, True),
        Field("covariate:s2d", True, None),
    )


def test_nodes_that_the_file_no_longer_has_are_kept() -> None:
    found = compare(known(node("a"), node("b")), [node("a")], prune=False)
    assert ([one.node for one in found.kept], found.removed, found.records) == (["b"], (), [])


def test_pruning_takes_them_away() -> None:
    found = compare(known(node("a"), node("b")), [node("a")], prune=True)
    assert (found.kept, found.records) == ((), [(("default", "b"), None)])


def test_pruning_leaves_fleets_alone_that_the_file_does_not_name() -> None:
    found = compare(known(node("a"), node("x", fleet="emea")), [node("a")], prune=True)
    assert found.records == []


def renamed(to: str, *aliases: str, fleet: str = "default") -> InventoryNode:
    return replace(node(to, fleet=fleet), aliases=aliases)


def test_an_alias_that_a_kept_node_bears_is_a_clash_that_says_what_to_do() -> None:
    file = [renamed("web08", "web07")]
    (said,) = clashes(compare(known(node("web07")), file, prune=False), file)
    assert said.startswith("web08: web07 is a name of web07, which the file lacks")
    assert "list web07 with the alias web08" in said
    assert "--prune, which removes web07" in said


def test_pruned_it_is_none() -> None:
    file = [renamed("web08", "web07")]
    assert clashes(compare(known(node("web07")), file, prune=True), file) == []


def test_names_and_aliases_of_kept_nodes_clash_with_names_and_aliases() -> None:
    before = known(renamed("web07", "web08", "old"))
    for file in ([node("web08")], [renamed("web09", "old")]):
        assert len(clashes(compare(before, file, prune=False), file)) == 1
    for file in ([node("web09")], [node("web08", fleet="emea")]):
        assert clashes(compare(before, file, prune=False), file) == []


def test_only_aliases_that_were_not_there_are_new() -> None:
    before = known(renamed("a", "x"), renamed("b", "y"))
    file = [renamed("a", "x", "z"), renamed("b", "y"), renamed("c", "old")]
    assert new_aliases(compare(before, file, prune=False)) == ["old", "z"]
