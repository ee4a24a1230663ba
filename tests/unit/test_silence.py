"""Silence: who counts as silent, since when, and what it is held against."""

from collections.abc import Sequence
from itertools import chain, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.codec import encode
from schemas.evidence import DomainEvidence, NodeEvidence, NodePatch, Onset, Restart
from schemas.reports import Heartbeat, NodeReport
from streams.detection.domain_state import DomainState
from streams.detection.members import Case, members
from streams.detection.silence import with_silences
from streams.detection.spans import case_spans, heard_ms
from tests.fixtures.stories import (
    BRANCH,
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
    event,
    evidence_of,
    verdicts_of,
)

GRACE = 110 * MINUTE
"""Three intervals of half an hour and twenty minutes."""
LAST = 40 * DAY
"""When the others were last heard of."""


def peer(
    name: str,
    *service: tuple[int, int],
    restart: Restart = "",
    heartbeats: bool = True,
    site: str = "fra",
    patches: tuple[NodePatch, ...] = (),
) -> DomainEvidence:
    """One node as its domain's evidence; without ``service`` it lives until the end."""
    node = NodeEvidence(
        node=name,
        role="web",
        site=site,
        build=OLD_BUILD,
        since_ms=T0,
        service=tuple((T0 + a, T0 + b) for a, b in service or ((0, LAST),)),
        grace_s=GRACE // 1000,
        patches=patches,
        heartbeats=heartbeats,
        restart=restart,
    )
    return DomainEvidence(1, "default", BRANCH, name, 0, 0, (node,))


def others(count: int = 9) -> list[DomainEvidence]:
    return [peer(f"other{i}") for i in range(count)]


def silences(evidence: Sequence[DomainEvidence]) -> dict[str, list[int]]:
    """Node → the instants of its silences."""
    out: dict[str, list[int]] = {}
    for onset in chain.from_iterable(part.onsets for part in with_silences(evidence)):
        if onset.signature == "silence":
            assert (onset.cls, onset.impact) == ("silence", "outage")
            out.setdefault(onset.node, []).append(onset.first_ms - T0)
    return out


def patches_of(evidence: Sequence[DomainEvidence], name: str) -> tuple[NodePatch, ...]:
    nodes = chain.from_iterable(part.nodes for part in with_silences(evidence))
    return next(node.patches for node in nodes if node.node == name)


