"""From reports to evidence: what agent ``observe`` does with a batch."""

import asyncio
from collections.abc import Sequence

import faust
import msgspec
import structlog
from faust.types.tables import TableT

from schemas.codec import DecodeError, encode
from schemas.evidence import DomainEvidence, OnsetSeen
from schemas.reports import NodeReport
from schemas.settings import Settings
from schemas.topics import BROKER_MAX_BYTES, EVIDENCE, NODE_REPORTS, ONSETS, all_topics, key
from streams.admission import admit
from streams.detection.domain_state import DomainState, onsets_seen
from streams.dlq import DeadLetters
from streams.faust_app import Taken, owner, send
from streams.kafka_io import partition_of
from streams.metrics import EVIDENCE as EVIDENCE_PUBLISHED
from streams.metrics import REPORTS
from streams.retry import until_sent

_log = structlog.get_logger(__name__)
_STATE_BYTES = BROKER_MAX_BYTES - 64 * 1024
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
        self._seen: dict[bytes, set[tuple[str, str, int]]] = {}

    def forget(self) -> None:
        """Drop cached states: after a rebalance the Table is the truth."""
        self._states.clear()
        self._seen.clear()

    async def take(self, events: Sequence[Taken]) -> None:
        """Work through a batch of kbw-node-reports."""
        touched: dict[bytes, Taken] = {}
        bad = 0
        for event in events:
            message = event.message
            try:
                report = admit(message.value, message.key, message.partition, self._partitions)
                domain_key = key(report.fleet, report.domain)
                changed = self._add(domain_key, report, event)
            except DecodeError as error:
                bad += 1
                await self._dlq.bad(message, error.reason, error.detail)
                continue
            except Exception as error:  # a report that breaks us must not stop the others
                bad += 1
                _log.exception("report failed", offset=message.offset)
                await self._dlq.bad(message, "error", repr(error))
                continue
            if changed:
                touched[domain_key] = event
        await until_sent("evidence", lambda: self._publish(touched))
        await self._dlq.count(len(events) - bad, bad)
        REPORTS.inc(len(events))

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
        kafka = self._settings.kafka
        sent = []
        for domain_key in touched:
            fleet, domain = domain_key.decode().split("|")
            state = self._states.get(domain_key)
            if state is None:
                continue  # a rebalance came between: whoever has the partition reads these again
            for evidence in state.evidence(fleet, domain, self._settings.detector.topic_epoch):
                value = _encoded(evidence)
                if value is None:
                    continue
                branch_key = key(fleet, evidence.branch)
                sent.append(
                    await send(
                        self._app,
                        kafka.topic(EVIDENCE),
                        key(fleet, evidence.branch, domain),
                        value,
                        partition_of(branch_key, self._evidence_partitions),
                    )
                )
                for onset in self._new_onsets(domain_key, evidence):
                    sent.append(
                        await send(self._app, kafka.topic(ONSETS), domain_key, encode(onset))
                    )
        await asyncio.gather(*sent)
        EVIDENCE_PUBLISHED.inc(len(sent))
        for domain_key, event in touched.items():
            if domain_key in self._states:
                self._keep(domain_key, event)
        await self._app.producer.flush()

    def _keep(self, domain_key: bytes, event: Taken) -> None:
        value = msgspec.msgpack.encode(self._states[domain_key])
        if len(value) > _STATE_BYTES:
            # Only a domain that floods us gets here; the broker would refuse it for ever.
            _log.error("state not kept", domain=domain_key.decode(), size_bytes=len(value))
            return
        with owner(event):
            self._table[domain_key] = value

    def _new_onsets(self, domain_key: bytes, evidence: DomainEvidence) -> list[OnsetSeen]:
        seen = self._seen.setdefault(domain_key, set())
        new = []
        for row in onsets_seen(evidence):
            identity = (row.onset.node, row.onset.signature, row.onset.first_ms)
            if identity not in seen:
                seen.add(identity)
                new.append(row)
        return new


def _encoded(evidence: DomainEvidence) -> bytes | None:
    try:
        return encode(evidence)
    except DecodeError as error:
        # Only a domain that floods us gets here; what it published before stands.
        _log.error("evidence not published", domain=evidence.domain, error=str(error))
        return None
