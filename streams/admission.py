"""Which node reports are used at all: one answer for the detector and for the sink.

The detector dead-letters what is refused here; the sink leaves it out, so that each element a node
sent is either stored or dead-lettered, never both.
"""

from schemas.codec import DecodeError, decode
from schemas.reports import NodeReport
from schemas.topics import key
from streams.kafka_io import partition_of

_FUTURE_MS = 86_400_000
"""A record from after it was sent would let one node end everybody's memory."""


def admit(
    raw: bytes | None, record_key: bytes | None, partition: int, partitions: int
) -> NodeReport:
    """Decode a record of kbw-node-reports and check that it lies where its header says.

    Raises DecodeError with reason ``malformed, oversized, version, invalid, key, partition`` or
    ``future``.
    """
    report = decode(raw or b"", NodeReport)
    expected = key(report.fleet, report.domain)
    if record_key != expected:
        raise DecodeError("key", f"record key {record_key!r}, but the header says {expected!r}")
    if partition_of(expected, partitions) != partition:
        raise DecodeError(
            "partition", f"key {expected!r} does not hash to partition {partition} of {partitions}"
        )
    admit_report(report)
    return report


def admit_report(report: NodeReport) -> None:
    """Check what can be checked of a decoded report without its record."""
    for index, record in enumerate(report.records):
        if record.t_ms > report.sent_ms + _FUTURE_MS:
            raise DecodeError("future", f"$.records[{index}].t_ms is over a day after $.sent_ms")
