"""The benchmark's evidence is what the live detector would make of the same reports."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.evidence import DomainEvidence
from schemas.reports import Facts, Heartbeat, NodeReport, PatchState, Record
from schemas.windows.taxonomy import classify, impact_for
from streams.detection.chains import DAY_MS, HOUR_MS, Chain, insert, runs_of, single
from streams.detection.domain_state import DomainState
from streams.detection.silence import with_silences
from streams.regbench.bench.evidence import evidence_of
from streams.regbench.bench.history import gather
from streams.regbench.bench.stream import Event, Install, Line, Uninstall
from streams.regbench.bench.stream import Heartbeat as Beat
from tests.fixtures.bench_streams import DAY, END, HOUR, KB, START, T0, head, node, rollout
from tests.fixtures.stories import died, event

NODES = 6
MINUTE = 60_000
BEAT_MS = 30 * MINUTE

# (what was logged, by node number, when)
Logged = tuple[int, int, int]
KINDS = (
    lambda t: died("ClusSvc", t - T0),
    lambda t: died("W32Time", t - T0),
    lambda t: event("disk", 153, t - T0),
    lambda t: event("Microsoft-Windows-FailoverClustering", 1177, t - T0),
)

times = st.builds(
    lambda day, near: min(max(START + day * DAY + near, START), END - 1),
    st.integers(0, 100),
    st.sampled_from((0, 1, MINUTE, HOUR, 2 * HOUR, DAY - 1, DAY)),
)
logs = st.lists(
    st.tuples(st.integers(0, len(KINDS) - 1), st.integers(0, NODES - 1), times), max_size=25
)
patches = st.dictionaries(
    st.integers(0, NODES - 1),
    st.tuples(st.integers(0, 5), st.none() | st.integers(1, 3)),
)


def as_stream(logged: list[Logged], patched: dict[int, tuple[int, int | None]]) -> list[Line]:
    out: list[Line] = [*head(NODES)]
    for kind, i, t_ms in logged:
        role = node(i).role
        symptom = classify(KINDS[kind](t_ms))
        assert symptom is not None
        impact = impact_for(symptom.signature, symptom.impact, role)
        out.append(Event(t_ms, node(i).node, symptom.cls, symptom.signature, impact))  # type: ignore[arg-type]
    for i, (day, back) in patched.items():
        out.append(Install(T0 + day * DAY, node(i).node, KB))
        if back is not None:
            out.append(Uninstall(T0 + (day + back) * DAY, node(i).node, KB))
    return out


def as_reports(
    logged: list[Logged], patched: dict[int, tuple[int, int | None]], beats: list[Beat], beat_s: int
) -> list[DomainEvidence]:
    states: dict[str, DomainState] = {}
    for i in range(NODES):
        told = node(i)
        facts = Facts(
            t_ms=START,
            role=told.role,
            branch=told.branch,
            ring=told.ring,
            covariates=dict(told.covariates),
        )
        records: list[Record] = [facts, replace(facts, t_ms=END)]
        records += [KINDS[kind](t_ms) for kind, of, t_ms in logged if of == i]
        if i in patched:
            day, back = patched[i]
            records.append(PatchState(kb=KB, state="effective", t_ms=T0 + day * DAY, source="x"))
            if back is not None:
                t_ms = T0 + (day + back) * DAY
                records.append(PatchState(kb=KB, state="rolled_back", t_ms=t_ms, source="x"))
        records += [Heartbeat(t_ms=b.t_ms) for b in beats if b.node == told.node]
        report = NodeReport(
            v=1,
            fleet="f0001",
            node=told.node,
            domain=told.domain,
            site=told.site,
            sent_ms=END,
            records=records,
            boot_ms=0,
            heartbeat_s=beat_s,
        )
        states.setdefault(told.domain, DomainState()).add(report, END, 0)
    return [
        part
        for domain, state in sorted(states.items())
        for part in state.evidence("f0001", domain, 0)
    ]


@settings(max_examples=60, deadline=None)
@given(logs, patches, st.randoms(use_true_random=False))
def test_it_is_what_domain_state_makes_of_equivalent_reports(
    logged: list[Logged], patched: dict[int, tuple[int, int | None]], random: Random
) -> None:
    lines = as_stream(logged, patched)
    first, rest = lines[: NODES + 1], lines[NODES + 1 :]
    random.shuffle(rest)
    found = evidence_of(gather([*first, *rest, *rest[:3]]), END)
    assert found == as_reports(logged, patched, [], 0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, NODES - 1), st.integers(2, 8))
def test_with_heartbeats_to_the_end_service_is_that_of_the_heartbeats(i: int, hours: int) -> None:
    silent = range(T0, T0 + hours * HOUR)
    beats = [
        Beat(t_ms, node(n).node)
        for n in range(NODES)
        for t_ms in range(T0 - DAY, END + 1, BEAT_MS)
        if n != i or t_ms not in silent
    ]
    found = evidence_of(gather([*head(NODES), *beats]), END)
    assert found == as_reports([], {}, beats, BEAT_MS // 1000)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, NODES - 1), st.integers(-40, 40))
def test_a_node_that_dies_near_its_patch_is_silent_alike(i: int, minutes: int) -> None:
    """Whether a restart came before the silence: by the stream's install, by the report's state."""
    died_ms = T0 + minutes * MINUTE
    beats = [
        Beat(t_ms, node(n).node)
        for n in range(NODES)
        for t_ms in range(T0 - DAY, END + 1, BEAT_MS)
        if n != i or t_ms <= died_ms
    ]
    patched: dict[int, tuple[int, int | None]] = {i: (0, None)}
    lines = [*as_stream([], patched), *beats]
    found = evidence_of(gather(lines), END)
    assert found == as_reports([], patched, beats, BEAT_MS // 1000)
    (silence,) = (onset for part in with_silences(found) for onset in part.onsets)
    last_ms = died_ms // BEAT_MS * BEAT_MS
    assert (silence.node, silence.first_ms) == (node(i).node, last_ms + 110 * MINUTE - 1)


def test_heartbeats_over_a_part_of_the_period_say_nothing_about_the_rest() -> None:
    """Where nobody's heartbeats are, nobody's absence says that it was down."""
    beats = [
        Beat(t_ms, node(n).node)
        for n in range(NODES)
        for t_ms in range(T0, T0 + 6 * HOUR, 10 * MINUTE)
        if n or not T0 + 2 * HOUR <= t_ms < T0 + 4 * HOUR
    ]
    found = evidence_of(gather([*head(NODES), *beats]), END)
    service = {n.node: n.service for part in found for n in part.nodes}
    assert service[node(1).node] == ((START, END),)
    back = (T0 + 4 * HOUR, END)
    assert service[node(0).node] == ((START, T0 + 110 * MINUTE), back)


def test_a_node_that_is_not_heard_of_any_more_is_out_of_service() -> None:
    beats = [
        Beat(t_ms, node(n).node)
        for n in range(NODES)
        for t_ms in range(T0, T0 + 6 * HOUR, 10 * MINUTE)
        if n or t_ms < T0 + HOUR
    ]
    found = evidence_of(gather([*head(NODES), *beats]), END)
    service = {n.node: n.service for part in found for n in part.nodes}
    assert service[node(0).node] == ((START, T0 + 50 * MINUTE),)


def test_an_event_about_another_node_counts_there() -> None:
    about = Event(T0, node(0).node, "cluster", "s", "outage", about=node(1).node)
    found = evidence_of(gather([*head(NODES), about]), END)
    assert [o.node for part in found for o in part.onsets] == [node(1).node]


def test_branches_of_one_domain_are_contributions_of_their_own() -> None:
    other = replace(node(1), branch="20348")
    lines = [line if line != node(1) else other for line in head(NODES)]
    found = evidence_of(gather(lines), END)
    assert [(p.branch, p.domain, len(p.nodes)) for p in found] == [
        ("17763", "c00000", 3),
        ("17763", "c00001", 2),
        ("20348", "c00000", 1),
    ]


@given(
    st.lists(st.integers(0, 20 * DAY_MS // HOUR_MS).map(lambda h: h * HOUR_MS + 7), min_size=1),
    st.sampled_from((HOUR_MS, DAY_MS)),
)
def test_runs_are_those_of_inserting_one_by_one(events: list[int], gap_ms: int) -> None:
    chains: tuple[Chain, ...] = ()
    for t_ms in events:
        chains = insert(chains, single(t_ms, HOUR_MS), gap_ms)
    assert tuple(runs_of(events, gap_ms, HOUR_MS)) == chains


@pytest.mark.parametrize("seed", [1, 2])
def test_order_and_repetition_of_lines_change_nothing(seed: int) -> None:
    lines = list(rollout(60, failing=5))
    first, rest = lines[:61], lines[61:-1]
    Random(seed).shuffle(rest)
    again = gather([*first, *rest, *rest[:50], lines[-1]])
    assert evidence_of(again, END) == evidence_of(gather(lines), END)
