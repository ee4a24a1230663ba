"""The families: what a fleet suffers, and what a KB does in it."""

from typing import Any

import msgspec
from msgspec import Struct

from schemas.errors import KbwatchError
from streams.regbench.bench.catalogue import KINDS
from streams.regbench.bench.effects import SHARES
from streams.regbench.bench.incidents import INCIDENTS
from streams.regbench.bench.plan import PlanName, Rings


class Recipe(Struct, frozen=True):
    """How the roll-outs of a family are made."""

    loops: bool = True
    """Crash loops, and what restarts break."""
    boot_sd: float = 0.0
    """How much the logarithm of what restarts break differs between KBs."""
    shocks: bool = False
    flaps: bool = False
    plan: PlanName = "staged"
    rings: Rings = "random"
    outage: str = ""
    """Where an outage coincides with the roll-out (`shocks.coinciding`)."""
    disturbed: bool = False
    """Duplicates, late lines, wrong clocks, silent controls."""
    benign: bool = False
    one_site: bool = False
    clustered_share: float | None = None
    nodes: int = 10_000
    incident: str = ""
    depth: int | None = None
    """How many literals the rule of the harm has, instead of ``share``."""


class EffectOptions(Struct, frozen=True):
    """What a harmful KB does; see `effects`."""

    share: int = 5
    fails: float = 0.2
    onset_h: float = 0.25
    onset_sd: float = 0.0
    kind: str = "rare"


class Family(Struct, frozen=True):
    """A family. Its variants take turns, roll-out by roll-out."""

    tests: str
    nulls: dict[str, Recipe] = {}
    """The variants of a null family."""
    effect: EffectOptions | None = None
    under: tuple[str, ...] = ()
    """The null families that an effect is put on; none: N1, its share of restarts the same."""
    adds: dict[str, dict[str, str | int]] = {}
    """What the variants of an effect change in each null."""
    overlap: float | None = None
    """A second, harmless KB is installed along with the first on this share of the nodes."""


_N1 = Recipe()
_N2 = Recipe(shocks=True)
_N3 = Recipe(shocks=True, flaps=True)


def _but(recipe: Recipe, **changes: Any) -> Recipe:  # noqa: ANN401 - as of the fields
    return msgspec.structs.replace(recipe, **changes)


_SMALL = Recipe(one_site=True, clustered_share=0.5)
_A1 = EffectOptions()

FAMILIES: dict[str, Family] = {
    "N0": Family("the method's own null", {"pure": Recipe(loops=False)}),
    "N1": Family(
        "crash loops, reboot effect",
        {"same": _N1, "sd0.5": Recipe(boot_sd=0.5), "sd1.0": Recipe(boot_sd=1.0)},
    ),
    "N2": Family("N1 and shocks: correlated failures", {"shocks": _N2}),
    "N3": Family("N2 and clusters that flap: persistently bad domains", {"flaps": _N3}),
    "N4": Family(
        "N2 and N3 with ring = site: confounded roll-out",
        {"shocks": _but(_N2, rings="site"), "flaps": _but(_N3, rings="site")},
    ),
    "N5": Family(
        "an outage that coincides with a ring: of a site, the ring's site, the fleet",
        {
            "random": Recipe(outage="site"),
            "site": Recipe(outage="ring", rings="site"),
            "fleet": Recipe(outage="fleet"),
        },
    ),
    "N5g": Family(
        "an outage of the whole fleet amid a plan: what nothing can tell",
        {
            "staged": Recipe(outage="middle"),
            "fast": Recipe(outage="middle", plan="fast"),
            "bang": Recipe(outage="middle", plan="bang"),
        },
    ),
    "N6": Family("canaries = the flakiest 1 %: selection", {"flaky": Recipe(rings="flaky")}),
    "N7": Family(
        "fast and bang plans: few controls",
        {"fast": Recipe(plan="fast"), "bang": Recipe(plan="bang")},
    ),
    "N8": Family(
        "duplicates, late lines, wrong clocks, silent controls",
        {"disturbed": Recipe(disturbed=True)},
    ),
    "N9": Family(
        "one site, half the nodes in clusters: small fleets",
        {"300": _but(_SMALL, nodes=300), "1000": _but(_SMALL, nodes=1000)},
    ),
    "N10": Family("a harmless event per boot: impact gate", {"benign": Recipe(benign=True)}),
    "A1": Family("power", effect=_A1),
    "A2": Family(
        "A1 under stress: power", effect=_A1, under=("N2", "N3", "N4", "N5", "N6", "N7", "N9")
    ),
    "C1": Family("a second, harmless KB: attribution", effect=_A1, overlap=0.9),
    "G1": Family(
        "rules of 0 to 3 literals: scope",
        effect=EffectOptions(fails=0.5),
        adds={f"depth{depth}": {"depth": depth} for depth in range(4)},
    ),
    "R1": Family("named incidents: realism", adds={name: {"incident": name} for name in INCIDENTS}),
}


