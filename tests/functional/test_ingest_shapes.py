"""The demo's incident, told by any shipper with an inventory file, halts as with collectors."""

from functools import cache
from itertools import pairwise

import pytest

from streams.detection.chains import DAY_MS
from tests.fixtures.foreign import Arrived, Finding, agrees, events_in, halts_in, ingested, native
from tests.integration.detecting import stream
from tests.shapes import SHAPES

pytestmark = pytest.mark.slow

CASE = "KB5062557@17763"


@cache
def by_collectors() -> Finding:
    (halt,) = halts_in(native(stream()))
    assert halt.case == CASE
    return halt


@cache
def logged() -> tuple[Arrived, ...]:
    """Without heartbeats: the logs of these servers alone, where the quietest write once a day."""
    return tuple(events_in(stream(), alive=False))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_halts_the_same_case_on_the_same_grounds(shape: str) -> None:
    (halt,) = halts_in(ingested(shape, logged()))
    assert agrees(shape, halt, by_collectors()), (halt, by_collectors())


def test_a_stream_of_a_busier_log_changes_nothing() -> None:
    (halt,) = halts_in(ingested("winlogbeat", events_in(stream(), alive=True)))
    assert halt == by_collectors()


def test_a_server_that_logs_once_a_day_stays_in_service() -> None:
    beats: dict[str, list[int]] = {}
    for recorded in ingested("winlogbeat", logged()):
        if recorded.report is not None:
            times = [r.t_ms for r in recorded.report.records if type(r).__name__ == "Heartbeat"]
            beats.setdefault(recorded.report.node, []).extend(times)
    longest = max(
        after - before for times in map(sorted, beats.values()) for before, after in pairwise(times)
    )
    grace_ms = (3 * 36_000 + 20 * 60) * 1000
    assert DAY_MS < longest < grace_ms
