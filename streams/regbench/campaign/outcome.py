"""One roll-out of a cell: made, judged by every detector, and forgotten but for its outcome."""

import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from msgspec import Struct

from schemas.errors import KbwatchError
from streams.regbench.bench.decisions import Decision
from streams.regbench.bench.families import order
from streams.regbench.bench.generate import TRUTH_DIRECTORY, generate_file
from streams.regbench.bench.history import gather
from streams.regbench.bench.judge import DETECTORS, Job, without_pauses
from streams.regbench.bench.score import Scores, by_branch, score
from streams.regbench.bench.stream_file import read
from streams.regbench.bench.truth import KbTruth, read_truth, rollout_name, truth_name
from streams.regbench.campaign.plan import Cell
from streams.regbench.campaign.version import version_of


class Outcome(Struct, frozen=True):
    """What is kept of a roll-out: enough to score it anew."""

    index: int
    variant: str
    records: int
    """Lines of the stream."""
    truths: list[KbTruth]
    """Each harmful KB once per branch."""
    decisions: dict[str, list[Decision]]
    """By detector."""
    generate_s: float
    judge_s: dict[str, float]
    """By detector, reading included."""


class Task(Struct, frozen=True):
    """A roll-out to be made in its cell's folder; its files are removed unless ``keep``."""

    cell: Cell
    index: int
    folder: Path
    calibration: Path | None
    keep: bool
    version: str
    """The code that the campaign began with."""

    def __call__(self) -> Outcome:
        """Make and judge it, in this process.

        Raises KbwatchError when the disk can't be written, the calibration isn't one, or the code
        is another by now.
        """
        if _own_version(self.calibration) != self.version:
            raise KbwatchError(
                f"{self.cell.name}: the code has changed since this campaign began; start it anew"
            )
        path = self.folder / rollout_name(self.index)
        truth = self.folder / TRUTH_DIRECTORY / truth_name(self.index)
        truth.parent.mkdir(parents=True, exist_ok=True)
        try:
            return without_pauses(lambda: self._outcome(path, truth))
        finally:
            if not self.keep:
                path.unlink(missing_ok=True)
                truth.unlink(missing_ok=True)

    def _outcome(self, path: Path, truth: Path) -> Outcome:
        began = time.perf_counter()
        records = generate_file(self.cell.request, self.folder, self.index)
        made = time.perf_counter()
        history = gather(read(path))
        read_s = time.perf_counter() - made
        decisions, judge_s = {}, {}
        for name in DETECTORS:
            detector = Job(name, self.calibration).made()
            starts = time.perf_counter()
            decisions[name] = list(detector(path.name, history))
            judge_s[name] = read_s + time.perf_counter() - starts
        truths = by_branch({truth.name: read_truth(truth)}, self.folder)
        return Outcome(
            index=self.index,
            variant=order(self.cell.request, self.index).variant,
            records=records,
            truths=truths[truth.name],
            decisions=decisions,
            generate_s=made - began,
            judge_s=judge_s,
        )


# Once a process: what it has loaded stays.
@cache
def _own_version(calibration: Path | None) -> str:
    return version_of(calibration)


def seconds(outcome: Outcome) -> float:
    """What a roll-out cost one core."""
    read_and_judged = sum(outcome.judge_s.values())
    return outcome.generate_s + read_and_judged


def scores(outcomes: Mapping[int, Outcome], detector: str) -> Scores:
    """The scores of one detector over some roll-outs."""
    return score(
        [d for outcome in outcomes.values() for d in outcome.decisions[detector]],
        {truth_name(index): outcome.truths for index, outcome in outcomes.items()},
    )
