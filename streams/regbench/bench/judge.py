"""Streams in, decisions out: files, processes and the whole-or-nothing result. Truth files are
never opened here.
"""

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from schemas.errors import KbwatchError
from streams.regbench.bench import baseline_count, baseline_poisson
from streams.regbench.bench.decisions import Decision, to_lines
from streams.regbench.bench.history import History, gather
from streams.regbench.bench.judging import Kbwatch, read_margins
from streams.regbench.bench.stream_file import SUFFIXES, read

Detector = Callable[[str, History], Iterator[Decision]]
DETECTORS = ("kbwatch", "count", "poisson")

T = TypeVar("T")


class Job(Struct, frozen=True):
    """How a file is to be judged."""

    detector: str
    calibration: Path | None = None

    def __call__(self, path: Path) -> list[Decision]:
        """Judge one file, in this process."""
        made = self.made()
        return without_pauses(lambda: list(made(path.name, gather(read(path)))))

    def made(self) -> Detector:
        """The detector; KbwatchError for an unknown one or a calibration that isn't one."""
        if self.detector == "count":
            return baseline_count.decisions
        if self.detector == "poisson":
            return baseline_poisson.decisions
        if self.detector != "kbwatch":
            raise KbwatchError(f"no detector {self.detector!r}; there are {', '.join(DETECTORS)}")
        return Kbwatch(read_margins(self.calibration) if self.calibration else None)


def stream_files(paths: Sequence[Path], *, unique: bool = True) -> list[Path]:
    """The stream files that are meant: files as named; of a folder those called ``rollout-…``, or
    all if there are none.

    Raises KbwatchError when a folder has none, or if ``unique`` two have one name: decisions name
    files without their folder.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            named = (p for p in path.iterdir() if not p.name.startswith("."))
            inside = sorted(p for p in named if p.name.endswith(SUFFIXES))
            files += [p for p in inside if p.name.startswith("rollout-")] or inside
            if not inside:
                raise KbwatchError(f"{path}: no stream here ({' or '.join(SUFFIXES)})")
        else:
            files.append(path)
    by_name: dict[str, Path] = {}
    for path in files:
        if by_name.setdefault(path.name, path) is not path and unique:
            raise KbwatchError(f"{path}: has the same name as {by_name[path.name]}")
    return files


def each(
    work: Callable[[Path], T], files: Sequence[Path], jobs: int, advance: Callable[[], None]
) -> Iterator[T]:
    """``work`` on every file, in order, in up to ``jobs`` processes; ``advance`` after each.

    What ``work`` raises ends it.
    """
    if jobs == 1 or len(files) == 1:
        for path in files:
            yield work(path)
            advance()
        return
    # Forked processes would share what threads of this one (rich's progress) hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(files)), mp_context=context)
    try:
        for result in pool.map(work, files):
            yield result
            advance()
    finally:
        pool.shutdown(cancel_futures=True)


def without_pauses(work: Callable[[], T]) -> T:
    """Run ``work`` without garbage collection: a stream in memory is much data and no rubbish."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return work()
    finally:
        if collecting:
            gc.enable()


def judge(
    files: Sequence[Path], out: Path, job: Job, jobs: int, advance: Callable[[], None]
) -> list[Decision]:
    """Judge all files into ``out``, which appears when all of them are judged.

    Raises KbwatchError with file, line and reason for the first that is malformed.
    """
    job.made()
    decisions = [d for found in each(job, files, jobs, advance) for d in found]
    save(out, to_lines(decisions))
    return decisions


def save(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; KbwatchError when it can't be written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise KbwatchError(f"{path}: can't write: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
