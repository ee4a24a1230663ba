"""The tables as inserts see them: ordered columns with their ClickHouse types.

Inserts are made from these declarations; a contract test compares them with what the migrations
really create. Every row says where it comes from: ``_topic_partition``, ``_offset``, ``_index``
(position of the record in its report) and ``_received_ms`` (Kafka's append time, so that a
redelivered record is the same row, byte for byte).

``identity`` is what makes two rows the same: tables are ReplacingMergeTree ordered by it, and the
row received last survives under FINAL.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

NAME = "LowCardinality(String)"
TEXT = "String"
TIME = "DateTime64(3, 'UTC')"
MAYBE_TIME = "Nullable(DateTime64(3, 'UTC'))"
TIMES = "Array(DateTime64(3, 'UTC'))"
NAMES = "Array(String)"
MAYBE_BOOL = "Nullable(Bool)"
NAMED_TEXT = "Map(LowCardinality(String), String)"
NAMED_COUNT = "Map(LowCardinality(String), UInt64)"
FLOAT = "Float64"
U8, U16, U32, U64 = "UInt8", "UInt16", "UInt32", "UInt64"

_FIRST_MS, _LAST_MS = -2_208_988_800_000, 10_413_791_999_999  # DateTime64: years 1900 to 2299
_RANGES = {
    U8: (0, 2**8 - 1),
    U16: (0, 2**16 - 1),
    U32: (0, 2**32 - 1),
    U64: (0, 2**64 - 1),
    TIME: (_FIRST_MS, _LAST_MS),
}


class Column(Struct, frozen=True):
    """One column and its ClickHouse type, written as the database reports it."""

    name: str
    type: str


class Table(Struct, frozen=True):
    """One table: its columns in order, and the columns that identify a row (its sorting key)."""

    name: str
    columns: tuple[Column, ...]
    identity: tuple[str, ...]


def fit(column_type: str, values: list[Any]) -> list[Any]:
    """Values that the column can hold: integers out of its range become its nearest end.

    Contracts allow any count; without this a single absurd number would stop a whole batch.
    """
    span = _RANGES.get(column_type)
    if span is None or not values:
        return values
    low, high = span
    if min(values) >= low and max(values) <= high:
        return values
    return [min(max(value, low), high) for value in values]


def _table(name: str, identity: str, columns: Sequence[tuple[str, str]]) -> Table:
    return Table(
        name=name,
        columns=tuple(Column(*column) for column in (*columns, *_ORIGIN)),
        identity=tuple(identity.split()),
    )


_ORIGIN = (
    ("_topic_partition", NAME),
    ("_offset", U64),
    ("_index", U32),
    ("_received_ms", TIME),
)
_NODE = (("fleet", NAME), ("node", NAME), ("domain", NAME), ("site", NAME), ("t_ms", TIME))
_CASE = (("fleet", NAME), ("case_id", NAME))

_DECLARED = (
    _table(
        "node_events",
        # The event id only matters for sources without record ids: they may log two in one ms.
        "fleet node channel t_ms record_id id",
        (
            *_NODE,
            ("channel", NAME),
            ("provider", NAME),
            ("id", U32),
            ("version", U8),
            ("level", U8),
            ("record_id", U64),
            ("data", NAMED_TEXT),
            ("binary", TEXT),
            ("computer", NAME),
            ("about", NAME),
        ),
    ),
    _table(
        "patch_states",
        "fleet kb node t_ms state source record_id",
        (
            *_NODE,
            ("kb", NAME),
            ("state", NAME),
            ("source", NAME),
            ("build", NAME),
            ("record_id", U64),
        ),
    ),
    _table(
        "boots",
        "fleet node t_ms record_id",
        (*_NODE, ("build", NAME), ("clean", MAYBE_BOOL), ("record_id", U64)),
    ),
    _table(
        "node_facts",
        "fleet node t_ms",
        (
            *_NODE,
            ("role", NAME),
            ("os", NAME),
            ("branch", NAME),
            ("cluster", NAME),
            ("ring", NAME),
            ("virtual", MAYBE_BOOL),
            ("covariates", NAMED_TEXT),
            ("changes", NAMED_TEXT),
            ("backup_ms", MAYBE_TIME),
        ),
    ),
    _table(
        "heartbeats",
        "fleet node t_ms",
        (
            *_NODE,
            ("sent_ms", TIME),
            ("boot_ms", TIME),
            ("heartbeat_s", U32),
            ("collector", NAME),
            ("lost", U64),
            ("dropped", U64),
            ("spool_depth", U64),
            ("newest_record_ids", NAMED_COUNT),
            ("lags_s", NAMED_COUNT),
        ),
    ),
    _table(
        "onsets",
        "fleet branch signature first_ms node",
        (
            ("fleet", NAME),
            ("branch", NAME),
            ("domain", NAME),
            ("site", NAME),
            ("role", NAME),
            ("node", NAME),
            ("signature", NAME),
            ("cls", NAME),
            ("impact", NAME),
            ("first_ms", TIME),
            ("last_ms", TIME),
            ("times", TIMES),
            ("record_id", U64),
        ),
    ),
    _table(
        "verdicts",
        # A verdict has no identity of its own: the same bytes published again are the same row.
        "fleet case_id asof_ms digest",
        (
            *_CASE,
            ("kb", NAME),
            ("branch", NAME),
            ("build", NAME),
            ("state", NAME),
            ("sentence", TEXT),
            ("started_ms", TIME),
            ("asof_ms", TIME),
            ("exposed", U32),
            ("controls", U32),
            ("victims", U32),
            ("signature", NAME),
            ("log_e", FLOAT),
            ("log_e_any", FLOAT),
            ("log_c", FLOAT),
            ("log_h", FLOAT),
            ("log_e_warn", FLOAT),
            ("log_threshold", FLOAT),
            ("observed", U32),
            ("p_5pct", FLOAT),
            ("rate_95", FLOAT),
            ("left_untouched", U32),
            ("left_offered", U32),
            ("left_staged", U32),
            ("left_effective", U32),
            ("halt_ms", MAYBE_TIME),
            ("warn_ms", MAYBE_TIME),
            ("notice_ms", MAYBE_TIME),
            ("first_victim_ms", MAYBE_TIME),
            ("victim_nodes", NAMES),
            ("reasons", NAMES),
            ("calibration", NAME),
            ("trust", NAME),
            ("digest", TEXT),
            ("body", TEXT),
        ),
    ),
    _table(
        "halts",
        "fleet case_id at_ms halt_id state digest",
        (
            *_CASE,
            ("halt_id", TEXT),
            ("kb", NAME),
            ("branch", NAME),
            ("build", NAME),
            ("state", NAME),
            ("mode", NAME),
            ("scope", TEXT),
            ("sentence", TEXT),
            ("signature", NAME),
            ("at_ms", TIME),
            ("who", NAME),
            ("why", TEXT),
            ("crossed_ms", TIME),
            ("victims", U32),
            ("exposed", U32),
            ("controls", U32),
            ("log_e", FLOAT),
            ("log_threshold", FLOAT),
            ("calibration", NAME),
            ("trust", NAME),
            ("digest", TEXT),
            ("body", TEXT),
        ),
    ),
    _table(
        "halt_deliveries",
        "fleet case_id webhook_id",
        (
            *_CASE,
            ("webhook_id", TEXT),
            ("halt_id", TEXT),
            ("target", NAME),
            ("transition", NAME),
            ("state", NAME),
            ("created_ms", TIME),
            ("attempts", U32),
            ("next_attempt_ms", TIME),
            ("last_status", U16),
            ("last_error", TEXT),
            ("delivered_ms", MAYBE_TIME),
            ("body", TEXT),
        ),
    ),
    _table(
        "dead_letters",
        # With the digest, offsets that start anew in a re-created topic don't collide.
        "origin_topic origin_partition origin_offset digest",
        (
            ("origin_topic", NAME),
            ("origin_partition", U32),
            ("origin_offset", U64),
            ("reason", NAME),
            ("detail", TEXT),
            ("size_bytes", U64),
            ("digest", TEXT),
        ),
    ),
)

TABLES = {table.name: table for table in _DECLARED}
RECORD_TABLES = ("node_events", "patch_states", "boots", "node_facts", "heartbeats")
"""Tables with one row per record of a node report."""
