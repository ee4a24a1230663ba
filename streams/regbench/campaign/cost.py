"""What judging costs, measured in a process that does nothing else."""

import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from msgspec import Struct

from streams.regbench.bench.families import Request
from streams.regbench.bench.generate import TRUTH_DIRECTORY, generate_file
from streams.regbench.bench.judge import Job
from streams.regbench.bench.truth import rollout_name
from streams.regbench.campaign.plan import REPORT_SEEDS

QUICK_NODES = (1_000, 10_000)
FULL_NODES = (300, 1_000, 3_000, 10_000, 100_000)
_ROUNDS = 3
_BIG = 100_000
_STATUS = Path("/proc/self/status")


class Cost(Struct, frozen=True):
    """One N2 roll-out through ``judge`` with kbwatch's detector, on one core."""

    nodes: int
    records: int
    judge_s: float
    """Processor time, reading included; the least of three, of one at 100,000 nodes."""
    peak_bytes: int
    idle_bytes: int
    """The same process before it read anything."""


def measure(nodes: int, calibration: Path | None) -> Cost:
    """Make a roll-out and judge it in a fresh process; this one only waits."""
    with tempfile.TemporaryDirectory(prefix="regbench-") as name:
        folder = Path(name)
        (folder / TRUTH_DIRECTORY).mkdir()
        request = Request("N2", nodes=nodes, seed=REPORT_SEEDS)
        # Forked, a process would start with the memory of this one.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            records = pool.submit(generate_file, request, folder, 0).result()
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            idle = pool.submit(_peak_bytes).result()
            job, path = Job("kbwatch", calibration), folder / rollout_name(0)
            rounds = 1 if nodes >= _BIG else _ROUNDS
            took = [pool.submit(_timed, job, path).result() for _ in range(rounds)]
            return Cost(nodes, records, min(took), pool.submit(_peak_bytes).result(), idle)


def _timed(job: Job, path: Path) -> float:
    # Not the clock's: others may use the machine.
    began = time.process_time()
    job(path)
    return time.process_time() - began


def _peak_bytes() -> int:
    # Linux's ru_maxrss begins with that of the process that started this one; VmHWM doesn't.
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        found = next(line for line in lines if line.startswith("VmHWM:"))
        return int(found.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
