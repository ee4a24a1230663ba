"""Streams as files: ``.jsonl`` or ``.jsonl.zst``, read strictly, written whole or not at all."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

import msgspec
import zstandard

from schemas.errors import KbwatchError
from streams.regbench.bench.stream import (
    Event,
    Fleet,
    Heartbeat,
    Install,
    Line,
    Node,
    Uninstall,
)

SUFFIXES = (".jsonl", ".jsonl.zst")
MAX_LINE_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 18
_BATCH = 20_000
_NAMING_NODES = (Heartbeat, Install, Uninstall)
_DECODER = msgspec.json.Decoder(Line)
_ENCODER = msgspec.json.Encoder()


def read(path: Path) -> Iterator[Line]:
    """The lines of a stream: the `Fleet` first, the `End` last, every node before it is named.

    Raises KbwatchError with file, line and reason at the first line that is wrong, or when the
    file ends before its `End`. Lines before that one have been yielded already: who must not act
    on half a stream keeps its results back until the iterator is exhausted.
    """
    checker = _Checker(path)
    try:
        with _opened(path) as file:
            for block in _blocks(path, file):
                yield from checker.checked(block)
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}") from None
    except zstandard.ZstdError as error:
        raise KbwatchError(
            f"{path}:{checker.number + 1}: not readable as zstd from here: {error}"
        ) from None
    checker.finish()


def write(path: Path, lines: Iterable[Line]) -> int:
    """Write a stream, zstd if the name ends in ``.zst``; how many lines it has.

    The file appears under its name when it is complete. Raises KbwatchError when it can't.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as raw:
            if path.suffix == ".zst":
                with zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as packed:
                    count = _write_lines(cast(BinaryIO, packed), lines)
            else:
                count = _write_lines(raw, lines)
        partial.replace(path)
    except OSError as error:
        raise KbwatchError(f"{path}: can't write: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
    return count


def _write_lines(file: BinaryIO, lines: Iterable[Line]) -> int:
    count = 0
    batch: list[Line] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _BATCH:
            file.write(_ENCODER.encode_lines(batch))
            count += len(batch)
            batch.clear()
    file.write(_ENCODER.encode_lines(batch))
    return count + len(batch)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        if path.suffix == ".zst":
            # A file may be several frames: that is what `cat a.zst b.zst` makes.
            unpacked = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            yield cast(BinaryIO, unpacked)
        else:
            yield file


def _blocks(path: Path, file: BinaryIO) -> Iterator[list[bytes]]:
    """The file's lines in lists: far cheaper than one by one, and no line can fill the memory."""
    number = 0
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        number += len(lines)
        if lines:
            yield lines
        if len(rest) > MAX_LINE_BYTES:
            raise KbwatchError(f"{path}:{number + 1}: a line of more than {MAX_LINE_BYTES} bytes")
    if rest:
        yield [rest]


class _Checker:
    """What has to hold between lines."""

    def __init__(self, path: Path) -> None:
        self.number = 0
        self._path = path
        self._fleet: Fleet | None = None
        self._nodes: set[str] = set()
        self._ended = False

    def checked(self, texts: list[bytes]) -> Iterator[Line]:
        """Decode and check lines in order; raises at the first that is wrong."""
        decode = _DECODER.decode
        if self._fleet is None:
            yield self._first(texts.pop(0))
        assert self._fleet is not None  # noqa: S101 - the line above has set or refused it
        start_ms, end_ms = self._fleet.start_ms, self._fleet.end_ms
        nodes = self._nodes
        for text in texts:
            self.number += 1
            if self._ended:
                self._refuse("a line after the end line")
            try:
                line = decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                self._refuse_text(text, error)
            # What most lines are comes first.
            if isinstance(line, Event):
                if line.node not in nodes:
                    self._refuse_stranger(line.node)
                if line.about and line.about not in nodes:
                    self._refuse(f"about {line.about!r}, a node not declared before this line")
            elif isinstance(line, _NAMING_NODES):
                if line.node not in nodes:
                    self._refuse_stranger(line.node)
            elif isinstance(line, Node):
                self._declare(line, end_ms)
            elif isinstance(line, Fleet):
                self._refuse("a second fleet line")
            else:
                self._ended = True
            if not start_ms <= line.t_ms <= end_ms and not isinstance(line, Node):
                self._refuse(f"t {line.t_ms} is outside the period {start_ms} to {end_ms}")
            yield line

    def finish(self) -> None:
        """Refuse a file without its end line."""
        if not self._ended:
            self.number += 1
            self._refuse("the file ends here, without an end line: it has been cut off")

    def _first(self, text: bytes) -> Fleet:
        self.number = 1
        try:
            line = _DECODER.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._refuse_text(text, error)
        if not isinstance(line, Fleet):
            self._refuse(f"{type(line).__name__.lower()} line before the fleet line")
        if line.start_ms >= line.end_ms:
            self._refuse(f"the period ends at {line.end_ms}, not after its start {line.start_ms}")
        self._fleet = line
        return line

    def _declare(self, line: Node, end_ms: int) -> None:
        if line.node in self._nodes:
            self._refuse(f"node {line.node!r} is declared twice")
        if line.t_ms > end_ms:
            self._refuse(f"t {line.t_ms}: in service only after the period's end {end_ms}")
        self._nodes.add(line.node)

    def _refuse_text(self, text: bytes, error: Exception) -> NoReturn:
        if not text.strip():
            self._refuse("an empty line")
        if isinstance(error, RecursionError):
            self._refuse("JSON nested too deeply")
        self._refuse(str(error))

    def _refuse_stranger(self, node: str) -> NoReturn:
        self._refuse(f"node {node!r} has not been declared before this line")

    def _refuse(self, reason: str) -> NoReturn:
        raise KbwatchError(f"{self._path}:{self.number}: {reason}") from None
