"""``kbwatch run ingest``: the Faust app that turns other shippers' topics into node reports."""

import asyncio

import faust
from faust.types import StreamT

from schemas.errors import KbwatchError
from schemas.formats import FORMATS
from schemas.settings import IngestSettings, Settings
from schemas.topics import HEALTH, INVENTORY, NODE_REPORTS, all_topics, dlq_of
from streams.faust_app import make_app, run_worker, work_through
from streams.ingest.agents import Source, Taker
from streams.ingest.bridge import Bridge
from streams.ingest.feed import InventoryFeed
from streams.ingest.nodes import Inventory
from streams.kafka_io import check_foreign

_NAME = "ingest"
_BUFFERED = 32
"""Messages that wait for the agent: 64 MiB of the largest."""
_AGENTS = ("bridge_events",)
_TOPICS = (NODE_REPORTS, dlq_of(NODE_REPORTS), INVENTORY, HEALTH)


def run(settings: Settings) -> int:
    """Run an ingest worker until SIGINT or SIGTERM; returns the exit code.

    Raises KbwatchError when a source, the data folder or the broker is not as it should be.
    """
    sources = sources_of(settings)
    asyncio.run(check_foreign(settings.kafka, sources))
    return run_worker(make(settings, sources), settings, _AGENTS, _TOPICS)


def sources_of(settings: Settings) -> dict[str, Source]:
    """The sources of the settings by topic.

    Raises KbwatchError when there is none, and for what is named twice, unknown or our own.
    """
    return _sources(settings.ingest, {settings.kafka.topic(name) for name in all_topics()})


def make(settings: Settings, sources: dict[str, Source]) -> faust.App:
    """The app with its agent and its reader of the inventory."""
    app = make_app(settings, _NAME, buffered=_BUFFERED)
    inventory = Inventory()
    feed = InventoryFeed(settings.kafka, inventory)
    ingest = settings.ingest
    bridge = Bridge(inventory, ingest.heartbeat_s, ingest.max_nodes, ingest.max_strangers)
    taker = Taker(app, settings.kafka, sources, bridge)
    foreign = app.topic(*sources, key_type=bytes, value_type=bytes)

    @app.agent(foreign, concurrency=1)
    async def bridge_events(stream: StreamT[bytes]) -> None:
        await work_through(stream, ingest.batch, ingest.within_s, taker.take, ingest.batch_bytes)

    @app.on_rebalance_complete.connect
    async def assigned(*_: object, **__: object) -> None:
        # The flow of events resumes only after this returns: no event before the inventory.
        await feed.load()

    async def follow() -> None:
        await feed.follow()

    app.task(follow)
    return app


def _sources(ingest: IngestSettings, own: set[str]) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for index, source in enumerate(ingest.sources):
        where = f"ingest.sources[{index}]"
        if source.topic in own:
            raise KbwatchError(f"{where}.topic: {source.topic} is kbwatch's own")
        if source.topic in found:
            raise KbwatchError(f"{where}.topic: {source.topic} is named before; one entry a topic")
        if source.format not in FORMATS:
            known = ", ".join(sorted(FORMATS))
            raise KbwatchError(f"{where}.format: no format {source.format!r}; there are: {known}")
        found[source.topic] = Source(source.format, FORMATS[source.format], source.fleet)
    if not found:
        raise KbwatchError(
            "ingest.sources is empty: name the topics that shippers fill, in the settings file "
            'as [[ingest.sources]] with topic = "…" and format = "…"'
        )
    return found
