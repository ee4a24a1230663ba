"""Names that two failure domains report at once: said, because one of them may lie."""

from streams.detection.claims import disputed
from tests.fixtures.stories import CASE, DAY, HOUR, a_node, cluster_of, evidence_of, judged

START = 35 * DAY


def test_each_domain_with_its_own_nodes_disputes_nothing() -> None:
    fleet = [node.lives() for name in ("c1", "c2") for node in cluster_of(3, name)]
    assert disputed(evidence_of(fleet)) == ()


def test_a_node_that_moved_is_seen_in_one_domain_after_the_other() -> None:
    before = a_node("hv01", "old").lives(until=20 * DAY)
    after = a_node("hv01", "new").lives(since=20 * DAY)
    assert disputed(evidence_of([before, after])) == ()


def test_a_new_collector_that_reads_the_log_back_disputes_nothing() -> None:
    before, after = a_node("hv01", "old").lives(until=20 * DAY), a_node("hv01", "new").lives()
    assert disputed(evidence_of([before, after])) == ()


def test_a_node_that_two_domains_go_on_seeing_is_disputed() -> None:
    honest, liar = a_node("hv01", "c1").lives(), a_node("hv01", "c2").lives(since=20 * DAY)
    assert disputed(evidence_of([honest, liar])) == ("hv01",)


def test_a_verdict_says_so_whatever_its_state() -> None:
    fleet = [node.lives().patched(START) for node in cluster_of(3, "c1")]
    liar = a_node(fleet[0].name, "c2").lives(since=START + HOUR)
    verdict = judged([*fleet, liar])[CASE]
    assert verdict.reasons[-1] == (
        f"1 node reported by two domains at once ({fleet[0].name}), "
        "the newest sighting counts: see who may write their reports"
    )
