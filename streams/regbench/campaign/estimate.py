"""How long a campaign takes: by what its cells have cost so far, else by what others measured."""

import math
from collections.abc import Mapping
from statistics import fmean

from streams.regbench.bench.families import order
from streams.regbench.bench.incidents import INCIDENTS
from streams.regbench.campaign.plan import Cell

# Seconds of one core per roll-out, by nodes: N2, made and judged by all three detectors
# (x86-64 at 2.6 GHz, Python 3.11, November 2026).
_SECONDS = {300: 0.06, 1_000: 0.12, 3_000: 0.4, 10_000: 1.7, 100_000: 30.0}
_WITH_HEARTBEATS = 12.0
"""How much longer where nodes send heartbeats: 90 times the lines."""


def usual_seconds(cell: Cell) -> float:
    """Seconds of one core that a roll-out of a cell takes, by its size alone."""
    nodes = order(cell.request, 0).recipe.nodes
    # Between the sizes that were measured it goes by a power of the size.
    sizes = sorted(_SECONDS)
    upper = next((n for n in sizes[1:] if nodes <= n), sizes[-1])
    lower = sizes[sizes.index(upper) - 1]
    power = math.log(_SECONDS[upper] / _SECONDS[lower]) / math.log(upper / lower)
    seconds = _SECONDS[upper] * math.pow(nodes / upper, power)
    return seconds * (_WITH_HEARTBEATS if _has_heartbeats(cell) else 1.0)


def seconds_left(
    left: Mapping[str, int], cells: list[Cell], took: Mapping[str, list[float]]
) -> float:
    """Seconds of one core for the roll-outs that are ``left`` of each cell, by name. ``took``: what
    those that were done cost; it also tells how fast this machine is with the others.
    """
    known = [cell for cell in cells if took.get(cell.name)]
    usual = math.fsum(usual_seconds(cell) * len(took[cell.name]) for cell in known)
    spent = math.fsum(second for cell in known for second in took[cell.name])
    pace = spent / usual if usual else 1.0
    return math.fsum(
        left.get(cell.name, 0)
        * (fmean(took[cell.name]) if took.get(cell.name) else pace * usual_seconds(cell))
        for cell in cells
    )


def spoken(seconds: float) -> str:
    """A duration as a person says it: ``40 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def _has_heartbeats(cell: Cell) -> bool:
    recipe = order(cell.request, 0).recipe
    script = INCIDENTS[recipe.incident]() if recipe.incident else None
    return recipe.disturbed or (script is not None and script.silences)
