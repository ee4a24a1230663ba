"""The geometry of a report's plots: numbers go in, coordinates come out, a template draws them."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from dashboards.noc.model import CaseCard

WIDTH, HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 14, 34
_MAX_TICKS = 6
_HOUR_MS = 3_600_000
_STEPS_H = (1 / 12, 0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 96, 168, 336)


class Tick(Struct, frozen=True):
    """A mark on an axis, at a coordinate."""

    at: float
    text: str


class Line(Struct, frozen=True):
    """One curve: ``points`` as SVG's polyline takes them."""

    name: str
    kind: str
    points: str


class WealthPlot(Struct, frozen=True):
    """E over time against HALT and E_w against WARN, on a logarithmic axis."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    lines: tuple[Line, ...]
    levels: tuple[Tick, ...]
    """WARN, for E_w, and HALT, for E."""
    xs: tuple[Tick, ...]
    ys: tuple[Tick, ...]
    crossings: tuple[Tick, ...]


class Share(Struct, frozen=True):
    """How many of some nodes failed."""

    name: str
    failed: int
    nodes: int

    @property
    def percent(self) -> float:
        """0 to 100."""
        return 100 * self.failed / self.nodes if self.nodes else 0.0


def wealth_plot(card: CaseCard) -> WealthPlot | None:
    """The plot of a case's history; None when there are fewer than two points to join."""
    points = card.history
    crossed = [(c.kind, c.at.t_ms) for c in card.crossings]
    if len(points) < 2:
        return None
    begin = min([points[0].t_ms, *(t for _, t in crossed)])
    end = max([points[-1].t_ms, *(t for _, t in crossed), begin + 1])
    logs = [log for p in points for log in (p.log_e, p.log_e_warn, p.log_c, p.log_h)]
    low = min(0.0, *logs)
    high = 1.1 * max(card.log_threshold, card.log_warn, *logs)

    def x(t_ms: int) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * (t_ms - begin) / (end - begin), 1)

    def y(log: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (log - low) / (high - low), 1)

    def line(name: str, kind: str, values: Sequence[tuple[int, float]]) -> Line:
        return Line(name, kind, " ".join(f"{x(t)},{y(v)}" for t, v in values))

    return WealthPlot(
        width=WIDTH,
        height=HEIGHT,
        left=_LEFT,
        right=WIDTH - _RIGHT,
        top=_TOP,
        bottom=HEIGHT - _BOTTOM,
        lines=(
            line("history arm", "h", [(p.t_ms, p.log_h) for p in points]),
            line("concurrent arm", "c", [(p.t_ms, p.log_c) for p in points]),
            line("E_w, for a WARN", "w", [(p.t_ms, p.log_e_warn) for p in points]),
            line("E, for a HALT", "e", [(p.t_ms, p.log_e) for p in points]),
        ),
        levels=(Tick(y(card.log_warn), "WARN"), Tick(y(card.log_threshold), "HALT")),
        xs=tuple(Tick(x(t), text) for t, text in _time_ticks(begin, end)),
        ys=tuple(Tick(y(n * math.log(10)), f"10^{n}") for n in _decades(low, high)),
        crossings=tuple(Tick(x(t), kind) for kind, t in crossed),
    )


def shares(card: CaseCard) -> tuple[Share, ...]:
    """Patched against unpatched nodes at the newest crossing, else as far as it is known now."""
    if not card.crossings:
        return (Share("patched", card.victims, card.exposed),)
    at = card.crossings[-1].at
    return (
        Share("patched", at.victims, at.exposed),
        Share("not patched", at.control_victims, at.controls),
    )


def minutes_to_halt(card: CaseCard) -> int | None:
    """Minutes from the first victim to the halt; None without either."""
    halts = [c.at.t_ms for c in card.crossings if c.kind == "halt"]
    if card.first_victim_ms is None or not halts:
        return None
    return max(0, halts[0] - card.first_victim_ms) // 60_000


def _decades(low: float, high: float) -> list[int]:
    first, last = math.ceil(low / math.log(10)), math.floor(high / math.log(10))
    step = max(1, math.ceil((last - first + 1) / _MAX_TICKS))
    return list(range(first, last + 1, step))


def _time_ticks(begin_ms: int, end_ms: int) -> list[tuple[int, str]]:
    wanted_ms = (end_ms - begin_ms) / _MAX_TICKS
    step_ms = next((int(h * _HOUR_MS) for h in _STEPS_H if h * _HOUR_MS >= wanted_ms), 0)
    step_ms = step_ms or int(wanted_ms) + 1
    form = "%H:%M" if end_ms - begin_ms < 36 * _HOUR_MS else "%d %b %H:%M"
    first = -(-begin_ms // step_ms) * step_ms
    return [
        (t, datetime.fromtimestamp(t / 1000, UTC).strftime(form))
        for t in range(first, end_ms + 1, step_ms)
    ]
