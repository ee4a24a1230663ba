"""A recorded log as the reports that its node would have sent. Pure: no I/O, no clock."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from collectors import version
from collectors.pipeline.fitting import HEADER_BYTES, fitted
from collectors.pipeline.redact import Redactor
from collectors.settings import RedactSettings
from schemas.codec import MAJOR_VERSION, MAX_MESSAGE_BYTES, encode
from schemas.reports import Boot, Event, Facts, NodeReport, Record
from schemas.windows.builds import branch_of
from schemas.windows.names import node_name
from schemas.windows.records import RecordReader

_MAX_RECORDS = 50


class Recorded(Struct, frozen=True):
    """What a node would have sent."""

    node: str
    reports: tuple[NodeReport, ...]
    """In log order, with ``sent_ms`` 0: it is stamped when a report is sent."""
    unfit: tuple[str, ...]
    """One line for each record that is not in them."""


def recorded(events: Sequence[Event], fleet: str, site: str, redact: RedactSettings) -> Recorded:
    """The reports of one machine's log, of which ``events`` are all, at least one, in its order.

    Events are redacted as a collector on the node would, after boots and patch states were made of
    them.

    The node is named by the last computer name in the log (a machine may be renamed) and is its own
    failure domain. Reports hold at most 50 records and 512 KiB, promise no heartbeats and carry
    the boot that was newest then. Raises KbwatchError for a pattern of ``redact`` that can't be
    used.
    """
    redactor = Redactor(redact)
    reader = RecordReader()
    records: list[tuple[Record, int]] = []
    unfit: list[str] = []
    for event in events:
        for record in reader.records_of(event):
            # What redaction puts in may be longer than what it hides.
            hidden = redactor.event(record) if isinstance(record, Event) else record
            sendable = fitted(hidden)
            if sendable is None:
                unfit.append(f"record {event.record_id}: not fit to send")
            else:
                records.append(sendable)
    node = next((name for e in reversed(events) if (name := node_name(e.computer))), "unknown")
    blank = NodeReport(
        v=MAJOR_VERSION,
        fleet=fleet,
        node=node,
        domain=node,
        site=site,
        sent_ms=0,
        records=[],
        heartbeat_s=0,
        collector=version(),
    )
    facts = _facts(events[0].t_ms, [record for record, _ in records])
    sized = [(facts, len(encode(facts))), *records]
    return Recorded(node, tuple(_reports(sized, blank)), tuple(unfit))


def _facts(t_ms: int, records: Iterable[Record]) -> Facts:
    boots = [record for record in records if isinstance(record, Boot)]
    if not boots:
        return Facts(t_ms=t_ms)
    return Facts(t_ms=boots[-1].t_ms, branch=branch_of(boots[-1].build))


def _reports(records: Iterable[tuple[Record, int]], blank: NodeReport) -> Iterator[NodeReport]:
    batch: list[Record] = []
    size_bytes = HEADER_BYTES
    boot_ms = 0
    for record, record_bytes in records:
        with_comma = record_bytes + 1
        full = len(batch) == _MAX_RECORDS or size_bytes + with_comma > MAX_MESSAGE_BYTES
        # A new boot starts a new report: each report belongs to one boot.
        if batch and (full or isinstance(record, Boot)):
            yield replace(blank, records=batch, boot_ms=boot_ms)
            batch, size_bytes = [], HEADER_BYTES
        if isinstance(record, Boot):
            boot_ms = record.t_ms
        batch.append(record)
        size_bytes += with_comma
    yield replace(blank, records=batch, boot_ms=boot_ms)
