"""The gate: go only where the evidence for it is there."""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from dashboards.noc.answers import Gate
from dashboards.noc.book import Book
from dashboards.noc.gate import Question, answer
from schemas.evidence import NodeEvidence, NodePatch, Onset
from schemas.halts import Transition
from schemas.topics import EVIDENCE, HALTS, VERDICTS, key
from schemas.verdicts import ENOUGH, State
from tests.fixtures.noc import (
    BRANCH,
    CASE,
    DAY_MS,
    HOUR_MS,
    KB,
    MINUTE_MS,
    NOW_MS,
    TERMS,
    Record,
    book_of,
    closed,
    crossing,
    evidence,
    halt,
    halts,
    heard,
    node,
    patched,
    says,
    staged,
    verdict,
)

ASKED = Question(kb=KB, branch=BRANCH)
NODES = [node(f"n{number:03d}") for number in range(200)]
RAN = [patched(one, NOW_MS - 25 * HOUR_MS) for one in NODES]


def of_book(book: Book, asked: Question = ASKED, age_s: float | None = 0.0) -> Gate:
    heard_ms = 0 if age_s is None else NOW_MS - round(1000 * age_s)
    known = book.cases.known(asked.fleet, asked.branch, heard_ms, asked.cluster)
    return answer(asked, known, TERMS, NOW_MS)


def ask(*records: Record, asked: Question = ASKED, age_s: float | None = 0.0) -> Gate:
    """The answer where the KB's case is quiet, unless a record says otherwise."""
    return of_book(book_of(says(verdict(state="quiet")), *records), asked, age_s)


def alone(nodes: Iterable[NodeEvidence]) -> list[Record]:
    """Each node its own domain."""
    return [evidence(one.node, one) for one in nodes]


def rolled_out(count: int, waiting: int = 20) -> list[Record]:
    """``count`` nodes have run the KB for a day, ``waiting`` of the same kind have not got it."""
    return alone([*RAN[:count], *NODES[count : count + waiting]])


class TestGo:
    def test_needs_59_comparable_nodes_that_ran_it_for_a_day(self) -> None:
        found = ask(says(verdict(state="quiet")), *rolled_out(59))

        assert found.answer == "go"
        assert found.observed == ENOUGH == 59
        assert found.p_5pct >= 0.95
        assert "59 comparable nodes have run KB5062557 for 24 h" in found.reasons[0]

    def test_holds_for_a_kb_with_a_harmless_side_effect_and_says_so(self) -> None:
        noticed = verdict(state="notice", sentence="the agent logs an error")
        found = ask(says(noticed), *rolled_out(59))

        assert found.answer == "go"
        assert any("harmless so far: the agent logs an error" in r for r in found.reasons)

    @pytest.mark.parametrize("state", ["denied", "lifted"])
    def test_holds_after_a_person_set_the_halt_aside(self, state: str) -> None:
        said = verdict(state="halt", halt=crossing(5, 6.0, 8, 30, 60))
        why = Transition(state, NOW_MS, "m.weber", "a bad switch, not the KB")  # type: ignore[arg-type]
        found = ask(says(said), halts(halt(said, why)), *rolled_out(59))

        assert found.answer == "go"
        assert any("m.weber: a bad switch, not the KB" in reason for reason in found.reasons)


