"""Verdict → halt: by policy, latched, and never by itself where nobody took the responsibility."""

import msgspec
import pytest

from schemas.halts import Halt, HaltState, Transition
from schemas.verdicts import Blast, Left, Verdict
from streams.halts.decide import decide, halt_id_of
from streams.halts.policy import Match, Policy
from tests.fixtures.halts import a_verdict

_AUTO = Policy(mode="auto")
_OBSERVE = Policy(mode="observe")
_APPROVE = Policy(mode="approve")


def the_halt(policy: Policy, verdict: Verdict | None = None, now_ms: int = 1000) -> Halt:
    halt = decide(verdict or a_verdict(), None, policy, now_ms)
    assert halt is not None
    return halt


@pytest.mark.parametrize("state", ["inconclusive", "quiet", "notice", "warn"])
def test_only_a_verdict_that_says_halt_makes_one(state: str) -> None:
    assert decide(a_verdict(state=state), None, _AUTO, 1000) is None


def test_mode_auto_activates_and_keeps_both_steps_in_its_history() -> None:
    halt = the_halt(_AUTO)
    assert halt.state == "active"
    assert [(t.state, t.who, t.at_ms) for t in halt.history] == [
        ("proposed", "policy", 1000),
        ("active", "policy", 1000),
    ]
    assert halt.scope == "all nodes of branch 17763"


_RULE = ("clustered", "csv_bitlocker")


def found(**changes: object) -> Verdict:
    """A verdict that says whom it hits and who else may have done it."""
    told: dict[str, object] = {
        "rule": _RULE,
        "blast": Blast(nodes=12, staged=3),
        "suspects": {"KB5062557": 0.98, "KB5061978": 0.02},
        "confirmed_against": ("KB5061978",),
    }
    return a_verdict(**(told | changes))


def test_a_halt_carries_what_its_verdict_found() -> None:
    halt = the_halt(_AUTO, found())
    assert halt.rule == _RULE
    assert halt.blast == Blast(nodes=12, staged=3)
    assert halt.suspects == {"KB5062557": 0.98, "KB5061978": 0.02}
    assert halt.confirmed_against == ("KB5061978",)


def test_the_scope_is_the_branch_and_names_the_rule_beside_it() -> None:
    halt = the_halt(_AUTO, found())
    assert halt.scope_by == "branch"
    assert halt.scope == "all nodes of branch 17763, though it hits clustered and csv_bitlocker"


def test_the_policy_can_narrow_the_scope_to_the_rule() -> None:
    halt = the_halt(Policy(mode="auto", scope="rule"), found())
    assert halt.scope_by == "rule"
    assert halt.scope == "nodes of branch 17763 with clustered and csv_bitlocker"


def test_without_a_rule_the_scope_is_the_branch_whatever_the_policy_says() -> None:
    halt = the_halt(Policy(mode="auto", scope="rule"), found(rule=()))
    assert (halt.scope_by, halt.scope) == ("branch", "all nodes of branch 17763")


def test_a_proposal_that_becomes_active_has_what_is_found_by_then() -> None:
    proposed = the_halt(Policy(mode="observe", scope="rule"), found(rule=("clustered",)))
    active = decide(found(), proposed, Policy(mode="auto", scope="rule"), 2000)
    assert active is not None
    assert (active.rule, active.scope_by) == (_RULE, "rule")


@pytest.mark.parametrize("before", [Policy(), Policy(scope="rule")])
def test_a_proposal_for_the_branch_becomes_active_for_the_branch(before: Policy) -> None:
    """A rule that is found later, or a policy that narrows by now, makes it no less."""
    rule = () if before.scope == "rule" else _RULE
    proposed = the_halt(before, found(rule=rule))
    active = decide(found(), proposed, Policy(mode="auto", scope="rule"), 2000)
    assert active is not None
    assert (active.state, active.scope_by) == ("active", "branch")
    assert active.scope == "all nodes of branch 17763, though it hits clustered and csv_bitlocker"


