"""From what sources read to reports: records, limits, redaction, bundles. Pure: no I/O, no clock.

What a source hands in is wanted: sources select (collectors/pipeline/selection.py), and hand in
items without records for what they leave out, so that their position moves on.

Headers promise the heartbeats that this collector sends, for its own node, while it reads back
history too: detection takes what was sent last, and counts the log before the first heartbeat as
service. Reports for nodes that forward their events promise none: what is not heard of them can't
be told from here, and a heartbeat that this node made up would hide a node that hangs at its boot.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from collectors.pipeline.bundling import Bundler, priority_of
from collectors.pipeline.fitting import fitted
from collectors.pipeline.limits import Limiter
from collectors.pipeline.positions import Mark, Positions
from collectors.pipeline.redact import Redactor
from collectors.settings import Settings
from collectors.sources.source import Item
from collectors.spool.bundle import Bundle, Priority
from schemas.codec import MAJOR_VERSION
from schemas.errors import KbwatchError
from schemas.reports import Boot, ChannelHealth, Event, Heartbeat, Name, NodeReport, Record
from schemas.windows.names import slug
from schemas.windows.records import RecordReader

MAX_ORIGINS = 4_096
"""Nodes whose log is remembered. One that comes back after it was forgotten, as after a restart of
the collector: its next boot can't say whether the shutdown was clean, a KB before that boot not
which build it brings, and the removal of a superseded package looks like a roll-back."""


class _Origin(Struct):
    """One node that events come from."""

    header: NodeReport
    """Without records; ``boot_ms`` is that of the newest boot in its log."""
    reader: RecordReader


class Pipeline:
    """What one collector does to records.

    Law: each record that is taken leaves once, in one report, or is counted: in a summary
    (collectors/pipeline/limits.py), or in ``refused`` and the next heartbeat's ``dropped``.

    Raises KbwatchError for names and patterns that can't be used.
    """

    def __init__(self, settings: Settings, node: str, domain: str, version: str) -> None:
        for what, name in (("name", node), ("domain", domain)):
            if not _is_name(name):
                raise KbwatchError(
                    f"node.{what} {name!r}: use 1 to 256 characters, no '|' and no control "
                    "characters"
                )
        self._header = NodeReport(
            v=MAJOR_VERSION,
            fleet=settings.node.fleet,
            node=node,
            domain=domain,
            site=settings.node.site,
            sent_ms=0,
            records=[],
            heartbeat_s=settings.schedule.heartbeat_s,
            collector=version,
        )
        self._own = _Origin(self._header, RecordReader())
        self._origins: OrderedDict[str, _Origin] = OrderedDict()
        self._limiter = Limiter(settings.limits)
        self._redactor = Redactor(settings.redact)
        self._positions = Positions()
        self._bundler = Bundler(settings.schedule.report_s, self._positions)
        self.refused = 0
        """Records that are no events and that no reader would accept, since the start."""

    def take(self, source_name: str, items: Sequence[Item], now_ms: int) -> None:
        """Take what a source read, in its order."""
        for item in items:
            mark = Mark(item.position)
            for record in item.records:
                if isinstance(record, Event):
                    self._take_event(source_name, item.origin, record, mark, now_ms)
                else:
                    self._add_new(self._origin(item.origin), record, mark, now_ms)
            self._positions.reached(source_name, mark)

    def bundles(self, now_ms: int, force: bool = False) -> list[Bundle]:
        """The reports that are due, or all of them.

        ``positions`` of a bundle: where sources stand, everything up to there being in this bundle
        or earlier ones. A position that moved without any record waits for the next bundle, if need
        be for the next heartbeat's.
        """
        for origin, event, mark in self._limiter.due(now_ms, force):
            self._add_event(self._origin(origin), event, mark, now_ms)
        return list(self._bundler.bundles(now_ms, force))

    def heartbeat(
        self,
        now_ms: int,
        channels: Mapping[str, ChannelHealth],
        lost: int,
        dropped: int,
        depth: int,
    ) -> None:
        """Say in the next reports that this node is alive, what was lost since the collector
        started, and how many reports are waiting in the spool.

        ``dropped`` goes out with what was refused here; suppressed events are told by summaries.
        """
        beat = Heartbeat(
            t_ms=now_ms,
            channels=dict(channels),
            lost=lost,
            dropped=dropped + self.refused,
            spool_depth=depth,
        )
        self._add_new(self._own, beat, Mark(""), now_ms)

    def _take_event(self, source: str, name: str, event: Event, mark: Mark, now_ms: int) -> None:
        origin = self._origin(name)
        records = origin.reader.records_of(event)
        for record in records:
            if not isinstance(record, Event):
                sendable = fitted(record)
                if sendable is None:
                    # What the event was taken for is no valid record: the event itself can tell.
                    self._take_plain(source, name, event, mark, now_ms)
                    break
                if isinstance(record, Boot):
                    origin.header = replace(origin.header, boot_ms=record.t_ms)
                mark.held += 1
                self._bundler.add(origin.header, *sendable, mark, now_ms)
            else:
                self._take_plain(source, name, record, mark, now_ms)

    def _take_plain(self, source: str, name: str, event: Event, mark: Mark, now_ms: int) -> None:
        if priority_of(event) is Priority.KEEP:
            mark.held += 1
            self._add_event(self._origin(name), event, mark, now_ms)
            return
        for origin, kept, kept_mark in self._limiter.take(source, name, event, mark, now_ms):
            self._add_event(self._origin(origin), kept, kept_mark, now_ms)

    def _add_event(self, origin: _Origin, event: Event, mark: Mark, now_ms: int) -> None:
        """Redact and ship an event that holds its mark."""
        sendable = fitted(self._redactor.event(event))
        if sendable is None:
            mark.held -= 1
            self.refused += 1
            return
        self._bundler.add(origin.header, *sendable, mark, now_ms)

    def _add_new(self, origin: _Origin, record: Record, mark: Mark, now_ms: int) -> None:
        sendable = fitted(record)
        if sendable is None:
            self.refused += 1
            return
        mark.held += 1
        self._bundler.add(origin.header, *sendable, mark, now_ms)

    def _origin(self, name: str) -> _Origin:
        if not name or name == self._header.node:
            return self._own
        origin = self._origins.get(name)
        if origin is not None:
            self._origins.move_to_end(name)
            return origin
        node = name if _is_name(name) else slug(name)
        header = replace(self._header, node=node, domain=node, heartbeat_s=0)
        origin = self._origins[name] = _Origin(header, RecordReader())
        if len(self._origins) > MAX_ORIGINS:
            self._origins.popitem(last=False)
        return origin


@lru_cache(maxsize=256)
def _is_name(text: str) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(text), type=Name)
    except (msgspec.ValidationError, ValueError):
        return False
    return True