class TestInconclusive:
    def test_with_58_nodes_and_says_what_they_could_have_shown(self) -> None:
        found = ask(says(verdict()), *rolled_out(58))

        assert found.answer == "inconclusive"
        assert found.reasons == (
            "too few nodes of kinds that wait in branch 17763 have run KB5062557 for 24 h without "
            "a failure: 58 of 59 hyperv: a 5 % failure would have shown with p = 0.95",
        )
        assert 0.94 < found.p_5pct < 0.95

    def test_for_a_kb_that_nobody_has(self) -> None:
        assert ask(*alone(NODES)).answer == "inconclusive"
        assert ask(*alone(NODES)).observed == 0

    def test_for_a_branch_that_nobody_knows(self) -> None:
        found = ask(*rolled_out(59), asked=Question(kb=KB, branch="20348"))

        assert found.answer == "inconclusive"

    def test_where_nodes_ran_it_for_less_than_a_day(self) -> None:
        young = [patched(one, NOW_MS - 23 * HOUR_MS) for one in NODES[:100]]

        assert ask(*alone([*young, *NODES[100:]])).observed == 0

    def test_a_node_that_fell_silent_ran_it_until_then_only(self) -> None:
        lost = [heard(one, NOW_MS - 2 * HOUR_MS) for one in RAN[:59]]

        assert ask(*alone([*lost, *NODES[59:]])).observed == 0

    def test_a_node_that_was_rolled_back_ran_it_until_then_only(self) -> None:
        start = NOW_MS - 30 * HOUR_MS
        patch = NodePatch(KB, "17763.7558", "rolled_back", start, end_ms=start + HOUR_MS)
        back = [replace(one, patches=(patch,)) for one in NODES[:59]]

        assert ask(*alone([*back, *NODES[59:]])).observed == 0

    def test_where_a_kind_of_node_waits_that_nobody_has_tried(self) -> None:
        """The incident's own lesson: canaries that had no cluster with BitLocker."""
        web = [replace(one, role="web") for one in RAN[:100]]
        cluster = evidence("c1", node("c1-n1"), node("c1-n2"))
        waiting = replace(node("web-waits"), role="web")
        found = ask(*alone([*web, waiting]), cluster)

        assert found.answer == "inconclusive"
        assert "0 of 59 hyperv in a cluster" in found.reasons[0]
        assert (found.observed, found.p_5pct, found.rate_95) == (0, 0.0, 1.0)

    def test_where_the_many_that_ran_it_are_of_another_kind_than_the_many_that_wait(self) -> None:
        web = [replace(one, role="web") for one in RAN[:100]]
        waiting = [replace(node("web-waits"), role="web"), *NODES[110:]]
        found = ask(*alone([*web, *RAN[100:110], *waiting]))

        assert found.answer == "inconclusive"
        assert "10 of 59 hyperv" in found.reasons[0]
        assert found.observed == 10

    def test_victims_have_not_run_it_without_a_failure(self) -> None:
        victims = ("n000", "n001")

        for state, observed in (("quiet", 58), ("inconclusive", 58), ("notice", 60)):
            said = verdict(state=state, victim_nodes=victims)
            assert ask(says(said), *rolled_out(60)).observed == observed

    def test_where_the_detector_has_not_judged_the_kb(self) -> None:
        other = says(verdict(kb="KB5063299", state="quiet"))
        for found in (of_book(book_of(*rolled_out(59))), of_book(book_of(other, *rolled_out(59)))):
            assert found.answer == "inconclusive"
            assert found.reasons[0] == (
                "the detector has not judged KB5062557, or its case is closed"
            )

    def test_where_a_quiet_case_was_closed(self) -> None:
        assert ask(closed("default", CASE), *rolled_out(59)).answer == "inconclusive"

    def test_where_the_verdict_is_far_behind_the_evidence(self) -> None:
        heard_ms = NOW_MS - MINUTE_MS
        late = verdict(state="quiet", asof_ms=heard_ms - 1_800_000)
        later = replace(late, asof_ms=late.asof_ms - 1_000)

        assert ask(says(late), *rolled_out(59)).answer == "go"
        found = ask(says(later), *rolled_out(59))
        assert found.answer == "inconclusive"
        assert found.reasons[0] == (
            "the verdict on KB5062557 is of 2025-07-03 00:28Z, more than 30 min behind the "
            "evidence: is the detector running?"
        )

    @pytest.mark.parametrize(
        ("topic", "name", "what"),
        [
            (VERDICTS, key("default", CASE), f"the verdict on {CASE}"),
            (VERDICTS, key("default", "KB5063299@17763"), "the verdict on KB5063299@17763"),
            (HALTS, key("default", CASE), f"the halt of {CASE}"),
            (EVIDENCE, key("default", BRANCH, "n003"), "the evidence of n003"),
        ],
    )
    @pytest.mark.parametrize("value", [b'{"v":2}', b"{"])
    def test_where_something_of_the_branch_cannot_be_read(
        self, topic: str, name: bytes, what: str, value: bytes
    ) -> None:
        """A newer detector's HALT must not be taken for the quiet that went before it."""
        found = ask(*rolled_out(60), (topic, name, value))

        assert found.answer == "inconclusive"
        assert found.reasons[0].startswith(f"can't be read: {what}: upgrade this server")

    def test_until_it_can_be_read_again_or_is_gone(self) -> None:
        unreadable = (HALTS, key("default", CASE), b'{"v":2}')
        quiet = says(verdict(state="quiet"))
        newer = (VERDICTS, key("default", CASE), b'{"v":2}')

        assert ask(*rolled_out(59), unreadable, (*unreadable[:2], None)).answer == "go"
        assert ask(*rolled_out(59), newer, quiet).answer == "go"

    def test_not_for_what_cannot_be_read_of_another_branch(self) -> None:
        there = (VERDICTS, key("default", f"{KB}@20348"), b'{"v":2}')

        assert ask(*rolled_out(59), there).answer == "go"

    def test_nodes_of_other_kinds_than_those_that_wait_do_not_count(self) -> None:
        web = [replace(one, role="web") for one in RAN[:100]]
        found = ask(*alone([*web, *RAN[100:110], *NODES[110:]]))

        assert found.observed == 10

    def test_on_evidence_that_is_older_than_the_operator_allows(self) -> None:
        assert ask(*rolled_out(59), age_s=1_800).answer == "go"
        found = ask(*rolled_out(59), age_s=1_801)

        assert found.answer == "inconclusive"
        assert (
            "nothing new was heard of a tenth of this branch or more since 2025-07-03 00:29Z"
            in (found.reasons[0])
        )

    def test_in_a_ring_without_nodes(self) -> None:
        asked = replace(ASKED, ring="ring7")

        assert ask(*rolled_out(59), asked=asked).answer == "inconclusive"

    def test_is_about_the_kinds_that_wait_in_the_ring_that_is_asked_about(self) -> None:
        web = [replace(one, role="web") for one in RAN[:59]]
        next_ring = replace(node("w"), role="web", ring="ring2")
        records = alone([*web, next_ring, replace(node("h"), ring="ring3")])

        assert ask(*records, asked=replace(ASKED, ring="ring2")).answer == "go"
        assert ask(*records, asked=replace(ASKED, ring="ring3")).answer == "inconclusive"


