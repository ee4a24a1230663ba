"""Commands of Windows, one after another: carried out, taken back, and what they leave behind."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from collectors.windows import api as windows_api
from schemas.errors import KbwatchError

KEPT = (
    "spool",
    "log",
    "lock",
    "cluster",
    "bookmarks.json",
    "bookmarks.json.previous",
    "bookmarks.json.new",
    "status.json",
    "status.json.part",
)
"""What a collector has in its data_dir."""

Run = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a command: its exit status and what it said."""


class Step(Struct, frozen=True):
    """One command of Windows."""

    does: str
    """In words, for who reads what will be done."""
    command: tuple[str, ...]
    may_fail: tuple[int, ...] = ()
    """Exit statuses that say that the step was not needed."""


def carry_out(
    steps: Sequence[Step], run: Run, say: Callable[[str], None], undo: Sequence[Step] = ()
) -> None:
    """Run the steps in order; each may be run again.

    Raises KbwatchError when one fails. ``undo`` is run before that if the first step made anew what
    was not there before.
    """
    anew = False
    for place, step in enumerate(steps):
        say(step.does)
        try:
            status = _carried_out(step, run)
        except KbwatchError as error:
            if not anew or not undo:
                raise
            say("that failed: taking back what was done")
            left = attempt(undo, run, say)
            raise KbwatchError("; ".join([str(error), *left])) from None
        anew = anew or (place == 0 and status == 0)


def attempt(steps: Sequence[Step], run: Run, say: Callable[[str], None]) -> list[str]:
    """Run all steps, whatever becomes of them; what failed, in words."""
    failed = []
    for step in steps:
        say(step.does)
        try:
            _carried_out(step, run)
        except KbwatchError as error:
            failed.append(str(error))
    return failed


def remove_data(folder: Path) -> list[str]:
    """Remove what a collector has made in ``folder``, and the folder if nothing else is in it.

    A link is removed, never what it leads to. Returns what is left there: names, or why.
    """
    left = []
    for name in KEPT:
        path = folder / name
        try:
            if path.is_dir() and not path.is_symlink() and not _is_junction(path):
                shutil.rmtree(path)
            elif os.path.lexists(path):
                path.rmdir() if _is_junction(path) else path.unlink()
        except OSError as error:
            left.append(f"{path}: {error.strerror}")
    try:
        left += [str(path) for path in folder.iterdir() if path.name not in KEPT]
        if not left:
            folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        left.append(f"{folder}: {error.strerror}")
    return left


def need_administrator() -> None:
    """Raises KbwatchError unless this is Windows and an elevated prompt."""
    if sys.platform != "win32":
        raise KbwatchError(
            "a Windows service can be installed on Windows only; --dry-run shows what would be "
            "done, and on Linux replay-evtx reads recorded logs"
        )
    if not windows_api.is_administrator():
        raise KbwatchError("run this in an elevated prompt (Run as administrator)")


def run_command(command: Sequence[str]) -> tuple[int, str]:
    """Run a command of Windows. Raises KbwatchError when it can't be started."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KbwatchError(f"{command[0]}: {error}") from None
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def _carried_out(step: Step, run: Run) -> int:
    status, said = run(step.command)
    if status and status not in step.may_fail:
        shown = subprocess.list2cmdline(step.command)
        raise KbwatchError(f"{step.does}: {shown} ended with {status}: {' '.join(said.split())}")
    return status


def _is_junction(path: Path) -> bool:
    # pathlib knows junctions from 3.12 on; to os.path a junction is no link.
    tag = getattr(os.lstat(path), "st_reparse_tag", 0) if os.path.lexists(path) else 0
    return bool(tag) and not path.is_symlink()
