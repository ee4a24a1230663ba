"""From reports to evidence: what agent ``observe`` does with a batch."""

import asyncio
from collections.abc import Sequence

import faust
import msgspec
import structlog
from faust.types import Message
from faust.types.tables import TableT

from schemas.codec import DecodeError, encode
from schemas.evidence import DomainEvidence
from schemas.reports import NodeReport
from schemas.settings import Settings
from schemas.topics import (
    BROKER_MAX_BYTES,
    DOMAINS_CHANGELOG,
    EVIDENCE,
    NODE_REPORTS,
    ONSETS,
    all_topics,
    key,
)
from streams.admission import admit
from streams.detection.domain_state import DomainState, onsets_seen
from streams.dlq import DeadLetters
from streams.faust_app import Taken, send
from streams.kafka_io import partition_of
from streams.metrics import EVIDENCE as EVIDENCE_PUBLISHED
from streams.metrics import REPORTS
from streams.retry import confirmed, until_sent

_log = structlog.get_logger(__name__)
_STATE_BYTES = BROKER_MAX_BYTES - 64 * 1024
_Identity = tuple[str, str, int]
"""Of an onset: node, signature, first time."""
_STATE = msgspec.msgpack.Decoder(DomainState)


class Observer:
    """The domains of the assigned partitions.

    Laws: what a batch caused (evidence, onsets, state) is with the broker before ``take`` returns;
    evidence goes before state, and a domain is published at its first touch after a start, so a
    crash between the two heals at the next report.
    """

    def __init__(self, app: faust.App, settings: Settings, table: TableT[bytes, bytes]) -> None:
        self._app = app
        self._settings = settings
        self._table = table
        self._partitions = all_topics()[NODE_REPORTS].partitions
        self._evidence_partitions = all_topics()[EVIDENCE].partitions
        self._dlq = DeadLetters(app, settings.kafka, "detector", NODE_REPORTS)
        self._states: dict[bytes, DomainState] = {}
        self._seen: dict[bytes, set[_Identity]] = {}

    def forget(self) -> None:
        """Drop cached states: after a rebalance the Table is the truth."""
        self._states.clear()
        self._seen.clear()

    async def take(self, events: Sequence[Taken]) -> int:
        """Work through a batch of kbw-node-reports; all of it is finished."""
        touched: dict[bytes, Taken] = {}
        bad: list[tuple[Message, str, str]] = []
        for event in events:
            message = event.message
            try:
                report = admit(message.value, message.key, message.partition, self._partitions)
                domain_key = key(report.fleet, report.domain)
                changed = self._add(domain_key, report, event)
            except DecodeError as error:
                bad.append((message, error.reason, error.detail))
                continue
            except Exception as error:  # a report that breaks us must not stop the others
                _log.exception("report failed", offset=message.offset)
                bad.append((message, "error", repr(error)))
                continue
            if changed:
                touched[domain_key] = event
        await asyncio.gather(*(self._dlq.bad(*letter) for letter in bad))
        await until_sent("evidence", lambda: self._publish(touched))
        await self._dlq.count(len(events) - len(bad), len(bad))
        REPORTS.inc(len(events))
        return len(events)

    def _add(self, domain_key: bytes, report: NodeReport, event: Taken) -> bool:
        state = self._states.get(domain_key)
        first_touch = state is None
        if state is None:
            stored = self._table.get(domain_key)
            state = _STATE.decode(stored) if stored else DomainState()
            self._states[domain_key] = state
        message = event.message
        append_ms = round((message.timestamp or 0.0) * 1000)
        return state.add(report, append_ms, message.offset) or first_touch

    async def _publish(self, touched: dict[bytes, Taken]) -> None:
        # After a rebalance a state is gone: whoever has the partition reads these reports again.
        held = {k: (self._states[k], touched[k]) for k in touched if k in self._states}
        await self._publish_evidence({k: state for k, (state, _) in held.items()})
        await self._keep(held)

    async def _publish_evidence(self, states: dict[bytes, DomainState]) -> None:
        kafka = self._settings.kafka
        sent = []
        fresh: list[tuple[bytes, _Identity]] = []
        for domain_key, state in states.items():
            fleet, domain = domain_key.decode().split("|")
            epoch = self._settings.detector.topic_epoch
            place = partition_of(domain_key, self._partitions)
            for evidence in state.evidence(fleet, domain, epoch, place):
                value = _encoded(evidence)
                if value is None:
                    continue
                name = key(fleet, evidence.branch, domain)
                partition = partition_of(key(fleet, evidence.branch), self._evidence_partitions)
                sent.append(await send(self._app, kafka.topic(EVIDENCE), name, value, partition))
                for row in onsets_seen(evidence):
                    identity = (row.onset.node, row.onset.signature, row.onset.first_ms)
                    if identity not in self._seen.get(domain_key, ()):
                        fresh.append((domain_key, identity))
                        sent.append(
                            await send(self._app, kafka.topic(ONSETS), domain_key, encode(row))
                        )
        await confirmed(*sent)
        for domain_key, identity in fresh:
            self._seen.setdefault(domain_key, set()).add(identity)
        EVIDENCE_PUBLISHED.inc(len(sent) - len(fresh))

    async def _keep(self, held: dict[bytes, tuple[DomainState, Taken]]) -> None:
        """Write states into the Table's changelog and wait for the broker.

        By our own send: Faust buffers a Table's writes, its flush gives up after 100 ms without
        progress, and nobody would learn that one failed.
        """
        topic = self._settings.kafka.topic(DOMAINS_CHANGELOG)
        sent = []
        values: dict[bytes, bytes] = {}
        for domain_key, (state, event) in held.items():
            value = msgspec.msgpack.encode(state)
            if len(value) > _STATE_BYTES:
                # Only a domain that floods us gets here; the broker would refuse it for ever.
                _log.error("state not kept", domain=domain_key.decode(), size_bytes=len(value))
                continue
            values[domain_key] = value
            partition = event.message.partition
            sent.append(await send(self._app, topic, domain_key, value, partition))
        await confirmed(*sent)
        self._table.data.update(values)


def _encoded(evidence: DomainEvidence) -> bytes | None:
    try:
        return encode(evidence)
    except DecodeError as error:
        # Only a domain that floods us gets here; what it published before stands.
        _log.error("evidence not published", domain=evidence.domain, error=str(error))
        return None
