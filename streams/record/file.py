"""A recording that can be gone on with: where it ends, and adding to it.

Lines are added in blocks, each a zstd frame of its own, and each line says where in Kafka its
record lies. So whatever ends a recording, all but its last block stays.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import zstandard
from msgspec import Struct

from schemas.errors import KbwatchError
from streams.recording import opened

SUFFIXES = (".jsonl", ".jsonl.zst")
_CHUNK_BYTES = 1 << 20
_HEAD = b'{"append_ms":0,"partition":0,"offset":0'
"""How each line begins, but for the numbers."""
_HEAD_BYTES = 100


class Mark(Struct, frozen=True):
    """Where a line's record lay, and when Kafka got it (Unix ms)."""

    append_ms: int
    partition: int
    offset: int


def marks(path: Path) -> dict[int, Mark]:
    """Where the recording ends, by partition. What a killed writer left unfinished is cut off.

    Raises KbwatchError for a file that `kbwatch record` did not write; it stays as it is.
    """
    try:
        with opened(path, "rb") as file:
            for text in file:
                if not _is_begun(text):
                    _mark(path, 1, text)
                break
        os.truncate(path, _whole_bytes(path))
        found: dict[int, Mark] = {}
        with opened(path, "rb") as file:
            for number, text in enumerate(file, start=1):
                mark = _mark(path, number, text)
                found[mark.partition] = mark
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}") from None
    except zstandard.ZstdError as error:
        raise KbwatchError(f"{path}: not readable as zstd: {error}") from None
    return found


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Make sure that the recording can be written, and that nobody else writes it. A new file can
    be read by its owner alone; one that is empty in the end is removed.

    Raises KbwatchError when it can't, or when somebody does.
    """
    if not path.name.endswith(SUFFIXES):
        raise KbwatchError(f"{path}: a recording ends in {' or '.join(SUFFIXES)}")
    try:
        file = open(path, "ab", opener=_private)  # noqa: SIM115 - closed by the with below
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KbwatchError(f"{path}: another `kbwatch record` is writing it") from None
        try:
            yield
        finally:
            if not path.stat().st_size:
                path.unlink()


def append(path: Path, block: Sequence[bytes]) -> None:
    """Add lines to a recording."""
    if block:
        with opened(path, "ab") as file:
            file.writelines(block)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_begun(text: bytes) -> bool:
    """Whether ``text`` is what a writer left that was killed within a line."""
    if text.endswith(b"\n"):
        return False
    head = re.sub(rb"\d+", b"0", text[:_HEAD_BYTES])
    return head.startswith(_HEAD) or _HEAD.startswith(head)


def _mark(path: Path, number: int, text: bytes) -> Mark:
    try:
        return msgspec.json.decode(text, type=Mark)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise KbwatchError(
            f"{path}:{number}: does not say where in Kafka it was: only what `kbwatch record` "
            "wrote can be resumed"
        ) from None


def _whole_bytes(path: Path) -> int:
    """How many bytes of the file are whole lines, or whole frames of zstd."""
    whole = _whole_frames if path.suffix == ".zst" else _whole_lines
    with path.open("rb") as file:
        return whole(iter(lambda: file.read(_CHUNK_BYTES), b""))


def _whole_lines(chunks: Iterator[bytes]) -> int:
    read = whole = 0
    for chunk in chunks:
        if b"\n" in chunk:
            whole = read + chunk.rindex(b"\n") + 1
        read += len(chunk)
    return whole


def _whole_frames(chunks: Iterator[bytes]) -> int:
    read = whole = 0
    frame = zstandard.ZstdDecompressor().decompressobj()
    for chunk in chunks:
        read += len(chunk)
        rest = chunk
        while rest:
            frame.decompress(rest)
            if not frame.eof:
                break
            rest = frame.unused_data
            whole = read - len(rest)
            frame = zstandard.ZstdDecompressor().decompressobj()
    return whole
