"""How long rows stay: one setting a table, put into the tables' TTL.

The TTL counts from ``_received_ms``, as the partitions do, so rows leave by whole parts.
"""

import re
from collections.abc import Mapping

from schemas.clickhouse.cluster import LOCAL, altered
from schemas.clickhouse.store import Store
from schemas.clickhouse.tables import TABLES
from schemas.settings import RetentionSettings

_TTL = re.compile(r" TTL toDateTime\(_received_ms\) \+ toIntervalDay\((\d+)\)(?: SETTINGS |$)")
_FOREVER = 0


def days_of(engine: str) -> int | None:
    """Days in the TTL of a table as ``system.tables.engine_full`` has it; 0: rows never leave.

    None: a TTL that kbwatch did not write.
    """
    if " TTL " not in engine:
        return _FOREVER
    found = _TTL.search(engine)
    return int(found[1]) if found else None


def keep(store: Store, retention: RetentionSettings, cluster: str = "") -> list[str]:
    """Give each table the TTL of the settings; returns what was changed, in words.

    A TTL that kbwatch did not write, such as one that moves parts to another volume, is left alone,
    and that is said too.
    """
    changed = []
    for table, days in _found(store, cluster).items():
        wanted = retention.days(table)
        if days == wanted:
            continue
        if days is None:
            changed.append(f"{table}: left alone, it has a TTL that kbwatch did not write")
            continue
        if wanted == _FOREVER:
            change = "REMOVE TTL"
        else:
            change = f"MODIFY TTL toDateTime(_received_ms) + toIntervalDay({wanted})"
        store.query(altered(table, change, cluster), {})
        changed.append(f"{table}: kept {'for ever' if wanted == _FOREVER else f'{wanted} days'}")
    return changed


def _found(store: Store, cluster: str) -> Mapping[str, int | None]:
    suffix = LOCAL if cluster else ""
    rows = store.query(
        "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()", {}
    ).rows
    engines = dict(rows)
    return {
        table: days_of(engines[f"{table}{suffix}"])
        for table in TABLES
        if f"{table}{suffix}" in engines
    }
