"""Cluster view: one failover cluster, and all of them."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.boards.frame import finished
from dashboards.boards.looks import BAD, CALM, GOOD, WARN, steps
from dashboards.boards.panels import HALF, lines, number, rows
from dashboards.sql import cluster

_DESCRIPTION = (
    "A failover cluster as it stands at the end of the time range: which nodes are up, silent or "
    "in quarantine, and which Cluster Shared Volumes had trouble."
)


def board() -> Dashboard:
    """The board ``kbwatch-cluster``."""
    return finished(
        "kbwatch-cluster",
        "kbwatch · Cluster view",
        _DESCRIPTION,
        ("fleet", "site", "cluster"),
        [
            number("Nodes", cluster.standing(), "members"),
            number("Up", cluster.standing(), "up"),
            number("In quarantine", cluster.standing(), "quarantined", thresholds=steps(
                (None, GOOD), (1, BAD))),
            number("Builds that run", cluster.standing(), "builds", thresholds=steps(
                (None, CALM), (2, WARN))),
            number("BitLocker on CSV", cluster.standing(), "csv_bitlocker", unit="none"),
            number("Storage Spaces Direct", cluster.standing(), "s2d", unit="none"),
            rows("Nodes of the cluster", cluster.members()),
            rows("Quarantines", cluster.quarantines(), width=HALF),
            rows("Cluster Shared Volumes in trouble", cluster.volumes(), width=HALF),
            lines("What failed", cluster.trouble(), stacked=True, width=24),
            rows("All clusters at the chosen sites", cluster.overview(), height=12),
        ],
        since="now-24h",
    )  # fmt: skip
