"""What a campaign runs: cells, each a request of the generator and how many roll-outs of it.

Seeds below 50,000 are for design: margins are learned from them, methods tried on them. Report
seeds start at 50,000, and nothing else may use them. A cell's seed follows from its name, so it
stays when the plan grows.
"""

import zlib
from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct

from schemas.errors import KbwatchError
from streams.regbench.bench.families import FAMILIES, Request
from streams.regbench.bench.incidents import INCIDENTS

REPORT_SEEDS = 50_000
HEADLINE_NODES = (300, 1_000, 3_000, 10_000)
CLEAN = "-clean"
"""Ends the name of a cell whose streams have neither duplicates nor late lines; its twin, with
both, has the name without.
"""

Group = Literal["null", "apart", "power", "blame", "named"]
"""``null`` counts false alarms against the bar, ``apart`` beside it."""


class Cell(Struct, frozen=True):
    """Roll-outs of one kind. The quick form of a campaign makes the first few of them."""

    name: str
    group: Group
    request: Request
    quick: int
    full: int

    def rollouts(self, full: bool) -> int:
        """How many are wanted."""
        return self.full if full else self.quick


def plan() -> list[Cell]:
    """All cells, the cheap ones first."""
    cells = [*_nulls(), *_apart(), *_power(), *_twins(), *_blame(), *_named()]
    return sorted(cells, key=lambda cell: cell.request.nodes or 0)


def chosen(patterns: list[str]) -> list[Cell]:
    """The cells whose names match one of the patterns (as in a shell); all when there is none.

    Raises KbwatchError for a pattern that matches none.
    """
    cells = plan()
    for pattern in patterns:
        if not any(fnmatchcase(cell.name, pattern) for cell in cells):
            names = ", ".join(cell.name for cell in cells)
            raise KbwatchError(f"--only {pattern}: no such cell; there are {names}")
    return [c for c in cells if not patterns or any(fnmatchcase(c.name, p) for p in patterns)]


def _cell(name: str, group: Group, quick: int, full: int, nodes: int, **options: object) -> Cell:
    seed = REPORT_SEEDS + zlib.crc32(name.removesuffix(CLEAN).encode()) % 10_000
    request = Request(nodes=nodes, seed=seed, **options)  # type: ignore[arg-type]
    return Cell(name, group, request, quick, full)


_THREE_CASES_A_ROLLOUT = 3
_NULL_CASES = 600
_SELECTION_CASES = 2_000
_SELECTION = ("N2", "N4", "N6")
_BIG_CASES = 60


def cases_needed(family: str) -> int:
    """Cases of a null family that its bar asks for."""
    return _SELECTION_CASES if family in _SELECTION else _NULL_CASES


def _rollouts(cases: int) -> int:
    return -(-cases // _THREE_CASES_A_ROLLOUT)


def _nulls() -> list[Cell]:
    out = []
    for family in FAMILIES:
        if not FAMILIES[family].nulls or family in ("N5g", "N9"):
            continue
        wanted = _rollouts(cases_needed(family))
        for nodes in (1_000, 10_000):
            quick = {"N8": 4 if nodes == 1_000 else 0}.get(family, 12 if nodes == 1_000 else 3)
            out.append(_cell(f"{family}-{nodes}", "null", quick, wanted, nodes, family=family))
    for family in ("N2", "N6"):
        for nodes in (300, 3_000):
            wanted = _rollouts(_NULL_CASES)
            out.append(_cell(f"{family}-{nodes}", "null", 12, wanted, nodes, family=family))
    for nodes in (300, 1_000):
        wanted = _rollouts(_NULL_CASES)
        name, variant = f"N9-{nodes}", str(nodes)
        out.append(_cell(name, "null", 12, wanted, nodes, family="N9", variant=variant))
    return out


def _apart() -> list[Cell]:
    out = [
        _cell(f"{family}-100000", "apart", 0, _rollouts(_BIG_CASES), 100_000, family=family)
        for family in ("N2", "N6")
    ]
    for variant in ("fast", "bang"):
        for nodes, quick in ((1_000, 6), (10_000, 2)):
            wanted = _rollouts(_NULL_CASES)
            name = f"N5g-{variant}-{nodes}"
            out.append(_cell(name, "apart", quick, wanted, nodes, family="N5g", variant=variant))
    return out


EFFECTS: dict[str, dict[str, object]] = {
    "100x20": {"share": 100, "fails": 0.2},
    "5x20": {"share": 5, "fails": 0.2},
    "100x2": {"share": 100, "fails": 0.02},
    "5x5": {"share": 5, "fails": 0.05},
    "1x100": {"share": 1, "fails": 1.0},
    "5x100": {"share": 5, "fails": 1.0},
    "bang-100x5": {"share": 100, "fails": 0.05, "plan": "bang"},
    "fast-5x20": {"share": 5, "fails": 0.2, "plan": "fast"},
    "late-5x20": {"share": 5, "fails": 0.2, "onset_h": 48.0},
    "boot-100x5": {"share": 100, "fails": 0.05, "kind": "boot"},
    "site-5x20": {"share": 5, "fails": 0.2, "rings": "site"},
    "flaky-5x20": {"share": 5, "fails": 0.2, "rings": "flaky"},
}
"""Harm of A1, by percent of the fleet under the rule × percent of those that fail."""
_SMALL_FLEETS = {
    300: ("100x20", "5x20"),
    1_000: ("100x20", "5x20", "5x100", "1x100", "bang-100x5"),
    3_000: ("100x20", "5x20", "1x100"),
}


def _power() -> list[Cell]:
    out = []
    for nodes, names in {**_SMALL_FLEETS, 10_000: tuple(EFFECTS)}.items():
        quick = 5 if nodes == 10_000 else 12
        for name in names:
            cell = f"{name}-{nodes}"
            out.append(_cell(cell, "power", quick, 40, nodes, family="A1", **EFFECTS[name]))
    # Each of the nulls' variants in turn.
    out.append(_cell("A2-10000", "power", 0, 130, 10_000, family="A2"))
    for depth in range(4):
        name, variant = f"G1-depth{depth}-10000", f"depth{depth}"
        out.append(_cell(name, "power", 2, 40, 10_000, family="G1", variant=variant))
    return out


def _twins() -> list[Cell]:
    harm: dict[str, object] = {"family": "A1", "under": "N8", **EFFECTS["100x20"]}
    return [
        _cell(f"N8-100x20-1000{ending}", "power", 4, 40, 1_000, clean=bool(ending), **harm)
        for ending in ("", CLEAN)
    ] + [_cell(f"N8-10000{CLEAN}", "apart", 0, 40, 10_000, family="N8", clean=True)]


def _blame() -> list[Cell]:
    wanted = {0.0: 40, 0.5: 60, 0.9: 100, 0.99: 60, 1.0: 40}
    return [
        _cell(f"C1-{share:g}", "blame", 2, rollouts, 10_000, family="C1", overlap=share)
        for share, rollouts in wanted.items()
    ]


def _named() -> list[Cell]:
    barred = {"R01": (2, 40), "R28": (2, 40), "silent-boot": (0, 40)}
    return [
        _cell(f"R1-{name}", "named", *barred.get(name, (0, 10)), 10_000, family="R1", variant=name)
        for name in INCIDENTS
    ]
