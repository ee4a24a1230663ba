"""Whatever sources give: once each, in order, never too large, never too far."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collectors.pipeline.bundling import MAX_RECORDS
from collectors.pipeline.limits import SUMMARY_PROVIDER
from collectors.settings import LimitSettings, Settings
from collectors.sources.source import Item
from collectors.spool.bundle import Bundle, Priority
from schemas.codec import MAX_MESSAGE_BYTES, decode, encode
from schemas.reports import Boot, Event, NodeReport, PatchState, Record
from tests.fixtures.pipelines import (
    CLUSTER,
    KERNEL,
    NOW,
    SCM,
    UPDATE,
    booted,
    event,
    item,
    pipeline,
    records,
)

# What sources may give, small limits, and ticks in between.

kinds = st.sampled_from(
    [("p", 7, 3), ("p", 8, 2), (SCM, 7031, 2), (CLUSTER, 1135, 1), (KERNEL, 12, 4), (UPDATE, 43, 4)]
)
steps = st.lists(
    st.tuples(
        st.sampled_from(("s1", "s2")),
        st.sampled_from(("", "n2", "n3")),
        st.lists(st.tuples(kinds, st.sampled_from((10, 10, 10, 150_000))), max_size=4),
        st.booleans(),  # has a position
        st.sampled_from((0, 300, 2_000, 70_000, -500_000)),  # ms until the next
        st.booleans(),  # a look for bundles
    ),
    max_size=60,
)
Step = tuple[str, str, list[tuple[tuple[str, int, int], int]], bool, int, bool]


SMALL = LimitSettings(events_per_s=0.5, burst=3)


def played(
    drawn: Sequence[Step], limits: LimitSettings = SMALL
) -> tuple[list[tuple[str, str, Item]], list[Bundle]]:
    line = pipeline(Settings(limits=limits))
    now, number = NOW, 0
    taken, bundles = [], []
    for source, origin, events, positioned, wait_ms, look in drawn:
        found = []
        for (provider, kind, level), size in events:
            number += 1
            data = {"updateTitle": "KB5062557", "text": "x" * size}
            one = booted(number) if kind == 12 else event(number, level, provider, kind, data=data)
            found.append(replace(one, channel=f"{source} log"))
        one_item = item(*found, at=str(number) if positioned else "", origin=origin)
        line.take(source, [one_item], now)
        taken.append((source, origin or "hv01", one_item))
        now += wait_ms
        if look:
            bundles += line.bundles(now)
    bundles += line.bundles(now, force=True)
    line.heartbeat(now, {}, lost=0, dropped=0, depth=0)  # carries the positions that wait
    return taken, bundles + line.bundles(now, force=True)


def numbers(one: Item) -> list[int]:
    return [r.record_id for r in one.records if isinstance(r, Event)]


@settings(deadline=None)
@given(steps)
def test_every_record_comes_out_once_or_is_counted(drawn: list[Step]) -> None:
    taken, bundles = played(drawn)
    counted = 0
    out: Counter[int] = Counter()
    for record in records(bundles):
        if isinstance(record, Event) and record.provider == SUMMARY_PROVIDER:
            counted += int(record.data["suppressed"])
        elif isinstance(record, Event | Boot | PatchState):
            out[record.record_id] += 1
    came = [n for _, _, one in taken for n in numbers(one)]
    assert set(out) <= set(came)
    assert set(out.values()) <= {1}
    assert len(out) + counted == len(came)


@settings(deadline=None)
@given(steps)
def test_positions_never_overtake_records(drawn: list[Step]) -> None:
    taken, bundles = played(drawn)
    order: dict[str, list[int]] = defaultdict(list)
    for source, _, one in taken:
        order[source] += numbers(one)
    seen: set[int] = set()
    suppressed: Counter[str] = Counter()
    reached: dict[str, int] = {}
    for bundle in bundles:
        for record in bundle.report.records:
            seen.update(ids_of(record))
            if isinstance(record, Event) and _summary(record):
                suppressed[record.channel] += int(record.data["suppressed"])
        for source, position in bundle.positions.items():
            assert int(position) >= reached.get(source, 0)
            reached[source] = int(position)
            missing = [n for n in order[source] if n <= int(position) and n not in seen]
            assert len(missing) <= suppressed[f"{source} log"]
    for source in order:
        positions = [one.position for name, _, one in taken if name == source and one.position]
        assert str(reached.get(source, "")) == (positions[-1] if positions else "")


def ids_of(record: Record) -> list[int]:
    if isinstance(record, Event | Boot | PatchState) and not _summary(record):
        return [record.record_id]
    return []


def _summary(record: Record) -> bool:
    return isinstance(record, Event) and record.provider == SUMMARY_PROVIDER


@settings(deadline=None)
@given(steps)
def test_reports_are_small_and_readable(drawn: list[Step]) -> None:
    for bundle in played(drawn)[1]:
        raw = encode(bundle.report)
        assert len(raw) <= MAX_MESSAGE_BYTES
        assert decode(raw, NodeReport) == bundle.report
        assert 0 < len(bundle.report.records) <= MAX_RECORDS


@settings(deadline=None)
@given(steps)
def test_without_a_storm_the_order_of_each_node_and_priority_is_kept(drawn: list[Step]) -> None:
    taken, bundles = played(drawn, LimitSettings())
    nodes = {n: node for _, node, one in taken for n in numbers(one)}
    by_key: dict[tuple[str, Priority], list[int]] = defaultdict(list)
    for bundle in bundles:
        for record in bundle.report.records:
            for number in ids_of(record):
                assert nodes[number] == bundle.report.node
                by_key[bundle.report.node, bundle.priority].append(number)
    for found in by_key.values():
        assert found == sorted(found)
