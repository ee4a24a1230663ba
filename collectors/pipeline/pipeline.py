"""From what sources read to reports: records, limits, redaction, bundles. Pure: no I/O, no clock.

What a source hands in is wanted: sources select (collectors/pipeline/selection.py), and hand in
items without records for what they leave out, so that their position moves on.
"""

from collections.abc import Mapping, Sequence

from collectors.pipeline.bundling import Bundler, priority_of
from collectors.pipeline.fitting import fitted
from collectors.pipeline.limits import Limiter
from collectors.pipeline.node_list import Nodes
from collectors.pipeline.origins import Origin, Origins, is_name
from collectors.pipeline.positions import Mark, Positions
from collectors.pipeline.redact import Redactor
from collectors.settings import Settings
from collectors.sources.source import Item
from collectors.spool.bundle import Bundle, Priority
from schemas.codec import MAJOR_VERSION
from schemas.errors import KbwatchError
from schemas.reports import Boot, ChannelHealth, Event, Heartbeat, NodeReport, Record


class Pipeline:
    """What one collector does to records.

    Law: each record that is taken leaves once, in one report, or is counted: in a summary
    (collectors/pipeline/limits.py), or in ``refused`` and the next heartbeat's ``dropped``.

    Raises KbwatchError for names and patterns that can't be used.
    """

    def __init__(
        self,
        settings: Settings,
        node: str,
        domain: str,
        version: str,
        nodes: Nodes | None = None,
    ) -> None:
        """``nodes``: who those are that forward their events to this node."""
        for what, name in (("name", node), ("domain", domain)):
            if not is_name(name):
                raise KbwatchError(
                    f"node.{what} {name!r}: use 1 to 256 characters, no '|' and no control "
                    "characters"
                )
        header = NodeReport(
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
        self._origins = Origins(header, nodes)
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
                origin = self._origins.find(item.origin)
                if origin is None:
                    self.refused += 1
                elif origin.entry is not None and origin.entry.collector:
                    continue  # what it logs comes from its own collector
                elif isinstance(record, Event):
                    self._take_event(source_name, item.origin, origin, record, mark, now_ms)
                else:
                    self._add_new(origin, record, mark, now_ms)
            self._positions.reached(source_name, mark)

    def bundles(self, now_ms: int, force: bool = False) -> list[Bundle]:
        """The reports that are due, or all of them.

        ``positions`` of a bundle: where sources stand, everything up to there being in this bundle
        or earlier ones. A position that moved without any record waits for the next bundle, if need
        be for the next heartbeat's.
        """
        for origin, event, mark in self._limiter.due(now_ms, force):
            self._add_limited(origin, event, mark, now_ms)
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
        started, and how many records are waiting in the spool.

        ``dropped`` goes out with what was refused here; suppressed events are told by summaries.
        """
        beat = Heartbeat(
            t_ms=now_ms,
            channels=dict(channels),
            lost=lost,
            dropped=dropped + self.refused,
            spool_depth=depth,
        )
        self._add_new(self._origins.own, beat, Mark(""), now_ms)

    def _take_event(
        self, source: str, name: str, origin: Origin, event: Event, mark: Mark, now_ms: int
    ) -> None:
        records = origin.reader.records_of(event)
        for record in records:
            if not isinstance(record, Event):
                sendable = fitted(record)
                if sendable is None:
                    # What the event was taken for is no valid record: the event itself can tell.
                    self._take_plain(source, name, origin, event, mark, now_ms)
                    break
                if isinstance(record, Boot):
                    origin.booted(record)
                mark.held += 1
                self._bundler.add(origin.header, *sendable, mark, now_ms)
            else:
                self._take_plain(source, name, origin, record, mark, now_ms)
        # A clock that is ahead must not hold back what the list will say later.
        facts = origin.facts(min(event.t_ms, now_ms))
        if facts is not None:
            self._add_new(origin, facts, mark, now_ms)

    def _take_plain(
        self, source: str, name: str, origin: Origin, event: Event, mark: Mark, now_ms: int
    ) -> None:
        if priority_of(event) is Priority.KEEP:
            mark.held += 1
            self._add_event(origin, event, mark, now_ms)
            return
        for whose, kept, kept_mark in self._limiter.take(source, name, event, mark, now_ms):
            self._add_limited(whose, kept, kept_mark, now_ms)

    def _add_limited(self, name: str, event: Event, mark: Mark, now_ms: int) -> None:
        origin = self._origins.find(name)
        if origin is None:
            mark.held -= 1
            self.refused += 1
        else:
            self._add_event(origin, event, mark, now_ms)

    def _add_event(self, origin: Origin, event: Event, mark: Mark, now_ms: int) -> None:
        """Redact and ship an event that holds its mark."""
        sendable = fitted(self._redactor.event(event))
        if sendable is None:
            mark.held -= 1
            self.refused += 1
            return
        self._bundler.add(origin.header, *sendable, mark, now_ms)

    def _add_new(self, origin: Origin, record: Record, mark: Mark, now_ms: int) -> None:
        sendable = fitted(record)
        if sendable is None:
            self.refused += 1
            return
        mark.held += 1
        self._bundler.add(origin.header, *sendable, mark, now_ms)
