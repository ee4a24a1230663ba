"""Who did it: the same incidents, several suspects."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.verdicts import credible
from streams.detection.attribution import Trial, posterior
from streams.detection.fold import Hit
from streams.detection.population import Population
from tests.fixtures.stories import DAY, HOUR, MINUTE, T0, a_member

PERIOD = T0 - DAY, T0 + 40 * DAY
NODES = [f"n{i:02}" for i in range(40)]


def installed(at: dict[str, int]) -> Population:
    members = [a_member(n, domain=n, patched=at.get(n)) for n in NODES]
    return Population(members, *PERIOD)


def on(names: Sequence[str], at: int = 0) -> Population:
    return installed(dict.fromkeys(names, at))


def hits(population: Population, *at: tuple[str, int]) -> list[Hit]:
    out = []
    for node, t in at:
        place = population.place(node, T0 + t)
        assert place is not None
        out.append(Hit(T0 + t, node, "scm/7031/x", place))
    return out


def trial(suspects: dict[str, Population], incidents: list[Hit]) -> Trial:
    made = Trial(suspects)
    made.hear(incidents)
    return made


FAILED = [(NODES[i], 10 * MINUTE + i * HOUR // 60) for i in range(5)]


def test_identical_installs_share_equally_and_both_are_named() -> None:
    everywhere = on(NODES[:10])
    found = trial({"A": everywhere, "B": on(NODES[:10])}, hits(everywhere, *FAILED)).finding("A")
    assert found.suspects == {"A": 0.5, "B": 0.5}
    assert credible(found.suspects) == ("A", "B")
    assert found.confirmed_against == ()


def test_one_victim_without_the_other_kb_clears_it() -> None:
    guilty = on(NODES[:10])
    innocent = on([*NODES[1:10], NODES[30]])
    found = trial({"A": guilty, "B": innocent}, hits(guilty, *FAILED)).finding("A")
    assert found.suspects["A"] > 0.95
    assert credible(found.suspects) == ("A",)


def test_one_that_many_more_nodes_survived_explains_it_worse() -> None:
    guilty, innocent = on(NODES[:6]), on(NODES[:36])
    found = trial({"A": guilty, "B": innocent}, hits(guilty, *FAILED)).finding("A")
    assert found.suspects["A"] > 0.95
    assert found.confirmed_against == ("B",)


def test_it_is_confirmed_only_when_the_others_best_rate_is_20_times_worse() -> None:
    guilty, innocent = on(NODES[:6]), on(NODES[:9])
    found = trial({"A": guilty, "B": innocent}, hits(guilty, *FAILED)).finding("A")
    assert found.suspects["A"] > found.suspects["B"]
    assert found.confirmed_against == ()


def test_the_time_since_the_install_tells_as_well() -> None:
    """Both KBs on the same nodes; each failure follows the one's install within the hour."""
    late = installed({node: (i + 1) * DAY for i, node in enumerate(NODES[:10])})
    early = on(NODES[:10], at=0)
    at = [(node, (i + 1) * DAY + 10 * MINUTE) for i, node in enumerate(NODES[:5])]
    found = trial({"A": late, "B": early}, hits(late, *at)).finding("A")
    assert found.suspects["A"] > 0.95


def test_a_failing_control_speaks_against_everybody() -> None:
    guilty = on(NODES[:10])
    before = trial({"A": guilty}, hits(guilty, *FAILED)).log_evidence()["A"]
    mixed = hits(guilty, *FAILED, (NODES[20], 30 * MINUTE))
    assert trial({"A": guilty}, mixed).log_evidence()["A"] < before


def test_a_cluster_that_dies_at_once_is_one_incident_and_comparisons_inside_it() -> None:
    def fleet(patched: int) -> Population:
        first = [
            a_member(f"c{i}", domain="c", patched=0 if i < patched else None) for i in range(8)
        ]
        return Population([*first, *(a_member(n, domain=n) for n in NODES)], *PERIOD)

    whole = fleet(8)
    died = [(f"c{i}", 10 * MINUTE + i) for i in range(8)]
    alone = trial({"A": whole}, hits(whole, died[0])).log_evidence()["A"]
    together = trial({"A": whole}, hits(whole, *died)).log_evidence()["A"]
    assert together == pytest.approx(alone), "who of a patched cluster fails says nothing"


def test_it_can_be_heard_bit_by_bit() -> None:
    guilty = on(NODES[:10])
    told = hits(guilty, *FAILED)
    made = Trial({"A": guilty, "B": on(NODES[:12])})
    for hit in told:
        made.hear([hit])
    assert made.finding("A") == trial({"A": guilty, "B": on(NODES[:12])}, told).finding("A")


def test_the_set_is_the_smallest_that_holds_95_percent_and_all_equals() -> None:
    assert credible({"A": 0.96, "B": 0.04}) == ("A",)
    assert credible({"A": 0.9, "B": 0.06, "C": 0.04}) == ("A", "B")
    many = {f"K{i:02}": 1 / 40 for i in range(40)}
    assert len(credible(many)) == 40, "none of 40 equals is cleared by its name"
    assert credible({}) == ()


@given(st.dictionaries(st.text(max_size=3), st.floats(-500, 5000), min_size=1, max_size=8))
def test_probabilities_sum_to_one(evidence: dict[str, float]) -> None:
    found = posterior(evidence)
    assert math.fsum(found.values()) == pytest.approx(1, abs=1e-5)
    assert found[max(evidence, key=lambda name: evidence[name])] == max(found.values())


_times = st.dictionaries(st.sampled_from(NODES), st.integers(0, 5 * DAY), max_size=20)
_incidents = st.lists(
    st.tuples(st.sampled_from(NODES), st.integers(0, 10 * DAY)), max_size=8, unique=True
)


@given(_times, _times, _incidents)
def test_twins_have_the_same_share_whatever_happens(
    mine: dict[str, int], others: dict[str, int], at: list[tuple[str, int]]
) -> None:
    population = installed(mine)
    told = hits(population, *sorted(at, key=lambda x: x[1]))
    suspects = {"A": population, "twin": installed(mine), "other": installed(others)}
    found = trial(suspects, told).finding("A").suspects
    assert found.get("A") == found.get("twin")
    assert math.fsum(found.values()) == pytest.approx(1, abs=1e-5)
