"""Decisions: what a detector says of the cases of a stream, one JSON object a line."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field

from schemas.errors import KbwatchError

Kind = Literal["warn", "halt", "notice"]


class Decision(Struct, frozen=True):
    """The first of its type about a case (one KB on one branch)."""

    file: str
    """Name of the stream's file, without folders."""
    type: Kind
    t_ms: int = field(name="t")
    """When it was crossed, Unix ms in the stream's own time."""
    kb: str
    branch: str
    log_e: float
    """The detector's evidence then, as a natural logarithm; 0 where it has none."""
    signature: str = ""
    """What it says is failing; empty when it does not say."""
    rule: tuple[str, ...] = ()
    suspects: dict[str, float] = {}
    """KB → probability that it is the one; empty when the detector does not say."""
    victims: int = 0
    """Patched nodes that the detector holds for hit, up to and including ``t``."""


_DECODER = msgspec.json.Decoder(Decision)


def to_lines(decisions: Iterable[Decision]) -> bytes:
    """Decisions as JSON lines, in their order."""
    return msgspec.json.Encoder().encode_lines(list(decisions))


def read(path: Path) -> list[Decision]:
    """The decisions of a file.

    Raises KbwatchError with file, line and reason for what is none.
    """
    out = []
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                try:
                    out.append(_DECODER.decode(text))
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    raise KbwatchError(f"{path}:{number}: no decision: {error}") from None
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}") from None
    return out
