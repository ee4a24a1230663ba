"""Who did it: several suspects on the same incidents.

Each suspect's evidence is the bet of ``wealth`` on the same incidents of one signature, all in one
risk set and without margins, because what patching does by itself it does for every suspect alike:

    L += x ln r − ln(1 + (r−1) n₁/n),    E = Σ share(window, r) e^L,    P(k | data) = E_k / Σ E

with x = 1 where the suspect was in effect on the failing node, n₁ of n nodes exposed to it then.
Every suspect weighs the same in advance, so identical installs share equally. Which risk set, is
decided as in ``fold``: a domain's further onsets within 30 minutes are compared inside it.

B is confirmed against A when E_B / max(1, max e^{L_A}) ≥ 20 (universal inference: Wasserman,
Ramdas, Balakrishnan 2020, PNAS 117:16880): then even A's best rate explains them 20 times worse.
"""

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from streams.detection.fold import Hit, Shocks
from streams.detection.population import Population
from streams.detection.tree import NodeOnset
from streams.detection.wealth import EXPOSED_AGES, RATES, WINDOW_WEIGHTS

_LOG_CONFIRMED = math.log(20)
_DIGITS = 6
_MODELS = tuple(
    (ages, share / len(RATES), rate)
    for ages, share in zip(EXPOSED_AGES, WINDOW_WEIGHTS, strict=True)
    for rate in RATES
)


class Finding(Struct, frozen=True):
    """Probabilities of the suspects, and whom the case at hand is confirmed against."""

    suspects: dict[str, float]
    confirmed_against: tuple[str, ...]


class Trial:
    """Suspects before the same incidents, moved forward in time."""

    def __init__(self, suspects: Mapping[str, Population]) -> None:
        self._suspects = suspects
        self._logs = {name: [0.0] * len(_MODELS) for name in suspects}
        self._shocks = Shocks()

    def hear(self, hits: Sequence[Hit]) -> None:
        """Take further incidents of one signature, in time order."""
        for hit in hits:
            onset = NodeOnset(hit.t_ms, hit.node, f"sig:{hit.signature}")
            level, capped = self._shocks.condition(onset, hit.place)
            for name, population in self._suspects.items():
                place = population.place(hit.node, hit.t_ms)
                among = place or hit.place
                if level == 2:
                    counts = population.in_domain(among, hit.t_ms)
                elif level == 1:
                    counts = population.in_site(among, hit.t_ms)
                else:
                    counts = population.in_stratum(among, hit.t_ms, capped)
                if sum(counts):
                    self._bet(name, place.age if place else 0, counts)

    def _bet(self, name: str, age: int, counts: Sequence[int]) -> None:
        nodes = sum(counts)
        logs = self._logs[name]
        for at, (ages, _, rate) in enumerate(_MODELS):
            exposed = sum(counts[each] for each in ages)
            logs[at] += math.log(rate) if age in ages else 0.0
            logs[at] -= math.log1p((rate - 1) * exposed / nodes)

    def log_evidence(self) -> dict[str, float]:
        """ln E of each suspect."""
        return {name: _log_mixture(logs) for name, logs in self._logs.items()}

    def finding(self, accused: str) -> Finding:
        """The verdict's part, as of the last incident heard; ``accused`` is the case's own KB."""
        evidence = self.log_evidence()
        confirmed = (
            name
            for name, logs in self._logs.items()
            if name != accused and evidence[accused] - max(0.0, *logs) >= _LOG_CONFIRMED
        )
        return Finding(posterior(evidence), tuple(sorted(confirmed)))


def explained(population: Population, hits: Sequence[Hit]) -> float:
    """How well one suspect, with the nodes exposed to it, explains incidents of one signature: its
    ln E.
    """
    trial = Trial({"": population})
    trial.hear(hits)
    return trial.log_evidence()[""]


def posterior(log_evidence: Mapping[str, float]) -> dict[str, float]:
    """Probabilities of suspects from their ln E, rounded; those that round to nothing are left
    out. Most probable first.
    """
    if not log_evidence:
        return {}
    top = max(log_evidence.values())
    shares = {name: math.exp(value - top) for name, value in log_evidence.items()}
    whole = math.fsum(shares.values())
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    rounded = ((name, round(share / whole, _DIGITS)) for name, share in ranked)
    return {name: share for name, share in rounded if share}


def _log_mixture(logs: Sequence[float]) -> float:
    top = max(logs)
    terms = (share * math.exp(log - top) for log, (_, share, _) in zip(logs, _MODELS, strict=True))
    return top + math.log(math.fsum(terms))
