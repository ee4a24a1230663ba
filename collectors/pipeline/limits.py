"""A storm becomes a summary: token buckets per source, origin and channel.

The buckets run on the events' own time, so that a quiet history of 120 days which is read in
minutes is no storm. Once a bucket is empty a window of a minute opens: of each kind (the signature
of an incident, else provider, id and service) the first and the last event are kept, the others
counted; the window ends with one summary event that says how many of which kind, so nothing is
dropped in silence. Kept last events come at the window's end, behind what was logged meanwhile;
detection doesn't mind: its state is a set of signatures.

Suppressed events are told by summaries alone: a heartbeat's ``dropped`` counts what nothing else
tells of. A collector that dies within a window reads it again from its beginning.
"""

from collections import Counter, OrderedDict
from typing import NamedTuple

from msgspec import Struct

from collectors.pipeline.positions import Mark
from collectors.settings import LimitSettings
from schemas.reports import Event
from schemas.windows.names import service_key
from schemas.windows.tables import taxonomy
from schemas.windows.taxonomy import classify

SUMMARY_PROVIDER = "kbwatch"
SUMMARY_ID = 1
WINDOW_MS = 60_000
MAX_KINDS = 100
"""Kinds of one window that are told apart; events of others are counted together. As many again
of outages alone: made-up programs that crash must not use up the room of lsass."""
MAX_BUCKETS = 8_192

_INFORMATION = 4
_OTHERS = "others"
_BACK_MS = 60_000  # further back than events of one log are out of order: the clock was set


class Kept(NamedTuple):
    """An event to ship for the node ``origin``, holding ``mark``."""

    origin: str
    event: Event
    mark: Mark


class _Seen(Struct):
    """One kind in a window."""

    name: str
    suppressed: int = 0
    last: Event | None = None
    """Newest event after the first: kept if no other follows."""


class _Window(Struct):
    mark: Mark
    """Where the window opened: held until its summary has left."""
    opened_ms: int
    first_ms: int
    kinds: dict[str, _Seen] = {}
    suppressed: int = 0
    newest: Event | None = None
    """Newest suppressed event, by reading."""


class _Bucket(Struct):
    origin: str
    tokens: float
    newest_ms: int
    window: _Window | None = None


class Limiter:
    """The buckets of one collector. ``now_ms`` is any clock of this machine; it may be set back."""

    def __init__(self, settings: LimitSettings) -> None:
        self._per_ms = settings.events_per_s / 1000
        self._burst = float(settings.burst)
        self._buckets: OrderedDict[tuple[str, str, str], _Bucket] = OrderedDict()

    def take(self, source: str, origin: str, event: Event, mark: Mark, now_ms: int) -> list[Kept]:
        """What is to be shipped now, each holding its mark; usually the event itself."""
        key = source, origin, event.channel[:256]
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(origin, self._burst, event.t_ms)
        else:
            self._buckets.move_to_end(key)
        window = bucket.window
        kept = []
        if window is not None and _over(window, event.t_ms, now_ms):
            kept = _close(bucket)
            window = None
        if len(self._buckets) > MAX_BUCKETS:
            kept += _close(self._buckets.popitem(last=False)[1])
        if self._token(bucket, event.t_ms):
            mark.held += 1
            kept.append(Kept(origin, event, mark))
            return kept
        if window is None:
            mark.held += 1
            window = bucket.window = _Window(mark, now_ms, event.t_ms)
        if _suppressed(window, event):
            return kept
        mark.held += 1
        kept.append(Kept(origin, event, mark))
        return kept

    def due(self, now_ms: int, force: bool = False) -> list[Kept]:
        """Last events and summaries of windows that have ended; of all windows if ``force``."""
        kept = []
        for bucket in self._buckets.values():
            window = bucket.window
            if window is not None and (force or not 0 <= now_ms - window.opened_ms < WINDOW_MS):
                kept += _close(bucket)
        return kept

    def _token(self, bucket: _Bucket, t_ms: int) -> bool:
        passed_ms = t_ms - bucket.newest_ms
        if passed_ms > 0:
            bucket.tokens = min(self._burst, bucket.tokens + passed_ms * self._per_ms)
        if passed_ms > 0 or passed_ms < -_BACK_MS:
            bucket.newest_ms = t_ms
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def _over(window: _Window, t_ms: int, now_ms: int) -> bool:
    if not 0 <= now_ms - window.opened_ms < WINDOW_MS:
        return True
    return not -_BACK_MS <= t_ms - window.first_ms < WINDOW_MS


def _suppressed(window: _Window, event: Event) -> bool:
    """Count the event in; False when it is the first of its kind, and kept."""
    kind, outage = _kind(event)
    seen = window.kinds.get(kind)
    if seen is None:
        if len(window.kinds) < (2 * MAX_KINDS if outage else MAX_KINDS):
            window.kinds[kind] = _Seen(kind)
            return False
        seen = window.kinds.setdefault(_OTHERS, _Seen(_OTHERS))
    if seen.last is not None:
        seen.suppressed += 1
        window.suppressed += 1
        window.newest = seen.last
    seen.last = event
    return True


def _kind(event: Event) -> tuple[str, bool]:
    """The kind of an event, and whether it tells of an outage."""
    symptom = classify(event)
    if symptom is not None:
        return symptom.signature, symptom.impact == "outage"
    provider = event.provider[:256]
    of_service = taxonomy().short.get(provider.casefold()) == "scm"
    service = service_key(event.binary) if of_service else None
    return f"{provider}/{event.id}" + (f"/{service}" if service else ""), False


def _close(bucket: _Bucket) -> list[Kept]:
    window, bucket.window = bucket.window, None
    if window is None:
        return []
    events = [seen.last for seen in window.kinds.values() if seen.last is not None]
    summary = _summary(window)
    if summary is not None:
        events.append(summary)
    # The window's own hold goes over to what it leaves behind.
    window.mark.held += len(events) - 1
    return [Kept(bucket.origin, event, window.mark) for event in events]


def _summary(window: _Window) -> Event | None:
    newest = window.newest
    if newest is None:
        return None
    counts = Counter({seen.name: seen.suppressed for seen in window.kinds.values()})
    data = {
        "suppressed": str(window.suppressed),
        "first_ms": str(window.first_ms),
        "last_ms": str(newest.t_ms),
        **{name: str(count) for name, count in counts.most_common() if count},
    }
    return Event(
        t_ms=newest.t_ms,
        channel=newest.channel,
        provider=SUMMARY_PROVIDER,
        id=SUMMARY_ID,
        level=_INFORMATION,
        record_id=newest.record_id,
        data=data,
        computer=newest.computer,
    )
