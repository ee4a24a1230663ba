"""Deliveries: ids, bytes and the retry schedule of Standard Webhooks."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from schemas.codec import MAX_MESSAGE_BYTES, decode, encode
from schemas.halts import Delivery, Halt
from schemas.topics import HALT_DELIVERIES, HALTS, VERDICTS, all_topics
from schemas.verdicts import Blast, Left
from streams.halts.decide import decide
from streams.halts.deliveries import Outcome, after_attempt, next_wait_s, plan, webhook_id_of
from streams.halts.policy import Policy
from tests.fixtures.halts import a_verdict

_DOWN = Outcome(503, "answered 503")


def middle() -> float:
    return 0.5


def an_active_halt(**changes: object) -> Halt:
    halt = decide(a_verdict(**changes), None, Policy(mode="auto"), 1_752_025_500_250)
    assert halt is not None
    return halt


def data_of(halt: Halt) -> dict[str, Any]:
    (delivery,) = plan(halt, ["pipeline"], ())
    found: dict[str, Any] = json.loads(delivery.body)["data"]
    return found


def a_delivery() -> Delivery:
    (delivery,) = plan(an_active_halt(), ["pipeline"], ())
    return delivery


def test_each_target_gets_one_pending_delivery_that_is_due_at_once() -> None:
    halt = an_active_halt()
    deliveries = plan(halt, ["pipeline", "pager"], ())
    assert [d.target for d in deliveries] == ["pipeline", "pager"]
    assert len({d.webhook_id for d in deliveries}) == 2
    assert {(d.state, d.attempts, d.next_attempt_ms) for d in deliveries} == {
        ("pending", 0, halt.history[-1].at_ms)
    }


def test_what_exists_is_not_planned_again_and_a_new_target_is() -> None:
    first = a_delivery()
    planned = plan(an_active_halt(), ["pipeline", "pager"], {first.webhook_id})
    assert [d.target for d in planned] == ["pager"]


def test_a_proposal_is_told_to_nobody() -> None:
    proposed = decide(a_verdict(), None, Policy(mode="approve"), 1000)
    assert proposed is not None
    assert plan(proposed, ["pipeline"], ()) == []


def test_a_plan_made_again_has_the_same_ids_and_bytes() -> None:
    halt = an_active_halt()
    reread = decode(encode(halt), Halt)
    assert plan(reread, ["pipeline"], ()) == plan(halt, ["pipeline"], ())


def test_the_webhook_id_is_stable_and_depends_on_halt_target_and_transition() -> None:
    assert webhook_id_of("h", "t", "active") == webhook_id_of("h", "t", "active")
    ids = {
        webhook_id_of("h", "t", "active"),
        webhook_id_of("h2", "t", "active"),
        webhook_id_of("h", "t2", "active"),
        webhook_id_of("h", "t", "lifted"),
    }
    assert len(ids) == 4
    assert all(i.startswith("msg_") and "." not in i for i in ids)


def test_the_body_holds_what_a_pipeline_needs() -> None:
    body = json.loads(a_delivery().body)
    assert body["type"] == "halt.active"
    assert body["timestamp"] == "2025-07-09T01:45:00.250Z"
    data = body["data"]
    assert (data["fleet"], data["case"]) == ("default", "KB5062557@17763")
    assert (data["kb"], data["branch"], data["build"]) == ("KB5062557", "17763", "17763.7558")
    assert data["scope"] == "all nodes of branch 17763"
    assert (data["victims"], data["exposed"], data["controls"]) == (4, 61, 118)
    assert (data["log_e"], data["log_threshold"]) == (6.02, 5.298317)
    assert "at most 1 in 200" in data["guarantee"]
    assert data["left"]["staged_nodes"] == ["HV-C01-N1", "HV-C01-N2"]
    assert data["left"]["untouched"] == 30
    assert "person" in data["lifted_by"]


def test_the_body_says_whom_it_hits_and_who_may_have_done_it() -> None:
    data = data_of(
        an_active_halt(
            rule=("clustered",),
            blast=Blast(nodes=12, staged=3),
            suspects={"KB5062557": 0.9, "KB5061978": 0.1},
            confirmed_against=("KB5060531",),
        )
    )
    assert (data["scope_by"], data["rule"]) == ("branch", ["clustered"])
    assert data["blast"] == {"nodes": 12, "staged": 3}
    assert data["suspects"] == {"KB5062557": 0.9, "KB5061978": 0.1}
    assert data["confirmed_against"] == ["KB5060531"]
    assert data["to_do"]["untouched"] == "do not offer KB5062557"


def test_a_halt_that_the_policy_narrows_is_to_be_done_to_the_rules_nodes_only() -> None:
    verdict = a_verdict(rule=("role=hyperv", "clustered"))
    halt = decide(verdict, None, Policy(mode="auto", scope="rule"), 1000)
    assert halt is not None
    data = data_of(halt)
    assert data["scope_by"] == "rule"
    where = "on nodes with role=hyperv and clustered"
    assert data["to_do"]["untouched"] == f"do not offer KB5062557 {where}"
    assert data["to_do"]["offered"] == f"withdraw KB5062557 {where} before it is installed"
    assert data["to_do"]["staged"].startswith(f"hold the reboot {where}: ")


def test_a_halt_for_the_branch_holds_the_nodes_that_its_lists_are_about() -> None:
    left = Left(untouched=30, offered=3, staged=2, effective=61, staged_nodes=("N1", "N2"))
    data = data_of(an_active_halt(left=left, rule=("clustered",), blast=Blast(nodes=12, staged=1)))
    assert data["held"] == {"scope_by": "branch", "nodes": 35, "staged": 2}
    assert data["left"]["scope_by"] == data["scope_by"]
    assert "left.staged_nodes" not in data["to_do"]["staged"]


def a_narrow_halt(blast: Blast | None) -> Halt:
    left = Left(untouched=30, offered=3, staged=2, effective=61, staged_nodes=("N1", "N2"))
    verdict = a_verdict(rule=("clustered",), blast=blast, left=left)
    halt = decide(verdict, None, Policy(mode="auto", scope="rule"), 1000)
    assert halt is not None
    return halt


def test_a_halt_for_the_rule_holds_the_rules_nodes_and_says_that_its_lists_are_the_branchs() -> (
    None
):
    data = data_of(a_narrow_halt(Blast(nodes=12, staged=1)))
    assert data["held"] == {"scope_by": "rule", "nodes": 12, "staged": 1}
    assert data["left"]["scope_by"] == "branch"
    assert (data["left"]["staged"], data["left"]["staged_nodes"]) == (2, ["N1", "N2"])
    assert data["to_do"]["staged"].endswith("; left.staged_nodes lists the whole branch")


def test_a_halt_for_the_rule_never_gives_the_branchs_counts_for_the_rules() -> None:
    data = data_of(a_narrow_halt(None))
    assert data["held"] == {"scope_by": "rule", "nodes": None, "staged": None}


def test_a_halt_of_which_nothing_more_is_known_says_so() -> None:
    data = data_of(an_active_halt())
    assert (data["rule"], data["blast"], data["suspects"]) == ([], None, {})


def test_the_bytes_are_the_same_at_every_attempt() -> None:
    delivery = a_delivery()
    retried = decode(encode(after_attempt(delivery, _DOWN, 2000, middle)), Delivery)
    delivered = after_attempt(retried, Outcome(204), 3000, middle)
    assert delivery.body == retried.body == delivered.body
    assert delivery.webhook_id == retried.webhook_id == delivered.webhook_id


def test_success_settles() -> None:
    done = after_attempt(a_delivery(), Outcome(204), 7000, middle)
    assert (done.state, done.attempts, done.delivered_ms, done.last_status) == (
        "delivered",
        1,
        7000,
        204,
    )


def test_the_retries_follow_standard_webhooks_and_end() -> None:
    delivery, now_ms, waits_s = a_delivery(), 0, []
    while delivery.state == "pending":
        delivery = after_attempt(delivery, _DOWN, now_ms, middle)
        waits_s.append((delivery.next_attempt_ms - now_ms) / 1000)
        now_ms = delivery.next_attempt_ms
    hour = 3600
    assert waits_s[:-1] == [
        *(5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour)
    ]
    assert (delivery.state, delivery.attempts) == ("failed", 10)
    assert delivery.last_error == "answered 503"


@pytest.mark.parametrize(("random", "wait_s"), [(lambda: 0.0, 4.5), (lambda: 1.0, 5.5)])
def test_the_jitter_is_a_tenth(random: Callable[[], float], wait_s: float) -> None:
    assert next_wait_s(1, random) == pytest.approx(wait_s)


@pytest.mark.parametrize(
    "outcome", [Outcome(410, "answered 410 Gone"), Outcome(0, "no such target", for_good=True)]
)
def test_what_can_never_succeed_fails_at_once(outcome: Outcome) -> None:
    failed = after_attempt(a_delivery(), outcome, 2000, middle)
    assert (failed.state, failed.attempts, failed.next_attempt_ms) == ("failed", 1, 0)


def test_a_list_of_nodes_that_is_too_long_is_cut_so_that_the_halt_is_told() -> None:
    names = tuple(f"{n:04}" + 252 * "x" for n in range(2000))
    halt = an_active_halt(left=Left(staged=2000, staged_nodes=names))
    (delivery,) = plan(halt, ["pipeline"], ())
    left = json.loads(delivery.body)["data"]["left"]
    assert left["staged"] == 2000
    assert left["staged_nodes"] == list(names[: len(left["staged_nodes"])])
    assert len(left["staged_nodes"]) >= 500
    assert len(encode(delivery)) <= MAX_MESSAGE_BYTES


def test_verdicts_halts_and_deliveries_have_the_same_partitions() -> None:
    topics = [all_topics()[name] for name in (VERDICTS, HALTS, HALT_DELIVERIES)]
    assert len({topic.partitions for topic in topics}) == 1
