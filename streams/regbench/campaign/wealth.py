"""Wealth over time: of a case whose KB harms, and of harmless ones, as the detector folds it."""

import math
import tempfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from schemas.settings import DetectorSettings
from streams.detection.cases import judge_cases
from streams.detection.decide import LOG_WARN
from streams.detection.margins import default_margins
from streams.detection.spans import heard_ms
from streams.regbench.bench.families import Request
from streams.regbench.bench.generate import TRUTH_DIRECTORY, generate_file
from streams.regbench.bench.history import gather
from streams.regbench.bench.judging import branches
from streams.regbench.bench.stream_file import read
from streams.regbench.bench.truth import KbTruth, read_truth, rollout_name, truth_name
from streams.regbench.campaign.figure import BLUE, FAINT, INK, ORANGE, RED, drawn
from streams.regbench.campaign.plan import REPORT_SEEDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HARMLESS = 50
_SEED = REPORT_SEEDS + 20_000
"""Of its own: no cell of the plan has one as high."""
_TRUE = Request("A2", nodes=10_000, seed=_SEED, under="N2", share=5, fails=0.2)
_NULL = Request("N2", nodes=10_000, seed=_SEED + 1)
_HOUR_MS = 3_600_000
_DAYS = 10
# Below it lies a KB that has long been found innocent.
_LOWEST = 1e-1
_VISIBLE = 0.04
"""Smaller steps of ln E can't be seen, and there are thousands."""


class Course(Struct, frozen=True):
    """One case: its wealth after each minute with a failure."""

    kb: str
    branch: str
    started_ms: int
    steps: tuple[tuple[int, float], ...]
    """(Unix ms, ln E)."""
    halt_ms: int | None


def log_threshold() -> float:
    """ln(1/α) of the default settings."""
    settings = DetectorSettings()
    return math.log(settings.cases_per_year / settings.false_halts_per_year)


def courses(path: Path) -> Iterator[Course]:
    """Every case of a stream, judged with the shipped margins.

    Raises KbwatchError for a malformed stream.
    """
    history = gather(read(path))
    margins = default_margins()
    for branch in branches(history):
        asof_ms = min(heard_ms(branch.evidence), branch.asof_ms)
        name = (history.fleet, branch.name)
        judged = judge_cases(
            name, branch.evidence, branch.spans, asof_ms, lambda _: margins, log_threshold()
        )
        for one in judged:
            steps = tuple((step.t_ms, step.log_e) for step in one.decision.impact.steps)
            halt_ms = one.halt.t_ms if one.halt else None
            yield Course(one.case.kb, one.case.branch, one.span.start_ms, steps, halt_ms)


def draw(path: Path) -> None:
    """Draw one harmful case beside `HARMLESS` harmless ones; all are made anew.

    Raises ModuleNotFoundError without matplotlib, KbwatchError when a file can't be written.
    """
    with tempfile.TemporaryDirectory(prefix="regbench-") as name:
        folder = Path(name)
        (folder / TRUTH_DIRECTORY).mkdir()
        generate_file(_TRUE, folder, 0)
        truth = next(t for t in read_truth(folder / TRUTH_DIRECTORY / truth_name(0)) if t.caused)
        found = [c for c in courses(folder / rollout_name(0)) if c.branch in truth.branches]
        harmless = list(islice(_harmless(folder), HARMLESS))
    with drawn(path, 2, 9.6, 4.0) as axes:
        _true(axes[0], found[0], truth)
        _nulls(axes[1], harmless)
        axes[0].set_ylabel("wealth E")
        axes[0].figure.supxlabel("days since the roll-out began", fontsize=10)


def _harmless(folder: Path) -> Iterator[Course]:
    for index in count():
        generate_file(_NULL, folder, index)
        yield from courses(folder / rollout_name(index))
        (folder / rollout_name(index)).unlink()


def _true(axes: "Axes", course: Course, truth: KbTruth) -> None:
    days, wealth = _line(course)
    axes.step(days, wealth, where="post", color=BLUE, linewidth=1.6)
    victims = [_day(t_ms, course) for _, t_ms in truth.caused]
    axes.plot(victims, [_LOWEST * 1.5] * len(victims), "|", color=ORANGE, markersize=9)
    axes.text(victims[0], _LOWEST * 2.2, "victims", color=ORANGE, va="bottom")
    if course.halt_ms is not None:
        seen = sum(t_ms <= course.halt_ms for _, t_ms in truth.caused)
        day = _day(course.halt_ms, course)
        axes.axvline(day, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        words = f"halt: {seen} of {len(truth.caused)} victims"
        axes.annotate(words, (day, 8), (6, 0), textcoords="offset points", va="center")
    axes.set_title("a KB that breaks 20 % of the Hyper-V hosts", loc="left", fontsize=11)
    _frame(axes)


def _nulls(axes: "Axes", harmless: list[Course]) -> None:
    for course in harmless:
        days, wealth = _line(course)
        axes.step(days, wealth, where="post", color=BLUE, linewidth=0.7, alpha=0.5)
    axes.set_title(f"{len(harmless)} harmless cases", loc="left", fontsize=11)
    _frame(axes)


def _frame(axes: "Axes") -> None:
    axes.set_yscale("log")
    axes.set_xlim(0, _DAYS)
    axes.set_ylim(_LOWEST, 1e10)
    axes.minorticks_off()
    axes.grid(axis="y", color=FAINT, alpha=0.2, linewidth=0.6)
    for log_e, word, above in ((LOG_WARN, "WARN", False), (log_threshold(), "HALT", True)):
        value = math.exp(log_e)
        colour = RED if above else ORANGE
        axes.axhline(value, color=colour, linewidth=1, linestyle=(0, (4, 3)))
        shift = 3 if above else -3
        axes.annotate(
            f"{word} {value:,.0f}",
            (_DAYS, value),
            (-2, shift),
            textcoords="offset points",
            color=colour,
            ha="right",
            va="bottom" if above else "top",
        )


def _line(course: Course) -> tuple[list[float], list[float]]:
    days, logs = [0.0], [0.0]
    for t_ms, log_e in course.steps:
        if abs(log_e - logs[-1]) > _VISIBLE:
            days.append(_day(t_ms, course))
            logs.append(log_e)
    return [*days, float(_DAYS)], [math.exp(log_e) for log_e in (*logs, logs[-1])]


def _day(t_ms: int, course: Course) -> float:
    return (t_ms - course.started_ms) / (24 * _HOUR_MS)
