"""How long rows stay: one setting a table, put into the tables' TTL.

The TTL counts from ``_received_ms``, as the partitions do, so rows leave by whole parts.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from schemas.clickhouse.cluster import LOCAL, altered
from schemas.clickhouse.store import Store
from schemas.clickhouse.tables import TABLES
from schemas.settings import RetentionSettings

_TTL = re.compile(r" TTL toDateTime\(_received_ms\) \+ toIntervalDay\((\d+)\)(?: SETTINGS |$)")
_ANY_TTL = re.compile(r" TTL (.+?)(?: SETTINGS |$)")
_FOREVER = 0


class OtherTtl(Struct, frozen=True):
    """A table whose TTL is not the one of the settings."""

    table: str
    days: int | None
    """As ``days_of`` has it."""
    ttl: str
    """The database's own words; empty: there is none."""
    wanted: int
    """Days; 0: for ever."""


def days_of(engine: str) -> int | None:
    """Days in the TTL of a table as ``system.tables.engine_full`` has it; 0: rows never leave.

    None: a TTL that kbwatch did not write.
    """
    if " TTL " not in engine:
        return _FOREVER
    found = _TTL.search(engine)
    return int(found[1]) if found else None


def others(store: Store, retention: RetentionSettings, cluster: str = "") -> list[OtherTtl]:
    """The tables whose TTL is not that of the settings; one that is not there has none."""
    found = []
    for table, engine in _engines(store, cluster).items():
        days, wanted = days_of(engine), retention.days(table)
        if days != wanted:
            ttl = _ANY_TTL.search(engine)
            found.append(OtherTtl(table, days, ttl[1] if ttl else "", wanted))
    return found


def keep(store: Store, retention: RetentionSettings, cluster: str = "") -> list[str]:
    """Give each table the TTL of the settings; returns what was changed, in words.

    A TTL that kbwatch did not write, such as one that moves parts to another volume, is left alone,
    and that is said too.
    """
    changed = []
    for other in others(store, retention, cluster):
        table, wanted = other.table, other.wanted
        if other.days is None:
            changed.append(f"{table}: left alone, it has a TTL that kbwatch did not write")
            continue
        if wanted == _FOREVER:
            change = "REMOVE TTL"
        else:
            change = f"MODIFY TTL toDateTime(_received_ms) + toIntervalDay({wanted})"
        store.query(altered(table, change, cluster), {})
        changed.append(f"{table}: kept {in_words(wanted)}")
    return changed


def in_words(days: int) -> str:
    """``730 days``, or ``for ever`` for 0."""
    return "for ever" if days == _FOREVER else f"{days} days"


def _engines(store: Store, cluster: str) -> Mapping[str, str]:
    suffix = LOCAL if cluster else ""
    rows = store.query(
        "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()", {}
    ).rows
    engines = dict(rows)
    return {table: engines[f"{table}{suffix}"] for table in TABLES if f"{table}{suffix}" in engines}
