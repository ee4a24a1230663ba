"""Named queries about the store itself: what `kbwatch store status` and `verify` ask."""

from schemas.clickhouse.named_query import NamedQuery

ABOUT_STORE = (
    NamedQuery(
        name="store_version",
        doc="The engine's version.",
        params={},
        columns=("version",),
        sql="SELECT version() AS version",
    ),
    NamedQuery(
        name="store_migrations",
        doc="The migrations that ran, in order.",
        params={},
        columns=("number", "name", "checksum", "applied_ms"),
        sql="""
SELECT number, name, checksum, applied_ms
FROM kbw_migrations FINAL
ORDER BY number""",
    ),
    NamedQuery(
        name="store_tables",
        doc="The tables there are, with their engine, keys and settings.",
        params={},
        columns=("table", "engine", "sorting_key", "partition_key", "engine_full"),
        sql="""
SELECT name AS table, engine, sorting_key, partition_key, engine_full
FROM system.tables
WHERE database = currentDatabase()
ORDER BY table""",
    ),
    NamedQuery(
        name="store_columns",
        doc="The columns of every table, in order.",
        params={},
        columns=("table", "name", "type"),
        sql="""
SELECT table, name, type
FROM system.columns
WHERE database = currentDatabase()
ORDER BY table, position""",
    ),
    NamedQuery(
        name="store_sizes",
        doc="Rows (copies that were not merged yet included) and bytes of each table on disk; "
        "on a cluster, of the server that is asked.",
        params={},
        columns=("table", "rows", "parts", "disk_bytes", "raw_bytes"),
        sql="""
SELECT table, sum(rows) AS rows, count() AS parts, sum(bytes_on_disk) AS disk_bytes,
    sum(data_uncompressed_bytes) AS raw_bytes
FROM system.parts
WHERE active AND database = currentDatabase()
GROUP BY table
ORDER BY table""",
    ),
)
