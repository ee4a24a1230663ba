"""From evidence to verdicts: what agent ``judge`` and its timer do."""

import asyncio
import time
from collections.abc import Iterable, Sequence

import faust
import structlog

from schemas.calibration import Calibration
from schemas.codec import DecodeError, decode, encode
from schemas.evidence import DomainEvidence
from schemas.settings import Settings
from schemas.topics import EVIDENCE, VERDICTS, all_topics, key
from streams.calibration.topic import read_calibrations
from streams.detection.judge import Branch, Judge
from streams.detection.pinned import Calibrations
from streams.dlq import DeadLetters
from streams.faust_app import Taken, send
from streams.kafka_io import partition_of, read_whole
from streams.metrics import CASES, FOLD_SECONDS
from streams.retry import confirmed, until_sent

_log = structlog.get_logger(__name__)
_PAUSE_S = 0.1
_CALIBRATIONS_S = 60.0
"""How often kbw-calibration is looked at: what is new there is for cases yet to begin."""
_SHARE = 4.0
"""Rest four times as long as the last round folded: judging must not slow catching up."""


class _Held:
    """What belongs to one assignment of partitions: the judge, and what was published."""

    def __init__(self, alpha: float, calibrations: list[Calibration]) -> None:
        self.judge = Judge(alpha=alpha, calibrations=Calibrations(calibrations))
        self.calibrations = calibrations
        self.published: dict[bytes, bytes] = {}
        self.dirty: set[Branch] = set()


class Judging:
    """The judge of the assigned evidence partitions, and what it has published.

    Laws: nothing is judged before all evidence of its partitions was read, or after they were
    taken away; a verdict is published when, and only when, it differs from the one before.
    """

    def __init__(self, app: faust.App, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._partitions = all_topics()[EVIDENCE].partitions
        self._dlq = DeadLetters(app, settings.kafka, "detector", EVIDENCE)
        self._held: _Held | None = None
        self._ready = asyncio.Event()

    def close(self) -> None:
        """Let go of everything: the partitions are being taken away."""
        self._held = None
        self._ready.clear()

    async def open(self, partitions: Iterable[int]) -> None:
        """Start anew from the whole of the assigned partitions of kbw-evidence."""
        self.close()
        assigned = set(partitions)
        held = await until_sent("read back", lambda: self._read(assigned))
        self._held = held
        self._ready.set()
        _log.info("judge ready", partitions=sorted(assigned), branches=len(held.dirty))

    async def take(self, events: Sequence[Taken]) -> int:
        """Work through a batch of kbw-evidence; how many events from the front are finished."""
        held = self._held
        if held is None:
            return 0
        bad = 0
        for event in events:
            if event.message.value is None:
                continue
            try:
                branch = held.judge.replace(decode(event.message.value, DomainEvidence))
            except DecodeError as error:
                bad += 1
                await self._dlq.bad(event.message, error.reason, error.detail)
                continue
            if branch is not None:
                held.dirty.add(branch)
        await self._dlq.count(len(events) - bad, bad)
        return len(events)

    async def publish_forever(self) -> None:
        """Judge the branches that have news, again and again."""
        while True:
            await self._ready.wait()
            folded_s = 0.0
            held = self._held
            if held is not None:
                for branch in sorted(held.dirty):
                    folded_s += await self._judge_branch(held, branch)
            await asyncio.sleep(max(_PAUSE_S, _SHARE * folded_s))

    async def follow_calibrations(self) -> None:
        """Take what is loaded to kbw-calibration from now on, within a minute, again and again."""
        while True:
            await asyncio.sleep(_CALIBRATIONS_S)
            await self.look_for_calibrations()

    async def look_for_calibrations(self) -> None:
        """Read kbw-calibration; judge all branches anew when it has changed."""
        held = self._held
        found = await until_sent("calibrations", self._calibrations)
        # A judge that was opened meanwhile has read them later than this.
        if held is not None and held is self._held and found != held.calibrations:
            held.calibrations = found
            held.judge.calibrate(Calibrations(found))
            held.dirty.update(held.judge.branches())
            _log.info("calibrations read", names=[c.name for c in found])

    async def _calibrations(self) -> list[Calibration]:
        return await read_calibrations(self._settings.kafka)

    async def _read(self, assigned: set[int]) -> _Held:
        detector = self._settings.detector
        held = _Held(
            detector.false_halts_per_year / detector.cases_per_year, await self._calibrations()
        )
        async for record in read_whole(self._settings.kafka, EVIDENCE, assigned):
            if record.value is not None:
                try:
                    held.judge.replace(decode(record.value, DomainEvidence))
                except DecodeError as error:
                    _log.warning("evidence skipped", offset=record.offset, error=str(error))
        verdicts = all_topics()[VERDICTS].partitions
        async for record in read_whole(self._settings.kafka, VERDICTS, range(verdicts)):
            if partition_of(key(*_branch_of(record.key)), self._partitions) not in assigned:
                continue
            if record.value is None:
                held.published.pop(record.key, None)
            else:
                held.published[record.key] = record.value
        held.dirty = set(held.judge.branches())
        return held

    async def _judge_branch(self, held: _Held, branch: Branch) -> float:
        """Publish what has changed; returns the seconds of folding, without those of waiting for
        the broker: a broker that was away for an hour must not silence the judge for two.
        """
        held.dirty.discard(branch)
        fresh: dict[bytes, bytes] = {}
        folded_s = 0.0
        verdicts = held.judge.verdicts(branch)
        begin_s = time.perf_counter()
        for verdict in verdicts:
            fresh[key(verdict.fleet, verdict.case)] = encode(verdict)
            folded_s += time.perf_counter() - begin_s
            # Reports must not wait until all cases are folded.
            await asyncio.sleep(0)
            begin_s = time.perf_counter()
        FOLD_SECONDS.observe(folded_s)
        for record_key, value in fresh.items():
            if held.published.get(record_key) != value:
                await self._send(held, record_key, value)
        for record_key in [k for k in held.published if _branch_of(k) == branch]:
            if record_key not in fresh:
                # A closed case leaves the compacted topic; the store keeps its history.
                await self._send(held, record_key, None)
        CASES.set(len(held.published))
        return folded_s

    async def _send(self, held: _Held, record_key: bytes, value: bytes | None) -> None:
        topic = self._settings.kafka.topic(VERDICTS)

        async def attempt() -> None:
            if held is self._held:  # else somebody else judges this branch now
                await confirmed(await send(self._app, topic, record_key, value))

        await until_sent("verdict", attempt)
        if value is None:
            held.published.pop(record_key, None)
        else:
            held.published[record_key] = value


def _branch_of(record_key: bytes) -> Branch:
    fleet, case = record_key.decode().split("|")
    return fleet, case.partition("@")[2]