class TestWhoIsSilent:
    def test_a_node_behind_its_peers_by_its_grace_after_a_restart(self) -> None:
        dead = peer("dead", (0, LAST - GRACE), restart="booted")
        assert silences([dead, *others()]) == {"dead": [LAST - 1]}

    def test_not_a_moment_earlier(self) -> None:
        late = peer("late", (0, LAST - GRACE + MINUTE), restart="booted")
        assert silences([late, *others()]) == {}

    @pytest.mark.parametrize(("behind", "silent"), [(GRACE, False), (GRACE + 40 * MINUTE, True)])
    def test_without_a_restart_forty_minutes_later_with_the_same_date(
        self, behind: int, silent: bool
    ) -> None:
        dead = peer("dead", (0, LAST - behind))
        expected = {"dead": [LAST - behind + GRACE - 1]} if silent else {}
        assert silences([dead, *others()]) == expected

    def test_at_its_onset_it_is_still_in_the_risk_set(self) -> None:
        evidence = with_silences([peer("dead", (0, DAY)), *others()])
        dead = members(Case("default", BRANCH, KB, BUILD), evidence)[0]
        (onset,) = evidence[0].onsets
        assert dead.place(onset.first_ms) is not None
        assert dead.place(onset.first_ms + 1) is None

    def test_nobody_without_heartbeats(self) -> None:
        assert silences([peer("quiet", (0, DAY), heartbeats=False), *others()]) == {}

    def test_slow_heartbeats_are_waited_for(self) -> None:
        """A shipper's events stand in for heartbeats every ten hours: 3 x 10 h + 20 min."""
        (slow,) = peer("slow", (0, LAST - 30 * HOUR)).nodes
        part = replace(peer("slow"), nodes=(replace(slow, grace_s=30 * 3_600 + 1_200),))
        assert silences([part, *others()]) == {}

    def test_nobody_because_reports_of_its_partition_are_behind(self) -> None:
        """A worker that catches up is not a failure of what was being restarted back then."""
        behind = [
            replace(peer(f"late{i}", (0, LAST - DAY + i), restart="booted"), partition=3)
            for i in range(3)
        ]
        assert silences([*behind, *others()]) == {}
        ahead = replace(peer("ahead"), partition=3)
        expected = {f"late{i}": [LAST - DAY + i + GRACE - 1] for i in range(3)}
        assert silences([*behind, ahead, *others()]) == expected

    def test_what_its_own_domain_says_does_not_tell_that_its_partition_moves(self) -> None:
        (dead,) = peer("dead", (0, LAST - DAY), restart="booted").nodes
        (mate,) = peer("mate").nodes
        pair = replace(peer("pair"), nodes=(dead, mate), partition=3)
        calm = replace(peer("calm", (0, LAST - DAY + MINUTE)), partition=3)
        assert "dead" not in silences([pair, calm, *others()])

    def test_alone_in_its_partition_it_goes_by_the_branch(self) -> None:
        dead = replace(peer("dead", (0, LAST - GRACE), restart="booted"), partition=3)
        assert silences([dead, *others()]) == {"dead": [LAST - 1]}

    @pytest.mark.parametrize(
        "mate",
        [peer("retired", (0, LAST - 30 * DAY)), peer("mute", (0, LAST - DAY), heartbeats=False)],
        ids=["out of service", "without heartbeats"],
    )
    def test_a_mate_that_cannot_be_late_tells_nothing_of_the_partition(
        self, mate: DomainEvidence
    ) -> None:
        dead = replace(peer("dead", (0, LAST - GRACE), restart="booted"), partition=3)
        assert silences([dead, replace(mate, partition=3), *others()])["dead"] == [LAST - 1]

    def test_mates_that_all_fell_silent_are_noticed_once_they_count_as_gone(self) -> None:
        def pair(last: int) -> list[DomainEvidence]:
            dead = (peer(name, (0, last), restart="booted") for name in ("one", "two"))
            return [replace(part, partition=3) for part in dead]

        assert silences([*pair(LAST - 6 * DAY), *others()]) == {}
        last = LAST - 8 * DAY
        expected = {"one": [last + GRACE - 1], "two": [last + GRACE - 1]}
        assert silences([*pair(last), *others()]) == expected

    def test_nobody_while_everybody_is(self) -> None:
        stopped = [peer(f"n{i}", (0, LAST - i * MINUTE), restart="booted") for i in range(9)]
        assert silences(stopped) == {}

    def test_nobody_when_the_fleet_comes_back_one_after_the_other(self) -> None:
        """Six hours without anybody's heartbeats were no node's fault, slow ones included."""
        back = [peer(f"n{i}", (0, DAY), (DAY + 6 * HOUR, LAST)) for i in range(9)]
        slow = peer("slow", (0, DAY), (DAY + 9 * HOUR, LAST))
        missing = peer("missing", (0, DAY))
        assert silences([*back, slow, missing]) == {}

    def test_a_node_that_was_taken_out_of_service_is_one_incident(self) -> None:
        assert silences([peer("gone", (0, 5 * DAY)), *others()]) == {"gone": [5 * DAY + GRACE - 1]}

    def test_a_node_that_moved_is_not_silent_where_it_was(self) -> None:
        old = replace(peer("moved", (0, 5 * DAY)), domain="old")
        new = replace(peer("moved", (5 * DAY, LAST)), domain="new")
        evidence = with_silences([old, new, *others()])
        found = members(Case("default", BRANCH, KB, BUILD), evidence)
        home = {m.node.node: m.domain for m in found}
        assert [o for e in evidence for o in e.onsets if home[o.node] == e.domain] == []

    def test_evidence_without_silence_is_left_as_it_is(self) -> None:
        evidence = others()
        assert all(a is b for a, b in zip(with_silences(evidence), evidence, strict=True))


