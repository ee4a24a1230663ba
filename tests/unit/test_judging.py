"""The judge of an assignment: nothing leaves it once its partitions are taken away."""

from collections.abc import AsyncIterator, Awaitable
from types import SimpleNamespace

import pytest

from schemas.calibration import Calibration
from schemas.codec import decode, encode
from schemas.settings import Settings
from schemas.topics import EVIDENCE, key
from schemas.verdicts import Verdict
from streams.detector import judging as module
from streams.detector.judging import Judging
from tests.fixtures.calibrations import a_calibration
from tests.fixtures.stories import DAY, T0, cluster_of, evidence_of

CASE = b"default|KB5062557@17763"


class Kafka:
    """Has evidence of one cluster, and remembers what is sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cluster = cluster_of(3)
        for node in cluster:
            node.lives(until=9 * DAY).patched(at=2 * DAY)
        self.evidence = evidence_of(cluster)
        self.sent: list[bytes] = []
        self.calibrations: list[Calibration] = []
        self.verdicts: dict[bytes, Verdict] = {}
        monkeypatch.setattr(module, "read_whole", self._read)
        monkeypatch.setattr(module, "send", self._send)
        monkeypatch.setattr(module, "read_calibrations", self._read_calibrations)

    async def _read(self, _: object, topic: str, __: object) -> AsyncIterator[SimpleNamespace]:
        for part in self.evidence if topic == EVIDENCE else ():
            name = key(part.fleet, part.branch, part.domain)
            yield SimpleNamespace(key=name, value=encode(part), offset=0)

    async def _read_calibrations(self, _: object) -> list[Calibration]:
        return list(self.calibrations)

    async def _send(self, _: object, __: str, record_key: bytes, value: bytes) -> Awaitable[None]:
        self.sent.append(record_key)
        self.verdicts[record_key] = decode(value, Verdict)

        async def confirmed() -> None:
            return

        return confirmed()


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    return Kafka(monkeypatch)


async def a_round(judging: Judging) -> None:
    held = judging._held
    assert held is not None
    for branch in sorted(held.dirty):
        await judging._judge_branch(held, branch)


async def test_what_was_read_back_is_judged_and_published_once(kafka: Kafka) -> None:
    judging = Judging(SimpleNamespace(), Settings())  # type: ignore[arg-type]
    await judging.open([0, 1, 2, 3])
    await a_round(judging)
    assert kafka.sent == [CASE]
    await a_round(judging)
    assert len(kafka.sent) == 1


async def test_after_the_partitions_are_gone_nothing_is_sent(kafka: Kafka) -> None:
    judging = Judging(SimpleNamespace(), Settings())  # type: ignore[arg-type]
    await judging.open([0, 1, 2, 3])
    held = judging._held
    assert held is not None
    judging.close()
    for branch in sorted(held.dirty):
        await judging._judge_branch(held, branch)
    assert kafka.sent == []
    assert await judging.take([SimpleNamespace()]) == 0  # type: ignore[list-item]


async def test_a_case_has_the_calibration_that_was_valid_before_its_first_install(
    kafka: Kafka,
) -> None:
    kafka.calibrations = [a_calibration("before", T0 + DAY), a_calibration("after", T0 + 3 * DAY)]
    judging = Judging(SimpleNamespace(), Settings())  # type: ignore[arg-type]
    await judging.open([0, 1, 2, 3])
    await a_round(judging)
    assert kafka.verdicts[CASE].calibration == "before"


async def test_a_calibration_that_comes_later_leaves_a_case_that_runs_alone(kafka: Kafka) -> None:
    judging = Judging(SimpleNamespace(), Settings())  # type: ignore[arg-type]
    await judging.open([0, 1, 2, 3])
    await a_round(judging)
    kafka.calibrations = [a_calibration("new", T0 + 3 * DAY)]
    await judging.look_for_calibrations()
    await a_round(judging)
    assert kafka.sent == [CASE], "judged anew, and nothing has changed"
    assert kafka.verdicts[CASE].calibration == "default"


async def test_a_calibration_in_time_is_taken_without_a_restart(kafka: Kafka) -> None:
    judging = Judging(SimpleNamespace(), Settings())  # type: ignore[arg-type]
    await judging.open([0, 1, 2, 3])
    await a_round(judging)
    kafka.calibrations = [a_calibration("own", T0 + DAY)]
    await judging.look_for_calibrations()
    await a_round(judging)
    assert kafka.verdicts[CASE].calibration == "own"
