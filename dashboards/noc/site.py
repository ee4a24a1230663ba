"""What the handlers share: everything known, the way to browsers, and the clock."""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

import msgspec
from aiohttp import web
from msgspec import Struct

from dashboards.noc.answers import Problem
from dashboards.noc.book import Book
from dashboards.noc.hub import Hub
from dashboards.noc.model import Tick, WallState
from schemas.settings import NocSettings


class Reading(Protocol):
    """What handlers ask of whoever reads Kafka."""

    ready: bool
    why: str

    @property
    def read_ms(self) -> int:
        """When Kafka was last known to have nothing newer (Unix ms)."""

    @property
    def connected(self) -> bool:
        """Whether what is held is what Kafka has, but for seconds."""


class Site:
    """One server's parts. ``clock_ms`` gives Unix milliseconds."""

    def __init__(
        self,
        settings: NocSettings,
        book: Book,
        reading: Reading,
        run: str,
        clock_ms: Callable[[], int],
    ) -> None:
        self.settings = settings
        self.book = book
        self.reading = reading
        self.clock_ms = clock_ms
        self.hub = Hub(run, self.state)
        self.streams = 0
        self.streams_of: Counter[str] = Counter()
        """Streams by remote address."""

    def tick(self) -> Tick:
        """The time, and how fresh everything is."""
        return Tick(
            server_ms=self.clock_ms(),
            connected=self.reading.connected,
            read_ms=self.reading.read_ms,
            evidence_ms=self.book.newest_ms(),
            sources=self.book.sources(),
        )

    def state(self, seq: int) -> WallState:
        """All that the page shows."""
        return WallState(
            v=1,
            run=self.hub.run,
            seq=seq,
            asof_ms=self.book.newest_ms(),
            tick=self.tick(),
            cases=self.book.cases.cards(),
            halts=self.book.halts(),
            fleets=self.book.layouts(),
            health=self.book.notes(),
        )


SITE: web.AppKey[Site] = web.AppKey("site", Site)


def answered(data: Struct, status: int = 200) -> web.Response:
    """A Struct as JSON."""
    return web.Response(
        body=msgspec.json.encode(data), status=status, content_type="application/json"
    )


def refused(status: int, error: str) -> web.Response:
    """Why there is no answer."""
    return answered(Problem(error), status)


def not_ready(site: Site) -> web.Response | None:
    """The answer while nothing may be said, else None."""
    if site.reading.ready:
        return None
    response = refused(503, f"not ready: {site.reading.why}")
    response.headers["Retry-After"] = "2"
    return response