class TestNoGo:
    @pytest.mark.parametrize("state", ["warn", "halt"])
    def test_at_warn_and_at_halt_however_many_nodes_are_well(self, state: State) -> None:
        found = ask(says(verdict(state=state, sentence="8 of 30 fail")), *rolled_out(150))

        assert found.answer == "no-go"
        assert found.reasons[0] == f"{KB}@{BRANCH} is at {state.upper()}: 8 of 30 fail"

    @pytest.mark.parametrize("state", ["warn", "halt"])
    def test_where_its_case_was_closed_at_warn_or_halt(self, state: State) -> None:
        """It never lapses into go."""
        said = verdict(state=state, sentence="8 of 30 fail")
        found = ask(says(said), closed("default", CASE), *rolled_out(150))

        assert found.answer == "no-go"
        assert found.reasons[0] == f"{CASE} was closed at {state.upper()}: 8 of 30 fail"

    def test_until_the_detector_judges_it_anew(self) -> None:
        again = says(verdict(state="quiet"))
        found = ask(says(verdict(state="warn")), closed("default", CASE), again, *rolled_out(59))

        assert found.answer == "go"

    @pytest.mark.parametrize("state", ["proposed", "active"])
    def test_where_a_halt_is_proposed_or_active_though_its_case_is_closed(self, state: str) -> None:
        """Nobody answered: that never lapses into go."""
        said = verdict(state="halt", halt=crossing(5, 6.0, 8, 30, 60))
        step = Transition(state, NOW_MS - 40 * DAY_MS, "policy", "mode approve")  # type: ignore[arg-type]

        assert ask(halts(halt(said, step)), *rolled_out(150)).answer == "no-go"

    def test_for_a_kb_that_came_along_and_cannot_be_told_apart(self) -> None:
        other = verdict(
            kb="KB5063299", state="warn", suspects={"KB5063299": 0.6, KB: 0.38, "KB5099999": 0.02}
        )
        found = ask(says(other), *rolled_out(150))

        assert found.answer == "no-go"
        assert found.reasons[0].startswith(f"{KB} may be the cause of KB5063299@{BRANCH}")

    def test_not_for_a_kb_that_was_cleared_of_it(self) -> None:
        other = verdict(kb="KB5063299", state="halt", suspects={"KB5063299": 0.99, KB: 0.01})

        assert ask(says(other), *rolled_out(59)).answer == "go"

    def test_not_for_another_fleet_or_branch(self) -> None:
        there = verdict(state="halt", fleet="lab"), verdict(state="halt", branch="20348")

        assert ask(*map(says, there), *rolled_out(59)).answer == "go"


