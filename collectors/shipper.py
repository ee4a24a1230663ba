"""Reports to Kafka: acknowledged by all replicas, few in flight."""

import logging
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from msgspec.structs import replace

from schemas.codec import MAX_MESSAGE_BYTES, encode
from schemas.errors import KbwatchError
from schemas.reports import NodeReport
from schemas.topics import key

if TYPE_CHECKING:
    from kafka.producer.future import FutureRecordMetadata

# The producer's own buffer has no bound: what may wait for an answer is bounded here.
MAX_IN_FLIGHT = 200


def stamped(report: NodeReport) -> NodeReport:
    """The report with ``sent_ms`` = now: minus Kafka's append time it is the clock skew."""
    return replace(report, sent_ms=time.time_ns() // 1_000_000)


class Shipper:
    """Sends reports in order, keyed ``fleet|domain``. Use it as a context manager.

    When ``close`` (or the ``with`` block) has returned without an error, every report that was sent
    is acknowledged. Raises KbwatchError when the broker does not answer within ``timeout_s``.
    """

    def __init__(self, bootstrap: str, topic: str, timeout_s: float) -> None:
        """Connect, and check that the topic is there."""
        from kafka import KafkaProducer  # costs start-up time
        from kafka.errors import KafkaError

        # What goes wrong is said once, by us; the client would say it hundreds of times.
        logging.getLogger("kafka").addHandler(logging.NullHandler())
        self._where = f"Kafka at {bootstrap}"
        self._topic = topic
        self._timeout_s = timeout_s
        self._error = KafkaError
        self._broken = False
        self._in_flight: deque[FutureRecordMetadata] = deque()
        timeout_ms = int(timeout_s * 1000)
        try:
            self._producer = KafkaProducer(
                bootstrap_servers=bootstrap.split(","),
                acks="all",
                compression_type="zstd",
                max_request_size=2 * MAX_MESSAGE_BYTES,
                bootstrap_timeout_ms=timeout_ms,
                max_block_ms=timeout_ms,
                request_timeout_ms=timeout_ms,
                delivery_timeout_ms=2 * timeout_ms,
            )
        except (KafkaError, ValueError) as error:
            raise KbwatchError(
                f"{self._where}: no answer within {timeout_s:g} s ({error}); "
                "is the broker running, is --bootstrap right?"
            ) from None
        try:
            self._producer.partitions_for(topic)
        except KafkaError:
            self._producer.close(timeout=0)
            raise KbwatchError(
                f"{self._where}: topic {topic} is not there; create it with `kbwatch topics apply`"
            ) from None

    def send(self, reports: Iterable[NodeReport]) -> None:
        """Send reports; waits while too many are unacknowledged."""
        for report in reports:
            while len(self._in_flight) >= MAX_IN_FLIGHT:
                self._settle()
            try:
                future = self._producer.send(
                    self._topic, key=key(report.fleet, report.domain), value=encode(stamped(report))
                )
            except self._error as error:
                raise self._lost(error) from None
            self._in_flight.append(future)

    def close(self) -> None:
        """Wait until everything is acknowledged, then disconnect."""
        try:
            while self._in_flight:
                self._settle()
        except KbwatchError:
            self._give_up()
            raise
        self._producer.close(timeout=self._timeout_s)

    def __enter__(self) -> "Shipper":
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; without waiting when Kafka is gone or the user interrupts."""
        if self._broken or (kind is not None and not issubclass(kind, Exception)):
            self._give_up()
        else:
            self.close()

    def _give_up(self) -> None:
        # close() would wait for a broker that is gone, and complain on standard error: the sender
        # must drop what it holds first, and only it can.
        self._producer._sender.force_close()
        with suppress(self._error):
            self._producer.close(timeout=self._timeout_s)

    def _settle(self) -> None:
        try:
            self._in_flight.popleft().get(timeout=3 * self._timeout_s)
        except self._error as error:
            raise self._lost(error) from None

    def _lost(self, error: Exception) -> KbwatchError:
        self._broken = True
        return KbwatchError(
            f"{self._where}: a report was not acknowledged ({error}); "
            "send the files again: repeated records change nothing"
        )
