"""The collector's one promise, under faults: whatever is logged arrives, and its bookmark never
says more than Kafka has. Real Kafka, real spool, real processes; only Windows is a file.
"""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from collectors.pipeline.limits import SUMMARY_PROVIDER
from schemas.settings import Settings
from tests.chaos.arrived import Arrived
from tests.chaos.collecting import UNLIMITED, Collecting
from tests.chaos.conftest import Faulty
from tests.integration.file_log import errors

pytestmark = pytest.mark.slow

_SEED = 4
_HOUR_MS = 3_600_000


def test_a_broker_that_is_away_for_a_minute_costs_nothing(
    collecting: Collecting, faulty: Faulty
) -> None:
    collecting.start()
    collecting.writer.start(per_s=500)
    collecting.eventually(lambda: collecting.bookmark() > 500, "some records are acknowledged")

    faulty.stop()
    stopped_s = time.monotonic()
    time.sleep(2)  # the last acknowledgements are noted
    before = collecting.bookmark()
    while time.monotonic() - stopped_s < 60:
        assert collecting.bookmark() == before
        time.sleep(0.1)
    written_meanwhile = collecting.writer.written - before
    faulty.start()

    arrived = collecting.finish()
    assert written_meanwhile > 500 * 55
    collecting.check(arrived)


def test_a_broker_that_is_killed_costs_nothing(collecting: Collecting, faulty: Faulty) -> None:
    chance = random.Random(_SEED)
    collecting.start()
    collecting.writer.start(per_s=500)
    for _ in range(3):
        before = collecting.bookmark()
        collecting.eventually(lambda: collecting.bookmark() > before + 500, "it goes on")  # noqa: B023
        time.sleep(chance.uniform(0.0, 1.0))
        faulty.kill()
        time.sleep(chance.uniform(0.0, 2.0))
        faulty.start()
    collecting.check(collecting.finish())


def test_a_collector_killed_at_fifty_random_moments_loses_nothing(collecting: Collecting) -> None:
    chance = random.Random(_SEED)
    collecting.start()
    begin_s = time.monotonic()
    collecting.writer.start(per_s=200)
    collecting.eventually(lambda: collecting.bookmark() > 0, "records are acknowledged")
    start_up_s = time.monotonic() - begin_s
    for _ in range(50):
        # Some die while they start, some while they read, most while all parts are at work.
        time.sleep(chance.uniform(0.0, start_up_s + 1.0))
        collecting.kill()
        collecting.start()
    arrived = collecting.finish()
    collecting.check(arrived)
    print(
        f"start to first bookmark {start_up_s:.2f} s, {len(arrived.identities)} records, "
        f"{arrived.records - len(arrived.identities)} came again"
    )


def test_on_a_full_disk_reading_waits_and_nothing_is_lost(collecting: Collecting) -> None:
    collecting.start()
    collecting.writer.start(per_s=500)
    collecting.eventually(lambda: collecting.bookmark() > 1000, "records are acknowledged")

    collecting.limit_files(32 * 1024)
    collecting.eventually(_says_disk_is_full(collecting), "it says that the spool can't be written")
    stands_at = collecting.bookmark()
    time.sleep(3)
    assert collecting.writer.written > stands_at + 1000
    collecting.limit_files(-1)
    collecting.eventually(lambda: collecting.bookmark() > stands_at + 1000, "it reads on")

    collecting.limit_files(32 * 1024)
    collecting.eventually(_says_disk_is_full(collecting), "it says so again")
    collecting.kill()
    collecting.start()
    collecting.check(collecting.finish())


@pytest.mark.parametrize("seed", range(3))
def test_a_torn_last_segment_is_read_again_from_the_log(
    collecting: Collecting, faulty: Faulty, seed: int
) -> None:
    chance = random.Random(seed)
    collecting.start()
    collecting.writer.start(per_s=500)
    collecting.eventually(lambda: collecting.bookmark() > 500, "records are acknowledged")
    faulty.stop()
    done = []
    for _ in range(4):
        time.sleep(chance.uniform(1.5, 3.0))
        collecting.kill()
        done.append(collecting.damage_newest_segment(chance))
        collecting.start()
    faulty.start()
    print(*done, sep="\n")
    collecting.check(collecting.finish())


