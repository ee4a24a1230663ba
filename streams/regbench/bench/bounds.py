"""Bounds of what was counted, exact and from the standard library alone.

Shares: Clopper and Pearson, *Biometrika* 1934, 26:404. The one-sided 95 % upper bound of k among n
is the p with P(Bin(n, p) ≤ k) = .05; with k = 0 that is 1 − .05^(1/n), about 3/n ("rule of three").
Quantiles: the j-th smallest of n values is an upper 95 % bound of the q-quantile when
P(Bin(n, q) ≤ j − 1) ≥ .95 (order statistics; no assumption on the distribution).
"""

import math
from collections.abc import Callable, Sequence

from msgspec import Struct

_LEVEL = 0.05


class Share(Struct, frozen=True):
    """``hits`` of ``of``, with one-sided 95 % bounds on either side; None of nothing."""

    hits: int
    of: int
    share: float | None
    lower: float | None
    upper: float | None


class Quantile(Struct, frozen=True):
    """A quantile of ``of`` values; ``upper`` is None where they are too few for a bound."""

    value: float | None
    of: int
    upper: float | None


def share(hits: int, of: int) -> Share:
    """The share and its Clopper-Pearson bounds."""
    if of == 0:
        return Share(hits, of, None, None, None)
    upper = 1.0 if hits == of else _solve(lambda p: _at_most(hits, of, p) - _LEVEL)
    lower = 0.0 if hits == 0 else _solve(lambda p: _at_most(hits - 1, of, p) - (1 - _LEVEL))
    return Share(hits, of, hits / of, lower, upper)


def quantile(values: Sequence[float], q: float) -> Quantile:
    """The smallest value that at least the share ``q`` of ``values`` does not exceed."""
    ordered = sorted(values)
    if not ordered:
        return Quantile(None, 0, None)
    n = len(ordered)
    value = ordered[max(math.ceil(q * n) - 1, 0)]
    for j in range(1, n + 1):
        if _at_most(j - 1, n, q) >= 1 - _LEVEL:
            return Quantile(value, n, ordered[j - 1])
    return Quantile(value, n, None)


def _solve(falling: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _at_most(k: int, n: int, p: float) -> float:
    """P(Bin(n, p) ≤ k)."""
    if p <= 0.0:
        return 1.0
    if p >= 1.0:
        return 1.0 if k >= n else 0.0
    logs = math.log(p), math.log1p(-p)
    whole = math.lgamma(n + 1)
    return math.fsum(
        math.exp(
            whole - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * logs[0] + (n - i) * logs[1]
        )
        for i in range(k + 1)
    )
