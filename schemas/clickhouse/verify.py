"""The declared schema against the database's, and what the store holds, by named queries alone:
so both can be asked of a sink that owns the store.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from schemas.clickhouse.cluster import LOCAL, MIGRATION_LIST
from schemas.clickhouse.migrate import migrations
from schemas.clickhouse.retention import days_of
from schemas.clickhouse.store import Result
from schemas.clickhouse.tables import TABLES, Table
from schemas.settings import RetentionSettings

Ask = Callable[[str, Mapping[str, str | int]], Result]
"""Runs a named query."""

_ENGINE = "ReplacingMergeTree"
_PARTITION = "toYYYYMM(_received_ms)"
_MIGRATE = "run `kbwatch store migrate`"
_BY_HAND = "nothing of kbwatch does this: put it right by hand, or fill a new database"


class Difference(Struct, frozen=True):
    """One thing that is not as declared, and what to do."""

    table: str
    what: str
    declared: str
    found: str
    do: str


class TableStatus(Struct, frozen=True):
    """What one table holds; ``rows`` counts copies that were not merged yet."""

    table: str
    rows: int = 0
    parts: int = 0
    disk_bytes: int = 0
    raw_bytes: int = 0
    kept_days: int | None = None
    """0: for ever; None: the table has a TTL that kbwatch did not write, or is not there."""


class Applied(Struct, frozen=True):
    """A migration that ran, and when."""

    number: int
    name: str
    checksum: str
    applied_ms: int


class Status(Struct, frozen=True):
    """What a store is and holds."""

    store: str
    engine: str
    applied: tuple[Applied, ...]
    pending: tuple[str, ...]
    tables: tuple[TableStatus, ...]


def status(ask: Ask, store: str, cluster: str = "") -> Status:
    """What the store holds. ``store`` names it for the reader."""
    suffix = LOCAL if cluster else ""
    tables = {row["table"]: row for row in ask("store_tables", {}).dicts()}
    sizes = {row.pop("table"): row for row in ask("store_sizes", {}).dicts()}
    ran = _ran(ask, tables)
    return Status(
        store=store,
        engine=ask("store_version", {}).rows[0][0],
        applied=tuple(ran),
        pending=_pending(ran),
        tables=tuple(
            TableStatus(
                table=name,
                kept_days=_kept(tables.get(f"{name}{suffix}")),
                **sizes.get(f"{name}{suffix}", {}),
            )
            for name in TABLES
        ),
    )


def differences(ask: Ask, retention: RetentionSettings, cluster: str = "") -> list[Difference]:
    """Where the database is not as declared; an empty list: nowhere."""
    tables = {row["table"]: row for row in ask("store_tables", {}).dicts()}
    columns: dict[str, list[tuple[str, str]]] = {}
    for table, name, kind in ask("store_columns", {}).rows:
        columns.setdefault(table, []).append((name, kind))
    ran = _ran(ask, tables)
    found = [
        Difference(MIGRATION_LIST, "migration", name, "did not run", _MIGRATE)
        for name in _pending(ran)
    ]
    found += _changed(ran)
    for table in TABLES.values():
        holder = f"{table.name}{LOCAL}" if cluster else table.name
        found += _of_table(table, holder, tables, columns, retention, bool(cluster))
        if cluster:
            found += _of_distributed(table, tables, columns)
    return found


def _ran(ask: Ask, tables: Mapping[str, object]) -> list[Applied]:
    if MIGRATION_LIST not in tables:
        return []
    return [Applied(*row) for row in ask("store_migrations", {}).rows]


def _pending(ran: list[Applied]) -> tuple[str, ...]:
    done = {one.number for one in ran}
    return tuple(step.name for step in migrations() if step.number not in done)


def _changed(ran: list[Applied]) -> list[Difference]:
    known = {step.number: step for step in migrations()}
    found = []
    for one in ran:
        step = known.get(one.number)
        if step is None:
            newer = "the store is of a newer kbwatch: upgrade this one"
            found.append(Difference(MIGRATION_LIST, "migration", "not known", one.name, newer))
        elif step.checksum != one.checksum:
            what = f"text of {one.name}"
            found.append(Difference(MIGRATION_LIST, what, step.checksum, one.checksum, _BY_HAND))
    return found


def _of_table(
    table: Table,
    holder: str,
    tables: Mapping[str, dict[str, str]],
    columns: Mapping[str, list[tuple[str, str]]],
    retention: RetentionSettings,
    replicated: bool,
) -> list[Difference]:
    if holder not in tables:
        return [Difference(holder, "table", "there", "missing", _MIGRATE)]
    at = tables[holder]
    kept = _kept(at)
    pairs = [
        ("engine", f"Replicated{_ENGINE}" if replicated else _ENGINE, at["engine"], _BY_HAND),
        ("sorting key", ", ".join(table.identity), at["sorting_key"], _BY_HAND),
        ("partition key", _PARTITION, at["partition_key"], _BY_HAND),
        (
            "days kept",
            str(retention.days(table.name)),
            "another TTL" if kept is None else str(kept),
            _BY_HAND if kept is None else _MIGRATE,
        ),
    ]
    found = [Difference(holder, *pair) for pair in pairs if pair[1] != pair[2]]
    return found + _of_columns(table, holder, columns)


def _of_distributed(
    table: Table,
    tables: Mapping[str, dict[str, str]],
    columns: Mapping[str, list[tuple[str, str]]],
) -> list[Difference]:
    if table.name not in tables:
        return [Difference(table.name, "table", "there", "missing", _MIGRATE)]
    engine = tables[table.name]["engine"]
    if engine != "Distributed":
        return [Difference(table.name, "engine", "Distributed", engine, _BY_HAND)]
    return _of_columns(table, table.name, columns)


def _of_columns(
    table: Table, holder: str, columns: Mapping[str, list[tuple[str, str]]]
) -> list[Difference]:
    declared = {column.name: column.type for column in table.columns}
    there = dict(columns.get(holder, ()))
    found = [
        Difference(
            holder, f"column {name}", declared.get(name, "none"), there.get(name, "none"), _BY_HAND
        )
        for name in {**declared, **there}
        if declared.get(name) != there.get(name)
    ]
    if not found and list(declared) != list(there):
        order = ", ".join
        found.append(
            Difference(holder, "order of columns", order(declared), order(there), _BY_HAND)
        )
    return found


def _kept(table: Mapping[str, str] | None) -> int | None:
    return days_of(table["engine_full"]) if table else None