class TestReturn:
    def test_a_heartbeat_that_came_late_withdraws_it(self) -> None:
        assert silences([peer("dead", (0, DAY)), *others()]) != {}
        assert silences([peer("dead", (0, LAST - 10 * MINUTE)), *others()]) == {}

    def test_a_slow_restart_is_none(self) -> None:
        back = DAY + GRACE + 4 * HOUR
        assert silences([peer("slow", (0, DAY), (back - 1, LAST)), *others()]) == {}

    def test_who_was_away_for_longer_had_failed_at_the_same_instant(self) -> None:
        """A boot that waits for a recovery key is a failure also once somebody typed it."""
        back = DAY + GRACE + 4 * HOUR
        away = peer("away", (0, DAY), (back, LAST))
        assert silences([away, *others()]) == {"away": [DAY + GRACE - 1]}

    def test_the_date_does_not_depend_on_when_it_is_noticed(self) -> None:
        seen = []
        for hours in range(60):
            asof = DAY + hours * HOUR
            dead = peer("dead", (0, min(asof, DAY)), *([(2 * DAY, asof)] if asof > 2 * DAY else []))
            alive = [peer(f"n{i}", (0, asof)) for i in range(9)]
            seen.append(silences([dead, *alive]).get("dead", []))
        assert seen == [[]] * 3 + [[DAY + GRACE - 1]] * 57

    def test_a_node_that_is_off_every_night_has_one_run_from_long_before(self) -> None:
        days = [(day * DAY + 8 * HOUR, day * DAY + 19 * HOUR) for day in range(30)]
        evidence = with_silences([peer("office", *days), *others()])
        onsets = evidence[0].onsets
        gaps = [b.first_ms - a.last_ms for a, b in pairwise(onsets)]
        assert len(onsets) == 30
        assert max(gaps) < DAY, "the tree joins what is less than a day apart"

    @pytest.mark.parametrize(("slow", "silent"), [(19, True), (20, False)])
    def test_where_slow_restarts_are_usual_it_is_noticed_after_those(
        self, slow: int, silent: bool
    ) -> None:
        """Twenty restarts of three hours: two hours and a half say nothing yet."""
        usual = [peer(f"slow{i}", (0, DAY), (DAY + 3 * HOUR, LAST)) for i in range(slow)]
        behind = 5 * HOUR // 2
        late = peer("late", (0, LAST - behind), restart="announced")
        expected = {"late": [LAST - behind + GRACE - 1]} if silent else {}
        assert silences([late, *usual]) == expected
        behind = 3 * HOUR + MINUTE
        dead = peer("dead", (0, LAST - behind), restart="announced")
        assert silences([dead, *usual]) == {"dead": [LAST - behind + GRACE - 1]}

    def test_past_silences_make_the_signature_a_known_one(self) -> None:
        evidence = with_silences([peer("away", (0, DAY), (3 * DAY, LAST)), *others()])
        assert evidence[0].baseline == {"silence": {(T0 + DAY) // (7 * DAY): 1}}


def staged(state: str = "staged") -> NodePatch:
    return NodePatch(KB, BUILD, state, T0 + DAY)


class TestExposure:
    @pytest.mark.parametrize("state", ["installing", "staged"])
    def test_a_node_that_went_down_with_the_kb_pending_is_exposed_from_its_last_sighting(
        self, state: str
    ) -> None:
        dead = peer("dead", (0, 2 * DAY), restart="announced", patches=(staged(state),))
        evidence = [dead, *others()]
        effective = NodePatch(KB, BUILD, "effective", T0 + 2 * DAY)
        assert patches_of(evidence, "dead") == (effective,)
        assert [s.start_ms for s in case_spans(with_silences(evidence))] == [T0 + 2 * DAY]

    @pytest.mark.parametrize("state", ["offered", "failed"])
    def test_what_the_restart_would_not_have_brought_is_not(self, state: str) -> None:
        dead = peer("dead", (0, 2 * DAY), restart="announced", patches=(staged(state),))
        assert patches_of([dead, *others()], "dead") == (staged(state),)

    @pytest.mark.parametrize("restart", ["", "booted"])
    def test_without_an_announced_restart_it_is_a_control_like_its_peers(
        self, restart: Restart
    ) -> None:
        """Others wait with the KB staged and stay controls: so must the one that fails."""
        dead = peer("dead", (0, 2 * DAY), restart=restart, patches=(staged(),))
        assert patches_of([dead, *others()], "dead") == (staged(),)

    def test_while_it_may_yet_come_back_nothing_is_in_effect(self) -> None:
        down = peer("down", (0, LAST - HOUR), restart="announced", patches=(staged(),))
        assert patches_of([down, *others()], "down") == (staged(),)

    def test_what_the_boot_brought_that_ended_it_counts_from_the_last_sighting(self) -> None:
        booted = NodePatch(KB, BUILD, "effective", T0 + 2 * DAY)
        away = peer("away", (0, DAY), (2 * DAY + MINUTE, LAST), patches=(booted,))
        (patch,) = patches_of([away, *others()], "away")
        assert patch.t_ms == T0 + DAY

    def test_what_came_later_does_not(self) -> None:
        later = NodePatch(KB, BUILD, "effective", T0 + 2 * DAY + HOUR)
        away = peer("away", (0, DAY), (2 * DAY, LAST), patches=(later,))
        assert patches_of([away, *others()], "away") == (later,)

    def test_nor_what_its_fix_came_along_with(self) -> None:
        skipped = NodePatch(KB, BUILD, "effective", T0 + 2 * DAY, T0 + 2 * DAY)
        away = peer("away", (0, DAY), (2 * DAY + MINUTE, LAST), patches=(skipped,))
        assert patches_of([away, *others()], "away") == (skipped,)


def fleet(silent: set[str], patched: set[str], asof: int = LAST) -> list[DomainEvidence]:
    """Four sites of 60 nodes; those patched restart one every ten minutes from day 38 on, those
    that are silent send nothing after it. Every sixth node failed once before that.
    """
    out = []
    names = [f"{site}{i:02}" for site in ("ams", "dub", "fra", "par") for i in range(60)]
    restarts = dict(zip(sorted(patched), range(38 * DAY, LAST, 10 * MINUTE), strict=False))
    for number, name in enumerate(names):
        down = restarts.get(name, 38 * DAY)
        last = min(down if name in silent else LAST, asof)
        pending = name in silent and name in patched
        patch = NodePatch(KB, BUILD, "staged" if pending else "effective", T0 + down)
        part = peer(
            name,
            (0, last),
            restart="announced" if pending else "",
            site=name[:3],
            patches=(patch,) if name in patched else (),
        )
        if number % 6 == 0:
            t_ms = T0 + number // 6 * DAY
            failed = Onset(name, "disk/7", "storage", "outage", t_ms, t_ms, (t_ms,))
            part = replace(part, onsets=(failed,), baseline={"disk/7": {t_ms // (7 * DAY): 1}})
        out.append(part)
    return out


EVERYWHERE = {f"{site}{i:02}" for site in ("ams", "dub", "fra", "par") for i in range(15)}
FRA = {f"fra{i:02}" for i in range(60)}


class TestVerdicts:
    def test_patched_nodes_that_do_not_come_back_halt_the_kb(self) -> None:
        dead = {name for name in EVERYWHERE if name.endswith(("3", "7"))}
        found = verdicts_of(fleet(dead, EVERYWHERE))[CASE]
        assert (found.state, found.signature) == ("halt", "silence")
        assert found.halt is not None
        assert found.halt.victims <= 10

    def test_as_many_unpatched_ones_do_not(self) -> None:
        dead = {f"{site}{i}" for site in ("ams", "dub", "fra", "par") for i in (20, 21, 22)}
        assert verdicts_of(fleet(dead, EVERYWHERE))[CASE].state != "halt"

    @pytest.mark.parametrize("patched", [EVERYWHERE, FRA])
    def test_a_site_that_goes_quiet_at_once_condemns_nobody(self, patched: set[str]) -> None:
        """A broken path, also where the site is the ring that was patched."""
        down = LAST - 6 * HOUR
        evidence = fleet(set(), patched)
        for i, part in enumerate(evidence):
            (node,) = part.nodes
            if node.site == "fra":
                cut = replace(node, service=((T0, T0 + down),))
                evidence[i] = replace(part, nodes=(cut,))
        assert len(silences(evidence)) == 60
        assert verdicts_of(evidence)[CASE].state != "halt"

    def test_nor_does_a_fleet_that_goes_quiet(self) -> None:
        evidence = fleet(set(), EVERYWHERE, asof=LAST - 6 * HOUR)
        assert silences(evidence) == {}
        assert verdicts_of(evidence)[CASE].state != "halt"


# The whole way: reports in, silences out.


def told(dies: int = 2 * DAY) -> list[NodeStory]:
    """Nine nodes that live; one that stages the KB, announces its restart and isn't back."""
    living = [a_node(f"n{i}").lives(until=3 * DAY) for i in range(9)]
    dead = a_node("dead").lives(until=dies)
    dead.state(KB, "staged", dies - HOUR).says(event("User32", 1074, dies + MINUTE, level=4))
    return [*living, dead]


class TestPipeline:
    def test_a_boot_that_never_comes_is_a_silence_exposed_to_the_pending_kb(self) -> None:
        evidence = evidence_of(told())
        assert silences(evidence) == {"dead": [2 * DAY + GRACE - 1]}
        assert patches_of(evidence, "dead") == (NodePatch(KB, BUILD, "effective", T0 + 2 * DAY),)

    def test_a_boot_into_the_new_build_that_dies_is_exposed_by_the_boot(self) -> None:
        living, dead = told()[:9], a_node("dead").lives(until=2 * DAY)
        dead.patched(at=2 * DAY + 5 * MINUTE).says(Heartbeat(t_ms=T0 + 2 * DAY + 6 * MINUTE))
        evidence = evidence_of([*living, dead])
        assert silences(evidence) == {"dead": [2 * DAY + GRACE - 1]}
        (patch,) = patches_of(evidence, "dead")
        assert (patch.state, patch.t_ms) == ("effective", T0 + 2 * DAY + 5 * MINUTE)

    def test_a_restart_long_before_is_no_excuse_and_no_hurry(self) -> None:
        dead = a_node("dead").lives(until=2 * DAY).patched(at=2 * DAY - HOUR)
        evidence = evidence_of([*told()[:9], dead])
        node = next(n for e in evidence for n in e.nodes if n.node == "dead")
        assert (node.heartbeats, node.restart) == (True, "")

    def test_a_node_that_came_back_booted(self) -> None:
        node = a_node("back").lives(until=2 * DAY).patched(at=2 * DAY)
        (evidence,) = evidence_of([node])
        assert evidence.nodes[0].restart == "booted"

    def test_logs_that_were_read_back_are_no_heartbeats(self) -> None:
        (evidence,) = evidence_of([a_node().boots(OLD_BUILD, 0).crashes("A", DAY)])
        assert (evidence.nodes[0].heartbeats, evidence.nodes[0].restart) == (False, "")

    def test_its_median_is_that_of_the_branch(self) -> None:
        evidence = evidence_of(told())
        assert heard_ms(with_silences(evidence)) == heard_ms(evidence) == T0 + 3 * DAY


Sent = tuple[int, NodeReport]


def outcome(sent: Sequence[Sent]) -> list[bytes]:
    states: dict[str, DomainState] = {}
    for offset, (append_ms, report) in enumerate(sent):
        states.setdefault(report.domain, DomainState()).add(report, append_ms, offset)
    parts = [p for name, s in sorted(states.items()) for p in s.evidence("default", name, 0)]
    return [encode(replace(part, offset=0)) for part in with_silences(parts)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_order_repetition_and_batching_change_no_silence(ends: list[int], random: Random) -> None:
    """Nodes that fall silent at some hour, some of them back after a gap of some hours."""
    sent: list[Sent] = []
    for i, end in enumerate([*ends, 48, 48, 48, 48, 48]):
        node = a_node(f"n{i}").boots(OLD_BUILD, 0).state(KB, "staged", HOUR)
        node.says(event("User32", 1074, end * HOUR, level=4))
        hours = [*range(end + 1), *range(end + 2 * i + 2, 48 if i % 2 else 0)]
        node.says(*(Heartbeat(t_ms=T0 + hour * HOUR) for hour in hours))
        sent += [(r.t_ms, node.report(r)) for r in node.records]
    expected = outcome(sent)
    shuffled = [*sent, *random.sample(sent, len(sent) // 3)]
    random.shuffle(shuffled)
    assert outcome(shuffled) == expected
    by_node: dict[str, list[Sent]] = {}
    for one in shuffled:
        by_node.setdefault(one[1].node, []).append(one)
    whole = [
        (max(t for t, _ in told), replace(told[0][1], records=[r.records[0] for _, r in told]))
        for told in by_node.values()
    ]
    assert outcome(whole) == expected