class Request(Struct, frozen=True, omit_defaults=True):
    """What to generate: a family, and what is other than usual; None: as the family has it."""

    family: str
    nodes: int | None = None
    seed: int = 0
    under: str | None = None
    variant: str | None = None
    share: int | None = None
    fails: float | None = None
    onset_h: float | None = None
    onset_sd: float | None = None
    kind: str | None = None
    overlap: float | None = None
    plan: PlanName | None = None
    rings: Rings | None = None
    clean: bool = False


class Order(Struct, frozen=True):
    """A roll-out that is to be made."""

    variant: str
    recipe: Recipe
    effect: EffectOptions | None
    overlap: float | None
    clean: bool


def order(request: Request, index: int) -> Order:
    """What a request says of one roll-out; KbwatchError when it doesn't make sense."""
    family = _family(request.family)
    variants = _variants(request, family)
    variant = list(variants)[index % len(variants)]
    recipe = variants[variant]
    _check(request)
    asked = _given(request, "share", "fails", "onset_h", "onset_sd", "kind")
    if recipe.incident and asked:
        raise KbwatchError(f"--{_option(next(iter(asked)))} does not go with R1: its scripts say")
    if recipe.depth is not None and "share" in asked:
        raise KbwatchError("--share does not go with G1: its rules say")
    effect = family.effect
    if asked:
        effect = msgspec.structs.replace(effect or EffectOptions(), **asked)
    overlap = family.overlap if request.overlap is None else request.overlap
    recipe = _but(recipe, **_given(request, "nodes", "plan", "rings"))
    return Order(variant, recipe, effect, overlap, request.clean)


def variants_of(request: Request) -> list[str]:
    """The variants that take turns in a request; roll-out i is of variant i modulo their number."""
    return list(_variants(request, _family(request.family)))


def _variants(request: Request, family: Family) -> dict[str, Recipe]:
    if family.nulls and request.under:
        raise KbwatchError(f"--under goes with A1, A2, C1, G1, R1: {request.family} is a null")
    variants = family.nulls or {
        "/".join(filter(None, (added, under))) or "plain": _but(recipe, **changes)
        for added, changes in (family.adds or {"": {}}).items()
        for under, recipe in _bases(request, family).items()
    }
    if request.variant is None:
        return variants
    chosen = {
        name: recipe
        for name, recipe in variants.items()
        if request.variant in (name, *name.split("/"))
    }
    if not chosen:
        names = ", ".join(variants)
        raise KbwatchError(f"--variant {request.variant}: {request.family} has {names}")
    return chosen


def _bases(request: Request, family: Family) -> dict[str, Recipe]:
    """The nulls that an effect is put on, by a name for each."""
    names = family.under if request.under is None else (request.under,)
    nulls = [null for null in FAMILIES if FAMILIES[null].nulls]
    for name in names:
        if name not in nulls:
            raise KbwatchError(f"--under {name}: there are {', '.join(nulls)}")
    bases = {
        f"{name}-{variant}": recipe
        for name in names
        for variant, recipe in FAMILIES[name].nulls.items()
    }
    return bases or {"": _N1}


def _given(request: Request, *names: str) -> dict[str, Any]:
    values = {name: getattr(request, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise KbwatchError(f"--family {name}: there are {', '.join(FAMILIES)}")
    return FAMILIES[name]


def _check(request: Request) -> None:
    if request.share is not None and request.share not in SHARES:
        raise KbwatchError(f"--share {request.share}: must be one of {', '.join(map(str, SHARES))}")
    if request.kind is not None and request.kind not in KINDS:
        raise KbwatchError(f"--kind {request.kind}: must be one of {', '.join(KINDS)}")
    for name in ("fails", "overlap"):
        value = getattr(request, name)
        if value is not None and not 0 <= value <= 1:
            raise KbwatchError(f"--{name} {value}: must be between 0 and 1")
    if request.onset_h is not None and not 0 < request.onset_h <= 240:
        raise KbwatchError(f"--onset-h {request.onset_h}: must be above 0, and 240 at most")
    if request.onset_sd is not None and not 0 <= request.onset_sd <= 5:
        raise KbwatchError(f"--onset-sd {request.onset_sd}: must be between 0 and 5")
    if request.nodes is not None and not 100 <= request.nodes <= 1_000_000:
        raise KbwatchError(f"--nodes {request.nodes}: must be between 100 and 1,000,000")


def _option(field: str) -> str:
    return field.replace("_", "-")
