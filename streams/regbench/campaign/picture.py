"""The benchmark in one picture: victims at the halt against false halts a year."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import KbwatchError
from streams.regbench.bench.judge import DETECTORS
from streams.regbench.bench.score import PER_YEAR
from streams.regbench.campaign.figure import COLOURS, FAINT, INK, RED, drawn
from streams.regbench.campaign.plan import HEADLINE_NODES
from streams.regbench.campaign.rank import worst
from streams.regbench.campaign.results import Results, Scored

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EFFECT = "100x20"
"""The harm that is shown: every patched node may fail, 20 % do; it was run at every size."""
_BUDGET = 1.0
_VICTIM_TICKS = (1, 2, 5, 10, 20, 50, 100)


def draw(results: Results, path: Path) -> None:
    """Draw one panel per headline size that has been run.

    Raises KbwatchError when none has, ModuleNotFoundError without matplotlib.
    """
    panels = []
    for nodes in HEADLINE_NODES:
        nulls = [s for s in results.of("null") if s.nodes == nodes]
        harms = [s for s in results.of("power") if s.cell.name == f"{EFFECT}-{nodes}"]
        if nulls and harms:
            panels.append((nodes, nulls, harms[0]))
    if not panels:
        raise KbwatchError(f"{results.version}: no size with false halts and {EFFECT} was run yet")
    with drawn(path, len(panels), 2.6 * len(panels), 3.6) as axes:
        for one, (nodes, nulls, harm) in zip(axes, panels, strict=True):
            _panel(one, nulls, harm)
            one.set_title(f"{nodes:,} nodes", fontsize=11, loc="left")
        axes[0].text(_BUDGET * 1.15, 85, "one a year", color=RED, va="top", fontsize=9)
        axes[0].set_ylabel("victims at the halt: median to 95th percentile")
        axes[0].figure.supxlabel(
            f"false halts per {PER_YEAR} cases (about a year), worst family, and its 95 % bound",
            fontsize=10,
        )


def _panel(axes: "Axes", nulls: Sequence[Scored], harm: Scored) -> None:
    axes.set_xscale("symlog", linthresh=1, linscale=0.7)
    axes.set_yscale("log")
    axes.set_xlim(-0.35, 420)
    axes.set_ylim(0.8, 100)
    axes.set_xticks([0, 1, 10, 100], labels=["0", "1", "10", "100"])
    axes.set_yticks(_VICTIM_TICKS, labels=[str(tick) for tick in _VICTIM_TICKS])
    axes.minorticks_off()
    axes.axvline(_BUDGET, color=RED, linewidth=1, linestyle=(0, (3, 3)))
    axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)
    for name, colour in zip(DETECTORS, COLOURS, strict=True):
        null, halt = worst(nulls, name).scores[name].null, harm.scores[name].halt
        x, upper = null.halts_per_200, null.halts_per_200_upper
        y, p95 = halt.victims_median.value, halt.victims_p95.value
        if x is None or upper is None or y is None or p95 is None:
            axes.text(
                0.98,
                0.02,
                f"{name}: never halts",
                color=colour,
                ha="right",
                transform=axes.transAxes,
            )
            continue
        axes.plot([x, upper], [y, y], color=colour, linewidth=1, alpha=0.7)
        axes.plot(
            [x, x], [max(y, 1), max(p95, 1)], color=colour, linewidth=2.5, solid_capstyle="round"
        )
        axes.plot(
            [x],
            [max(y, 1)],
            marker="o",
            markersize=7,
            color=colour,
            markeredgecolor=INK,
            markeredgewidth=0.5,
        )
        axes.annotate(
            name,
            (x, max(p95, 1)),
            (0, 6),
            textcoords="offset points",
            color=colour,
            ha="left" if x < 10 else "right",
        )
