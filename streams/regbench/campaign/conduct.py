"""A campaign as its user sees it: what is announced, how far it is, what is measured at its end."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from schemas.errors import KbwatchError
from streams.regbench.campaign.cost import FULL_NODES, QUICK_NODES, measure
from streams.regbench.campaign.estimate import spoken
from streams.regbench.campaign.plan import Cell
from streams.regbench.campaign.run import Asked, Left, left_of, run
from streams.regbench.campaign.store import RESULTS, Store, versions
from streams.regbench.campaign.version import version_of


def folder_of(version: str | None, calibration: Path | None) -> Path:
    """The results of a version (default: of this code and calibration).

    Raises KbwatchError when there are none.
    """
    wanted = version or version_of(calibration)
    if wanted not in versions():
        there = ", ".join(versions()) or "none at all"
        raise KbwatchError(
            f"{RESULTS}: no results of {wanted} (there are: {there}); "
            "make them with `kbwatch regbench run`"
        )
    return RESULTS / wanted


class Campaign:
    """One call of ``kbwatch regbench run``."""

    def __init__(self, asked: Asked, *, costs: bool) -> None:
        """``costs``: measure single processes too, once the rest is done."""
        self.folder = RESULTS / version_of(asked.calibration)
        self._asked = asked
        self._store = Store(self.folder)
        self._left = left_of(asked, self._store)
        self._costs = costs
        self._console = Console(stderr=True, highlight=False)

    def announce(self) -> None:
        """Say what is left and how long it takes."""
        planned = sum(cell.rollouts(self._asked.full) for cell in self._asked.cells)
        left = len(self._left.tasks)
        text = f"{left:,} of {planned:,} roll-outs in {len(self._asked.cells)} cells to do"
        if left:
            text += f": about {spoken(self._left.seconds(self._asked.jobs))}"
            text += f" in {self._asked.jobs} processes"
        if self._asked.limit_s is not None:
            text += f", stopping after {spoken(self._asked.limit_s)}"
        self._console.print(f"{text} → {self.folder}", soft_wrap=True)

    def run(self) -> bool:
        """Do it; False when the time limit came first.

        Raises KbwatchError when a process or the disk fails.
        """
        self.announce()
        try:
            with _progress(self._console, self._left, self._asked.jobs) as advance:
                complete = run(self._asked, self._store, self._left, advance)
        except KeyboardInterrupt:
            self._console.print("stopped: the same command goes on from here")
            raise
        if complete and self._costs:
            self._measure()
        return complete

    def _measure(self) -> None:
        known = {cost.nodes: cost for cost in self._store.costs()}
        for nodes in FULL_NODES if self._asked.full else QUICK_NODES:
            if nodes not in known:
                self._console.print(f"measuring what judging {nodes:,} nodes costs")
                known[nodes] = measure(nodes, self._asked.calibration)
                self._store.keep_costs([known[n] for n in sorted(known)])


@contextmanager
def _progress(console: Console, left: Left, jobs: int) -> Iterator[Callable[[Cell, int], None]]:
    """A bar on a terminal; elsewhere a line for each cell that is done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]} left"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=len(left.tasks), left=spoken(left.seconds(jobs)))

        def advance(cell: Cell, missing: int) -> None:
            rest = spoken(left.seconds(jobs))
            bar.update(task, advance=1, description=cell.name, left=rest)
            if not missing and not console.is_terminal:
                print(f"{cell.name}: done; about {rest} left for all", file=sys.stderr, flush=True)

        yield advance
