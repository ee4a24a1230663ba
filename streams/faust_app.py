"""The one way to make and run a Faust app.

Each setting that is not Faust's default is here for a reason that was measured; the reasons are
in docs/decisions.md (Faust).
"""

import asyncio
import logging
import math
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import cast

import faust
import structlog
from faust.types import EventT, StreamT
from mode.loop import use

from schemas import log
from schemas.errors import KbwatchError
from schemas.settings import Settings
from schemas.topics import BROKER_MAX_BYTES
from streams import metrics
from streams.faust_transport import Transport
from streams.kafka_io import addresses, check_broker
from streams.progress import watch_progress

_log = structlog.get_logger(__name__)

_POLL_RECORDS = 2_000

Send = Awaitable[object]
Taken = EventT[bytes]
"""What ``noack_take`` gives: an event whose ``message`` has the raw key and value."""


def make_app(settings: Settings, name: str, buffered: int = 2 * _POLL_RECORDS) -> faust.App:
    """A Faust app ``kbw-<name>`` (its consumer group) with kbwatch's settings.

    ``buffered`` messages at most wait for an agent: few where each may be 2 MiB.
    Raises KbwatchError when the data folder can't be written or kafka.bootstrap is no address.
    """
    use("uvloop")
    addresses(settings.kafka.bootstrap)
    folder = Path(settings.data_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-{name}-{settings.worker_id}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise KbwatchError(
            f"data_dir {folder}: {error.strerror}; choose a folder that can be written"
        ) from None
    kafka = settings.kafka
    app_id = kafka.topic(f"kbw-{name}")
    app = faust.App(
        app_id,
        broker=f"kafka://{kafka.bootstrap.replace(',', ';')}",
        datadir=folder / f"faust-{name}-{settings.worker_id}",
        autodiscover=False,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=f"{app_id}-{settings.worker_id}",
        consumer_max_fetch_size=BROKER_MAX_BYTES,
        producer_max_request_size=BROKER_MAX_BYTES,
        producer_compression_type="zstd",
        producer_acks=-1,
        producer_linger=0.01,
        broker_session_timeout=kafka.session_timeout_s,
        broker_heartbeat_interval=kafka.session_timeout_s / 4,
        broker_max_poll_records=_POLL_RECORDS,
        broker_commit_interval=0.2,
        stream_buffer_maxsize=buffered,
        stream_wait_empty=False,
        stream_processing_timeout=math.inf,
        broker_commit_livelock_soft_timeout=math.inf,
        worker_redirect_stdouts=False,
    )

    app.transport = Transport(app.conf.broker_consumer, app)

    @app.on_rebalance_complete.connect
    async def stop_flow(*_: object, **__: object) -> None:
        # After a Table's recovery Faust resumes the partitions, seeks the committed offsets, and
        # empties the agents' queues. What the fetcher delivers in between is lost, and either
        # blocks every later commit or is jumped over (upstream #596). It resumes the flow itself
        # when it has sought.
        app.consumer.stop_flow()
        app.flow_control.suspend()

    watch_progress(app, settings, name)
    return app


async def send(
    app: faust.App,
    topic: str,
    key: bytes,
    value: bytes | None,
    partition: int | None = None,
) -> Send:
    """Hand a record to the producer; awaiting the result waits until the broker has it."""
    future: Send = await app.producer.send(topic, key, value, partition, None, None)
    return future


class _Room:
    """Holds a stream back while a batch has its bytes."""

    def __init__(self, stream: StreamT[bytes], size_bytes: int) -> None:
        self._stream = stream
        self._left = size_bytes
        self._some = asyncio.Event()
        self._some.set()
        stream.add_processor(self._enter)

    async def _enter(self, value: bytes | None) -> bytes | None:
        while self._left <= 0:
            self._some.clear()
            await cast("faust.Stream[bytes]", self._stream).wait(self._some)  # type: ignore[arg-type]
        self._left -= len(value or b"")
        return value

    def leave(self, events: Sequence[Taken]) -> None:
        self._left += sum(len(event.message.value or b"") for event in events)
        self._some.set()


async def work_through(
    stream: StreamT[bytes],
    size: int,
    within_s: float,
    take: Callable[[Sequence[Taken]], Awaitable[int]],
    size_bytes: int | None = None,
) -> None:
    """The body of every agent: take batches, work on them, then ack in order.

    A batch has at most ``size`` events, and ends with the one that brings it to ``size_bytes``.

    ``take`` handles what it expects, and returns how many events from the front are finished:
    fewer than all only when the rest is somebody else's by now. Anything unexpected ends the
    process here, before a later ack could jump over the batch: the next worker gets it again,
    nothing is lost silently. Events of an assignment that is over are neither worked on nor
    acked: whoever has the partition now reads them again.
    """
    room = _Room(stream, size_bytes) if size_bytes else None
    # noack_take yields events, not values, and StreamT does not know it.
    async for events in cast("faust.Stream[Taken]", stream).noack_take(size, within=within_s):
        current = [event for event in events if _is_current(event)]
        try:
            finished = await take(current) if current else 0
        except Exception:
            _log.exception("batch failed, worker ends", first=repr(current[0].message))
            logging.shutdown()
            os._exit(os.EX_SOFTWARE)
        for event in current[:finished]:
            if _is_current(event):
                await stream.ack(event)
        if room:
            room.leave(events)


def _is_current(event: Taken) -> bool:
    return bool(event.message.generation_id == event.app.consumer_generation_id)


def run_worker(
    app: faust.App,
    settings: Settings,
    agents: Sequence[str],
    topics: Iterable[str],
) -> int:
    """Run ``app`` until SIGINT or SIGTERM; returns the exit code.

    Raises KbwatchError when the broker does not answer or lacks ``topics`` (short names).
    """
    log.configure(settings.log_level, settings.log_format)
    metrics.serve(settings.metrics_port)
    asyncio.run(check_broker(settings.kafka, topics))
    # Faust only warns when an agent is missing; a detector without its judge would look healthy.
    found = {agent.fun.__name__ for agent in app.agents.values()}
    if found != set(agents):
        raise RuntimeError(f"{app.conf.id} has agents {sorted(found)}, expected {sorted(agents)}")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = faust.Worker(
        app,
        loglevel=logging.getLevelName(logging.WARNING),
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
        loop=loop,
    )
    # It would write a control sequence to standard output, terminal or not.
    worker.spinner = None
    _log.info("worker starts", app=app.conf.id, worker=settings.worker_id)
    try:
        worker.execute_from_commandline()
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    crash = worker.crash_reason or app.crash_reason
    if crash:
        _log.error("worker crashed", app=app.conf.id, error=repr(crash))
        return 1
    return code
