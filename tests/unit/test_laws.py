"""Detection's laws: how reports come never changes what they amount to, not by one byte."""

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.codec import encode
from schemas.evidence import DomainEvidence
from schemas.reports import Boot, Facts, Heartbeat, NodeReport, PatchState, Record
from streams.detection.domain_state import DomainState
from streams.detection.judge import Judge
from tests.fixtures.outcomes import Sent, collected, outcome
from tests.fixtures.stories import (
    BUILD,
    DAY,
    HOUR,
    MINUTE,
    OLD_BUILD,
    T0,
    WEEK,
    a_node,
    as_bytes,
    died,
    event,
    evidence_of,
    verdicts_of,
)

NAMES = ("c1-n1", "c1-n2", "c2-n1")


def times(last: int) -> st.SearchStrategy[int]:
    """Instants that often fall just inside or just outside a gap of another."""
    near = st.sampled_from((-DAY, -HOUR, -10 * MINUTE, 0, 1, 10 * MINUTE, HOUR, DAY))
    coarse = st.integers(0, last // DAY).map(lambda day: day * DAY)
    return st.builds(lambda a, b: min(max(a + b, 0), last), coarse, near)


def records(last: int, kinds: tuple[type[Record], ...]) -> st.SearchStrategy[Record]:
    at = times(last)
    absolute = at.map(lambda t: T0 + t)
    services = st.sampled_from(("ClusSvc", "W32Time"))
    builds = st.sampled_from((OLD_BUILD, BUILD, "17763.7314", "17763.999"))
    states = st.sampled_from(("offered", "staged", "effective", "failed", "rolled_back"))
    every = st.one_of(
        st.builds(died, services, at, st.integers(0, 3)),
        st.builds(lambda t: event("EventLog", 6008, t), at),
        st.builds(lambda t: event("User32", 1074, t, level=4), at),
        st.builds(
            lambda name, t: event(
                "Microsoft-Windows-FailoverClustering", 1135, t, data={"NodeName": name}
            ),
            st.sampled_from(NAMES),
            at,
        ),
        st.builds(Boot, t_ms=absolute, build=builds),
        st.builds(
            lambda kb, state, t: PatchState(kb=kb, state=state, t_ms=t, source="test"),
            st.sampled_from(("KB5062557", "KB9999999")),
            states,
            absolute,
        ),
        st.builds(
            Facts,
            t_ms=absolute,
            role=st.sampled_from(("hyperv", "sql")),
            changes=st.dictionaries(
                st.sampled_from(("driver:mpio", "firmware")), st.sampled_from(("1", "2"))
            ),
        ),
        st.builds(Heartbeat, t_ms=absolute),
    )
    few = {
        Boot: st.builds(Boot, t_ms=absolute, build=builds),
        Heartbeat: st.builds(Heartbeat, t_ms=absolute),
    }
    return st.one_of(*(few[kind] for kind in kinds)) if kinds else every


@st.composite
def reports(draw: st.DrawFn, last: int, kinds: tuple[type[Record], ...] = ()) -> Sent:
    name = draw(st.sampled_from(NAMES))
    told = draw(st.lists(records(last, kinds), min_size=1, max_size=4))
    ahead = draw(st.sampled_from((0, 0, 0, 4 * MINUTE, 10 * MINUTE, 90 * DAY)))
    append_ms = max(r.t_ms for r in told)
    report = NodeReport(
        v=1,
        fleet="default",
        node=name,
        domain=name.partition("-")[0],
        site=draw(st.sampled_from(("fra", "ams"))),
        sent_ms=append_ms + ahead,
        records=told,
        boot_ms=draw(st.sampled_from((0, T0, T0 + 3 * WEEK))),
        heartbeat_s=draw(st.sampled_from((60, 1_800))),
    )
    return append_ms, report


def streams(last: int) -> st.SearchStrategy[list[Sent]]:
    return st.lists(reports(last), min_size=2, max_size=12)


@settings(max_examples=20, deadline=None)
@given(streams(25 * WEEK), st.randoms(use_true_random=False))
def test_order_changes_nothing(sent: list[Sent], random: Random) -> None:
    shuffled = list(sent)
    random.shuffle(shuffled)
    assert outcome(shuffled) == outcome(sent)


@settings(max_examples=20, deadline=None)
@given(st.lists(reports(3 * DAY, (Heartbeat, Boot)), min_size=3, max_size=10), st.data())
def test_order_changes_nothing_where_everything_is_near(
    sent: list[Sent], data: st.DataObject
) -> None:
    assert outcome(data.draw(st.permutations(sent))) == outcome(sent)


@settings(max_examples=20, deadline=None)
@given(streams(25 * WEEK), st.data())
def test_repetition_changes_nothing(sent: list[Sent], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(sent), max_size=len(sent)))
    assert outcome([*sent, *again]) == outcome(sent)


@settings(max_examples=15, deadline=None)
@given(streams(25 * WEEK))
def test_splitting_of_reports_changes_nothing(sent: list[Sent]) -> None:
    split = [(t, replace(report, records=[r])) for t, report in sent for r in report.records]
    assert outcome(split) == outcome(sent)


