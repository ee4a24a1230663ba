"""The judge: which cases there are, from when to when, and for whom."""

import pytest
from msgspec.structs import replace

from streams.detection.judge import Judge
from streams.detection.spans import case_spans
from tests.fixtures.stories import (
    BRANCH,
    BUILD,
    CASE,
    DAY,
    HOUR,
    KB,
    T0,
    a_node,
    cluster_of,
    evidence_of,
    fleet_of,
    judged,
    verdicts_of,
)


def test_a_case_begins_with_the_first_node_on_which_the_kb_is_in_effect() -> None:
    cluster = cluster_of(3)
    for i, node in enumerate(cluster):
        node.lives(until=9 * DAY).patched(at=(5 - i) * DAY)
    (span,) = case_spans(evidence_of(cluster))
    assert (span.kb, span.build, span.start_ms) == (KB, BUILD, T0 + 3 * DAY)
    assert judged(cluster)[CASE].started_ms == T0 + 3 * DAY


def test_a_kb_that_was_rolled_back_stays_a_case() -> None:
    node = a_node().lives(until=9 * DAY).patched(at=2 * DAY).boots("17763.7434", 3 * DAY)
    assert set(judged([node])) == {CASE}


@pytest.mark.parametrize("state", ["offered", "staged", "failed"])
def test_a_pending_kb_is_no_case_yet(state: str) -> None:
    assert judged([a_node().lives(until=9 * DAY).state(KB, state, DAY)]) == {}


def test_kbs_that_came_together_are_a_case_each() -> None:
    node = a_node().boots("17763.7314", 0).boots(BUILD, DAY)
    assert set(judged([node])) == {CASE, f"KB5061978@{BRANCH}"}
    # KB5060531 came along too, and its fix with it: KB5062557 in the same boot.


def test_a_case_is_open_for_35_days() -> None:
    def cases(lived: int) -> set[str]:
        return set(judged([a_node().lives(until=lived).patched(at=DAY)]))

    assert cases(35 * DAY) == {CASE}
    assert cases(36 * DAY) == set()


def test_no_single_clock_closes_a_case() -> None:
    nodes = [a_node(f"n{i}").lives(until=9 * DAY).patched(at=DAY) for i in range(3)]
    nodes.append(a_node("future").lives(until=10 * DAY).crashes("ClusSvc", 4_000 * DAY))
    found = judged(nodes)[CASE]
    assert found.asof_ms == T0 + 9 * DAY


def test_fleets_and_branches_share_nothing() -> None:
    here = a_node("n1").lives(until=9 * DAY).patched(at=DAY)
    other_branch = a_node("n2").boots("20348.3692", 0).boots("20348.3807", DAY)
    elsewhere = a_node("n1").lives(until=9 * DAY).patched(at=2 * DAY)
    elsewhere.fleet = "other"
    judge = Judge(alpha=1 / 200)
    for part in evidence_of([here, other_branch, elsewhere]):
        judge.replace(part)
    assert judge.branches() == [("default", "17763"), ("default", "20348"), ("other", "17763")]
    (alone,) = judge.verdicts(("default", "17763"))
    assert (alone.exposed, alone.controls, alone.started_ms) == (1, 0, T0 + DAY)


def test_a_domain_that_was_emptied_takes_its_cases_with_it() -> None:
    judge = Judge(alpha=1 / 200)
    (evidence,) = evidence_of([a_node().lives(until=9 * DAY).patched(at=DAY)])
    judge.replace(evidence)
    judge.replace(replace(evidence, offset=1, nodes=(), onsets=(), baseline={}))
    assert list(judge.verdicts(("default", BRANCH))) == []


def test_alpha_sets_the_threshold() -> None:
    evidence = evidence_of([a_node().lives(until=9 * DAY).patched(at=DAY)])
    assert verdicts_of(evidence, alpha=0.005)[CASE].log_threshold == 5.298317
    assert verdicts_of(evidence, alpha=0.01)[CASE].log_threshold == 4.60517


def test_a_co_installed_kb_with_other_controls_is_judged_on_its_own() -> None:
    fleet = fleet_of(4, 2, ("fra", "ams", "dub", "par"))
    for i, (one, two) in enumerate(fleet):
        one.lives(until=9 * DAY).patched(at=2 * DAY)
        two.lives(until=9 * DAY)
        if i < 2:
            two.state("KB5054321", "effective", 3 * DAY + HOUR)
    found = judged(node for cluster in fleet for node in cluster)
    assert {c: (v.exposed, v.controls) for c, v in found.items()} == {
        CASE: (4, 4),
        f"KB5054321@{BRANCH}": (2, 6),
    }
