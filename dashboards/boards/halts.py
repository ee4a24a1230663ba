"""Halts: what is stopped, who knows, what gets through."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.boards.frame import finished
from dashboards.boards.looks import BAD, CALM, GOOD, WARN, steps
from dashboards.boards.panels import HALF, number, rows
from dashboards.sql import halts

_DESCRIPTION = (
    "Halts are latched: they are here until a person lifts them, whatever the time range. A halt "
    "is confirmed where its target took the webhook, and leaks where the KB still comes into "
    "effect."
)


def board() -> Dashboard:
    """The board ``kbwatch-halts``."""
    return finished(
        "kbwatch-halts",
        "kbwatch · Halts",
        _DESCRIPTION,
        ("fleet",),
        [
            number("In force", halts.counts(), "active", width=6, thresholds=steps(
                (None, CALM), (1, BAD))),
            number("Waiting for a person", halts.counts(), "proposed", width=6, thresholds=steps(
                (None, GOOD), (1, WARN))),
            number("Nodes that leaked", halts.counts(), "leaks", width=6, thresholds=steps(
                (None, GOOD), (1, BAD))),
            number("Webhooks that nobody took", halts.counts(), "undelivered", width=6,
                   thresholds=steps((None, GOOD), (1, WARN))),
            rows("Halts as they stand", halts.current(), height=9, nothing="nothing is halted"),
            rows("Nodes that still run a halted KB", halts.still_on(), width=HALF, height=12),
            rows("Leaks: in effect in spite of the halt", halts.leaks(), width=HALF, height=12),
            rows("Every transition", halts.history(), width=HALF, height=9),
            rows("Webhooks", halts.deliveries(), width=HALF, height=9),
        ],
        since="now-7d",
    )  # fmt: skip
