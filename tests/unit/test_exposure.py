"""Exposure to a KB: from when until when, by boots, hotpatches, roll-backs and fixes."""

import pytest

from collectors.sources.patch_machine import Memory, Observation, advance
from schemas.evidence import NodeEvidence, NodePatch
from schemas.reports import PatchState
from schemas.windows import fixes
from schemas.windows.builds import builds_of, parse_build
from schemas.windows.fixes import fix_build, fixes_of
from streams.detection.domain_state import DomainState
from streams.detection.exposure import Sight, exposures
from streams.detection.members import Case, members
from streams.detection.spans import case_spans
from tests.fixtures.stories import (
    BRANCH,
    BUILD,
    DAY,
    HOUR,
    KB,
    MINUTE,
    OLD_BUILD,
    T0,
    NodeStory,
    a_node,
    evidence_of,
    put,
)

FIX, FIX_BUILD = "KB5063877", "17763.7678"
HOTPATCH, HOT_BUILD, BASELINE = "KB5063812", "20348.3989", "20348.3932"
AUGUST, AUGUST_BUILD = "KB5063880", "20348.4052"


def patch(*boots: tuple[int, str], kb: str = KB) -> NodePatch | None:
    """What ``boots`` (after T0) make of a KB of branch 17763."""
    return exposures([(T0 + t, build) for t, build in boots], [], BRANCH).patches.get(kb)


class TestFix:
    def test_the_build_of_the_fix_ends_exposure(self) -> None:
        found = patch((0, OLD_BUILD), (DAY, BUILD), (9 * DAY, FIX_BUILD))
        assert found == NodePatch(KB, BUILD, "effective", T0 + DAY, T0 + 9 * DAY)

    def test_any_later_build_has_the_fix_too(self) -> None:
        found = patch((0, OLD_BUILD), (DAY, BUILD), (9 * DAY, "17763.7792"))
        assert found is not None
        assert found.end_ms == T0 + 9 * DAY

    def test_a_later_cumulative_update_that_is_no_fix_does_not(self) -> None:
        """July supersedes the preview of June, and has whatever that broke."""
        found = patch((0, "17763.7314"), (DAY, "17763.7322"), (9 * DAY, BUILD), kb="KB5061978")
        assert found == NodePatch("KB5061978", "17763.7322", "effective", T0 + DAY)

    def test_where_the_fix_came_along_nobody_was_exposed(self) -> None:
        found = patch((0, OLD_BUILD), (DAY, FIX_BUILD))
        assert found == NodePatch(KB, BUILD, "effective", T0 + DAY, T0 + DAY)

    def test_nor_is_there_a_case(self) -> None:
        node = a_node().lives(until=9 * DAY).boots(FIX_BUILD, DAY)
        assert [span.kb for span in case_spans(evidence_of([node]))] == [FIX]

    def test_back_from_the_fix_to_what_it_repaired_is_a_new_exposure(self) -> None:
        found = patch((0, OLD_BUILD), (DAY, BUILD), (3 * DAY, FIX_BUILD), (5 * DAY, BUILD))
        assert found == NodePatch(KB, BUILD, "effective", T0 + 5 * DAY)

    def test_back_beyond_both_is_rolled_back_and_ended_with_the_fix(self) -> None:
        found = patch((0, OLD_BUILD), (DAY, BUILD), (3 * DAY, FIX_BUILD), (5 * DAY, OLD_BUILD))
        assert found == NodePatch(KB, BUILD, "rolled_back", T0 + DAY, T0 + 3 * DAY)

    def test_a_repaired_node_leaves_the_risk_set_and_is_no_control(self) -> None:
        node = a_node().lives(until=20 * DAY).patched(at=DAY).boots(FIX_BUILD, 9 * DAY)
        (member,) = members(Case("default", BRANCH, KB, BUILD), evidence_of([node]))
        ages = [member.age(T0 + t) for t in (DAY - 1, DAY, 9 * DAY - 1, 9 * DAY)]
        assert ages == [0, 1, 3, None]


class TestKnownFixes:
    def test_the_founding_incident(self) -> None:
        assert fixes_of(KB) == (FIX,)
        assert fix_build(KB, BRANCH) == FIX_BUILD

    def test_of_two_fixes_the_later_counts(self) -> None:
        assert fix_build("KB5055519", BRANCH) == "17763.7434"

    def test_none_is_known_on_another_branch_or_for_another_kb(self) -> None:
        assert fix_build(KB, "20348") is None
        assert fix_build("KB5061978", BRANCH) is None

    def test_each_fix_has_a_later_build_on_a_branch_of_what_it_repairs(self) -> None:
        for kb in fixes._fixes():
            branches = {build.partition(".")[0]: build for build in builds_of(kb)}
            for fix in fixes_of(kb):
                later = [
                    build
                    for build in builds_of(fix)
                    if (bad := branches.get(build.partition(".")[0]))
                    and parse_build(build) > parse_build(bad)
                ]
                assert later, f"{fix} repairs nothing of {kb}"


