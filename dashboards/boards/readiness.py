"""Readiness: what KB5062557 taught, asked before the next roll-out."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.boards.frame import finished
from dashboards.boards.looks import BAD, GOOD, WARN, steps
from dashboards.boards.panels import HALF, number, rows
from dashboards.sql import halts, readiness

_DESCRIPTION = (
    "Before the next roll-out: does the first ring hold every kind of node that later rings have, "
    "is there a backup, is the recovery key kept elsewhere, is anybody left to compare with?"
)


def board() -> Dashboard:
    """The board ``kbwatch-readiness``."""
    return finished(
        "kbwatch-readiness",
        "kbwatch · Readiness",
        _DESCRIPTION,
        ("fleet", "site"),
        [
            number("Kinds of nodes without a canary", readiness.uncovered(), "missing", width=6,
                   thresholds=steps((None, GOOD), (1, BAD))),
            number("Nodes of such kinds", readiness.uncovered(), "nodes", width=6),
            number("Recovery keys not known to be safe", readiness.keys(), "not_known", width=6,
                   thresholds=steps((None, GOOD), (1, WARN))),
            number("Nodes on a halted KB", halts.still_on_count(), "nodes", width=6,
                   thresholds=steps((None, GOOD), (1, BAD))),
            rows("Kinds of nodes and their canaries", readiness.strata(), width=HALF, height=12),
            rows("Clusters with BitLocker on CSV", readiness.bitlocker_clusters(), width=HALF,
                 height=12, nothing="no such cluster"),
            rows("What the rings are made of", readiness.rings(), width=HALF),
            rows("Hold-out: who does not run the newest KB", readiness.hold_out(), width=HALF),
            rows("Age of the newest backup, by role", readiness.backups(), width=HALF,
                 height=10),
            rows("Oldest backups", readiness.oldest_backups(), width=HALF, height=10,
                 nothing="no node tells of a backup"),
            rows("BitLocker without a key kept elsewhere", readiness.keys_at_risk(), height=10,
                 nothing="every key is kept elsewhere"),
            rows("Nodes that still run a halted KB", halts.still_on(), height=10,
                 nothing="nobody runs a halted KB"),
        ],
        since="now-7d",
    )  # fmt: skip
