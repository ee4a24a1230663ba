"""The settings while the collector runs: a changed file takes effect, a broken one does not."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from collectors.log import Log
from collectors.settings import Settings, load
from schemas.config import COLLECTOR_PREFIX
from schemas.errors import KbwatchError

LOOK_EVERY_S = 10.0
NEEDS_RESTART = ("data_dir", "http_port")
"""Settings that hold until the end of the process."""

_log = Log("settings")


class SettingsFile:
    """The settings in effect, and what is wrong with the newer ones.

    ``current`` is loaded by ``load`` at construction (KbwatchError if that fails) and replaced by
    ``changed``; environment and command line keep their precedence.
    """

    def __init__(
        self,
        config: str | None = None,
        overrides: Sequence[str] = (),
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._overrides = overrides
        named = config or os.environ.get(f"{COLLECTOR_PREFIX}CONFIG")
        self._path = Path(named) if named else None
        self._now_s = now_s
        # Read before the settings: a change in between is seen at the first look.
        self._content = self._read()
        self.current = load(config, overrides)
        self._started = self._before = self.current
        self._next_s = now_s() + LOOK_EVERY_S
        self.trouble = ""
        """Why the file as it is now is not in effect."""
        self.restart_needed: tuple[str, ...] = ()
        """Settings of the file that wait for the next start."""

    def changed(self) -> bool:
        """Look at the file if it is time; True when ``current`` is another than before."""
        if self._path is None or self._now_s() < self._next_s:
            return False
        self._next_s = self._now_s() + LOOK_EVERY_S
        content = self._read()
        if content == self._content:
            return False
        self._content = content
        try:
            wanted = load(self._config, self._overrides)
        except KbwatchError as error:
            self.trouble = str(error)
            _log.warning("changed settings are refused, the old ones hold", error=error)
            return False
        self.trouble = ""
        self._before = before = self.current
        self.current = self._without_what_needs_a_restart(wanted)
        if self.current != before:
            _log.info("new settings", changed=", ".join(_differing(before, self.current)))
        return self.current != before

    def refuse(self, trouble: str) -> None:
        """``current`` can't work: the settings before it hold again."""
        self.current = self._before
        self.trouble = trouble
        _log.warning("changed settings are refused, the old ones hold", error=trouble)

    def _without_what_needs_a_restart(self, wanted: Settings) -> Settings:
        held = {name: getattr(self._started, name) for name in NEEDS_RESTART}
        self.restart_needed = tuple(n for n in NEEDS_RESTART if getattr(wanted, n) != held[n])
        if self.restart_needed:
            _log.warning("restart for changed settings", settings=", ".join(self.restart_needed))
        return msgspec.structs.replace(wanted, **held)

    def _read(self) -> bytes | None:
        if self._path is None:
            return None
        try:
            return self._path.read_bytes()
        except OSError:
            return None


def _differing(before: Settings, after: Settings) -> list[str]:
    names = []
    for section in before.__struct_fields__:
        old, new = getattr(before, section), getattr(after, section)
        if old == new:
            continue
        fields = getattr(old, "__struct_fields__", ())
        names += [f"{section}.{n}" for n in fields if getattr(old, n) != getattr(new, n)]
        names += [] if fields else [section]
    return names
