"""The collector's log: one line an event as ``key=value``, on standard error or in a file.

The standard library's logging: structlog would cost a quarter of the memory that a collector may
take.
"""

import json
import logging
import logging.handlers
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

_SAME_LINE_EVERY_S = 10.0
_KNOWN_SITES = 1_000
_FILE_BYTES = 5_000_000
_OLD_FILES = 3
_PLAIN = re.compile(r"[^\s\"=\\\x00-\x1f\x7f]+")


class KeyValue(logging.Formatter):
    """``2026-07-08T03:12:44.120Z warning spool "can't be written" free_bytes=0``."""

    def __init__(self) -> None:
        super().__init__()
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in the record: a log is read by the line."""
        at = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z"
        fields: dict[str, object] = getattr(record, "fields", {})
        words = [at, record.levelname.lower(), record.name, json.dumps(record.getMessage())]
        words += [f"{name}={_value(value)}" for name, value in fields.items()]
        suppressed = getattr(record, "suppressed", 0)
        if suppressed:
            words.append(f"same_lines_suppressed={suppressed}")
        if record.exc_info:
            words.append(f"trace={json.dumps(self.formatException(record.exc_info))}")
        return " ".join(words)


class Flood(logging.Filter):
    """Lets one line of a call site through per ten seconds, and counts the others.

    What fails once fails again at every attempt.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._sites: dict[tuple[str, int, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line goes out; if so it knows how many like it did not."""
        site = (record.pathname, record.lineno, getattr(record, "about", None))
        now = self._now_s()
        until, suppressed = self._sites.get(site, (0.0, 0))
        if site in self._sites and now < until:
            self._sites[site] = (until, suppressed + 1)
            return False
        if len(self._sites) >= _KNOWN_SITES:
            self._sites.clear()
        self._sites[site] = (now + _SAME_LINE_EVERY_S, 0)
        record.suppressed = suppressed
        return True


class Log:
    """One part's log: ``log.warning("can't be read", about="System", error=error)``."""

    def __init__(self, part: str) -> None:
        self._logger = logging.getLogger(f"kbwatch.{part}")

    def info(self, text: str, about: str = "", **fields: object) -> None:
        """What an operator may want to know; ``about`` has a flood limit of its own."""
        self._write(logging.INFO, text, about, fields)

    def warning(self, text: str, about: str = "", **fields: object) -> None:
        """What an operator should look at."""
        self._write(logging.WARNING, text, about, fields)

    def fault(self, text: str, about: str = "", **fields: object) -> None:
        """What must not happen: with the trace of the exception being handled."""
        self._write(logging.ERROR, text, about, fields, exc_info=True)

    def _write(
        self,
        level: int,
        text: str,
        about: str,
        fields: dict[str, object],
        exc_info: bool = False,
    ) -> None:
        named = {"about": about, **fields} if about else fields
        # Two frames up: the call site is what floods, not this line.
        self._logger.log(
            level,
            "%s",
            text,
            extra={"fields": named, "about": about},
            exc_info=exc_info,
            stacklevel=3,
        )


def configure(level: str, file: Path | None = None) -> None:
    """Send the log to standard error, or to a file of at most 5 MB with three older ones.

    Raises OSError when the file can't be written.
    """
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=_FILE_BYTES, backupCount=_OLD_FILES, encoding="utf-8", delay=False
        )
    handler.setFormatter(KeyValue())
    handler.addFilter(Flood())
    # A full disk must not fill standard error with the complaint that it is full.
    logging.raiseExceptions = False
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # What is wrong with Kafka is said once, by the outbox; the client says it all the time.
    logging.getLogger("kafka").propagate = False
    set_level(level)


def set_level(level: str) -> None:
    """Show our own lines from this level on; those of libraries from warnings on."""
    logging.getLogger("kbwatch").setLevel(level.upper())


def _value(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
