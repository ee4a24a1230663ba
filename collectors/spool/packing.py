"""A bundle made ready for the spool."""

from msgspec import Struct, msgpack

from collectors.spool.bundle import Bundle
from collectors.spool.segments import ENTRY_HEAD_BYTES, FILE_HEAD_BYTES


class Packed(Struct, frozen=True):
    """A bundle, its report as MessagePack, and what it takes in a segment at most."""

    bundle: Bundle
    report: bytes
    size_bytes: int


def packed(bundle: Bundle) -> Packed:
    """A bundle as the spool writes it."""
    report = msgpack.encode(bundle.report)
    positions_bytes = len(msgpack.encode(bundle.positions))
    head_bytes = ENTRY_HEAD_BYTES + FILE_HEAD_BYTES
    return Packed(bundle, report, head_bytes + positions_bytes + len(report))
