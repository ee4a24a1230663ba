"""From records to what arrives at the broker: numbered, bundled, late, doubled or broken."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from heapq import heappop, heappush
from itertools import count
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from schemas import codec, topics
from schemas.reports import (
    Boot,
    ChannelHealth,
    Event,
    Facts,
    Heartbeat,
    NodeReport,
    PatchState,
    Record,
)
from streams.regbench.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from streams.regbench.fleet import FLEET, Node
from streams.regbench.lives import HEARTBEAT_S, Life

HISTORY_RECORDS = 50
BURST_MS = 1_000
DUPLICATE_SHARE = 0.03
LATE_SHARE = 0.02
# What is not shipped has record ids too: live ids start well above those that were read back.
_LIVE_IDS = 100_000


class Sent(Struct, frozen=True):
    """One Kafka record as it arrives at the broker."""

    append_ms: int
    """Simulated time of arrival; never decreases within a stream."""
    key: bytes
    report: NodeReport | None
    raw: bytes | None
    """The value of a record that is no report; ``report`` is None then."""
    duplicate: bool
    """Whether the same records were sent before."""


def history_reports(life: Life, start_ms: int) -> Iterator[Sent]:
    """The read-back of a node's logs, fifty records a report, quickly one after the other."""
    records = _numbered(life.history(start_ms), life.node, 1_000)
    for index, first in enumerate(range(0, len(records), HISTORY_RECORDS)):
        append_ms = life.collector_start_ms + 2 * SECOND_MS + index * 150
        yield _sent(life, append_ms, records[first : first + HISTORY_RECORDS])


def live_reports(life: Life, end_ms: int, extra: Sequence[Event]) -> Iterator[Sent]:
    """A node's live reports in the order of sending: what happened within a second is one.

    ``extra`` are the events of outages and of the story that this node writes.
    """
    rng = Random(f"{life.seed}/shipping/{life.node.name}")
    burst: list[Record] = []
    append_ms = 0
    for record in _numbered(life.live(end_ms, extra), life.node, _LIVE_IDS):
        if burst and record.t_ms - burst[0].t_ms > BURST_MS:
            append_ms = max(append_ms + 1, burst[-1].t_ms + rng.randint(200, 900))
            yield _sent(life, append_ms, burst)
            burst = []
        burst.append(record)
    if burst:
        yield _sent(life, max(append_ms + 1, burst[-1].t_ms + rng.randint(200, 900)), burst)


def disturbed(sents: Iterable[Sent], live_start_ms: int, seed: int) -> Iterator[Sent]:
    """The same reports, 3 % of them twice and 2 % of the live ones up to an hour late.

    Each report's lot depends on the seed, its node and its first record alone, so that reports
    which a story adds don't change what happens to the others.
    """
    waiting: list[tuple[int, int, Sent]] = []
    order = count()
    for sent in sents:
        while waiting and waiting[0][0] <= sent.append_ms:
            yield heappop(waiting)[2]
        if sent.report is None:
            yield sent
            continue
        late, lateness, twice, pause = _lot(sent.report, seed)
        delivered = sent
        if sent.append_ms >= live_start_ms and late < LATE_SHARE:
            delay_ms = MINUTE_MS + int(lateness * (HOUR_MS - MINUTE_MS))
            delivered = _at(sent, sent.report, sent.append_ms + delay_ms, duplicate=False)
            heappush(waiting, (delivered.append_ms, next(order), delivered))
        else:
            yield sent
        if twice < DUPLICATE_SHARE:
            again_ms = delivered.append_ms + 2 * MINUTE_MS + int(pause * 18 * MINUTE_MS)
            again = _at(sent, sent.report, again_ms, duplicate=True)
            heappush(waiting, (again_ms, next(order), again))
    while waiting:
        yield heappop(waiting)[2]


