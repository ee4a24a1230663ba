"""The collector: one engine after another, a new one whenever the settings file has changed.

A new engine is what makes every setting take effect alike, however deep it goes, and so does a
cluster that was joined, or whose service came up late; between two of them the spool is written out
and the sources go on where it stands. The laws of what is read,
spooled and acknowledged are the engine's (collectors/runtime/engine.py).
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from collectors import version
from collectors.durable import FolderLock
from collectors.log import Log, set_level
from collectors.pipeline.pipeline import Pipeline
from collectors.runtime import status as status_file
from collectors.runtime.engine import Engine
from collectors.runtime.status import WRITTEN_EVERY_S, Status
from collectors.settings import KafkaSettings, Settings
from collectors.settings_file import SettingsFile
from collectors.shipping.outbox import Shipping
from collectors.sources.source import Source
from collectors.spool.bookmark import Bookmarks
from collectors.spool.spool import Spool
from collectors.windows.node import Node, remember_cluster, this_node
from schemas.errors import KbwatchError

_PUBLISHED_EVERY_S = 1.0
_TRY_AGAIN_S = 5.0
_LOOK_AT_NODE_EVERY_S = 60.0

_log = Log("collector")


class Parts(Protocol):
    """What a collector is made of; tests put their own in place of Windows and Kafka.

    Each may raise KbwatchError for settings that can't work; none may wait for a broker.
    """

    def sources(self, settings: Settings, node: Node) -> Sequence[Source]:
        """What is read, not opened yet."""

    def pipeline(self, settings: Settings, node: Node) -> Pipeline:
        """What makes reports of it."""

    def shipper(self, kafka: KafkaSettings) -> Shipping:
        """What sends them."""


class _Refused(KbwatchError):
    """The settings can't work; every other KbwatchError may be gone at the next try."""


