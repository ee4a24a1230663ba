"""Contracts → columns of the store's tables. Pure: no I/O, no clock.

The columns are those of ``schemas.clickhouse.tables``, times as integer Unix milliseconds UTC.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Struct

from schemas.clickhouse.tables import TABLES, fit
from schemas.evidence import OnsetSeen
from schemas.halts import Delivery, Halt
from schemas.reports import Boot, Event, Facts, Heartbeat, NodeReport, PatchState, Record
from schemas.verdicts import Verdict

Columns = dict[str, list[Any]]
"""All columns of one table, of one length."""
Rows = dict[str, Columns]
"""Columns by table; only tables that get rows."""

_Row = Mapping[str, Any]
_T = TypeVar("_T")


class Origin(NamedTuple):
    """Where a message comes from: ``kbw-verdicts-3``, its offset, and when Kafka got it (ms)."""

    topic_partition: str
    offset: int
    received_ms: int


class Taken(NamedTuple, Generic[_T]):
    """A message that could be read, and its bytes."""

    origin: Origin
    value: _T
    raw: bytes


class _Bucket(NamedTuple):
    """Records of one kind, and the messages they came in: each with how many of them."""

    records: list[Any]
    positions: list[int]
    reports: list[NodeReport]
    origins: list[Origin]
    counts: list[int]

    def add(
        self, report: NodeReport, origin: Origin, records: Sequence[Any], positions: Sequence[int]
    ) -> None:
        self.records.extend(records)
        self.positions.extend(positions)
        self.reports.append(report)
        self.origins.append(origin)
        self.counts.append(len(records))

    def repeated(self, values: Iterable[Any]) -> list[Any]:
        """One value a message → one value a record."""
        return list(chain.from_iterable(map(repeat, values, self.counts)))


_HEADER = ("fleet", "node", "domain", "site")
_ORIGIN = {
    "_topic_partition": attrgetter("topic_partition"),
    "_offset": attrgetter("offset"),
    "_received_ms": attrgetter("received_ms"),
}
# Columns that are not the record's field of the same name.
_DERIVED: dict[str, dict[str, Callable[[Any], Any]]] = {
    "node_events": {"about": lambda event: event.about or ""},
    "patch_states": {},
    "boots": {},
    "node_facts": {
        "covariates": lambda facts: {name: _text(value) for name, value in facts.covariates.items()}
    },
    "heartbeats": {
        "newest_record_ids": lambda beat: {
            name: channel.newest_record_id for name, channel in beat.channels.items()
        },
        "lags_s": lambda beat: {name: channel.lag_s for name, channel in beat.channels.items()},
    },
}
_OF_REPORT = {"heartbeats": ("sent_ms", "boot_ms", "heartbeat_s", "collector")}
_TABLE_OF: dict[type[Record], str] = {
    Event: "node_events",
    PatchState: "patch_states",
    Boot: "boots",
    Facts: "node_facts",
    Heartbeat: "heartbeats",
}


def report_rows(taken: Iterable[Taken[NodeReport]]) -> Rows:
    """Every record of the reports, one row each, in the table of its kind."""
    buckets = {table: _Bucket([], [], [], [], []) for table in _TABLE_OF.values()}
    by_type = {kind: buckets[table] for kind, table in _TABLE_OF.items()}
    for origin, report, _ in taken:
        records = report.records
        kinds = set(map(type, records))
        for kind in kinds:
            if len(kinds) == 1:  # as most reports are: no need to look at each record
                by_type[kind].add(report, origin, records, range(len(records)))
            else:
                places = [at for at, record in enumerate(records) if type(record) is kind]
                by_type[kind].add(report, origin, [records[at] for at in places], places)
    return {
        table: _record_columns(table, bucket) for table, bucket in buckets.items() if bucket.records
    }


def onset_rows(taken: Iterable[Taken[OnsetSeen]]) -> Rows:
    """One row per counted onset."""
    return _rows(
        "onsets",
        taken,
        lambda seen, _: {
            **_fields(seen, "fleet branch domain site role"),
            **_fields(seen.onset, "node signature cls impact first_ms last_ms times record_id"),
        },
    )


def verdict_rows(taken: Iterable[Taken[Verdict]]) -> Rows:
    """One row per published verdict; the message's bytes are its identity and its body."""

    def row(verdict: Verdict, raw: bytes) -> _Row:
        left = verdict.left
        return {
            **_fields(
                verdict,
                "fleet kb branch build state sentence started_ms asof_ms exposed controls victims "
                "signature log_e log_e_any log_c log_h log_e_warn log_threshold first_victim_ms "
                "victim_nodes reasons calibration trust",
            ),
            **_fields(verdict.power, "observed p_5pct rate_95"),
            "case_id": verdict.case,
            "left_untouched": left.untouched,
            "left_offered": left.offered,
            "left_staged": left.staged,
            "left_effective": left.effective,
            "halt_ms": verdict.halt.t_ms if verdict.halt else None,
            "warn_ms": verdict.warn.t_ms if verdict.warn else None,
            "notice_ms": verdict.notice.t_ms if verdict.notice else None,
            "digest": digest(raw),
            "body": raw.decode(),
        }

    return _rows("verdicts", taken, row)


