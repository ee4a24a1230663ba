"""Whom it hits: the conjunction of up to three facts that tells victims from other exposed nodes.

A rule that k of n exposed nodes fail under, and K−k of the other N−n, scores

    k ln p + (n−k) ln(1−p) + … − [the same with one rate for all] − depth · ln(#literals) − ln 2

(likelihood ratio of two rates against one, minus the length of its description, Rissanen 1978). The
best one above 0 is accepted. Of equals the shorter; then the one that says less of roles, because a
role is a name for all that its nodes have in common, and a covariate is one of those things; then
the one that holds on more of the branch's nodes: few victims must not make it look narrower.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

from schemas.evidence import NodeEvidence

_DEPTH = 3
_MAX_LITERALS = 40
"""Single literals that conjunctions are made of, the best ones: bounds what odd facts can cost."""
_DIGITS = 9
_ROLE = "role="
_ONLY_WITH = {"csv_bitlocker": "clustered", "s2d": "clustered"}
"""Literals that by what they mean come with another, which is said with them: Cluster Shared
Volumes and Storage Spaces Direct are a failover cluster's.
"""


def literals(node: NodeEvidence, domain: str) -> frozenset[str]:
    """What can be said of a node of ``domain``: ``role=hyperv``, ``bitlocker``, ``vendor=x``, and
    ``clustered`` when its failure domain is not itself. What a terminal can't show is left out.
    """
    said = [f"{_ROLE}{node.role}"]
    if domain != node.node:
        said.append("clustered")
    for name, value in node.covariates.items():
        if value is not False:
            said.append(name if value is True else f"{name}={value}")
    return frozenset(name for name in said if name.isprintable())


Exposed = Sequence[tuple[frozenset[str], bool]]
"""The literals of each exposed node, and whether it is a victim."""


def find_rule(exposed: Exposed, branch: Iterable[frozenset[str]]) -> tuple[str, ...]:
    """The rule, its literals in order, or () when none is better than none; ``branch``: the
    literals of all nodes.
    """
    _, found = best_rules(exposed)
    if len(found) > 1:
        everywhere = list(branch)

        def order(rule: tuple[str, ...]) -> tuple[int, int, tuple[str, ...]]:
            roles = sum(name.startswith(_ROLE) for name in rule)
            return roles, -sum(facts.issuperset(rule) for facts in everywhere), rule

        found.sort(key=order)
    rule = found[0] if found else ()
    return tuple(sorted({*rule, *(_ONLY_WITH[name] for name in rule if name in _ONLY_WITH)}))


def best_rules(exposed: Exposed) -> tuple[float, list[tuple[str, ...]]]:
    """The best score, and the shortest rules that have it; 0 and none when none is better."""
    said = {name for facts, _ in exposed for name in facts}
    telling = {name for name in said if not all(name in facts for facts, _ in exposed)}
    if not telling:
        return 0.0, []
    of_victims = telling & {name for facts, hit in exposed if hit for name in facts}
    sets = {name: _bits(name in facts for facts, _ in exposed) for name in of_victims}
    hit = _bits(victim for _, victim in exposed)
    victims = hit.bit_count()

    def gain(under: int) -> float:
        return _gain(under.bit_count(), (under & hit).bit_count(), len(exposed), victims)

    singles = sorted(sets, key=lambda name: (-gain(sets[name]), name))[:_MAX_LITERALS]
    best = 0.0
    found: list[tuple[str, ...]] = []
    for depth in range(1, _DEPTH + 1):
        cost = depth * math.log(len(telling)) + math.log(2)
        for rule in combinations(sorted(singles), depth):
            under = sets[rule[0]]
            for name in rule[1:]:
                under &= sets[name]
            score = round(gain(under) - cost, _DIGITS)
            if score > best:
                best, found = score, [rule]
            elif score == best and found and depth == len(found[0]):
                found.append(rule)
    return best, found


def _bits(flags: Iterable[bool]) -> int:
    return int("".join("1" if flag else "0" for flag in flags) or "0", 2)


def _gain(n: int, k: int, everybody: int, victims: int) -> float:
    """The logarithm of the likelihood ratio; 0 where those under the rule fail less often."""
    others = everybody - n
    if not n or not others or k * others <= (victims - k) * n:
        return 0.0
    return _fit(k, n) + _fit(victims - k, others) - _fit(victims, everybody)


def _fit(k: int, n: int) -> float:
    """Largest log likelihood of k failures among n."""
    return sum(x * math.log(x / n) for x in (k, n - k) if x)
