"""The risk set moves with time and is at every instant what the members' places say."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detection.members import Member
from streams.detection.population import Population
from tests.fixtures.stories import DAY, HOUR, T0, a_member

days = st.integers(0, 40).map(lambda d: d * DAY)


@st.composite
def some_members(draw: st.DrawFn) -> list[Member]:
    out = []
    for i in range(draw(st.integers(1, 6))):
        patched = draw(st.none() | days)
        back = draw(st.none() | days.map(lambda d: d + HOUR))
        begin, length = draw(days), draw(days)
        out.append(
            a_member(
                f"n{i}",
                domain=draw(st.sampled_from(("c1", "c2"))),
                site=draw(st.sampled_from(("fra", "ams"))),
                role=draw(st.sampled_from(("hyperv", "sql"))),
                patched=patched,
                back=back if patched is not None and back is not None and back > patched else None,
                service=((-40 * DAY, begin), (begin + DAY, begin + DAY + length)),
                since=draw(st.sampled_from((-100, -29, -10))) * DAY,
                weeks={draw(st.integers(-14, 2)): draw(st.integers(0, 4))},
            )
        )
    return out


@settings(max_examples=60, deadline=None)
@given(some_members(), st.lists(st.integers(0, 60 * 24), min_size=1, max_size=6))
def test_counts_are_those_of_the_members_places(people: list[Member], hours: list[int]) -> None:
    check(Population(people, T0, T0 + 65 * DAY), people, hours)


@settings(max_examples=60, deadline=None)
@given(some_members(), st.lists(st.integers(0, 60 * 24), min_size=1, max_size=6))
def test_with_a_site_or_a_domain_left_out_counts_are_those_of_the_others(
    people: list[Member], hours: list[int]
) -> None:
    everybody = Population(people, T0, T0 + 65 * DAY)
    for site, domain in (("fra", None), (None, "c1")):
        gone = [m.node.node for m in people if m.site == site or m.domain == domain]
        left = everybody.without(site, domain)
        check(left, [m for m in people if m.node.node not in gone], hours)
        assert all(left.place(name, T0 + hour * HOUR) is None for name in gone for hour in hours)


def check(population: Population, people: list[Member], hours: list[int]) -> None:
    for hour in hours:
        t_ms = T0 + hour * HOUR
        places = {m.node.node: m.place(t_ms) for m in people}
        assert {name: population.place(name, t_ms) for name in places} == places
        here = [p for p in places.values() if p is not None]
        for p in here:
            stratum = [q for q in here if (q.role, q.noise) == (p.role, p.noise)]
            assert population.in_stratum(p, t_ms) == _by_age(q.age for q in stratum)
            elsewhere = [q.age for q in stratum if q.site != "fra"]
            assert population.in_stratum(p, t_ms, ("fra",)) == _by_age(elsewhere)
            site = [q.age for q in here if (q.role, q.site) == (p.role, p.site)]
            assert population.in_site(p, t_ms) == _by_age(site)
            assert population.in_domain(p, t_ms) == _by_age(
                q.age for q in here if q.domain == p.domain
            )


def test_a_stranger_has_no_place() -> None:
    population = Population([a_member("n1")], T0, T0 + DAY)
    assert population.place("n2", T0) is None


def _by_age(ages: object) -> list[int]:
    counts = Counter(ages)  # type: ignore[call-overload]
    return [counts[age] for age in range(4)]
