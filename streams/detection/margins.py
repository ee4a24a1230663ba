"""ρ: how much more often than its peers a patched node may fail while the patch is harmless.

A reboot by itself breaks things, so the null hypothesis is not "equal rates" but "at most ρ times
the rate". ρ is learned per signature level and window from earlier harmless roll-outs (negative
controls: Schuemie et al., Stat. Med. 2014, 33:209); ``default_margins.toml`` is the shipped table
for fleets that have no past yet.
"""

import math
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

WINDOWS = ("acute", "subacute", "chronic")
FLOOR = (2.0, 1.5, 1.5)


Rho = tuple[float, float, float]
"""ρ per window."""


class Table(Struct, frozen=True):
    """ρ by signature level: ``any``, ``novel``, ``rare``, ``class:<class>``, ``sig:<signature>``,
    or ``sig:<provider>/<id>`` for all signatures of a kind.
    """

    rho: dict[str, Rho] = {}
    known: frozenset[str] = frozenset()
    """Signatures of the branch's own past, see ``on``."""

    def on(self, known: frozenset[str]) -> "Table":
        """The table for a branch that has logged the signatures ``known`` before.

        What a kind does at reboots excuses only signatures that earlier reboots have shown: one
        that the branch has never logged is no reboot chatter, and stays at the floor.
        """
        return Table(self.rho, known)

    def of(self, level: str) -> Rho:
        """ρ per window for a level; the floor where nothing was learned."""
        found = self.rho.get(level)
        if found is None and level.removeprefix("sig:") in self.known:
            found = self.rho.get("/".join(level.split("/")[:2]))
        if found is None:
            return FLOOR
        acute, subacute, chronic = (max(r, floor) for r, floor in zip(found, FLOOR, strict=True))
        return acute, subacute, chronic


class Margins(Struct, frozen=True):
    """One calibration. What reboots do to services rarely has impact, so the two streams of
    incidents have a table each.
    """

    name: str
    impact: Table
    symptoms: Table


class Control(Struct, frozen=True):
    """What one harmless roll-out showed at one level in one window."""

    observed: int
    """Incidents on exposed nodes."""
    expected: float
    """Long-run rate × exposed hours."""


def learn(controls: Sequence[Control], floor: float) -> float:
    """ρ from harmless roll-outs.

        R = (ΣO+1)/(ΣX+1), μ = R·X,
        φ = max(0, Σ((O−μ)² − μ)/Σμ²) · Σμ/(Σμ+10)
        ρ = max(floor, Γ⁻¹(.975; ΣO+1, ΣX+1) · exp(3·sqrt(ln(1+φ))))

    The first factor covers what chance does to the estimate, the second what differs between KBs.
    """
    observed = sum(c.observed for c in controls)
    expected = sum(c.expected for c in controls)
    ratio = (observed + 1) / (expected + 1)
    means = [ratio * c.expected for c in controls]
    squares = sum(m * m for m in means)
    phi = 0.0
    if squares:
        excess = sum((c.observed - m) ** 2 - m for c, m in zip(controls, means, strict=True))
        phi = max(0.0, excess / squares) * sum(means) / (sum(means) + 10)
    spread = math.exp(3 * math.sqrt(math.log1p(phi)))
    return max(floor, _gamma_upper(observed + 1) / (expected + 1) * spread)


def _gamma_upper(shape: float) -> float:
    """The .975 quantile of the gamma distribution with rate 1 (Wilson-Hilferty)."""
    return float(shape * (1 - 1 / (9 * shape) + 1.96 / (3 * math.sqrt(shape))) ** 3)


@cache
def default_margins() -> Margins:
    """The shipped table."""
    text = resources.files("streams.detection").joinpath("default_margins.toml").read_text()
    return msgspec.convert(tomllib.loads(text), Margins)
