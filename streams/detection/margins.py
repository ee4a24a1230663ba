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
_Z975 = 1.96


Rho = tuple[float, float, float]
"""ρ per window."""


class Table(Struct, frozen=True):
    """ρ by signature level: ``any``, ``novel``, ``rare``, ``class:<class>``, and ``sig:<class>``
    for single signatures of a class.
    """

    rho: dict[str, Rho] = {}
    logged: dict[str, str] = {}
    """The class of each signature of the branch's own past, see ``on``."""

    def on(self, logged: dict[str, str]) -> "Table":
        """The table for a branch that has logged the signatures ``logged`` (to their class) before.

        What restarts do to a class excuses only signatures that earlier restarts may have shown:
        one that the branch has never logged is no reboot chatter, and stays at the floor.
        """
        return Table(self.rho, logged)

    def of(self, level: str) -> Rho:
        """ρ per window for a level; the floor where nothing was learned."""
        names = [level]
        if level.startswith("sig:"):
            cls = self.logged.get(level.removeprefix("sig:"))
            names = [f"sig:{cls}", f"class:{cls}"]
        found = (FLOOR, *(self.rho[name] for name in names if name in self.rho))
        acute, subacute, chronic = map(max, zip(*found, strict=True))
        return acute, subacute, chronic


class Margins(Struct, frozen=True):
    """One calibration. What reboots do to services rarely has impact, so the two streams of
    incidents have a table each.
    """

    name: str
    impact: Table
    symptoms: Table

    chatter: frozenset[str] = frozenset()
    """Classes of which restarts break more than their share: their new and rare signatures are
    levels of their own (``tree``).
    """


class Control(Struct, frozen=True):
    """What one harmless roll-out showed at one level in one window."""

    observed: int
    """Incidents on exposed nodes."""
    expected: float
    """Long-run rate × exposed hours."""


def learn(controls: Sequence[Control], floor: float) -> float:
    """ρ from harmless roll-outs.

        R = (ΣO+1)/(ΣX+1), μ = R·X,
        φ̂ = Σ((O−μ)² − μ)/Σμ², σ² = Σ(2μ²+μ)/(Σμ²)², φ = max(0, φ̂) · Σμ/(Σμ+10) / (1+σ²)
        ρ = max(floor, Γ⁻¹(.975; ΣO+1, ΣX+1) · exp(3·sqrt(ln(1+φ))))

    The first factor covers what chance does to the estimate, the second what differs between KBs.
    σ is the standard error of φ̂ when nothing differs: where few incidents were seen, two on one
    roll-out are no sign of a difference.
    """
    observed = sum(c.observed for c in controls)
    expected = sum(c.expected for c in controls)
    ratio = (observed + 1) / (expected + 1)
    means = [ratio * c.expected for c in controls]
    squares = sum(m * m for m in means)
    phi = 0.0
    if squares:
        excess = sum((c.observed - m) ** 2 - m for c, m in zip(controls, means, strict=True))
        noise = sum(2 * m * m + m for m in means) / (squares * squares)
        phi = max(0.0, excess / squares) * sum(means) / (sum(means) + 10) / (1 + noise)
    spread = math.exp(3 * math.sqrt(math.log1p(phi)))
    return max(floor, poisson_upper(observed, _Z975) / (expected + 1) * spread)


def poisson_upper(count: int, z: float) -> float:
    """The upper limit of a Poisson mean of which ``count`` were seen; ``z``: the normal quantile
    of its level (Wilson and Hilferty, PNAS 1931, 17:684: the gamma quantile with shape count + 1).
    """
    shape = count + 1
    return float(shape * (1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))) ** 3)


@cache
def default_margins() -> Margins:
    """The shipped table."""
    text = resources.files("streams.detection").joinpath("default_margins.toml").read_text()
    return msgspec.convert(tomllib.loads(text), Margins)
