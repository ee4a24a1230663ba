"""What every store client can do, and no more: the rest of kbwatch knows this protocol alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from schemas.errors import KbwatchError


class StoreBusyError(KbwatchError):
    """The store's folder belongs to another process at the moment."""


class Result(Struct, frozen=True):
    """What a query answered: plain Python values; times are integer Unix milliseconds UTC."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def dicts(self) -> list[dict[str, Any]]:
        """The rows by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Store(Protocol):
    """A ClickHouse that keeps the tables of ``tables.TABLES``. Safe to use from many threads.

    Laws: rows are durable when ``insert`` returns; the same ``token`` twice on a table is one
    insert; the same record twice under different tokens is one row under FINAL.
    """

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]], token: str) -> int:
        """Insert rows given by column and return how many.

        ``columns`` holds every column that ``tables.TABLES[table]`` declares, all of one length,
        times as integer milliseconds. Any exception means: not known to be stored, try again with
        the same token.
        """
        ...

    def query(self, sql: str, params: Mapping[str, str | int | float]) -> Result:
        """Run one statement, values bound to ``{name:Type}`` places."""
        ...

    def close(self) -> None:
        """Let go of the store; closing twice is harmless."""
        ...
