"""The same tables on a cluster: replicated parts under a distributed table of the same name.

``node_events`` becomes ``node_events_local``, replicated within each shard, and a distributed
``node_events`` over it, so every statement of kbwatch and of its boards stands as it is. Rows are
spread by their identity: two copies of a row meet on one shard, and FINAL makes them one there.
"""

import re

from schemas.clickhouse.tables import TABLES
from schemas.errors import KbwatchError

LOCAL = "_local"
"""Ends the name of the replicated table under a distributed one."""

MIGRATION_LIST = "kbw_migrations"
"""Has no distributed table: each server keeps the whole list."""

_CREATE = re.compile(r"(CREATE TABLE IF NOT EXISTS) (\w+)\n")
_ADD = re.compile(r"ALTER TABLE (\w+) (ADD COLUMN IF NOT EXISTS .+)", re.DOTALL)
_COMMENTS = re.compile(r"^\s*--.*\n", re.MULTILINE)
_ENGINE = "ReplacingMergeTree("
_WINDOW = "non_replicated_deduplication_window"
_SHARD_BY = {
    "verdicts": "fleet, case_id",
    "halts": "fleet, case_id",
    "halt_deliveries": "fleet, case_id",
    "dead_letters": "origin_topic, origin_partition, origin_offset",
}
_BY_NODE = "fleet, node"


def rendered(statement: str, cluster: str) -> list[str]:
    """The statements that a migration's statement stands for on ``cluster``.

    Raises KbwatchError for a statement that has no meaning there yet.
    """
    bare = _COMMENTS.sub("", statement).strip()
    added = _ADD.fullmatch(bare)
    if added is not None:
        # What holds the rows first: the distributed table asks it for the column.
        return [
            f"ALTER TABLE {table} ON CLUSTER '{cluster}' {added[2]}"
            for table in (added[1] + LOCAL, added[1])
        ]
    found = _CREATE.search(bare)
    if found is None:
        raise KbwatchError(f"no form for a cluster: {statement.splitlines()[0]}")
    table = found[2]
    if table == MIGRATION_LIST:
        path, replica, local = f"/clickhouse/tables/all/{{database}}/{table}", "{shard}-", table
    else:
        path, replica, local = (
            f"/clickhouse/tables/{{shard}}/{{database}}/{table}",
            "",
            table + LOCAL,
        )
    replicated = statement.replace(
        f"CREATE TABLE IF NOT EXISTS {table}\n",
        f"CREATE TABLE IF NOT EXISTS {local} ON CLUSTER '{cluster}'\n",
    )
    replicated = replicated.replace(
        f"ENGINE = {_ENGINE}", f"ENGINE = Replicated{_ENGINE}'{path}', '{replica}{{replica}}', "
    )
    # A week, as long as Kafka keeps what would be written again.
    replicated = re.sub(
        rf"{_WINDOW} = (\d+)",
        r"replicated_deduplication_window = \1, replicated_deduplication_window_seconds = 604800",
        replicated,
    )
    if local == table:
        return [replicated]
    key = _SHARD_BY.get(table, _BY_NODE)
    distributed = (
        f"CREATE TABLE IF NOT EXISTS {table} ON CLUSTER '{cluster}' AS {local}\n"
        f"ENGINE = Distributed('{cluster}', currentDatabase(), '{local}', cityHash64({key}))"
    )
    return [replicated, distributed]


def altered(table: str, change: str, cluster: str) -> str:
    """``ALTER TABLE`` on what holds the rows; without a cluster that is the table itself."""
    if table not in TABLES:
        raise KbwatchError(f"no table {table}")
    if not cluster:
        return f"ALTER TABLE {table} {change}"
    return f"ALTER TABLE {table}{LOCAL} ON CLUSTER '{cluster}' {change}"
