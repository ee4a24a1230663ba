"""What a collector's reports have brought to Kafka, record by record."""

from collections import defaultdict

from msgspec import Struct

from schemas.codec import decode, encode
from schemas.reports import Boot, Event, Heartbeat, NodeReport, PatchState
from schemas.settings import KafkaSettings
from schemas.topics import NODE_REPORTS, all_topics
from streams.kafka_io import read_whole


class Identity(Struct, frozen=True):
    """What makes a record one, however often it comes: (fleet, node, channel, record_id, t_ms).

    Boots and patch states name no channel, and one event may be the step of several KBs.
    """

    fleet: str
    node: str
    channel: str
    record_id: int
    t_ms: int
    kind: str
    kb: str


class Arrived(Struct, frozen=True):
    """What is in Kafka."""

    appended_ms: dict[int, int]
    """Record id → when the broker first had it."""
    identities: dict[int, set[Identity]]
    contents: dict[Identity, set[bytes]]
    """Of events."""
    records: int
    """With repetitions."""
    events: list[Event]
    """Each event once."""
    heartbeats: list[Heartbeat]
    sent_ms: list[int]


async def read(kafka: KafkaSettings) -> Arrived:
    """Everything that Kafka has, from its beginning."""
    appended_ms: dict[int, int] = {}
    identities: dict[int, set[Identity]] = defaultdict(set)
    contents: dict[Identity, set[bytes]] = defaultdict(set)
    events: dict[Identity, Event] = {}
    heartbeats: list[Heartbeat] = []
    sent_ms: list[int] = []
    records = 0
    partitions = range(all_topics()[NODE_REPORTS].partitions)
    async for message in read_whole(kafka, NODE_REPORTS, partitions):
        report = decode(message.value, NodeReport)
        sent_ms.append(report.sent_ms)
        for record in report.records:
            if isinstance(record, Heartbeat):
                heartbeats.append(record)
            if not isinstance(record, Event | Boot | PatchState):
                continue
            identity = _identity(report, record)
            number = record.record_id
            records += 1
            appended_ms[number] = min(appended_ms.get(number, 2**62), message.timestamp)
            if isinstance(record, Event):
                events[identity] = record
                contents[identity].add(encode(record))
            identities[number].add(identity)
    found = list(events.values())
    return Arrived(appended_ms, identities, contents, records, found, heartbeats, sent_ms)


def _identity(report: NodeReport, record: Event | Boot | PatchState) -> Identity:
    return Identity(
        fleet=report.fleet,
        node=report.node,
        channel=record.channel if isinstance(record, Event) else "",
        record_id=record.record_id,
        t_ms=record.t_ms,
        kind=type(record).__name__,
        kb=record.kb if isinstance(record, PatchState) else "",
    )