def test_a_clock_that_is_set_back_costs_nothing(collecting: Collecting) -> None:
    collecting.set_clock(0)
    collecting.start()
    collecting.writer.start(per_s=300)
    for shift_ms in (0, -3 * _HOUR_MS, _HOUR_MS // 2, -24 * _HOUR_MS):
        collecting.set_clock(shift_ms)
        before = collecting.writer.written
        collecting.eventually(lambda: collecting.bookmark() > before + 600, "it goes on")  # noqa: B023
    collecting.kill()
    collecting.set_clock(-48 * _HOUR_MS)
    collecting.start()
    arrived = collecting.finish()
    collecting.check(arrived)
    backwards = [b - a for a, b in zip(arrived.sent_ms, arrived.sent_ms[1:], strict=False)]
    assert min(backwards) < -_HOUR_MS, "the collector has seen the clock that was set back"


def test_a_full_spool_counts_what_it_gives_up(
    settings: Settings, tmp_path: Path, faulty: Faulty
) -> None:
    small = {**UNLIMITED, "SPOOL_MAX_BYTES": str(4 * 1024 * 1024)}
    collecting = Collecting(settings.kafka, tmp_path, small)
    try:
        collecting.start()
        collecting.eventually(lambda: collecting.status() is not None, "it runs")
        faulty.stop()
        collecting.writer.write(40_000, spread_ms=_HOUR_MS)
        collecting.eventually(
            lambda: (s := collecting.status()) and s.records == 40_000, "all records are spooled"
        )
        faulty.start()
        collecting.eventually(lambda: collecting.bookmark() == 40_000, "what was kept is shipped")
        collecting.eventually(
            lambda: _told(collecting.arrived()) == _dropped(collecting), "a heartbeat has said it"
        )
        collecting.stop()
        arrived = collecting.arrived()
    finally:
        collecting.close()
    missing = set(range(1, 40_001)) - set(arrived.identities)
    # What was just being sent may have arrived although it was given up.
    assert 0 < len(missing) <= _told(arrived)
    assert not missing & errors(40_000), "noise goes first"


def test_a_storm_becomes_a_summary_that_adds_up(settings: Settings, tmp_path: Path) -> None:
    collecting = Collecting(settings.kafka, tmp_path, {})
    try:
        collecting.start()
        collecting.writer.write_lines([_crash(f"app{number % 3}") for number in range(5_000)])
        collecting.eventually(
            lambda: (s := collecting.status()) and s.records == 5_000, "all records are read"
        )
        collecting.stop()
        arrived = collecting.arrived()
    finally:
        collecting.close()
    summaries = [event for event in arrived.events if event.provider == SUMMARY_PROVIDER]
    shipped = [event for event in arrived.events if event.provider != SUMMARY_PROVIDER]
    suppressed = [int(summary.data["suppressed"]) for summary in summaries]
    assert len(summaries) == 1
    assert len(shipped) < 2_100
    assert len({event.record_id for event in shipped}) + sum(suppressed) == 5_000
    assert {1, 5_000} <= {event.record_id for event in shipped}


def _told(arrived: Arrived) -> int:
    return max((beat.dropped for beat in arrived.heartbeats), default=0)


def _dropped(collecting: Collecting) -> int:
    status = collecting.status()
    return status.dropped if status else 0


def _says_disk_is_full(collecting: Collecting) -> Callable[[], object]:
    return lambda: (s := collecting.status()) and s.spool_trouble


def _crash(program: str) -> str:
    return (
        '<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System>'
        '<Provider Name="Service Control Manager"/><EventID>7031</EventID><Version>0</Version>'
        '<Level>2</Level><TimeCreated SystemTime="{time}"/><EventRecordID>{id}</EventRecordID>'
        "<Channel>System</Channel><Computer>HV03</Computer></System>"
        f'<EventData><Data Name="param1">{program}</Data></EventData></Event>'
    )
