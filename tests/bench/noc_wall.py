"""The NOC's wall that benchmarks look at: 20,000 nodes and 60 cases, over a real Kafka."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import kafka
from schemas.settings import KafkaSettings, Settings
from schemas.verdicts import State
from streams.topics_admin import apply_topics
from tests.fixtures.noc_rollout import Record, cluster, judged, verdict
from tests.fixtures.noc_stage import Stage, now_ms

NODES, CASES, PER_CLUSTER = 20_000, 60, 4
BRANCHES = ("14393", "17763", "20348", "25398", "26100")
_SITES = 40
_STATES: tuple[State, ...] = ("halt", "warn", "notice", "inconclusive", "quiet")


@contextmanager
def staged() -> Iterator[Stage]:
    """A broker with the topics and a NOC server that has not started; both end with the block."""
    with tempfile.TemporaryDirectory(prefix="kbwatch-bench-") as name:
        folder = Path(name)
        try:
            settings = KafkaSettings(bootstrap=kafka.start(folder / "kafka").bootstrap)
            apply_topics(Settings(kafka=settings))
            stage = Stage(settings, folder)
            try:
                yield stage
            finally:
                stage.close()
        finally:
            kafka.stop(folder / "kafka")


def wall() -> list[Record]:
    """Every node and every case."""
    at_ms = now_ms()
    records = [
        wall_cluster(n, "vvee" if n % 400 == 1 else "eesu") for n in range(NODES // PER_CLUSTER)
    ]
    for branch in BRANCHES:
        for number, kb in enumerate(_kbs(branch)):
            state = _STATES[min(number, 3 + number % 2)]
            victims = [f"c{n:05d}-n{m}" for n in range(1, 5_000, 400) for m in (1, 2)]
            hit = victims if number < 3 else ()
            records.append(judged(verdict(state, now_ms=at_ms, kb=kb, branch=branch, victims=hit)))
    return records


def wall_cluster(number: int, letters: str, offset: int = 1) -> Record:
    """One cluster of it; ``letters``: see tests.fixtures.noc_rollout.cluster."""
    branch = BRANCHES[number % len(BRANCHES)]
    return cluster(
        f"c{number:05d}",
        letters,
        site=f"site-{number % _SITES:02d}",
        ring=f"ring{number % 6}",
        branch=branch,
        kbs=_kbs(branch),
        now_ms=now_ms(),
        offset=offset,
    )


def peak_rss_mib(pid: int) -> int:
    """The most that a process has held."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) // 1024


def _kbs(branch: str) -> list[str]:
    return [f"KB5{n:02d}{branch}" for n in range(CASES // len(BRANCHES))]
