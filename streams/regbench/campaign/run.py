"""Runs what is missing of a campaign, in several processes; may be stopped at any time."""

import multiprocessing
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from schemas.errors import KbwatchError
from streams.regbench.campaign.estimate import seconds_left
from streams.regbench.campaign.outcome import Outcome, Task, seconds
from streams.regbench.campaign.plan import Cell
from streams.regbench.campaign.store import Store

STREAMS = Path("build/regbench/streams")
_TRANCHES = 10
# A worker that has judged a large fleet keeps its memory.
_ROLLOUTS_A_WORKER = 50


class Asked(Struct, frozen=True):
    """What of the plan, and how."""

    cells: tuple[Cell, ...]
    full: bool
    jobs: int
    limit_s: float | None
    """No roll-out starts later than this."""
    calibration: Path | None
    keep: bool


class Left(Struct):
    """What is still to be done; kept up to date while it is."""

    tasks: list[tuple[Cell, int]]
    """Each with the roll-out's number, in the order of the work."""
    took: dict[str, list[float]]
    """Cell → seconds of one core that each of its roll-outs took."""

    def seconds(self, jobs: int) -> float:
        """How long the rest takes."""
        cells = {cell.name: cell for cell, _ in self.tasks}
        counts = Counter(cell.name for cell, _ in self.tasks)
        return seconds_left(counts, list(cells.values()), self.took) / jobs


def left_of(asked: Asked, store: Store) -> Left:
    """What is missing. All cells advance by tenths, so that whenever it is stopped every row of
    the report has its share.
    """
    tasks: list[tuple[int, int, Cell, int]] = []
    took: dict[str, list[float]] = {}
    for place, cell in enumerate(asked.cells):
        done = store.outcomes(cell)
        wanted = cell.rollouts(asked.full)
        took[cell.name] = [seconds(outcome) for outcome in done.values()]
        tasks += [
            (_TRANCHES * index // wanted, place, cell, index)
            for index in range(wanted)
            if index not in done
        ]
    tasks.sort(key=lambda task: (task[0], task[1], task[3]))
    return Left([(cell, index) for *_, cell, index in tasks], took)


def run(asked: Asked, store: Store, left: Left, advance: Callable[[Cell, int], None]) -> bool:
    """Do what is left; False when the time limit came first. ``advance`` after each roll-out, with
    how many of its cell are still missing.

    KeyboardInterrupt passes through; what was done by then is kept.
    """
    cells = {cell.name: cell for cell, _ in left.tasks}
    for cell in cells.values():
        store.prepare(cell)
    ends_s = None if asked.limit_s is None else time.monotonic() + asked.limit_s
    missing = Counter(cell.name for cell, _ in left.tasks)
    try:
        with _workers(asked.jobs) as pool:
            for cell, outcome in _done(pool, asked, list(left.tasks), ends_s, store.folder.name):
                store.add(cell, outcome)
                left.tasks.remove((cell, outcome.index))
                left.took[cell.name].append(seconds(outcome))
                missing[cell.name] -= 1
                advance(cell, missing[cell.name])
    finally:
        if not asked.keep:
            for name in cells:
                shutil.rmtree(STREAMS / name, ignore_errors=True)
    return not left.tasks


def _done(
    pool: ProcessPoolExecutor,
    asked: Asked,
    tasks: Sequence[tuple[Cell, int]],
    ends_s: float | None,
    version: str,
) -> Iterator[tuple[Cell, Outcome]]:
    waiting = iter(tasks)
    running: dict[Future[Outcome], Cell] = {}
    while True:
        # Two a worker, so that none waits for us; more would make a time limit late.
        while len(running) < 2 * asked.jobs and not _over(ends_s):
            task = next(waiting, None)
            if task is None:
                break
            cell, index = task
            folder = STREAMS / cell.name
            job = Task(cell, index, folder, asked.calibration, asked.keep, version)
            running[pool.submit(job)] = cell
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            cell = running.pop(future)
            try:
                yield cell, future.result()
            except BrokenProcessPool:
                raise KbwatchError(
                    f"{cell.name}: a process ended by itself; out of memory? Try --jobs 1; the "
                    "same command goes on where this one stopped"
                ) from None


def _over(ends_s: float | None) -> bool:
    return ends_s is not None and time.monotonic() >= ends_s


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    # Forked processes would share what threads of this one (rich's progress) hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=context,
        initializer=_leave_interrupts_to_the_parent,
        max_tasks_per_child=_ROLLOUTS_A_WORKER,
    )
    others = set(multiprocessing.active_children())
    try:
        yield pool
    except BaseException:
        # A large roll-out takes minutes, and nobody waits for it any more.
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
