"""How far each source was read and acknowledged, kept over restarts and power cuts."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from collectors.durable import PREVIOUS, replace_file
from schemas.errors import KbwatchError


class _File(Struct, frozen=True):
    v: int
    positions: dict[str, str]


class Bookmarks:
    """The file of bookmarks: source → opaque position.

    Laws: a crash or a power cut at any instant leaves the newest or the previous positions, never a
    mix; positions that can't be read are never guessed. Whoever saves sees to it that everything
    up to a position is acknowledged: an older position only means that records are sent again.
    """

    trouble: str = ""
    """What was wrong with the file at ``load``; empty when all was well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._positions: dict[str, str] = {}
        self._whole = False

    def load(self) -> dict[str, str]:
        """The newest positions that can be read; empty at the first start.

        Raises KbwatchError when there is a file that may not be read.
        """
        self.trouble = ""
        self._positions, self._whole = {}, False
        previous = self._path.with_name(self._path.name + PREVIOUS)
        newest = _read(self._path)
        if isinstance(newest, dict):
            self._positions, self._whole = dict(newest), True
            return newest
        older = _read(previous)
        # A save that was interrupted between its two renames leaves no newest file: no damage.
        damage = [why for why in (newest, older) if isinstance(why, str)]
        if isinstance(older, dict):
            if damage:
                self.trouble = f"{'; '.join(damage)}: going on from {previous.name}"
            self._positions = dict(older)
            return older
        if damage:
            self.trouble = f"{'; '.join(damage)}: reading the logs from the beginning"
        return {}

    def save(self, positions: Mapping[str, str]) -> None:
        """Keep ``positions``; other sources' stay. Costs nothing when there is nothing new.

        Raises KbwatchError when the disk refuses; what was saved before is then still there.
        """
        merged = {**self._positions, **positions}
        if self._whole and merged == self._positions:
            return
        try:
            # A damaged file must not push out the previous one, which is whole.
            replace_file(
                self._path,
                msgspec.json.encode(_File(v=1, positions=merged), order="deterministic"),
                keep_previous=self._whole,
            )
        except OSError as error:
            raise KbwatchError(
                f"{self._path}: bookmarks can't be saved: {error.strerror}; is the disk full?"
            ) from None
        self._positions, self._whole = merged, True


def _read(path: Path) -> dict[str, str] | str | None:
    """The positions, or what is wrong with them; None where there is no file."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KbwatchError(f"{path}: bookmarks can't be read: {error.strerror}") from None
    if not raw.strip(b"\0"):
        return f"{path} is {'filled with zeros' if raw else 'empty'}"
    try:
        file = msgspec.json.decode(raw, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"{path} is damaged"
    return file.positions if file.v == 1 else f"{path} is of version {file.v}, this one knows 1"
