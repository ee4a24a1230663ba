"""Reports to Kafka: acknowledged by all replicas, few in flight, never in the caller's way."""

import logging
import random
import threading
import time
from collections.abc import Iterable
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from collectors.settings import KafkaSettings
from collectors.shipping.kafka_client import check_security, connect, drop
from collectors.spool.bundle import Bundle, Priority
from collectors.spool.spool import Entry
from schemas.codec import DecodeError, encode
from schemas.errors import KbwatchError
from schemas.reports import NodeReport
from schemas.topics import NODE_REPORTS, key

_BACKOFF_S = (0.2, 30.0)
_SILENT_S = 10.0


def stamped(report: NodeReport) -> NodeReport:
    """The report with ``sent_ms`` = now: minus Kafka's append time it is the clock skew."""
    return replace(report, sent_ms=time.time_ns() // 1_000_000)


class _Sending(Struct, frozen=True, gc=False):
    size_bytes: int
    records: int
    since_s: float


class Shipper:
    """Sends entries in the order of ``submit``, keyed ``fleet|domain``, from a thread of its own.

    Laws. No call waits for the broker, but ``poll`` and ``close`` as long as they are told. Every
    entry that ``submit`` took comes out of ``poll`` once, acknowledged or failed. When one fails,
    the connection is given up and all that was in flight fails with it, so that what is submitted
    again keeps its order; a report that failed may have arrived. Connecting is tried again for
    ever, at most every 30 s. No more than ``in_flight_bytes`` (as spooled) wait for an answer.
    """

    def __init__(self, kafka: KafkaSettings, topic: str = "") -> None:
        """Begin to connect. Raises KbwatchError for settings that can never work.

        ``topic`` is the node reports' topic of the settings' namespace, unless it is given.
        """
        check_security(kafka)
        # What goes wrong is said once, by us; the client would say it hundreds of times.
        logging.getLogger("kafka").addHandler(logging.NullHandler())
        self._kafka = kafka
        self._topic = topic or kafka.namespace + NODE_REPORTS
        self._changed = threading.Condition()
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._sending: dict[int, _Sending] = {}
        self._sending_bytes = 0
        self._acked: list[int] = []
        self._failed: list[int] = []
        self._connection = 0
        self._connected = self._broken = self._closing = False
        self._stop = threading.Event()
        self._trouble = ""
        self.refused = 0
        """Records that Kafka will never take (too large); they count as acknowledged."""
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether entries may be submitted."""
        return self._connected

    @property
    def trouble(self) -> str:
        """Why nothing is acknowledged just now; empty: all is well, or nothing is known yet."""
        with self._changed:
            oldest = next(iter(self._sending.values()), None)
        silent_s = time.monotonic() - oldest.since_s if oldest else 0.0
        if self._trouble or silent_s < _SILENT_S:
            return self._trouble
        return f"Kafka at {self._kafka.bootstrap}: no acknowledgement for {silent_s:.0f} s"

    @property
    def room_bytes(self) -> int:
        """How much may be submitted now; 0: there is no connection, or no room."""
        with self._changed:
            if self._refuses:
                return 0
            return max(self._kafka.in_flight_bytes - self._sending_bytes, 0)

    def submit(self, entry: Entry) -> bool:
        """Begin to send; False: not now, there is no connection or no room, or ``poll`` has yet to
        tell what failed, which goes before all else.
        """
        with self._changed:
            room_bytes = self._kafka.in_flight_bytes - self._sending_bytes
            if self._refuses:
                return False
            if self._sending and entry.size_bytes > room_bytes:
                return False
            records = len(entry.bundle.report.records)
            self._sending[entry.seq] = _Sending(entry.size_bytes, records, time.monotonic())
            self._sending_bytes += entry.size_bytes
            self._queue.put(entry)
        return True

    @property
    def _refuses(self) -> bool:
        return not self._connected or self._closing or bool(self._failed)

    def poll(self, timeout_s: float) -> tuple[list[int], list[int]]:
        """The sequence numbers that were acknowledged, and those that failed, since the last call.

        Returns when there is something, and after ``timeout_s``.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._acked or self._failed, timeout_s)
            acked, self._acked = self._acked, []
            failed, self._failed = self._failed, []
        return acked, failed

    def close(self, timeout_s: float) -> None:
        """Wait for acknowledgements, then disconnect; ``poll`` still tells what became of all."""
        end_s = time.monotonic() + timeout_s
        with self._changed:
            self._closing = True
            self._changed.wait_for(lambda: not self._sending, timeout_s)
            self._stop.set()
            self._queue.put(None)
        # A connection that is being made can't be interrupted: the thread ends soon after.
        self._thread.join(max(1.0, end_s - time.monotonic()))
        self._fail_all()

    def __enter__(self) -> "Shipper":
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect without waiting: ``ship`` has waited."""
        self.close(0.0)

    def _run(self) -> None:
        backoff_s = _BACKOFF_S[0]
        while not self._stop.is_set():
            try:
                producer = connect(self._kafka, self._topic)
            except KbwatchError as error:
                self._trouble = str(error)
            except Exception as error:
                self._trouble = f"Kafka at {self._kafka.bootstrap}: {type(error).__name__}: {error}"
            else:
                backoff_s = _BACKOFF_S[0]
                self._serve(producer)
                self._fail_all()
                continue
            self._stop.wait(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
            backoff_s = min(2 * backoff_s, _BACKOFF_S[1])

    def _serve(self, producer: Any) -> None:  # noqa: ANN401 - kafka-python has no types
        """Send what is submitted until something fails, or it is time to stop."""
        with self._changed:
            self._connection += 1
            self._connected, self._broken, self._trouble = True, False, ""
            self._changed.notify_all()
        while not self._broken and not self._stop.is_set():
            entry = self._queue.get()
            if entry is not None:
                self._send(producer, entry)
        with self._changed:
            self._connected = False
        drop(producer)

    def _send(self, producer: Any, entry: Entry) -> None:  # noqa: ANN401 - the same
        report = stamped(entry.bundle.report)
        connection, seq = self._connection, entry.seq
        try:
            value = encode(report)
            future = producer.send(self._topic, key=key(report.fleet, report.domain), value=value)
        except Exception as error:
            self._on_error(connection, seq, error)
            return
        future.add_callback(partial(self._on_ack, connection, seq))
        future.add_errback(partial(self._on_error, connection, seq))

    def _on_ack(self, connection: int, seq: int, _metadata: object = None) -> None:
        with self._changed:
            sent = self._sending.pop(seq, None) if connection == self._connection else None
            if sent is None:
                return
            self._sending_bytes -= sent.size_bytes
            self._acked.append(seq)
            self._changed.notify_all()

    def _on_error(self, connection: int, seq: int, error: Exception) -> None:
        from kafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

        never = (DecodeError, MessageSizeTooLargeError, RecordListTooLargeError)
        with self._changed:
            if connection != self._connection or seq not in self._sending:
                return
            if isinstance(error, never):
                self.refused += self._sending[seq].records
            elif not self._broken:
                self._broken, self._connected = True, False
                why = f"{type(error).__name__}: {error}"
                self._trouble = (
                    f"Kafka at {self._kafka.bootstrap}: a report was not acknowledged ({why})"
                )
                self._queue.put(None)
        if isinstance(error, never):
            self._on_ack(connection, seq)

    def _fail_all(self) -> None:
        with self._changed:
            self._connection += 1
            while not self._queue.empty():
                self._queue.get()
            self._failed += self._sending
            self._sending.clear()
            self._sending_bytes = 0
            self._changed.notify_all()


def ship(shipper: Shipper, reports: Iterable[NodeReport], timeout_s: float) -> int:
    """Send reports that are in no spool, and wait until all are acknowledged; returns how many.

    Raises KbwatchError when one is not, or there is no sign of life for ``timeout_s``.
    """
    sent = acked = 0
    life_s = time.monotonic()

    def settle() -> None:
        nonlocal acked, life_s
        done, failed = shipper.poll(0.2 if shipper.connected else 0.02)
        acked += len(done)
        if done:
            life_s = time.monotonic()
        if failed or shipper.refused:
            why = shipper.trouble or "too large"
            raise KbwatchError(f"{why}; send the files again: repeated records change nothing")
        silent_s = time.monotonic() - life_s
        if not shipper.connected and shipper.trouble:
            raise KbwatchError(shipper.trouble)
        if silent_s > 3 * timeout_s:
            raise KbwatchError(f"{shipper.trouble or 'Kafka'}: no answer for {silent_s:.0f} s")

    for report in reports:
        size_bytes = len(encode(report))
        entry = Entry(sent + 1, Bundle(report, Priority.KEEP), size_bytes)
        while not shipper.submit(entry):
            settle()
        sent += 1
    while acked < sent:
        settle()
    return sent
