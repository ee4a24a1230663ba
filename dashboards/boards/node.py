"""Node timeline: what happened on one server, on one axis."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.boards.frame import finished
from dashboards.boards.looks import CALM, GOOD, WARN, steps
from dashboards.boards.panels import HALF, WIDE, lines, number, rows, strip
from dashboards.sql import node

_DESCRIPTION = (
    "The boots, patches, incidents and heartbeats of one node: did it fail before or after the "
    "boot that brought the KB?"
)
_STRIP = (
    "The build the node runs, where its newest KB stands, and what failed, on one axis: an "
    "incident that begins after the build has changed is what the verdict counts."
)


def board() -> Dashboard:
    """The board ``kbwatch-node``."""
    return finished(
        "kbwatch-node",
        "kbwatch · Node timeline",
        _DESCRIPTION,
        ("fleet", "site", "node"),
        [
            number("Build", node.facts(), "build", unit="none"),
            number("Runs it since", node.facts(), "since_ms", unit="dateTimeAsIso"),
            number("Role", node.facts(), "role", unit="none"),
            number("Cluster", node.facts(), "cluster", unit="none"),
            number("Ring", node.facts(), "ring", unit="none"),
            number("Silent for", node.facts(), "silent_s", unit="s", thresholds=steps(
                (None, GOOD), (5_400, WARN))),
            strip("Builds, patches and incidents", _STRIP, {
                "build": node.boots(), "patch": node.patches(), "incident": node.incidents()}),
            lines("Gaps between heartbeats", node.heartbeat_gaps(), unit="s", width=WIDE,
                  thresholds=steps((None, CALM))),
            rows("Everything it said, heartbeats apart", node.said(), height=12),
            rows("How far its collector has read", node.channels(), width=HALF),
            rows("What it says of itself", node.covariates(), width=HALF),
        ],
        since="now-7d",
    )  # fmt: skip
