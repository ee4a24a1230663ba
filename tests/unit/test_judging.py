"""The judge of an assignment: nothing leaves it once its partitions are taken away."""

from collections.abc import AsyncIterator, Awaitable
from types import SimpleNamespace

import pytest

from schemas.codec import encode
from schemas.settings import Settings
from schemas.topics import EVIDENCE, key
from streams.detector import judging as module
from streams.detector.judging import Judging
from tests.fixtures.stories import DAY, cluster_of, evidence_of


class Kafka:
    """Has evidence of one cluster, and remembers what is sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cluster = cluster_of(3)
        for node in cluster:
            node.lives(until=9 * DAY).patched(at=2 * DAY)
        self.evidence = evidence_of(cluster)
        self.sent: list[bytes] = []
        monkeypatch.setattr(module, "read_whole", self._read)
        monkeypatch.setattr(module, "send", self._send)

    async def _read(self, _: object, topic: str, __: object) -> AsyncIterator[SimpleNamespace]:
        for part in self.evidence if topic == EVIDENCE else ():
            name = key(part.fleet, part.branch, part.domain)
            yield SimpleNamespace(key=name, value=encode(part), offset=0)

    async def _send(self, _: object, __: str, record_key: bytes, value: bytes) -> Awaitable[None]:
        self.sent.append(record_key)

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
    assert kafka.sent == [b"default|KB5062557@17763"]
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
