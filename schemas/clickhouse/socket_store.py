"""Named queries over a local socket: how others ask while the sink owns the embedded store.

One JSON line asks, ``{"query": name, "params": {…}}``; one JSON line answers, ``{"columns": […],
"rows": [[…], …]}`` or ``{"error": text}``. The socket file is readable by its owner alone.
"""

import logging
import os
import socket
import socketserver
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

import msgspec
import orjson
from msgspec import Struct

from schemas.clickhouse.migrate import pending
from schemas.clickhouse.opening import open_store
from schemas.clickhouse.queries import run_query
from schemas.clickhouse.store import Result, Store, StoreBusyError
from schemas.errors import KbwatchError
from schemas.settings import StoreSettings

_log = logging.getLogger(__name__)

_MAX_REQUEST_BYTES = 64 * 1024
_TIMEOUT_S = 30.0


class _Request(Struct, forbid_unknown_fields=True):
    query: str
    params: dict[str, str | int] = {}


class _Answer(Struct):
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    error: str | None = None


class QueryServer:
    """Answers named queries of ``store`` on the socket ``path``, in threads of its own.

    It depends on no event loop, so it answers while Kafka is away or a batch is being built.
    Raises KbwatchError when the socket can't be made or another process answers on it.
    """

    def __init__(self, path: str | Path, store: Store) -> None:
        self._path = Path(path)
        _clear_stale(self._path)
        # Set while binding, so that the socket is never open to others, not even for a moment.
        before = os.umask(0o177)
        try:
            self._server = _Server(str(self._path), _Handler)
        except OSError as error:
            raise KbwatchError(
                f"store.socket {self._path}: {error.strerror or error}; "
                "choose a short path in a folder that can be written"
            ) from None
        finally:
            os.umask(before)
        self._server.store = store
        Thread(target=self._server.serve_forever, name="queries", daemon=True).start()

    def close(self) -> None:
        """Stop answering and remove the socket."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


class Queries:
    """Named queries of the server, of a running sink or, when none runs, of the store's folder."""

    def __init__(self, settings: StoreSettings, migrated: bool = True) -> None:
        self._socket = Path(settings.socket)
        self._store = None
        if settings.host or not _answers(self._socket):
            self._store = _open_itself(settings, migrated)

    def run(self, name: str, params: Mapping[str, str | int]) -> Result:
        """Run a named query. Raises KbwatchError that says what is wrong."""
        if self._store is not None:
            return run_query(self._store, name, params)
        return ask(self._socket, name, params)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._store is not None:
            self._store.close()


def open_queries(settings: StoreSettings, migrated: bool = True) -> Queries:
    """Find the server, the sink's socket or the folder; a context manager.

    Raises KbwatchError when there is no store or, with ``migrated``, when it is not up to date.
    """
    return Queries(settings, migrated)


def ask(path: str | Path, name: str, params: Mapping[str, str | int]) -> Result:
    """Ask the sink that listens on ``path``. Raises KbwatchError, also for what it refuses."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(orjson.dumps({"query": name, "params": dict(params)}) + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline()
        answer = msgspec.json.decode(line, type=_Answer)
    except (OSError, msgspec.DecodeError) as error:
        raise KbwatchError(
            f"store.socket {path}: no answer ({error}); is the sink running?"
        ) from None
    if answer.error is not None:
        raise KbwatchError(answer.error)
    return Result(answer.columns, answer.rows)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    store: Store


class _Handler(socketserver.StreamRequestHandler):
    timeout = _TIMEOUT_S
    server: _Server

    def handle(self) -> None:
        with suppress(OSError):  # whoever asked has gone
            line = self.rfile.readline(_MAX_REQUEST_BYTES + 1)
            if line:
                self.wfile.write(_answer(self.server.store, line) + b"\n")


def _answer(store: Store, line: bytes) -> bytes:
    if len(line) > _MAX_REQUEST_BYTES:
        return orjson.dumps({"error": f"a query may have {_MAX_REQUEST_BYTES} bytes"})
    try:
        request = msgspec.json.decode(line, type=_Request)
        result = run_query(store, request.query, request.params)
    except (KbwatchError, msgspec.DecodeError) as error:
        return orjson.dumps({"error": str(error)})
    except Exception:
        # What the engine says may name paths and SQL; it is for the sink's log.
        _log.exception("query %s failed", request.query)
        return orjson.dumps({"error": f"query {request.query} failed; the sink's log says why"})
    return orjson.dumps({"columns": result.columns, "rows": result.rows})


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def _clear_stale(path: Path) -> None:
    if _answers(path):
        raise KbwatchError(f"store.socket {path}: another sink answers on it; choose another one")
    if path.is_socket():  # left by a sink that was killed
        path.unlink()


def _open_itself(settings: StoreSettings, migrated: bool) -> Store:
    if not settings.host and not Path(settings.path).is_dir():
        raise KbwatchError(
            f"store.path {settings.path}: no store there yet; `kbwatch run sink` fills it, "
            "`kbwatch store migrate` makes an empty one"
        )
    try:
        store = open_store(settings)
    except StoreBusyError as error:
        raise KbwatchError(
            f"{error}; nobody answers on store.socket {settings.socket}: if a sink is running, "
            "use its settings"
        ) from None
    try:
        missing = pending(store) if migrated else []
        if missing:
            raise KbwatchError(
                f"the store in {settings.host or settings.path} lacks {len(missing)} migrations: "
                "run `kbwatch store migrate`"
            )
    except KbwatchError:
        store.close()
        raise
    return store
