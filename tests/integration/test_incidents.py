"""Named incidents of the benchmark through the whole pipeline: reports of nodes, Kafka, the
detector's agents. Its verdicts are the decisions of ``regbench judge`` on the same roll-out.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.codec import decode, encode
from schemas.settings import DetectorSettings, KafkaSettings
from schemas.topics import key
from schemas.verdicts import Verdict
from streams.recording import Recorded
from streams.regbench.bench.families import Request, order
from streams.regbench.bench.history import gather
from streams.regbench.bench.incidents import INCIDENTS
from streams.regbench.bench.judging import Kbwatch
from streams.regbench.bench.rollout import rollout
from streams.regbench.telemetry import Sent
from streams.replay import replay
from tests.fixtures.bench_reports import Told, told
from tests.integration.detecting import Detecting

pytestmark = pytest.mark.slow

_SEED = 4711
_RANK = ("notice", "warn", "halt")

Crossings = dict[tuple[str, str], tuple[int, float]]
"""(case, kind) → when (Unix ms) and at which ln E."""
Findings = dict[str, tuple[str, str, int, tuple[str, ...], dict[str, float]]]
"""Case → its state, and of the crossing that made it: signature, victims, rule, suspects."""


@pytest.fixture
def detecting(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[Detecting]:
    detecting = Detecting(kafka_settings, tmp_path)
    yield detecting
    detecting.workers.kill_all()


def a_rollout(incident: str, nodes: int) -> Told:
    request = Request(family="R1", nodes=nodes, seed=_SEED, variant=incident)
    return told(rollout(order(request, 0), request.seed, 0).lines)


def judged(roll_out: Told) -> tuple[Crossings, Findings]:
    crossings: Crossings = {}
    findings: Findings = {}
    decisions = Kbwatch()("rollout", gather(roll_out.stream))
    for one in sorted(decisions, key=lambda d: _RANK.index(d.type)):
        case = f"{one.kb}@{one.branch}"
        crossings[case, one.type] = (one.t_ms, one.log_e)
        findings[case] = (one.type, one.signature, one.victims, tuple(one.rule), one.suspects)
    return crossings, findings


def found(verdicts: list[Verdict]) -> tuple[Crossings, Findings]:
    crossings: Crossings = {}
    findings: Findings = {}
    for one in verdicts:
        made = {"notice": one.notice, "warn": one.warn, "halt": one.halt}
        for kind, crossing in made.items():
            if crossing is not None:
                crossings[one.case, kind] = (crossing.t_ms, crossing.log_e)
        crossing = made.get(one.state)
        if crossing is not None:
            findings[one.case] = (
                *(one.state, one.signature, crossing.victims),
                *(one.rule, one.suspects),
            )
    return crossings, findings


@pytest.mark.parametrize(
    ("incident", "nodes", "case", "rule"),
    [
        # Domain controllers restart again and again; the KBs are builds, so boots tell of them.
        ("R02", 2000, "KB5009557@17763", ("role=dc",)),
        # The update service dies and the KB is rolled back; it has no build on the branch.
        ("R38", 1000, "KB5063878@20348", ("wsus",)),
    ],
)
async def test_the_pipelines_verdicts_are_the_judges_decisions(
    detecting: Detecting, incident: str, nodes: int, case: str, rule: tuple[str, ...]
) -> None:
    roll_out = a_rollout(incident, nodes)
    crossings, findings = judged(roll_out)
    guilty = {f"{kb}@{branch}" for branch, kb in INCIDENTS[incident]().kbs.items()}
    assert case in {name for name, finding in findings.items() if finding[0] == "halt"} <= guilty

    by_file = replay((Recorded(r.sent_ms, r) for r in roll_out.reports), DetectorSettings())
    expected = {key(v.fleet, v.case): encode(v) for v in by_file.verdicts}
    detecting.workers.start()
    await detecting.produce(
        Sent(r.sent_ms, key(r.fleet, r.domain), r, None, duplicate=False) for r in roll_out.reports
    )
    finals = await detecting.finals(expected)
    verdicts = [decode(value, Verdict) for value in finals.verdicts.values()]

    assert found(verdicts) == (crossings, findings)
    assert finals.verdicts == expected
    (halted,) = (verdict for verdict in verdicts if verdict.case == case)
    assert (halted.state, halted.rule) == ("halt", rule)
    named = roll_out.meant.items()
    (script,) = (name for name, events in named if halted.signature in events)
    assert script.count("/") == 2, "a failure of the script, none that the fleet has anyway"


@pytest.mark.parametrize("incident", ["R02", "R38"])
def test_the_failure_that_tells_the_incident_is_one_for_the_taxonomy(incident: str) -> None:
    signature = INCIDENTS[incident]().signature
    (name,) = a_rollout(incident, 300).meant[signature]
    assert name.removesuffix(".exe") == signature
