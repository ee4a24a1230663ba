"""Which signature drives a case: the one that being patched explains best, margins apart."""

import pytest

from schemas.evidence import DomainEvidence, Onset
from streams.detection.attribution import explained
from streams.detection.fold import Hit, Path
from streams.detection.population import Population
from streams.detection.victims import driving, victim_hits
from tests.fixtures.stories import DAY, HOUR, MINUTE, T0, a_member

PERIOD = T0 - DAY, T0 + 40 * DAY
PATCHED = [f"p{i:02}" for i in range(10)]
OTHERS = [f"u{i:02}" for i in range(30)]

Told = tuple[str, str, int]
"""Signature, node and time."""


def installed(every: int = 0) -> Population:
    """Each node is a domain; the patched ones get the KB ``every`` ms after one another."""
    return Population(
        [
            *(a_member(n, n, f"s{i % 4}", patched=i * every) for i, n in enumerate(PATCHED)),
            *(a_member(n, n, f"s{i % 4}") for i, n in enumerate(OTHERS)),
        ],
        *PERIOD,
    )


def path_of(population: Population, told: list[Told]) -> Path:
    hits = []
    for signature, node, t in sorted(told, key=lambda each: each[2]):
        place = population.place(node, T0 + t)
        assert place is not None
        hits.append(Hit(T0 + t, node, signature, place))
    return Path((), tuple(hits))


def evidence(classes: dict[str, str]) -> list[DomainEvidence]:
    onsets = tuple(Onset("n", s, cls, "outage", T0, T0, (T0,)) for s, cls in classes.items())
    return [
        DomainEvidence(v=1, fleet="f", branch="b", domain="d", epoch=0, offset=0, onsets=onsets)
    ]


def drives(
    told: list[Told],
    until: int | None = None,
    every: int = 0,
    classes: dict[str, str] | None = None,
) -> str:
    population = installed(every)
    known = dict.fromkeys({signature for signature, _, _ in told}, "service") | (classes or {})
    until_ms = None if until is None else T0 + until
    return driving(path_of(population, told), evidence(known), until_ms, population)


def failing(signature: str, nodes: list[str], since: int = 2 * DAY, step: int = HOUR) -> list[Told]:
    return [(signature, node, since + i * step) for i, node in enumerate(nodes)]


class TestExplained:
    def test_a_chance_hit_of_one_patched_node_does_not_win(self) -> None:
        """It came first, and on its own the KB explains it as well as any."""
        chance = failing("chance", PATCHED[9:], since=DAY + HOUR)
        assert drives(chance) == "chance"
        assert drives([*chance, *failing("guilty", PATCHED[:5])]) == "guilty"

    def test_what_most_victims_have_does_not_win_if_it_hits_the_unpatched_alike(self) -> None:
        everywhere = [*failing("usual", PATCHED[:8]), *failing("usual", OTHERS[:24])]
        assert drives([*everywhere, *failing("guilty", PATCHED[:3])]) == "guilty"

    def test_what_it_explains_much_worse_does_not_win_by_its_many_victims(self) -> None:
        usual = [*failing("usual", PATCHED), *failing("usual", OTHERS[:12], since=3 * DAY)]
        guilty = failing("guilty", PATCHED[:6])
        population = installed()
        worth = [explained(population, path_of(population, told).hits) for told in (usual, guilty)]
        assert 0 < worth[0] < worth[1] / 2
        assert drives([*usual, *guilty]) == "guilty"

    def test_chatter_of_one_boot_does_not_win(self) -> None:
        """Nodes come one by one: whoever has just booted is alone in its first hour."""
        boot = [("boot", PATCHED[5], 5 * DAY + MINUTE)]
        population = installed(every=DAY)
        assert explained(population, path_of(population, boot).hits) > 1
        guilty = failing("guilty", PATCHED[:5], since=6 * DAY)
        assert drives([*boot, *guilty], every=DAY) == "guilty"

    def test_of_those_explained_nearly_as_well_most_victims_win(self) -> None:
        """Three hits in three first hours are better explained than five of days later."""
        boot = [("boot", PATCHED[i], i * DAY + MINUTE) for i in (1, 3, 5)]
        late = failing("late", PATCHED[:5], since=10 * DAY)
        population = installed(every=DAY)
        worth = [explained(population, path_of(population, told).hits) for told in (boot, late)]
        assert worth[0] > worth[1] >= worth[0] / 2
        assert drives([*boot, *late], every=DAY) == "late"

    def test_what_it_does_not_explain_does_not_drive(self) -> None:
        assert drives(failing("alike", [*PATCHED[:2], *OTHERS[:28]])) == ""
        assert drives(failing("theirs", OTHERS[:3])) == ""
        assert drives([]) == ""


class TestTies:
    def test_of_as_many_victims_the_first_one_wins(self) -> None:
        first = failing("b-first", PATCHED[:3])
        assert (
            drives([*first, *failing("a-later", PATCHED[:3], since=2 * DAY + MINUTE)]) == "b-first"
        )

    @pytest.mark.parametrize("cls", ["crash", "vm"])
    def test_in_the_same_minute_a_dead_service_says_more_than_what_it_took_with_it(
        self, cls: str
    ) -> None:
        took = failing("a-taken", PATCHED[:3])
        died = failing("b-service", PATCHED[:3], since=2 * DAY + 5_000)
        assert drives([*took, *died], classes={"a-taken": cls}) == "b-service"
        assert drives([*took, *died], classes={"a-taken": "service"}) == "a-taken"

    def test_else_its_name_decides_so_that_the_order_of_reports_does_not(self) -> None:
        both = [*failing("b", PATCHED[:3]), *failing("a", PATCHED[:3])]
        assert drives(both) == drives(both[::-1]) == "a"


class TestTime:
    def test_what_came_after_the_crossing_has_no_say(self) -> None:
        told = [*failing("early", PATCHED[:2]), *failing("later", PATCHED[:6], since=4 * DAY)]
        assert drives(told, until=3 * DAY) == "early"
        assert drives(told) == "later"

    def test_a_victim_is_a_patched_node_and_counts_once(self) -> None:
        twice = [*failing("x", PATCHED[:2]), *failing("x", PATCHED[:2], since=4 * DAY)]
        told = [*twice, *failing("x", OTHERS[:1]), *failing("y", PATCHED[4:5])]
        found = victim_hits(path_of(installed(), told), "x")
        assert [(h.node, h.t_ms - T0) for h in found] == [
            (PATCHED[0], 2 * DAY),
            (PATCHED[1], 2 * DAY + HOUR),
        ]


class TestWhatADyingServiceSays:
    """Two signatures of one failure: the same victims, the same minute, the same class."""

    def test_what_it_says_first_names_the_case_whatever_its_name(self) -> None:
        first = failing("b", PATCHED[:4])
        then = [("a", node, t + 1_400) for _, node, t in first]
        assert drives([*first, *then]) == "b"

    def test_a_shipper_that_cuts_times_to_the_second_names_it_the_same(self) -> None:
        first = [("b", n, 2 * DAY + i * HOUR + 100 + 200 * i) for i, n in enumerate(PATCHED[:4])]
        told = [*first, *(("a", node, t + 700) for _, node, t in first)]
        cut = [(signature, node, t // 1_000 * 1_000) for signature, node, t in told]
        assert drives(told) == drives(cut) == "b"
