"""Grafana's boards as code. ``boards()`` is the door: every board by its uid."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from dashboards.boards import case, cluster, fleet, halts, node, pipeline, readiness
from dashboards.boards.source import Asked
from dashboards.sql import Query


def boards() -> dict[str, Dashboard]:
    """All boards by uid, in the order in which a reader meets them."""
    made = (room.board() for room in (fleet, case, node, cluster, halts, pipeline, readiness))
    return {str(board.uid): board for board in made}


def asked(board: Dashboard) -> Iterator[tuple[Panel, Query]]:
    """What each panel of a board asks."""
    for panel in board.panels or []:
        if isinstance(panel, Panel):
            for target in panel.targets or []:
                if isinstance(target, Asked):
                    yield panel, target.query
