"""Where all chance comes from: one stream of it per purpose, so that parts don't disturb others."""

import math
from collections.abc import Iterator
from random import Random

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def chance(seed: int, index: int, purpose: str) -> Random:
    """The random stream of one purpose in one roll-out of one seed."""
    return Random(f"{seed}/{index}/{purpose}")


def poisson_times(random: Random, per_ms: float, start_ms: int, end_ms: int) -> Iterator[int]:
    """The times of a Poisson process of rate ``per_ms`` in a period, ascending."""
    t_ms = start_ms + random.expovariate(per_ms)
    while t_ms < end_ms:
        yield int(t_ms)
        t_ms += random.expovariate(per_ms)


def run_of(random: Random, first_ms: int, times: int, mean_gap_s: float) -> Iterator[int]:
    """The times of a crash loop: ``times`` events with exponential gaps."""
    t_ms = float(first_ms)
    for _ in range(times):
        yield int(t_ms)
        t_ms += random.expovariate(1 / (mean_gap_s * 1000))


def delay_ms(random: Random, onset_h: float, onset_sd: float) -> int:
    """From a node's patch to its failure: exponential with mean ``onset_h``.

    With ``onset_sd`` above 0 it is log-normal instead: median ``onset_h``, sd of its logarithm
    ``onset_sd``.
    """
    if onset_sd > 0:
        hours = onset_h * math.exp(random.gauss(0, onset_sd))
    else:
        hours = random.expovariate(1 / onset_h)
    return max(1, int(hours * HOUR_MS))
