"""ψ: canaries that failed often before the patch can't condemn it."""

import pytest

from streams.detection.members import Member
from streams.detection.tilt import Tilt, failures_before
from streams.detection.tree import NodeOnset
from tests.fixtures.stories import DAY, T0, a_member


def fleet(canaries: int, others: int) -> list[Member]:
    patched = [a_member(f"a{i}", patched=0) for i in range(canaries)]
    return [*patched, *(a_member(f"b{i}") for i in range(others))]


def psi(people: list[Member], past: dict[str, int], noise: str | None = None) -> float:
    tilt = Tilt(people, past, T0)
    tilt.advance(T0)
    return tilt.psi(noise)


def limit(count: int, z: float) -> float:
    return float(count * (1 - 1 / (9 * count) + z / (3 * count**0.5)) ** 3)


def test_by_hand() -> None:
    # 10 canaries failed 30 times, 90 others 60 times: 0.9 each on average.
    past = {f"a{i}": 3 for i in range(10)} | {f"b{i}": 1 for i in range(60)}
    expected = (limit(31, 1.28) / (9 + 1)) / min(1, limit(61, -1.28) / (81 + 1))
    assert psi(fleet(10, 90), past) == pytest.approx(expected)
    assert psi(fleet(10, 90), past, "0") == pytest.approx(expected), "all are of one class"


def test_flaky_canaries_tilt_more_than_ordinary_ones_and_quiet_ones_not_at_all() -> None:
    everybody = {f"a{i}": 3 for i in range(100)} | {f"b{i}": 3 for i in range(900)}
    flaky = everybody | {f"a{i}": 9 for i in range(100)}
    quiet = everybody | {f"a{i}": 0 for i in range(100)}
    people = fleet(100, 900)
    assert psi(people, quiet) == 1.0
    assert 1.0 <= psi(people, everybody) < 1.2
    assert psi(people, flaky) > 2.5


def test_only_nodes_exposed_so_far_are_canaries() -> None:
    early, late = a_member("a", patched=0), a_member("b", patched=DAY)
    tilt = Tilt([early, late], {"b": 50}, T0)
    tilt.advance(T0)
    before = tilt.psi(None)
    tilt.advance(T0 + DAY)
    assert tilt.psi(None) != before


def test_a_node_without_30_days_of_history_says_nothing() -> None:
    people = fleet(5, 5)
    young = [a_member("young", patched=0, since=-29 * DAY)]
    assert psi([*people, *young], {"young": 99}) == psi(people, {})


def test_the_past_is_the_30_days_before_the_case_at_the_level_of_any() -> None:
    begin = T0 - 30 * DAY
    onsets = [
        NodeOnset(begin - 1, "n", "any"),
        NodeOnset(begin, "n", "any"),
        NodeOnset(begin, "n", "class:service"),
        NodeOnset(T0 - 1, "n", "any"),
        NodeOnset(T0, "n", "any"),
    ]
    assert failures_before(onsets, T0) == {"n": 2}
