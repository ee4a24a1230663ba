"""From evidence to verdicts: what agent ``judge`` and its timer do."""

import asyncio
import time
from collections.abc import Iterable, Sequence

import faust
import structlog

from schemas.codec import DecodeError, decode, encode
from schemas.evidence import DomainEvidence
from schemas.settings import Settings
from schemas.topics import EVIDENCE, VERDICTS, all_topics, key
from streams.detection.judge import Branch, Judge
from streams.dlq import DeadLetters
from streams.faust_app import Taken, send
from streams.kafka_io import partition_of, read_whole
from streams.metrics import CASES, FOLD_SECONDS
from streams.retry import until_sent

_log = structlog.get_logger(__name__)
_PAUSE_S = 0.1
_SHARE = 4.0
"""Rest four times as long as the last round folded: judging must not slow catching up."""


class Judging:
    """The judge of the assigned evidence partitions, and what it has published.

    Laws: ready only after all evidence of its partitions was read; a verdict is published when,
    and only when, it differs from the one published before.
    """

    def __init__(self, app: faust.App, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._partitions = all_topics()[EVIDENCE].partitions
        detector = settings.detector
        self._judge = Judge(alpha=detector.false_halts_per_year / detector.cases_per_year)
        self._dlq = DeadLetters(app, settings.kafka, "detector", EVIDENCE)
        self._published: dict[bytes, bytes] = {}
        self._dirty: set[Branch] = set()
        self._ready = asyncio.Event()

    async def rebuild(self, partitions: Iterable[int]) -> None:
        """Start anew from the whole of the assigned partitions of kbw-evidence."""
        self._ready.clear()
        assigned = set(partitions)
        self._judge.drop(())
        self._published.clear()
        async for record in read_whole(self._settings.kafka, EVIDENCE, assigned):
            if record.value is not None:
                try:
                    self._judge.replace(decode(record.value, DomainEvidence))
                except DecodeError as error:
                    _log.warning("evidence skipped", offset=record.offset, error=str(error))
        verdicts = all_topics()[VERDICTS].partitions
        async for record in read_whole(self._settings.kafka, VERDICTS, range(verdicts)):
            if partition_of(key(*_branch_of(record.key)), self._partitions) not in assigned:
                continue
            if record.value is None:
                self._published.pop(record.key, None)
            else:
                self._published[record.key] = record.value
        self._dirty = set(self._judge.branches())
        self._ready.set()
        _log.info("judge ready", partitions=sorted(assigned), branches=len(self._dirty))

    async def take(self, events: Sequence[Taken]) -> None:
        """Work through a batch of kbw-evidence."""
        await self._ready.wait()
        bad = 0
        for event in events:
            if event.message.value is None:
                continue
            try:
                branch = self._judge.replace(decode(event.message.value, DomainEvidence))
            except DecodeError as error:
                bad += 1
                await self._dlq.bad(event.message, error.reason, error.detail)
                continue
            if branch is not None:
                self._dirty.add(branch)
        await self._dlq.count(len(events) - bad, bad)

    async def publish_forever(self) -> None:
        """Judge the branches that have news, again and again."""
        while True:
            await self._ready.wait()
            folded_s = 0.0
            for branch in sorted(self._dirty):
                self._dirty.discard(branch)
                folded_s += await self._judge_branch(branch)
            await asyncio.sleep(max(_PAUSE_S, _SHARE * folded_s))

    async def _judge_branch(self, branch: Branch) -> float:
        """Publish what has changed; returns the seconds of folding, without those of waiting for
        the broker: a broker that was away for an hour must not silence the judge for two.
        """
        begin = time.perf_counter()
        verdicts = self._judge.verdicts(branch)
        folded_s = time.perf_counter() - begin
        FOLD_SECONDS.observe(folded_s)
        fresh = {key(v.fleet, v.case): encode(v) for v in verdicts}
        of_branch = {k for k in self._published if _branch_of(k) == branch}
        for record_key, value in fresh.items():
            if self._published.get(record_key) != value:
                await self._send(record_key, value)
        for record_key in of_branch - set(fresh):
            # A closed case leaves the compacted topic; the store keeps its history.
            await self._send(record_key, None)
        CASES.set(len(self._published))
        return folded_s

    async def _send(self, record_key: bytes, value: bytes | None) -> None:
        topic = self._settings.kafka.topic(VERDICTS)

        async def attempt() -> None:
            await (await send(self._app, topic, record_key, value))

        await until_sent("verdict", attempt)
        if value is None:
            self._published.pop(record_key, None)
        else:
            self._published[record_key] = value


def _branch_of(record_key: bytes) -> Branch:
    fleet, case = record_key.decode().split("|")
    return fleet, case.partition("@")[2]
