"""What fails in a fleet whatever is patched: single incidents, crash loops, the reboot's own."""

import math
from collections.abc import Iterator
from random import Random

from streams.regbench.bench.catalogue import BOOT, Signature, draw
from streams.regbench.bench.chance import DAY_MS, MINUTE_MS, poisson_times, run_of
from streams.regbench.bench.fleet import Member
from streams.regbench.bench.stream import Event

INCIDENTS_PER_DAY = 0.01
CYCLE = 0.5
LOOP_SHARE = 0.05
LOOP_EVENTS = 30
LOOP_GAP_S = 180.0
BOOT_SHARE = 0.003
BOOT_MINUTES = 30


def event(t_ms: int, node: str, signature: Signature) -> Event:
    """One failure of a node."""
    return Event(
        t_ms=t_ms,
        node=node,
        cls=signature.cls,
        signature=signature.name,
        impact=signature.impact,
    )


def incidents(
    random: Random, fleet: list[Member], start_ms: int, end_ms: int, loops: bool
) -> Iterator[Event]:
    """Incidents by frailty and time of day; with ``loops`` some are crash loops."""
    for member in fleet:
        # The process at its daily peak, thinned to the time of day.
        per_ms = max(member.frailty, 1e-9) * INCIDENTS_PER_DAY * (1 + CYCLE) / DAY_MS
        for t_ms in poisson_times(random, per_ms, start_ms, end_ms):
            if random.random() * (1 + CYCLE) < 1 + CYCLE * math.sin(2 * math.pi * t_ms / DAY_MS):
                signature = draw(random)
                looping = loops and random.random() < LOOP_SHARE
                times = LOOP_EVENTS if looping else 1
                for each_ms in run_of(random, t_ms, times, LOOP_GAP_S):
                    yield event(each_ms, member.node.node, signature)


def boot_incidents(random: Random, installs: dict[str, int], sd: float) -> Iterator[Event]:
    """What the restarts of a KB's installation (node → time) break, whatever the KB.

    ``sd`` is how much the logarithm of the share that fails differs between KBs.
    """
    share = BOOT_SHARE * math.exp(random.gauss(0, sd))
    for node, t_ms in installs.items():
        if random.random() < share:
            delay_ms = random.uniform(0, BOOT_MINUTES * MINUTE_MS)
            yield event(t_ms + int(delay_ms), node, random.choice(BOOT))
