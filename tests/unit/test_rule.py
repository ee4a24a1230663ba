"""Whom it hits: a rule is accepted when it is worth its length, and no sooner."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.evidence import NodeEvidence
from streams.detection.rule import best_rules, find_rule, literals

Nodes = list[tuple[frozenset[str], bool]]


def nodes(count: int, hit: int, *facts: str) -> Nodes:
    return [(frozenset(facts), i < hit) for i in range(count)]


def rule_of(exposed: Nodes, branch: Iterable[frozenset[str]] | None = None) -> tuple[str, ...]:
    return find_rule(exposed, [facts for facts, _ in exposed] if branch is None else branch)


OTHERS = [
    *nodes(60, 0, "role=web", "virtual"),
    *nodes(20, 0, "role=web", "virtual", "bitlocker"),
    *nodes(30, 0, "role=sql", "clustered", "virtual"),
]


def test_one_literal_that_tells_victims_from_others_is_found() -> None:
    assert rule_of([*OTHERS, *nodes(30, 5, "role=hyperv", "clustered")]) == ("role=hyperv",)


def test_two_that_only_tell_together_are_found_together() -> None:
    both = nodes(8, 8, "role=sql", "clustered", "bitlocker")
    hyperv = nodes(20, 0, "role=hyperv", "clustered")
    assert rule_of([*OTHERS, *hyperv, *both]) == ("bitlocker", "clustered")


def test_three_are_found_and_a_fourth_is_never_looked_for() -> None:
    facts = ("a", "b", "c", "d")
    exposed = [n for one in facts for n in nodes(40, 0, *(f for f in facts if f != one))]
    exposed += nodes(12, 12, *facts)
    assert len(rule_of(exposed)) == 3


def test_one_victim_is_no_rule() -> None:
    assert rule_of([*OTHERS, *nodes(30, 1, "role=hyperv", "clustered")]) == ()


def test_a_defect_that_hits_anybody_has_no_rule() -> None:
    exposed = [(facts, i % 5 == 0) for i, (facts, _) in enumerate(OTHERS)]
    assert rule_of(exposed) == ()


def test_those_who_fail_less_often_are_no_rule() -> None:
    assert rule_of([*nodes(50, 50, "role=web"), *nodes(50, 0, "role=web", "kir")]) == ()


@pytest.mark.parametrize("exposed", [[], nodes(5, 5, "role=web"), nodes(5, 0, "role=web")])
def test_nothing_to_tell_apart_is_no_rule(exposed: Nodes) -> None:
    assert rule_of(exposed) == ()


class TestTies:
    def test_the_shorter_rule_wins(self) -> None:
        exposed = [*OTHERS, *nodes(30, 6, "role=hyperv", "s")]
        assert rule_of(exposed, []) == ("s",), "and not both"

    def test_a_role_is_the_last_thing_to_be_blamed(self) -> None:
        exposed = [*OTHERS, *nodes(8, 8, "role=sql", "clustered", "bitlocker")]
        assert rule_of(exposed) == ("bitlocker", "clustered")
        _, found = best_rules(exposed)
        assert ("bitlocker", "role=sql") in found

    def test_else_the_rule_that_holds_on_more_of_the_branch(self) -> None:
        exposed = [*nodes(60, 0, "role=web"), *nodes(9, 9, "role=web", "a", "b")]
        assert rule_of(exposed, [frozenset("a"), frozenset("b"), frozenset("b")]) == ("b",)
        assert rule_of(exposed, [frozenset("a"), frozenset("a"), frozenset("b")]) == ("a",)


def test_a_shared_volume_is_a_clusters() -> None:
    exposed = [*OTHERS, *nodes(6, 6, "role=hyperv", "clustered", "csv_bitlocker")]
    exposed += nodes(9, 0, "role=hyperv", "clustered")
    assert rule_of(exposed) == ("clustered", "csv_bitlocker")


def test_what_can_be_said_of_a_node() -> None:
    node = NodeEvidence(
        "n1", "sql", "fra", "", 0, ((0, 1),), 60, ring="r1", covariates={"b": True, "c": False}
    )
    assert literals(node, "n1") == {"role=sql", "b"}
    assert literals(node, "c07") == {"role=sql", "b", "clustered"}


def test_what_a_terminal_would_obey_is_no_literal() -> None:
    hostile: dict[str, bool | str] = {"\x1b[2J": True, "a\nb": "c", "\u202ename": "x", "name": "\r"}
    node = NodeEvidence("n1", "sql\n", "fra", "", 0, ((0, 1),), 60, covariates=hostile)
    assert literals(node, "n1") == set()


def test_thousands_of_odd_facts_are_bounded() -> None:
    odd = [
        (frozenset({"role=hyperv", *(f"x{i}-{j}" for j in range(20))}), i < 6) for i in range(60)
    ]
    assert rule_of([*OTHERS, *odd]) == ()
    score, _ = best_rules([*OTHERS, *nodes(60, 6, "role=hyperv")])
    assert score > 0, "it is their number that costs"


_FACTS = ("role=a", "role=b", "x", "y", "z")
_exposed = st.lists(
    st.tuples(st.frozensets(st.sampled_from(_FACTS)), st.booleans()), min_size=1, max_size=60
)


@given(_exposed, st.permutations(range(len(_FACTS))))
def test_scores_do_not_depend_on_names(exposed: Nodes, order: list[int]) -> None:
    names = dict(zip(_FACTS, (f"n{i}" for i in order), strict=True))
    renamed = [(frozenset(names[f] for f in facts), hit) for facts, hit in exposed]
    score, rules = best_rules(exposed)
    said = sorted(tuple(sorted(names[f] for f in rule)) for rule in rules)
    assert best_rules(renamed) == (score, said)


@given(_exposed)
def test_a_rule_is_one_that_victims_are_under_more_than_others(exposed: Nodes) -> None:
    score, rules = best_rules(exposed)
    assert (score > 0) == bool(rules)
    for rule in rules:
        under = [hit for facts, hit in exposed if facts.issuperset(rule)]
        rest = [hit for facts, hit in exposed if not facts.issuperset(rule)]
        assert sum(under) * len(rest) > sum(rest) * len(under)
