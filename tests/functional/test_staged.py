"""Whom a halt can still spare: staged nodes are those that were heard to have installed and not
heard to have booted, at every moment of the roll-out."""

import pytest

from schemas.reports import Boot, PatchState
from schemas.settings import DetectorSettings
from schemas.verdicts import Verdict
from streams.recording import Recorded
from streams.regbench.clock import HOUR_MS
from streams.regbench.scenarios.kb5062557 import Scenario
from streams.regbench.stories import BRANCH
from streams.regbench.telemetry import Sent
from streams.replay import replay

pytestmark = pytest.mark.slow

SCENARIO = Scenario(seed=7)
CASE = SCENARIO.truth.case
FIRST_RING_MS = SCENARIO.truth.rings[0].start_ms


def heard(until_ms: int) -> list[Sent]:
    return [s for s in SCENARIO.stream() if s.report is not None and s.append_ms <= until_ms]


def verdict_on(sents: list[Sent]) -> Verdict:
    found = replay((Recorded(s.append_ms, s.report) for s in sents), DetectorSettings())
    (one,) = [v for v in found.verdicts if v.case == CASE]
    return one


def staged_by(sents: list[Sent]) -> set[str]:
    """By the nodes' own records: July's update is staged, and no boot since is known of."""
    kb = CASE.split("@")[0]
    staged, booted = set(), set()
    for sent in sents:
        assert sent.report is not None
        node = sent.report.node
        for record in sent.report.records:
            match record:
                case PatchState(kb=name, state="staged") if name == kb:
                    staged.add(node)
                case Boot() if record.t_ms >= SCENARIO.truth.effective[node]:
                    booted.add(node)
    return staged - booted


@pytest.mark.parametrize("hours", [30, 42, 60])
def test_the_staged_nodes_are_those_that_said_so_and_have_not_booted(hours: int) -> None:
    assert CASE.endswith(BRANCH)
    sents = heard(FIRST_RING_MS + hours * HOUR_MS)
    listed = verdict_on(sents).left.staged_nodes
    assert set(listed) == staged_by(sents) != set()
    assert len(listed) == len(set(listed))