def halt_rows(taken: Iterable[Taken[Halt]]) -> Rows:
    """One row per published halt: its newest transition, and the crossing that caused it."""

    def row(halt: Halt, raw: bytes) -> _Row:
        newest = halt.history[-1] if halt.history else None
        return {
            **_fields(
                halt,
                "fleet halt_id kb branch build state mode scope sentence signature log_threshold "
                "calibration trust",
            ),
            **_fields(halt.crossing, "victims exposed controls log_e"),
            "case_id": halt.case,
            "at_ms": newest.at_ms if newest else halt.crossing.t_ms,
            "who": newest.who if newest else "",
            "why": newest.why if newest else "",
            "crossed_ms": halt.crossing.t_ms,
            "digest": digest(raw),
            "body": raw.decode(),
        }

    return _rows("halts", taken, row)


def delivery_rows(taken: Iterable[Taken[Delivery]]) -> Rows:
    """One row per state of a webhook; the newest survives."""
    return _rows(
        "halt_deliveries",
        taken,
        lambda delivery, _: {
            **_fields(
                delivery,
                "fleet webhook_id halt_id target transition state created_ms attempts "
                "next_attempt_ms last_status last_error delivered_ms body",
            ),
            "case_id": delivery.case,
        },
    )


def dead_letter_rows(taken: Iterable[Taken[Mapping[str, bytes]]]) -> Rows:
    """One row per dead letter, from its headers and its raw bytes (which are not stored).

    A message without the headers was put there by somebody else: its origin stays empty.
    """
    return _rows(
        "dead_letters",
        taken,
        lambda headers, raw: {
            "origin_topic": _header(headers, "origin_topic"),
            "origin_partition": _number(headers, "origin_partition"),
            "origin_offset": _number(headers, "origin_offset"),
            "reason": _header(headers, "reason") or "unknown",
            "detail": _header(headers, "detail"),
            "size_bytes": len(raw),
            "digest": digest(raw),
        },
    )


def batch_token(origins: Sequence[Origin]) -> str:
    """A token that is the same whenever the same messages are inserted again (in any table).

    Append times are part of it: offsets start anew when a topic is created again, and rows whose
    token was seen before are silently left out.
    """
    ranges: dict[str, list[int]] = {}
    for name, offset, received_ms in origins:
        span = ranges.setdefault(name, [offset, offset, received_ms, received_ms, 0])
        span[0] = min(span[0], offset)
        span[1] = max(span[1], offset)
        span[2] = min(span[2], received_ms)
        span[3] = max(span[3], received_ms)
        span[4] += 1
    return digest(repr(sorted(ranges.items())).encode())


def digest(raw: bytes) -> str:
    """32 hexadecimal digits that stand for ``raw``."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def _record_columns(table: str, bucket: _Bucket) -> Columns:
    columns: Columns = {"_index": bucket.positions}
    for name in (*_HEADER, *_OF_REPORT.get(table, ())):
        columns[name] = bucket.repeated(map(attrgetter(name), bucket.reports))
    for name, of_origin in _ORIGIN.items():
        columns[name] = bucket.repeated(map(of_origin, bucket.origins))
    derived = _DERIVED[table]
    for column in TABLES[table].columns:
        if column.name not in columns:
            getter = derived.get(column.name) or attrgetter(column.name)
            columns[column.name] = list(map(getter, bucket.records))
    return _fitted(table, columns)


def _rows(table: str, taken: Iterable[Taken[_T]], row: Callable[[_T, bytes], _Row]) -> Rows:
    names = [column.name for column in TABLES[table].columns]
    columns: Columns = {name: [] for name in names}
    for origin, message, raw in taken:
        values = {
            **row(message, raw),
            "_topic_partition": origin.topic_partition,
            "_offset": origin.offset,
            "_index": 0,
            "_received_ms": origin.received_ms,
        }
        for name in names:
            columns[name].append(values[name])
    return {table: _fitted(table, columns)} if columns[names[0]] else {}


def _fitted(table: str, columns: Columns) -> Columns:
    return {column.name: fit(column.type, columns[column.name]) for column in TABLES[table].columns}


def _fields(struct: Struct, names: str) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in names.split()}


def _text(value: bool | str) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _header(headers: Mapping[str, bytes], name: str) -> str:
    return headers.get(name, b"").decode(errors="replace")


def _number(headers: Mapping[str, bytes], name: str) -> int:
    text = _header(headers, name)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
