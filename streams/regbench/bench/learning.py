"""Margins from harmless roll-outs, learned with detection's own code."""

from collections.abc import Sequence
from pathlib import Path

from streams.detection.calibrate import Controls, controls, table
from streams.detection.margins import Margins
from streams.detection.members import Case, members
from streams.regbench.bench.history import gather
from streams.regbench.bench.judge import without_pauses
from streams.regbench.bench.judging import branches
from streams.regbench.bench.stream_file import read

ENOUGH = 24
"""Roll-outs below which a calibration rests on too little."""

Found = tuple[Controls, Controls]
"""What a roll-out showed: incidents with impact, and all."""


def learn_from(path: Path, chatter: frozenset[str]) -> list[Found]:
    """The negative controls of one file. KBs that came with the same boots are one roll-out.
    ``chatter``: see margins.Margins.
    """
    return without_pauses(lambda: _learn_from(path, chatter))


def _learn_from(path: Path, chatter: frozenset[str]) -> list[Found]:
    out = []
    history = gather(read(path))
    for branch in branches(history):
        for started_ms, span in {span.start_ms: span for span in branch.spans}.items():
            case = Case(history.fleet, branch.name, span.kb, span.build)
            people = members(case, branch.evidence)
            out.append(controls(people, branch.evidence, started_ms, chatter))
    return out


def margins_of(name: str, found: Sequence[Found], chatter: frozenset[str]) -> Margins:
    """The calibration that the roll-outs amount to."""
    impact, every = table([one for one, _ in found]), table([one for _, one in found])
    return Margins(name, impact, every, chatter)
