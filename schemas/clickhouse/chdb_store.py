"""The embedded store: ClickHouse as a library (chDB), in a folder that one process owns."""

import fcntl
import os
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from pathlib import Path
from threading import Lock
from typing import IO, Any

from schemas.clickhouse import tables
from schemas.clickhouse.store import Result, StoreBusyError
from schemas.errors import KbwatchError

try:
    import pyarrow as pa
    from chdb.session import Session
except ImportError:
    raise KbwatchError(
        "the embedded store needs chDB, which is not installed: pip install 'kbwatch[embedded]'"
    ) from None

_LOCK_FILE = "kbwatch.lock"

# Without optimize_on_insert duplicates of one batch go with a later merge; FINAL hides them until
# then. With it the engine sorts and merges each batch by itself, at a third of the rate.
_INSERT = "async_insert = 0, optimize_on_insert = 0"

_TIMESTAMP = pa.timestamp("ms", tz="UTC")
_ARROW: dict[str, pa.DataType] = {
    tables.NAME: pa.string(),
    tables.TEXT: pa.string(),
    tables.TIME: _TIMESTAMP,
    tables.MAYBE_TIME: _TIMESTAMP,
    tables.TIMES: pa.list_(_TIMESTAMP),
    tables.NAMES: pa.list_(pa.string()),
    tables.MAYBE_BOOL: pa.bool_(),
    tables.NAMED_TEXT: pa.map_(pa.string(), pa.string()),
    tables.NAMED_COUNT: pa.map_(pa.string(), pa.uint64()),
    tables.FLOAT: pa.float64(),
    tables.U8: pa.uint8(),
    tables.U16: pa.uint16(),
    tables.U32: pa.uint32(),
    tables.U64: pa.uint64(),
}

# Bound strings are read as TSV fields: without this C:\new becomes C:<newline>ew, a tab an error.
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


class ChdbStore:
    """A Store in the folder ``path``; makes the folder when it is not there.

    Raises StoreBusyError when another process has the folder, KbwatchError when it can't be used.
    One session under one lock: chDB releases the GIL, so calls from threads don't stop an event
    loop, but they follow one another.
    """

    def __init__(self, path: str | Path) -> None:
        folder = Path(path).absolute()
        if "?" in str(folder):  # chDB would take the rest as start-up options
            raise KbwatchError(f"store.path {folder}: choose a folder without '?' in its name")
        self._lock = Lock()
        self._session: Session | None = None
        self._lock_file = _own(folder)
        try:
            self._session = Session(str(folder))
        except RuntimeError as error:
            self._lock_file.close()
            raise KbwatchError(
                f"store.path {folder}: chDB can't open it ({_first_line(error)}); "
                "is it a chDB folder, and the only one that this process opens?"
            ) from None

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]], token: str) -> int:
        """Insert rows by column, see Store.insert."""
        declared = tables.TABLES[table].columns
        batch = pa.RecordBatch.from_arrays(
            [_array(column.type, columns[column.name]) for column in declared],
            names=[column.name for column in declared],
        )
        if not batch.num_rows:
            return 0
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, batch.schema) as writer:
            writer.write_batch(batch)
        names = ", ".join(f"`{column.name}`" for column in declared)
        statement = (
            f"INSERT INTO {table} ({names}) "
            f"SETTINGS {_INSERT}, insert_deduplication_token = {_quote(token)}"
        )
        # Without finish nothing is written; leaving the block on an error cancels the insert.
        with self._lock, self._open().send_insert(statement, "ArrowStream") as inserter:
            inserter.append(out.getvalue().to_pybytes())
            inserter.finish()
        return int(batch.num_rows)

    def query(self, sql: str, params: Mapping[str, str | int | float]) -> Result:
        """Run one statement, see Store.query."""
        bound = {
            name: value.translate(_ESCAPES) if isinstance(value, str) else value
            for name, value in params.items()
        }
        with self._lock:
            raw = self._open().query(sql, "Arrow", params=bound).bytes()
        if not raw:  # statements without a result
            return Result((), ())
        table = pa.ipc.open_file(pa.py_buffer(raw)).read_all()
        columns = [_values(column) for column in table.columns]
        return Result(tuple(table.column_names), tuple(zip(*columns, strict=True)))

    def close(self) -> None:
        """Close the session and let go of the folder."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None
                self._lock_file.close()

    def _open(self) -> Session:
        if self._session is None:
            raise KbwatchError("the store is closed")
        return self._session


def _own(folder: Path) -> IO[str]:
    """Take the folder for this process: chDB's own lock fails with a message nobody understands."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / _LOCK_FILE).open("a+")
    except OSError as error:
        raise KbwatchError(
            f"store.path {folder}: {error.strerror}; choose a folder that can be written"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise StoreBusyError(
            f"store.path {folder}: in use by process {owner}; one process at a time can open it"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _array(column_type: str, values: Sequence[Any]) -> pa.Array:
    kind = _ARROW[column_type]
    if pa.types.is_map(kind):
        # Nearly twice the insert rate of pa.array from pairs: most of what is stored is data.
        offsets = pa.array([0, *accumulate(map(len, values))], pa.int32())
        keys = pa.array(list(chain.from_iterable(values)), kind.key_type)
        items = pa.array(list(chain.from_iterable(map(dict.values, values))), kind.item_type)
        return pa.MapArray.from_arrays(offsets, keys, items)
    return pa.array(values, kind)


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Times as integer milliseconds, maps as dicts, everything else as it is."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(_TIMESTAMP).cast(pa.int64())
    elif pa.types.is_list(kind) and pa.types.is_timestamp(kind.value_type):
        column = column.cast(pa.list_(_TIMESTAMP)).cast(pa.list_(pa.int64()))
    values: list[Any] = column.to_pylist()
    return [dict(value) for value in values] if pa.types.is_map(kind) else values


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