@pytest.mark.parametrize("policy", [_OBSERVE, _APPROVE])
def test_observe_and_approve_only_propose_and_say_why(policy: Policy) -> None:
    halt = the_halt(policy)
    assert halt.state == "proposed"
    assert [t.state for t in halt.history] == ["proposed"]
    assert halt.history[0].why.startswith(f"mode {policy.mode}: ")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"trust": "open"}, "acknowledge_unsigned_reports"),
        ({"calibration": "default"}, "acknowledge_default_calibration"),
    ],
)
def test_auto_is_refused_without_the_acknowledgement(changes: dict[str, object], key: str) -> None:
    halt = the_halt(_AUTO, a_verdict(**changes))
    assert halt.state == "proposed"
    assert key in halt.history[-1].why


def test_both_refusals_are_named_at_once() -> None:
    why = the_halt(_AUTO, a_verdict(trust="open", calibration="default")).history[-1].why
    assert "acknowledge_unsigned_reports" in why
    assert "acknowledge_default_calibration" in why


def test_one_acknowledgement_does_not_stand_for_the_other() -> None:
    unsigned_only = Policy(mode="auto", accepts_unsigned=True)
    assert the_halt(unsigned_only, a_verdict(trust="open")).state == "active"
    assert (
        the_halt(unsigned_only, a_verdict(trust="open", calibration="default")).state == "proposed"
    )


def test_both_acknowledgements_let_the_default_demo_halt() -> None:
    policy = Policy(mode="auto", accepts_unsigned=True, accepts_default_calibration=True)
    assert the_halt(policy, a_verdict(trust="open", calibration="default")).state == "active"


def test_auto_leaves_it_to_a_person_when_another_change_came_along() -> None:
    driver = "change:driver:mpio=2.1"
    undecided = a_verdict(suspects={"KB5062557": 0.8, driver: 0.2})
    halt = the_halt(_AUTO, undecided)
    assert halt.state == "proposed"
    assert driver in halt.history[-1].why
    cleared = a_verdict(suspects={"KB5062557": 0.97, driver: 0.03})
    assert the_halt(_AUTO, cleared).state == "active"


def test_auto_halts_several_kbs_that_nothing_tells_apart() -> None:
    both = a_verdict(suspects={"KB5062557": 0.5, "KB5062558": 0.5})
    assert the_halt(_AUTO, both).state == "active"


def test_what_the_policy_does_not_cover_makes_no_halt() -> None:
    elsewhere = Policy(mode="auto", match=Match(branches=("20348",)))
    assert decide(a_verdict(), None, elsewhere, 1000) is None


@pytest.mark.parametrize("policy", [_AUTO, _OBSERVE])
@pytest.mark.parametrize(
    "later", [{}, {"state": "quiet", "halt": None}, {"state": "warn"}, {"victims": 9}]
)
def test_an_active_halt_is_latched(policy: Policy, later: dict[str, object]) -> None:
    assert decide(a_verdict(**later), the_halt(_AUTO), policy, 2000) is None


@pytest.mark.parametrize("state", ["denied", "lifted"])
def test_what_a_person_decided_stays(state: HaltState) -> None:
    halt = the_halt(_AUTO)
    by_person = Transition(state, 1500, "eve", "known harmless")
    decided = msgspec.structs.replace(halt, state=state, history=(*halt.history, by_person))
    assert decide(a_verdict(), decided, _AUTO, 2000) is None


def test_a_repeated_verdict_changes_nothing_of_a_proposal() -> None:
    assert decide(a_verdict(), the_halt(_OBSERVE), _OBSERVE, 2000) is None


def test_a_proposal_is_not_activated_by_a_verdict_that_is_quieter() -> None:
    assert decide(a_verdict(state="warn"), the_halt(_OBSERVE), _AUTO, 2000) is None


def test_a_proposal_becomes_active_when_the_policy_allows_it_by_now() -> None:
    proposed = the_halt(_OBSERVE, now_ms=1000)
    left = Left(staged=1, staged_nodes=("HV-C09-N1",))
    active = decide(a_verdict(left=left), proposed, _AUTO, 2000)
    assert active is not None
    assert active.halt_id == proposed.halt_id
    assert [(t.state, t.at_ms) for t in active.history] == [("proposed", 1000), ("active", 2000)]
    assert active.left == left


def test_the_id_of_a_halt_is_stable_and_its_own() -> None:
    assert halt_id_of("default", "KB5062557@17763") == "halt_0b612b22081bec306493b481e9dbb3e0"
    assert halt_id_of("default", "KB5062557@20348") != halt_id_of("default", "KB5062557@17763")
    assert the_halt(_AUTO).halt_id == the_halt(_OBSERVE, now_ms=5).halt_id