class TestCluster:
    """An interlock without statistics."""

    def ask(
        self,
        *nodes: NodeEvidence,
        onsets: tuple[Onset, ...] = (),
        elsewhere: tuple[NodeEvidence, ...] = (),
    ) -> tuple[str, str]:
        asked = replace(ASKED, cluster="c1")
        mine = [replace(one, node=f"c1-{one.node}") for one in nodes]
        others = alone(RAN[100:160])  # the branch's time goes on
        ran = [
            evidence(f"x{n:02d}", replace(one, node=f"x{n:02d}-a"))
            for n, one in enumerate(RAN[:60])
        ]
        there = evidence("c1", *elsewhere, branch="20348")
        found = ask(evidence("c1", *mine, onsets=onsets), there, *ran, *others, asked=asked)
        return found.answer, next(reason for reason in found.reasons if "cluster c1" in reason)

    def test_goes_on_once_the_last_patched_node_was_well_for_a_while(self) -> None:
        last = patched(NODES[0], NOW_MS - MINUTE_MS - 15 * MINUTE_MS)

        assert self.ask(last, NODES[1]) == ("go", "cluster c1: c1-n000 is back and well")

    def test_holds_until_then(self) -> None:
        last = patched(NODES[0], NOW_MS - MINUTE_MS - 14 * MINUTE_MS)

        assert self.ask(last, RAN[1], NODES[2]) == (
            "no-go",
            "cluster c1: well for 14 of 15 min since its last change or failure, as far as "
            "c1-n000 was heard",
        )

    def test_holds_whichever_kb_was_the_last_change(self) -> None:
        other = patched(NODES[0], NOW_MS - 5 * MINUTE_MS, "KB5000001", "17763.7000")

        assert self.ask(other, NODES[1])[0] == "no-go"

    def test_holds_after_a_node_was_rolled_back(self) -> None:
        patch = NodePatch(
            KB, "17763.7558", "rolled_back", NOW_MS - 3 * HOUR_MS, end_ms=NOW_MS - 5 * MINUTE_MS
        )

        assert self.ask(replace(NODES[0], patches=(patch,)), NODES[1])[0] == "no-go"

    def test_a_kb_that_is_only_on_disk_is_no_change(self) -> None:
        soon = NodePatch(KB, "17763.7558", "staged", NOW_MS - 2 * MINUTE_MS)

        assert self.ask(replace(NODES[0], patches=(soon,)), NODES[1])[0] == "go"

    def test_holds_while_a_cluster_that_was_never_patched_fails(self) -> None:
        at_ms = NOW_MS - 5 * MINUTE_MS
        sick = Onset("c1-n001", "scm/7031/clussvc", "service", "outage", at_ms, at_ms, (at_ms,))

        assert self.ask(NODES[0], NODES[1], onsets=(sick,))[0] == "no-go"

    def test_its_nodes_on_other_branches_are_of_it_too(self) -> None:
        """While it is upgraded from one Windows to the next its nodes are on two."""
        down = node("c1-new", build="20348.1", restart="announced")

        assert self.ask(NODES[0], elsewhere=(down,)) == ("no-go", "cluster c1: c1-new not back")

    def test_holds_while_any_node_of_it_fails(self) -> None:
        at_ms = NOW_MS - 5 * MINUTE_MS
        sick = Onset("c1-n001", "scm/7031/clussvc", "service", "outage", at_ms, at_ms, (at_ms,))

        assert self.ask(RAN[0], RAN[1], NODES[2], onsets=(sick,))[0] == "no-go"

    def test_a_symptom_without_impact_is_no_failure(self) -> None:
        at_ms = NOW_MS - 5 * MINUTE_MS
        log = Onset("c1-n001", "app/1000/agent.exe", "other", "none", at_ms, at_ms, (at_ms,))

        assert self.ask(RAN[0], RAN[1], NODES[2], onsets=(log,))[0] == "go"

    def test_holds_while_a_node_is_down_for_its_reboot(self) -> None:
        down = replace(staged(NODES[0]), restart="announced")

        assert self.ask(down, NODES[1]) == ("no-go", "cluster c1: c1-n000 not back")

    def test_holds_while_a_node_is_silent(self) -> None:
        assert self.ask(heard(RAN[0], NOW_MS - 3 * HOUR_MS), NODES[1])[0] == "no-go"

    def test_goes_on_where_no_node_has_it(self) -> None:
        assert self.ask(NODES[0], NODES[1])[0] == "go"

    def test_cannot_tell_of_a_cluster_it_does_not_know(self) -> None:
        found = ask(*rolled_out(59), asked=replace(ASKED, cluster="c9"))

        assert found.answer == "inconclusive"


def test_the_most_weighty_reason_comes_first() -> None:
    said = verdict(state="warn", sentence="bad")
    found = ask(says(said), *rolled_out(3), age_s=9_999)

    assert [reason[:20] for reason in found.reasons] == [
        "KB5062557@17763 is a",
        "nothing new was hear",
        "too few nodes of kin",
    ]
