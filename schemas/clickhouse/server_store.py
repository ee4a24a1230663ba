"""The store on a ClickHouse server: native protocol, rows by column, lz4, TLS."""

import logging
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from schemas.clickhouse import tables
from schemas.clickhouse.store import Result
from schemas.errors import KbwatchError
from schemas.secret import read_secret
from schemas.settings import StoreSettings

try:
    from clickhouse_driver import Client
    from clickhouse_driver import errors as driver_errors
except ImportError:
    raise KbwatchError(
        "a ClickHouse server needs clickhouse-driver, which is not installed: "
        "pip install 'kbwatch[streams]'"
    ) from None

# It logs each failed connection with a traceback; here that is an error with words of its own.
logging.getLogger("clickhouse_driver").setLevel(logging.ERROR)

_OLDEST = (25, 8)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

_INSERT: dict[str, Any] = {
    # An answer means stored, on every shard that gets rows.
    "async_insert": 0,
    "distributed_foreground_insert": 1,
    # Why: schemas.clickhouse.chdb_store.
    "optimize_on_insert": 0,
}
# The driver gives times without a zone as the session's wall clock.
_QUERY = {"distributed_product_mode": "global", "session_timezone": "UTC"}


class ServerStore:
    """A Store on the server that ``settings`` name; connects with the first statement.

    A statement has a connection of its own while it runs, so threads don't wait for one another.
    A connection that failed in any way is closed: after an end of file or a time-out nobody knows
    what the server still does on it, and the caller tries again with the same token.

    Raises KbwatchError when a file or variable that the settings name can't be read.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._where = f"store.host {settings.host}"
        self._options = _options(settings)
        self._lock = Lock()
        self._idle: list[Client] = []
        self._closed = False

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]], token: str) -> int:
        """Insert rows by column, see Store.insert."""
        declared = tables.TABLES[table].columns
        # The driver writes defaults over the Nones of what it is given, and a second try needs
        # them: copies.
        values = [list(columns[column.name]) for column in declared]
        if not values[0]:
            return 0
        names = ", ".join(f"`{column.name}`" for column in declared)
        with self._client() as client:
            client.execute(
                f"INSERT INTO {table} ({names}) VALUES",
                values,
                columnar=True,
                settings={**_INSERT, "insert_deduplication_token": token},
            )
        return len(values[0])

    def query(self, sql: str, params: Mapping[str, str | int | float]) -> Result:
        """Run one statement, see Store.query."""
        with self._client() as client:
            columns, described = client.execute(
                sql, dict(params), with_column_types=True, columnar=True, settings=_QUERY
            )
        names = tuple(name for name, _ in described)
        plain = [
            _plain(kind, values) for (_, kind), values in zip(described, columns, strict=False)
        ]
        return Result(names, tuple(zip(*plain, strict=True)))

    def check(self) -> None:
        """Raise KbwatchError when the server can't be reached, or is too old to keep the laws.

        An older server leaves the token out without an error, so it is refused before the first
        insert.
        """
        version = str(self.query("SELECT version()", {}).rows[0][0])
        if tuple(map(int, version.split(".")[:2])) < _OLDEST:
            needed = ".".join(map(str, _OLDEST))
            raise KbwatchError(
                f"{self._where}: ClickHouse {version} is too old, kbwatch needs {needed} or newer"
            )

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for client in idle:
            client.disconnect()

    @contextmanager
    def _client(self) -> Iterator[Client]:
        with self._lock:
            if self._closed:
                raise KbwatchError("the store is closed")
            client = self._idle.pop() if self._idle else Client(**self._options)
        try:
            yield client
        except BaseException as error:
            client.disconnect()
            raise self._in_words(error) from error
        with self._lock:
            if not self._closed:
                self._idle.append(client)
                return
        client.disconnect()

    def _in_words(self, error: BaseException) -> BaseException:
        """What went wrong for the person who runs this, where it is theirs to mend."""
        if isinstance(error, driver_errors.ServerException):
            first = error.message.splitlines()[0].removesuffix(" Stack trace:")
            if error.code in _REFUSED:
                return KbwatchError(f"{self._where}: {_REFUSED[error.code]} ({first})")
            return KbwatchError(f"{self._where}: the server says: {first} (code {error.code})")
        if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
            return KbwatchError(f"{self._where}: no TLS connection ({error}); see store.ca_file")
        if isinstance(error, driver_errors.Error | OSError | EOFError):
            return KbwatchError(f"{self._where}: no answer ({error or type(error).__name__})")
        return error


_REFUSED = {
    81: "store.database is not there; create it",
    192: "store.user is not known",
    193: "the password of store.user is wrong",
    194: "store.user needs a password: store.password_file or store.password_env",
    516: "store.user or its password is wrong",
}


def _options(settings: StoreSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port or None,
        "database": settings.database,
        "user": settings.user,
        "password": read_secret("store.password", settings.password_file, settings.password_env),
        "client_name": "kbwatch",
        "connect_timeout": settings.connect_timeout_s,
        "send_receive_timeout": settings.timeout_s,
        "sync_request_timeout": min(settings.timeout_s, 5.0),
        "compression": "lz4",
        "tcp_keepalive": True,
        # A setting that the server does not know is an error: a token left out would go unnoticed.
        "settings_is_important": True,
        "settings": {"server_side_params": True},
    }
    if settings.tls:
        options |= {"secure": True, "verify": True}
        files = {"ca_certs": "ca_file", "certfile": "cert_file", "keyfile": "key_file"}
        for option, name in files.items():
            path = getattr(settings, name)
            if path:
                _see_readable(name, path)
                options[option] = path
    return options


def _see_readable(name: str, path: str) -> None:
    try:
        Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise KbwatchError(f"store.{name} {path}: {reason}") from None


def _plain(kind: str, values: Sequence[Any]) -> list[Any]:
    """Times as integer milliseconds, lists as lists, everything else as it is."""
    if "DateTime" in kind:
        return [_milliseconds(value) for value in values]
    if kind.startswith("Array"):
        return [list(value) for value in values]
    return list(values)


def _milliseconds(value: Any) -> Any:  # noqa: ANN401 - a time, or a list of times, or None
    if isinstance(value, datetime):
        since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH
        return round(since / _MS)  # the driver computes in floats, some µs beside the truth
    if isinstance(value, list | tuple):
        return [_milliseconds(item) for item in value]
    return value
