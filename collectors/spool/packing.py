"""A bundle made ready for the spool."""

from typing import Any

from msgspec import Struct, convert, msgpack, to_builtins
from msgspec.structs import replace

from collectors.spool.bundle import Bundle
from collectors.spool.segments import ENTRY_HEAD_BYTES, FILE_HEAD_BYTES
from schemas.reports import NodeReport


class Packed(Struct, frozen=True):
    """A bundle, its report as MessagePack, and what it takes in a segment at most."""

    bundle: Bundle
    report: bytes
    size_bytes: int


def packed(bundle: Bundle) -> Packed:
    """A bundle as the spool writes it; text that no UTF-8 can carry is mended."""
    try:
        report = msgpack.encode(bundle.report)
    except UnicodeEncodeError:
        # Windows text is UTF-16 and may hold halves of characters, which no UTF-8 can carry.
        bundle = replace(bundle, report=convert(_whole(to_builtins(bundle.report)), NodeReport))
        report = msgpack.encode(bundle.report)
    positions_bytes = len(msgpack.encode(bundle.positions))
    head_bytes = ENTRY_HEAD_BYTES + FILE_HEAD_BYTES
    return Packed(bundle, report, head_bytes + positions_bytes + len(report))


def _whole(value: Any) -> Any:  # noqa: ANN401 - whatever a report is made of
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
