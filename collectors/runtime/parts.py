"""What a collector on Windows is made of."""

import time
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from collectors import version
from collectors.pipeline.pipeline import Pipeline
from collectors.runtime.nodes_file import NodesFile
from collectors.settings import KafkaSettings, Settings
from collectors.shipping.outbox import Shipping
from collectors.shipping.shipper import Shipper
from collectors.sources.eventlog import EventLogSource
from collectors.sources.facts import FactsSource
from collectors.sources.patch_state import PatchStateSource
from collectors.sources.selection import Selection
from collectors.sources.source import Source
from collectors.sources.subscription import Clocks
from collectors.windows import api as windows_api
from collectors.windows.node import Node

_UNTHROTTLED = 1_000_000


class WindowsParts:
    """The sources of this computer, the pipeline, and Kafka.

    Not ``throttled``: the history is read as fast as it comes, for runs that end.
    """

    def __init__(self, throttled: bool = True) -> None:
        self._throttled = throttled

    def sources(self, settings: Settings, node: Node) -> Sequence[Source]:
        """Event logs, patch states and facts.

        Raises KbwatchError where this is not Windows, or there is no pywin32, or for an XPath that
        can't be right.
        """
        events = windows_api.event_log()
        clocks = Clocks(now_ms=lambda: time.time_ns() // 1_000_000, now_s=time.monotonic)
        registry = windows_api.registry()
        logs = settings.logs
        if not self._throttled:
            logs = replace(logs, history_events_per_s=_UNTHROTTLED)
        return [
            EventLogSource(events, Selection(logs).subscriptions, logs, node.name, clocks),
            PatchStateSource(
                registry,
                windows_api.run_powershell,
                windows_api.boot_ms,
                settings.schedule.patch_state_s,
                logs.history_days,
                clocks,
            ),
            FactsSource(windows_api.run_powershell, settings.schedule.facts_s, clocks),
        ]

    def pipeline(self, settings: Settings, node: Node) -> Pipeline:
        """What makes reports for this node. Raises KbwatchError, also for a list of nodes."""
        nodes = None
        if settings.logs.nodes:
            nodes = NodesFile(Path(settings.logs.nodes), settings.node.fleet)
        return Pipeline(settings, node.name, node.domain, version(), nodes)

    def shipper(self, kafka: KafkaSettings) -> Shipping:
        """A connection that is made in the background."""
        return Shipper(kafka)
