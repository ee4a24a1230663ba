"""What a harmless roll-out shows: observed and expected incidents, and the margins from them."""

from collections.abc import Sequence

import pytest

from schemas.evidence import DomainEvidence, Onset
from streams.detection.calibrate import Controls, controls, table, widest
from streams.detection.margins import FLOOR, Control, Table, learn
from streams.detection.members import Member
from tests.fixtures.stories import DAY, HOUR, T0, WEEK, a_member

MONTH_HOURS = 720
WEEKS_HOURS = 13 * 7 * 24
NOTHING = Control(0, 0.0)


def onset(node: str, t: int, signature: str = "a", impact: str = "outage") -> Onset:
    at = T0 + t
    return Onset(node, f"scm/7031/{signature}", "service", impact, at, at, (at,))


def evidence(
    people: Sequence[Member], *onsets: Onset, known: dict[str, dict[int, int]] | None = None
) -> list[DomainEvidence]:
    """One contribution per domain; ``known``: onsets by signature and week from that of ``T0``."""
    out = []
    for member in people:
        name = member.node.node
        baseline = {
            f"scm/7031/{signature}": {T0 // WEEK + week: n for week, n in weeks.items()}
            for signature, weeks in (known or {}).items()
        }
        out.append(
            DomainEvidence(
                v=1,
                fleet="default",
                branch="17763",
                domain=member.domain,
                epoch=0,
                offset=0,
                nodes=(member.node,),
                onsets=tuple(sorted((o for o in onsets if o.node == name), key=_first)),
                baseline=baseline if member is people[0] else {},
            )
        )
    return out


def _first(onset: Onset) -> int:
    return onset.first_ms


def alone(name: str, patched: int | None = None, **rest: object) -> Member:
    return a_member(name, name, patched=patched, **rest)  # type: ignore[arg-type]


def seen(
    people: Sequence[Member], *onsets: Onset, known: dict[str, dict[int, int]] | None = None
) -> Controls:
    """Of incidents with impact."""
    return controls(people, evidence(people, *onsets, known=known), T0, frozenset())[0]


PEOPLE = (alone("p", 0), alone("u1"), alone("u2"), alone("u3"))


class TestExpected:
    def test_it_is_the_branchs_rate_of_30_days_times_exposed_hours(self) -> None:
        found = seen(PEOPLE, onset("u1", -DAY), onset("p", -29 * DAY), onset("u2", -31 * DAY))
        rate = 2 / (MONTH_HOURS * 4)
        (each,) = found["any"]
        assert [c.expected for c in each] == pytest.approx([rate, 23 * rate, 839 * rate])
        assert found["class:service"] == found["any"]
        assert [c.observed for c in each] == [0, 0, 0]

    @pytest.mark.parametrize(
        ("member", "hours"),
        [
            (alone("p", 0), (1, 23, 839)),
            (alone("p", 0, back=10 * HOUR), (1, 9, 9)),
            (alone("p", 0, back=HOUR // 2), (0.5, 0, 0)),
            (alone("p", 0, service=((-100 * DAY, 2 * DAY),)), (1, 23, 47)),
            (alone("p", 0, service=((-100 * DAY, -DAY),)), (0, 0, 0)),
        ],
        ids=["35 days", "rolled back", "rolled back at once", "last seen", "never seen again"],
    )
    def test_exposure_ends_after_35_days_with_the_roll_back_or_the_last_sighting(
        self, member: Member, hours: tuple[float, ...]
    ) -> None:
        (each,) = seen((member, alone("u")), onset("u", -DAY))["any"]
        rate = 1 / (MONTH_HOURS * 2)
        assert [c.expected for c in each] == pytest.approx([rate * h for h in hours])

    def test_what_was_new_in_those_30_days_is_expected_to_be_new_again(self) -> None:
        """Out of sample: known by the case's start, ``a`` was new when it came."""
        found = seen(PEOPLE, onset("u1", -8 * DAY), known={"a": {-2: 1}})
        assert found["novel"][0][2].expected == pytest.approx(839 / (MONTH_HOURS * 4))

    def test_what_is_known_at_the_start_is_not_new_afterwards(self) -> None:
        told = [onset("u1", -8 * DAY), onset("p", 2 * DAY), onset("p", 4 * DAY, "never")]
        (each,) = seen(PEOPLE, *told, known={"a": {-2: 1}})["novel"]
        assert each[2].observed == 1, "the other one"


class TestObserved:
    def test_incidents_count_in_the_windows_of_the_nodes_age(self) -> None:
        told = [onset("p", HOUR // 2), onset("p", 2 * DAY)]
        (each,) = seen(PEOPLE, *told)["any"]
        assert [c.observed for c in each] == [1, 0, 1]

    def test_those_of_unpatched_nodes_do_not(self) -> None:
        (each,) = seen(PEOPLE, onset("u1", DAY))["any"]
        assert [c.observed for c in each] == [0, 0, 0]

    def test_a_shock_inside_a_domain_is_one(self) -> None:
        people = (a_member("p1", "c", patched=0), a_member("p2", "c", patched=0), alone("u"))
        both = evidence([people[0], people[2]], onset("p1", 2 * DAY))
        both[0] = _with(both[0], people[1], onset("p2", 2 * DAY + HOUR // 3))
        (each,) = controls(people, both, T0, frozenset())[0]["any"]
        assert each[2].observed == 1

    def test_what_has_no_impact_is_an_incident_of_the_second_kind_only(self) -> None:
        told = evidence(PEOPLE, onset("p", 2 * DAY, impact="error"))
        harm, everything = controls(PEOPLE, told, T0, frozenset())
        assert "any" not in harm
        assert everything["any"][0][2].observed == 1

    def test_a_level_of_which_nothing_was_ever_seen_is_no_control(self) -> None:
        assert seen(PEOPLE) == {}


def _with(part: DomainEvidence, member: Member, onset: Onset) -> DomainEvidence:
    return DomainEvidence(
        v=1,
        fleet=part.fleet,
        branch=part.branch,
        domain=part.domain,
        epoch=0,
        offset=0,
        nodes=(*part.nodes, member.node),
        onsets=(*part.onsets, onset),
        baseline=part.baseline,
    )


class TestSignatures:
    def test_each_known_one_is_a_control_of_its_class_in_the_acute_window(self) -> None:
        told = [onset("u1", -20 * DAY), onset("u2", -20 * DAY, "b"), onset("p", HOUR // 2, "b")]
        found = seen(PEOPLE, *told, known={"a": {-3: 6, -9: 2}, "b": {-3: 4}})
        hours = WEEKS_HOURS * 4
        first, second = sorted(found["sig:service"], key=_acute)
        assert (first[0].observed, second[0].observed) == (0, 1)
        assert first[0].expected == pytest.approx(8 / hours)
        assert second[0].expected == pytest.approx(4 / hours)
        assert first[1:] == second[1:] == (NOTHING, NOTHING)

    def test_one_that_the_branch_never_logged_is_none(self) -> None:
        assert "sig:service" not in seen(PEOPLE, onset("p", HOUR // 2))


def _acute(found: tuple[Control, Control, Control]) -> int:
    return found[0].observed


class TestTable:
    def test_all_roll_outs_and_all_signatures_of_a_class_are_learned_from_together(self) -> None:
        ones = [Control(8, 0.5), Control(6, 0.4), Control(7, 0.6)]
        cases: list[Controls] = [
            {"sig:service": [(ones[0], NOTHING, NOTHING), (ones[1], NOTHING, NOTHING)]},
            {"sig:service": [(ones[2], NOTHING, NOTHING)]},
        ]
        assert table(cases).rho == {"sig:service": (round(learn(ones, FLOOR[0]), 2), 1.5, 1.5)}

    @pytest.mark.parametrize(("observed", "learned"), [(4, False), (5, True)])
    def test_fewer_than_five_incidents_teach_nothing(self, observed: int, learned: bool) -> None:
        case: Controls = {"any": [(Control(observed, 0.01), NOTHING, NOTHING)]}
        assert ("any" in table([case]).rho) is learned

    def test_each_window_is_learned_by_itself(self) -> None:
        case: Controls = {"any": [(Control(90, 2.0), Control(3, 0.01), Control(50, 50.0))]}
        acute, subacute, chronic = table([case]).of("any")
        assert acute > 30
        assert (subacute, chronic) == FLOOR[1:]

    def test_a_level_at_the_floor_is_left_out(self) -> None:
        case: Controls = {"any": [(Control(90, 90.0), Control(90, 90.0), Control(90, 90.0))]}
        assert table([case]) == Table({})

    def test_without_a_roll_out_it_is_empty(self) -> None:
        assert table([]) == Table({})

    def test_the_widest_is_taken_level_by_level_and_window_by_window(self) -> None:
        one = Table({"any": (9.0, 1.5, 2.0), "rare": (3.0, 1.5, 1.5)})
        other = Table({"any": (4.0, 7.0, 1.5)})
        assert widest([one, other]).rho == {"any": (9.0, 7.0, 2.0), "rare": (3.0, 1.5, 1.5)}
        assert widest([one, other]) == widest([other, one])
        assert list(widest([other, one]).rho) == ["any", "rare"]
        assert widest([]) == Table({})