@settings(max_examples=15, deadline=None)
@given(streams(25 * WEEK), st.data())
def test_partitioning_changes_nothing(sent: list[Sent], data: st.DataObject) -> None:
    """Each domain's reports keep their order; how the domains interleave is chance."""
    apart = sorted(sent, key=lambda s: s[1].domain)
    assert outcome(apart) == outcome(sent)
    parts = data.draw(st.permutations(collected(sent)))
    assert verdicts_of(parts) == verdicts_of(collected(sent))


def _weekly(*extra: Sent) -> list[Sent]:
    node = a_node("c1-n1", "c1")
    beats = [Heartbeat(t_ms=T0 + week) for week in range(0, 41 * WEEK, WEEK)]
    return sorted([*((b.t_ms, node.report(b)) for b in beats), *extra], key=lambda s: s[0])


@pytest.mark.parametrize("catch_up", [14 * WEEK, 17 * WEEK, 20 * WEEK, 27 * WEEK])
def test_when_old_things_are_forgotten_shows_nowhere(catch_up: int) -> None:
    """40 weeks in order, or the newest report first and the last 26 weeks late after it."""
    node = a_node("c1-n1", "c1")
    told: list[Record] = [
        Boot(t_ms=T0 + DAY, build=OLD_BUILD),
        Boot(t_ms=T0 + 10 * WEEK, build=BUILD),
        *(died("ClusSvc", 13 * WEEK + day * DAY + HOUR) for day in range(0, 14, 2)),
        *(died("W32Time", 13 * WEEK + day * DAY) for day in range(1, 14, 2)),
        *(Heartbeat(t_ms=T0 + 14 * WEEK + hour * HOUR) for hour in range(0, 200, 7)),
    ]
    last = (T0 + 40 * WEEK + 2 * DAY, node.report(Heartbeat(t_ms=T0 + 40 * WEEK + 2 * DAY)))
    in_order = [*_weekly(*((r.t_ms, node.report(r)) for r in told)), last]
    early = [s for s in in_order if s[0] < T0 + catch_up]
    late = [s for s in in_order if s[0] >= T0 + catch_up and s is not last]
    assert as_bytes(collected([*early, last, *late])) == as_bytes(collected(in_order))


@settings(max_examples=20, deadline=None)
@given(streams(25 * WEEK))
def test_a_report_that_says_it_changes_nothing_changes_nothing(sent: list[Sent]) -> None:
    state = DomainState()
    before: list[bytes] = []
    for offset, (append_ms, report) in enumerate(sent):
        newest_ms = state.newest_ms
        changed = state.add(report, append_ms, offset)
        after = as_bytes(state.evidence("default", "c1", 0))
        # A horizon that moves on by itself takes away only what no open case looks at.
        if not changed and state.newest_ms == newest_ms:
            assert after == before
        before = after


@settings(max_examples=20, deadline=None)
@given(streams(25 * WEEK))
def test_a_state_that_was_stored_and_read_back_goes_on_as_before(sent: list[Sent]) -> None:
    kept, stored = DomainState(), DomainState()
    for offset, (append_ms, report) in enumerate(sent):
        kept.add(report, append_ms, offset)
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=DomainState)
        stored.add(report, append_ms, offset)
    assert stored.evidence("default", "c", 0) == kept.evidence("default", "c", 0)


versions = st.tuples(st.sampled_from(("c1", "c2")), st.integers(0, 1), st.integers(0, 4))


@settings(max_examples=30, deadline=None)
@given(st.lists(versions, max_size=8), st.data())
def test_the_judge_keeps_each_domains_newest_contribution_however_they_come(
    came: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    contributions = [_contribution(*version) for version in came]
    again = data.draw(st.permutations([*contributions, *contributions]))
    newest = {e.domain: e for e in sorted(contributions, key=lambda e: (e.epoch, e.offset))}
    expected = {c: encode(v) for c, v in verdicts_of(newest.values()).items()}
    assert {c: encode(v) for c, v in verdicts_of(again).items()} == expected


def _contribution(domain: str, epoch: int, offset: int) -> DomainEvidence:
    """Each version says something else: when the node was patched."""
    node = a_node(f"{domain}-n1", domain).lives(until=3 * DAY)
    (evidence,) = evidence_of([node.patched(at=DAY + (5 * epoch + offset) * HOUR)])
    return replace(evidence, epoch=epoch, offset=offset)


def test_the_judge_says_what_is_news() -> None:
    judge = Judge(alpha=1 / 200)
    branch = ("default", "17763")
    first, second = _contribution("c1", 0, 1), _contribution("c1", 0, 2)
    assert judge.replace(first) == branch
    assert judge.replace(first) is None, "the same again"
    assert judge.replace(second) == branch
    assert judge.replace(first) is None, "older"
    assert judge.replace(replace(second, offset=3)) is None, "newer, but says the same"
    assert judge.replace(_contribution("c1", 1, 0)) == branch, "a new topic epoch"