def malformed(lives: Sequence[Life], number: int, start_ms: int, end_ms: int) -> list[Sent]:
    """``number`` records that no reader accepts, on keys of existing domains, by time."""
    rng = Random(f"{lives[0].seed}/malformed")
    times = sorted(rng.randrange(start_ms, end_ms) for _ in range(number))
    found: list[Sent] = []
    for index, append_ms in enumerate(times):
        life = rng.choice(lives)
        sound = _sent(life, append_ms, [Heartbeat(t_ms=append_ms)])
        if sound.report is not None:
            raw = _BREAKS[index % len(_BREAKS)](codec.encode(sound.report))
            found.append(Sent(append_ms, sound.key, None, raw, False))
    return found


def _truncated(raw: bytes) -> bytes:
    return raw[: len(raw) * 2 // 3]


def _wrong_type(raw: bytes) -> bytes:
    return raw.replace(b'"t_ms":', b'"t_ms":"yesterday","was_ms":')


def _unknown_record(raw: bytes) -> bytes:
    return raw.replace(b'"type":"heartbeat"', b'"type":"bluescreen"')


def _newer_major(raw: bytes) -> bytes:
    return raw.replace(b'"v":1', b'"v":2')


def _oversized(raw: bytes) -> bytes:
    return raw[:-1] + b',"padding":"' + b"x" * (codec.MAX_MESSAGE_BYTES + 65_536) + b'"}'


def _not_utf8(raw: bytes) -> bytes:
    return raw.replace(b'"site":"', b'"site":"\xff\xfe')


def _empty(raw: bytes) -> bytes:
    return raw[:0]


_BREAKS: tuple[Callable[[bytes], bytes], ...] = (
    _truncated,
    _wrong_type,
    _unknown_record,
    _newer_major,
    _oversized,
    _not_utf8,
    _empty,
)


def _sent(life: Life, append_ms: int, records: list[Record]) -> Sent:
    node = life.node
    report = NodeReport(
        v=codec.MAJOR_VERSION,
        fleet=FLEET,
        node=node.name,
        domain=node.domain,
        site=node.site,
        sent_ms=append_ms,
        records=records,
        boot_ms=life.boot_ms(append_ms),
        heartbeat_s=HEARTBEAT_S,
        collector="0.1.0",
    )
    return Sent(append_ms, topics.key(FLEET, node.domain), report, None, False)


def _at(sent: Sent, report: NodeReport, append_ms: int, *, duplicate: bool) -> Sent:
    return Sent(append_ms, sent.key, replace(report, sent_ms=append_ms), None, duplicate)


def _lot(report: NodeReport, seed: int) -> tuple[float, float, float, float]:
    first = report.records[0]
    name = f"{seed}/{report.node}/{first.t_ms}/{len(report.records) > 1}".encode()
    digest = blake2b(name, digest_size=16).digest()
    late, lateness, twice, pause = (
        int.from_bytes(digest[at : at + 4]) / 2**32 for at in (0, 4, 8, 12)
    )
    return late, lateness, twice, pause


def _numbered(records: Sequence[Record], node: Node, first_id: int) -> list[Record]:
    """Records with the ids, computer and channel heads that they have on the node."""
    newest = {"System": first_id, "Setup": first_id // 10, "Application": first_id // 2}
    health: dict[str, ChannelHealth] = {}
    found: list[Record] = []
    for record in records:
        match record:
            case Heartbeat():
                if not health:
                    health = {name: ChannelHealth(newest_record_id=n) for name, n in newest.items()}
                found.append(replace(record, channels=health))
                continue
            case Facts():
                found.append(record)
                continue
            case Event():
                channel = record.channel
            case Boot():
                channel = "System"
            case PatchState():
                channel = "Setup" if record.source.startswith("servicing") else "System"
        health = {}
        newest[channel] = newest.get(channel, first_id // 5) + 1
        if isinstance(record, Event):
            found.append(replace(record, record_id=newest[channel], computer=node.computer))
        else:
            found.append(replace(record, record_id=newest[channel]))
    return found
