"""Roll-outs as files: streams in a directory, their truth in its sub-directory ``truth``."""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import msgspec
from msgspec import Struct

from schemas.errors import KbwatchError
from streams.regbench.bench.families import Request, order, variants_of
from streams.regbench.bench.rollout import rollout
from streams.regbench.bench.stream_file import write
from streams.regbench.bench.truth import rollout_name, truth_name, write_truth

TRUTH_DIRECTORY = "truth"
MANIFEST = "generated.json"


class Manifest(Struct, frozen=True):
    """What a directory's roll-outs were made of; beside the truth, as it tells much of it."""

    request: Request
    variants: tuple[str, ...]
    """Roll-out i is of variant i modulo their number."""


class Estimate(Struct, frozen=True):
    """What a request costs, by its first roll-out."""

    records: int
    """Lines of that roll-out."""
    seconds: float
    """What it took to make, without writing."""


def estimate(request: Request, index: int) -> Estimate:
    """Make one roll-out and throw it away."""
    began = time.perf_counter()
    records = sum(1 for _ in rollout(order(request, index), request.seed, index).lines)
    return Estimate(records, time.perf_counter() - began)


def missing(request: Request, out: Path, indices: range) -> list[int]:
    """The roll-outs that ``out`` doesn't have yet.

    Raises KbwatchError when it has roll-outs of another request.
    """
    manifest = out / TRUTH_DIRECTORY / MANIFEST
    if manifest.exists():
        if read_manifest(out / TRUTH_DIRECTORY).request != request:
            raise KbwatchError(f"{out}: holds roll-outs of other options; use another directory")
    elif any(out.glob("rollout-*")):
        raise KbwatchError(f"{out}: holds roll-outs of unknown origin; use another directory")
    return [index for index in indices if not (out / rollout_name(index)).exists()]


def generate_files(request: Request, out: Path, indices: list[int], jobs: int) -> Iterator[int]:
    """Make roll-outs in ``jobs`` processes; yields the lines of each as it is done."""
    truths = out / TRUTH_DIRECTORY
    try:
        truths.mkdir(parents=True, exist_ok=True)
        manifest = Manifest(request, tuple(variants_of(request)))
        (truths / MANIFEST).write_bytes(msgspec.json.encode(manifest) + b"\n")
    except OSError as error:
        raise KbwatchError(f"{truths}: can't write: {error.strerror}") from None
    if jobs == 1:
        for index in indices:
            yield generate_file(request, out, index)
        return
    # Forked processes would share what threads of this one (rich's progress) hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running = [pool.submit(generate_file, request, out, index) for index in indices]
        for done in as_completed(running):
            yield done.result()


def generate_file(request: Request, out: Path, index: int) -> int:
    """Make one roll-out: first its truth, so that a stream never lacks it. How many lines."""
    made = rollout(order(request, index), request.seed, index)
    write_truth(out / TRUTH_DIRECTORY / truth_name(index), made.truths)
    return write(out / rollout_name(index), made.lines)


def read_manifest(truths: Path) -> Manifest:
    """What the roll-outs were made of whose truth is in this directory; KbwatchError if unknown."""
    path = truths / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KbwatchError(f"{path}: does not say what was generated: {error}") from None
