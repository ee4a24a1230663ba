"""What a verdict tells the person who reads it."""

from schemas.codec import decode, encode
from schemas.verdicts import Verdict
from tests.fixtures.stories import (
    BUILD,
    CASE,
    DAY,
    HOUR,
    KB,
    MINUTE,
    OLD_BUILD,
    T0,
    NodeStory,
    a_node,
    died,
    fleet_of,
    judged,
)

START = 35 * DAY


def halted(service: str = "ClusSvc", times: int = 1) -> Verdict:
    fleet = fleet_of(24, 4, ("fra", "ams", "dub", "par"))
    for i, cluster in enumerate(fleet):
        for j, node in enumerate(cluster):
            node.lives()
            if i % 2 == 0:
                node.patched(START + j * HOUR)
    for i in range(0, 20, 2):
        at = START + (20 + i) * MINUTE
        told = [died(service, at + k * MINUTE, 8_000 + 100 * i + k) for k in range(times)]
        fleet[i][0].says(*told)
    fleet[1][0].crashes(service, START + 50 * MINUTE, times=times)
    return judged(node for cluster in fleet for node in cluster)[CASE]


def test_a_halt_names_the_case_the_victims_and_the_wealth() -> None:
    verdict = halted()
    assert (verdict.case, verdict.kb, verdict.build) == (CASE, KB, BUILD)
    assert verdict.state == "halt"
    assert verdict.halt is not None
    assert (verdict.halt.exposed, verdict.halt.controls) == (12, 84)
    assert verdict.halt.control_victims == 0, "the unpatched victim came after it"
    assert verdict.sentence.startswith(
        f"{verdict.halt.victims} of 12 patched nodes show scm/7031/clussvc, 0 of 84 unpatched; "
    )
    assert f"at {verdict.halt.victim_sites} sites, E = " in verdict.sentence


def test_victims_go_on_being_counted_after_the_halt() -> None:
    verdict = halted()
    assert verdict.halt is not None
    assert verdict.victims == 10 > verdict.halt.victims
    assert verdict.victim_nodes == tuple(f"c{i:02}-n1" for i in range(0, 20, 2))
    assert verdict.first_victim_ms == T0 + START + 20 * MINUTE
    assert verdict.last_victim_ms == T0 + START + 38 * MINUTE


def test_typical_incidents_can_be_looked_up() -> None:
    first, *others = halted().incidents
    assert (first.node, first.domain, first.site) == ("c00-n1", "c00", "fra")
    assert (first.minutes_after, first.record_id) == (20, 8_000)
    assert len(others) == 4


def test_so_can_those_that_count_from_their_third_event_on() -> None:
    first = halted("W32Time", times=3).incidents[0]
    assert first.t_ms == T0 + START + 22 * MINUTE
    assert first.record_id == 8_000, "of the first event, where a person begins to read"


def test_what_is_left_is_told_by_where_the_kb_stands() -> None:
    def node(name: str) -> NodeStory:
        return a_node(name).lives(until=9 * DAY)

    nodes = [
        node("effective").patched(at=DAY),
        node("staged").state(KB, "offered", HOUR).state(KB, "staged", DAY),
        node("offered").state(KB, "offered", DAY),
        node("failed").state(KB, "staged", HOUR).state(KB, "failed", DAY),
        node("back").patched(at=DAY).boots(OLD_BUILD, 2 * DAY),
        node("untouched"),
        a_node("newer").boots("17763.9999", 0),
    ]
    left = judged(nodes)[CASE].left
    assert (left.effective, left.staged, left.offered, left.untouched) == (1, 1, 1, 3)
    assert left.staged_nodes == ("staged",)
    assert left.untouched_nodes == ("back", "failed", "untouched")


def test_a_node_that_moved_is_left_once() -> None:
    before = a_node("hv01", "c1").lives(until=2 * DAY).state(KB, "staged", DAY)
    after = a_node("hv01", "c2").lives(since=2 * DAY, until=9 * DAY).patched(at=3 * DAY)
    verdict = judged([before, after])[CASE]
    assert (verdict.left.staged, verdict.left.effective) == (0, 1)
    assert (verdict.exposed, verdict.controls) == (1, 0)


def test_a_node_that_was_rolled_back_within_a_day_has_shown_little() -> None:
    long = a_node("long").lives(until=9 * DAY).patched(at=DAY)
    brief = a_node("brief").lives(until=9 * DAY).patched(at=DAY).boots(OLD_BUILD, DAY + HOUR)
    assert judged([long, brief])[CASE].power.observed == 1


def test_power_says_which_failure_rate_would_have_shown() -> None:
    power = judged([a_node().lives(until=9 * DAY).patched(at=DAY)])[CASE].power
    assert (power.observed, power.p_5pct, power.rate_95) == (1, 0.05, 0.95)
    nobody = judged([a_node().lives(until=2 * DAY).patched(at=2 * DAY - HOUR)])[CASE].power
    assert (nobody.observed, nobody.p_5pct, nobody.rate_95) == (0, 0.0, 1.0)


def test_it_says_by_which_calibration_and_trust_it_was_reached() -> None:
    verdict = judged([a_node().lives(until=9 * DAY).patched(at=DAY)])[CASE]
    assert (verdict.calibration, verdict.trust) == ("default", "open")


def test_it_survives_the_topic() -> None:
    verdict = halted()
    assert decode(encode(verdict), Verdict) == verdict
