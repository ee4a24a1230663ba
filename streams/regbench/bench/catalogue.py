"""The signatures that the made-up fleets fail with.

Known ones by Zipf's law, novel ones that hardly ever occur, and those of restarts, which are known
ones too. Names are arbitrary: a detector that knew one would cheat.
"""

from itertools import accumulate
from random import Random

from msgspec import Struct

from streams.regbench.bench.stream import Class, Impact

_CLASSES: tuple[Class, ...] = ("service", "crash", "cluster", "storage", "vm", "identity")
_ZIPF = 1.1
_NOVEL_SHARE = 0.01
_RARE_MASS = 0.10
_DEGRADED_EVERY = 3


class Signature(Struct, frozen=True):
    """What fails, of which class, how badly."""

    name: str
    cls: Class
    impact: Impact


def _signature(number: int) -> Signature:
    cls = _CLASSES[number % len(_CLASSES)]
    # Every class has signatures of either impact.
    round_of_classes = number // len(_CLASSES)
    impact: Impact = "degraded" if round_of_classes % _DEGRADED_EVERY == 1 else "outage"
    return Signature(f"{cls}/{1000 + 7 * number}", cls, impact)


KNOWN = tuple(_signature(number) for number in range(200))
"""Most frequent first."""
NOVEL = tuple(_signature(number) for number in range(200, 251))
BOOT = tuple(s for s in KNOWN[:60] if s.cls == "service" and s.impact == "outage")
"""What restarts bring about: services that don't come up."""
_CUMULATED = tuple(accumulate((rank + 1) ** -_ZIPF for rank in range(len(KNOWN))))
RARE = tuple(
    s
    for s, mass in zip(KNOWN, _CUMULATED, strict=True)
    if mass > (1 - _RARE_MASS) * _CUMULATED[-1] and s.impact == "outage"
)
"""Of the tenth of the incidents that the least frequent ones make."""
COMMON = tuple(s for s in KNOWN[:5] if s.impact == "outage")
KINDS = ("rare", "novel", "common", "boot")


def draw(random: Random) -> Signature:
    """What an ordinary incident is."""
    if random.random() < _NOVEL_SHARE:
        return random.choice(NOVEL)
    return random.choices(KNOWN, cum_weights=_CUMULATED)[0]


def of_kind(random: Random, kind: str) -> Signature:
    """What a harmful KB brings about; ``novel`` was never seen in this fleet."""
    match kind:
        case "rare":
            return random.choice(RARE)
        case "common":
            return random.choice(COMMON)
        case "boot":
            return random.choice(BOOT)
        case _:
            return Signature(f"service/{random.randrange(4000, 9000)}", "service", "outage")
