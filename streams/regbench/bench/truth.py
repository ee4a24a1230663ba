"""What is known of a roll-out: which KB harms, whom and when. ``judge`` never reads it."""

from pathlib import Path

import msgspec
from msgspec import Struct

from schemas.errors import KbwatchError


class KbTruth(Struct, frozen=True):
    """The truth about one KB of one roll-out."""

    kb: str
    harmful: bool
    branches: tuple[str, ...]
    """Where it was rolled out; each is a case."""
    signature: str = ""
    """What it makes fail; empty when harmless and without any effect."""
    rule: tuple[str, ...] = ()
    """Whom it harms, as literals that all must hold; empty: everybody."""
    caused: tuple[tuple[str, int], ...] = ()
    """Each victim with the time of its first caused event, in order of time."""


_DECODER = msgspec.json.Decoder(list[KbTruth])


def truth_name(index: int) -> str:
    """The name of a roll-out's truth file, as against the stream's `rollout_name`."""
    return f"truth-{index:04d}.json"


def rollout_name(index: int) -> str:
    """The name of a roll-out's stream."""
    return f"rollout-{index:04d}.jsonl.zst"


def truth_of(rollout: str) -> str:
    """The name of the truth file that belongs to a stream's file name.

    Raises KbwatchError for a name that is none of a roll-out.
    """
    stem = rollout.partition(".")[0]
    if not stem.startswith("rollout-"):
        raise KbwatchError(f"{rollout}: has no truth file: a roll-out is named rollout-NNNN.jsonl")
    return f"truth-{stem.removeprefix('rollout-')}.json"


def write_truth(path: Path, truths: list[KbTruth]) -> None:
    """Write the truth of one roll-out, a JSON list, one KB a line."""
    lines = b",\n".join(msgspec.json.encode(truth) for truth in truths)
    try:
        path.write_bytes(b"[\n" + lines + b"\n]\n")
    except OSError as error:
        raise KbwatchError(f"{path}: can't write: {error.strerror}") from None


def read_truth(path: Path) -> list[KbTruth]:
    """The truth of one roll-out; KbwatchError with the file when it isn't one."""
    try:
        return _DECODER.decode(path.read_bytes())
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KbwatchError(f"{path}: not a truth file: {error}") from None