def hot(*boots: tuple[int, str], seen: int, back: int | None = None) -> dict[str, NodePatch]:
    sight = Sight(T0 + seen, HOTPATCH, HOT_BUILD, None if back is None else T0 + back)
    return exposures([(T0 + t, build) for t, build in boots], [sight], "20348").patches


class TestHotpatch:
    def test_is_in_effect_from_the_first_sight_of_its_build(self) -> None:
        found = hot((0, BASELINE), seen=5 * DAY)
        assert found == {HOTPATCH: NodePatch(HOTPATCH, HOT_BUILD, "effective", T0 + 5 * DAY)}

    def test_a_boot_that_brought_the_build_explains_the_sight(self) -> None:
        """The registry's reader works out the boot to some seconds; the log knows it exactly."""
        for seen in (5 * DAY - MINUTE, 5 * DAY + HOUR):
            found = hot((0, BASELINE), (5 * DAY, HOT_BUILD), seen=seen)
            assert found[HOTPATCH].t_ms == T0 + 5 * DAY

    def test_a_restart_that_names_the_kernel_of_the_baseline_takes_nothing_back(self) -> None:
        found = hot((0, BASELINE), (9 * DAY, BASELINE), seen=5 * DAY)
        assert found[HOTPATCH] == NodePatch(HOTPATCH, HOT_BUILD, "effective", T0 + 5 * DAY)

    def test_a_boot_into_a_later_build_brings_only_what_is_later(self) -> None:
        found = hot((0, BASELINE), (9 * DAY, AUGUST_BUILD), seen=5 * DAY)
        assert {kb: p.t_ms - T0 for kb, p in found.items() if p.t_ms > T0 + DAY} == {
            HOTPATCH: 5 * DAY,
            AUGUST: 9 * DAY,
        }

    def test_it_ends_when_its_build_is_seen_gone(self) -> None:
        found = hot((0, BASELINE), seen=5 * DAY, back=6 * DAY)
        assert found[HOTPATCH] == NodePatch(
            HOTPATCH, HOT_BUILD, "rolled_back", T0 + 5 * DAY, T0 + 6 * DAY
        )

    def test_a_boot_below_the_baseline_ends_it(self) -> None:
        found = hot((0, "20348.3692"), (DAY, BASELINE), (9 * DAY, "20348.3692"), seen=5 * DAY)
        assert (found[HOTPATCH].state, found[HOTPATCH].end_ms) == ("rolled_back", T0 + 9 * DAY)


def hotpatched() -> NodeStory:
    """What a node's collector says: its boot, and later another build in the registry."""
    seen = PatchState(HOTPATCH, "effective", T0 + 5 * DAY, "registry/ubr", HOT_BUILD)
    return a_node().boots(BASELINE, 0).says(seen)


class TestReports:
    def node(self, story: NodeStory) -> NodeEvidence:
        (evidence,) = evidence_of([story])
        (node,) = evidence.nodes
        return node

    def test_the_registrys_build_puts_a_hotpatch_in_effect(self) -> None:
        node = self.node(hotpatched())
        assert node.patches == (NodePatch(HOTPATCH, HOT_BUILD, "effective", T0 + 5 * DAY),)
        assert node.build == HOT_BUILD

    def test_windows_own_word_does_not(self) -> None:
        node = a_node().boots(BASELINE, 0).state(HOTPATCH, "effective", 5 * DAY)
        assert self.node(node).patches == ()

    def test_the_months_hotpatch_is_a_case_with_the_unpatched_as_controls(self) -> None:
        other = a_node("hv02").boots(BASELINE, 0).crashes("A", 6 * DAY)
        evidence = evidence_of([hotpatched(), other])
        (span,) = case_spans(evidence)
        assert (span.kb, span.start_ms) == (HOTPATCH, T0 + 5 * DAY)
        case = Case("default", "20348", HOTPATCH, HOT_BUILD)
        assert [m.patch is not None for m in members(case, evidence)] == [True, False]

    def test_what_the_collector_sees_in_the_registry_is_enough(self) -> None:
        """Two looks without a boot in between: July's baseline, then August's hotpatch."""
        began, _ = advance(Memory(), Observation(T0, BASELINE, T0), T0)
        _, steps = advance(began, Observation(T0 + 5 * DAY, HOT_BUILD, T0), T0)
        node = self.node(a_node().boots(BASELINE, 0).says(*steps))
        assert node.patches == (NodePatch(HOTPATCH, HOT_BUILD, "effective", T0 + 5 * DAY),)

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 1, 2)])
    def test_reports_in_any_order_say_the_same(self, order: tuple[int, ...]) -> None:
        gone = PatchState(HOTPATCH, "rolled_back", T0 + 8 * DAY, "registry/ubr", HOT_BUILD)
        story = hotpatched().says(gone)
        state = DomainState()
        for i in order:
            put(state, story.report(story.records[i]))
        (evidence,) = state.evidence("default", "hv01", 0)
        (patch,) = evidence.nodes[0].patches
        assert (patch.t_ms, patch.end_ms) == (T0 + 5 * DAY, T0 + 8 * DAY)
        assert evidence.nodes[0].build == BASELINE
