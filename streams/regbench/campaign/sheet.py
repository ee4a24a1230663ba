"""A table of text, and how figures are written in it."""

from msgspec import Struct

from streams.regbench.bench.bounds import Quantile, Share


class Sheet(Struct, frozen=True):
    """A table under a heading, with a sentence on how to read it."""

    title: str
    note: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


def number(value: float | None) -> str:
    """Three digits, all of a large one's; a dash for None."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"


def rate(part: Share, yearly: float | None, upper: float | None) -> str:
    """A figure per year with its bound, and how many were seen."""
    return f"{number(yearly)} (≤ {number(upper)}; {part.hits})"


def hits(part: Share) -> str:
    """A share, and what it is made of."""
    return "–" if part.share is None else f"{part.share:.2f} ({part.hits} of {part.of})"


def pair(median: Quantile, p95: Quantile) -> str:
    """``median/p95 (≤ bound of the p95)``."""
    if median.value is None:
        return "–"
    bound = "" if p95.upper is None else f" (≤ {number(p95.upper)})"
    return f"{number(median.value)}/{number(p95.value)}{bound}"