class Runtime:
    """Runs until ``stop``. It owns ``data_dir``: a second collector there is refused.

    ``run`` and ``run_until_idle`` may be called once, by one thread; ``stop`` and ``status``
    by any.
    """

    def __init__(
        self,
        settings: SettingsFile,
        parts: Parts,
        now_s: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._now_s = now_s
        self._now_ms = now_ms
        self._folder = Path(settings.current.data_dir)
        self._stop = threading.Event()
        self._started_s = self._published_s = now_s()
        self._next_write_s = now_s()
        self._write_trouble = False
        node = self._node = this_node(settings.current.node, self._folder)
        self._next_node_s = now_s() + _LOOK_AT_NODE_EVERY_S
        self._status = Status(
            version=version(),
            pid=os.getpid(),
            fleet=node.fleet,
            node=node.name,
            domain=node.domain,
            written_ms=now_ms(),
            uptime_s=0.0,
        )

    def stop(self) -> None:
        """Ask ``run`` to end; it does within ten seconds. Safe in a signal handler."""
        self._stop.set()

    def status(self) -> Status:
        """How the collector is."""
        return replace(self._status, stalled_s=self._now_s() - self._published_s)

    def run(self) -> None:
        """Read and ship until ``stop``.

        Raises KbwatchError when it can't begin; later it rather waits, says so and tries again.
        """
        with self._owned_folder():
            engine: Engine | None = self._begun()
            while True:
                changed = False

                def over(_engine: Engine) -> bool:
                    nonlocal changed
                    changed = self._settings.changed()
                    return changed or self._node_changed()

                if engine is not None:
                    self._run_engine(engine, over)
                else:
                    changed = self._settings.changed()
                if self._stop.is_set():
                    return
                engine = self._begun_again(changed)

    def run_until_idle(self, timeout_s: float) -> bool:
        """Read what is there and ship it; False when that took too long, or ``stop`` came first.

        What is not acknowledged then stays in the spool for the next run.
        """
        end_s = self._now_s() + timeout_s
        with self._owned_folder():
            done = False

            def over(engine: Engine) -> bool:
                nonlocal done
                done = engine.drained()
                return done or self._now_s() >= end_s

            self._run_engine(self._begun(), over)
            return done

    def _run_engine(self, engine: Engine, until: Callable[[Engine], bool]) -> None:
        engine.start()
        try:
            while not self._stop.is_set() and not until(engine):
                engine.step()
                self._publish(engine)
        finally:
            engine.stop()
            self._publish(engine, at_once=True)

    def _begun(self) -> Engine:
        settings = self._settings.current
        set_level(settings.log_level)
        self._remember_cluster()
        with ExitStack() as undo:
            try:
                node = this_node(settings.node, self._folder)
                sources = self._parts.sources(settings, node)
                pipeline = self._parts.pipeline(settings, node)
                shipper = self._parts.shipper(settings.kafka)
            except KbwatchError as error:
                raise _Refused(str(error)) from None
            undo.callback(shipper.close, 0.0)
            spool = Spool(self._folder / "spool", settings.spool, self._now_s)
            undo.callback(spool.close)
            bookmarks = Bookmarks(self._folder / "bookmarks.json")
            engine = Engine(
                settings, sources, pipeline, spool, shipper, bookmarks, self._now_s, self._now_ms
            )
            undo.pop_all()
        self._node = node
        self._status = replace(self._status, fleet=node.fleet, node=node.name, domain=node.domain)
        return engine

    def _node_changed(self) -> bool:
        """Whether reports should say by now that this is another node, or in another cluster."""
        if self._now_s() < self._next_node_s:
            return False
        self._next_node_s = self._now_s() + _LOOK_AT_NODE_EVERY_S
        self._remember_cluster()
        try:
            node = this_node(self._settings.current.node, self._folder)
        except KbwatchError:
            return False  # without a name there is nothing better than the one before
        if node != self._node:
            _log.info("new name, domain or site", node=node.name, domain=node.domain)
        return node != self._node

    def _remember_cluster(self) -> None:
        try:
            remember_cluster(self._folder)
        except OSError as error:
            _log.warning("the cluster's name can't be noted", error=error)

    def _begun_again(self, changed: bool) -> Engine | None:
        """An engine for the settings, if they have ``changed`` and are refused for those before;
        None: nothing works now.
        """
        try:
            try:
                return self._begun()
            except _Refused as error:
                if not changed:
                    raise
                self._settings.refuse(str(error))
                return self._begun()
        except KbwatchError as error:
            _log.warning("can't go on, trying again", error=error)
            self._publish(None, str(error))
            self._stop.wait(_TRY_AGAIN_S)
            return None

    def _publish(self, engine: Engine | None, trouble: str = "", at_once: bool = False) -> None:
        now = self._now_s()
        if not at_once and now < self._published_s + _PUBLISHED_EVERY_S:
            return
        status = replace(
            self._status,
            written_ms=self._now_ms(),
            uptime_s=now - self._started_s,
            settings_trouble=self._settings.trouble,
            restart_needed=self._settings.restart_needed,
            trouble=trouble,
        )
        self._status = engine.status(status) if engine else status
        self._published_s = now
        if now >= self._next_write_s or at_once:
            self._next_write_s = now + WRITTEN_EVERY_S
            self._write()

    def _write(self) -> None:
        try:
            status_file.write(self._folder, self._status)
        except OSError as error:
            if not self._write_trouble:
                _log.warning("status.json can't be written", error=error)
            self._write_trouble = True
        else:
            self._write_trouble = False

    @contextmanager
    def _owned_folder(self) -> Iterator[None]:
        lock = FolderLock(self._folder)
        try:
            yield
        except Exception as error:
            # Whoever asks for the status afterwards shall learn why it ended.
            kind = "" if isinstance(error, KbwatchError) else f"{type(error).__name__}: "
            self._status = replace(self._status, trouble=f"{kind}{error}")
            raise
        finally:
            self._status = replace(self._status, running=False, written_ms=self._now_ms())
            self._write()
            lock.release()


@contextmanager
def served(settings: Settings, of: Callable[[], Status]) -> Iterator[None]:
    """/metrics and /healthz meanwhile, if settings ask for them. Raises KbwatchError."""
    if not settings.http_port:
        yield
        return
    from collectors.runtime.http import HttpServer  # memory that most nodes need not spend

    server = HttpServer(settings.http_port, of)
    try:
        yield
    finally:
        server.close()
