"""What was lost outside the spool, counted over restarts, so that some heartbeat will tell."""

from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from collectors.durable import replace_file

FILE = "losses.json"


class _File(Struct, frozen=True):
    lost: dict[str, int]
    refused: int


class Losses:
    """Counts that only rise. To be saved before the place of a loss is passed for good.

    What a crash in between costs is counted twice, never not at all. A file that can't be
    understood counts as absent.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is there. Raises OSError."""
        self._path = folder / FILE
        self._unsaved = False
        self.lost: Counter[str] = Counter()
        """Source → records that its logs had lost before they could be read."""
        self.refused = 0
        """Records that can't be sent."""
        with suppress(FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            file = msgspec.json.decode(self._path.read_bytes(), type=_File)
            self.lost.update(file.lost)
            self.refused = file.refused

    def lose(self, source: str, records: int) -> None:
        """Count what a log has lost."""
        if records:
            self.lost[source] += records
            self._unsaved = True

    def refuse(self, records: int) -> None:
        """Count what can't be sent."""
        if records:
            self.refused += records
            self._unsaved = True

    def save(self) -> None:
        """Put the counts on the disk, if they have changed; on a full one, the next time."""
        if not self._unsaved:
            return
        with suppress(OSError):
            replace_file(self._path, msgspec.json.encode(_File(dict(self.lost), self.refused)))
            self._unsaved = False
