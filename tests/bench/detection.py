"""What detection costs beside merely reading the reports: ratios, measured side by side.

    make bench

Adds to build/bench/summary.json. The machine is shared and noisy, so each part is run in turn,
several times over, and the medians are compared with one another, never with a clock.
"""

import gc
import statistics
import time
from collections.abc import Callable

import msgspec

from schemas.codec import decode, encode
from schemas.reports import NodeReport
from schemas.settings import DetectorSettings
from streams.detection.judge import Judge
from streams.regbench.runner import recorded
from streams.regbench.scenarios.kb5062557 import Scenario
from streams.replay import collect
from tests.bench.summary import add, machine

_ROUNDS = 3


def main() -> None:
    """Measure, print and write."""
    records = list(recorded(Scenario(seed=1001)))
    raws = [encode(r.report) for r in records if r.report is not None]
    elements = sum(len(r.report.records) for r in records if r.report is not None)
    settings = DetectorSettings()
    collected = collect(records, settings)

    def judge_all() -> None:
        judge = Judge(alpha=1 / 200)
        for evidence in collected.evidence:
            judge.replace(evidence)
        for branch in judge.branches():
            judge.verdicts(branch)

    seconds = _medians(
        {
            "decode": lambda: [decode(raw, NodeReport) for raw in raws],
            "state": lambda: collect(records, settings),
            "judge": judge_all,
        }
    )
    figures = {
        "machine": machine(),
        "versions": {"msgspec": msgspec.__version__},
        "reports": len(raws),
        "elements": elements,
        "decode_elements_s": round(elements / seconds["decode"]),
        "state_over_decode": round(seconds["state"] / seconds["decode"], 2),
        "judge_all_cases_ms": round(seconds["judge"] * 1000, 1),
        "judge_over_decode": round(seconds["judge"] / seconds["decode"], 2),
    }
    add(figures)


def _medians(parts: dict[str, Callable[[], object]]) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(_ROUNDS):
        for name, part in parts.items():
            gc.collect()
            begin = time.perf_counter()
            part()
            took[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in took.items()}


if __name__ == "__main__":
    main()
