"""Scores of a family's variants apart, and whether two judgements are the same."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from schemas.errors import KbwatchError
from streams.regbench.bench.decisions import Decision
from streams.regbench.bench.generate import read_manifest
from streams.regbench.bench.score import Scores, Truths, score
from streams.regbench.bench.truth import truth_of


def score_variants(
    decisions: Iterable[Decision], truths: Truths, variant_of: Mapping[str, str]
) -> dict[str, Scores]:
    """Variant → its scores. ``variant_of``: truth file → variant; those not in it are left out.

    Raises KbwatchError for a decision on a roll-out, KB or branch that the truth does not know.
    """
    apart: dict[str, dict[str, list[Decision]]] = defaultdict(dict)
    for truth in truths:
        if truth in variant_of:
            apart[variant_of[truth]][truth] = []
    for decision in decisions:
        name = truth_of(decision.file)
        if name in variant_of:
            apart[variant_of[name]].setdefault(name, []).append(decision)
    return {
        variant: score(
            [d for some in its.values() for d in some],
            {name: truths[name] for name in its if name in truths},
        )
        for variant, its in sorted(apart.items())
    }


def generated_variants(folder: Path, truths: Iterable[str]) -> dict[str, str]:
    """Truth file → variant, of the truths in a folder that `generate` has written.

    Raises KbwatchError where it does not say what was generated, or a name has no number.
    """
    variants = read_manifest(folder).variants
    return {name: variants[_number(name) % len(variants)] for name in truths}


def _number(name: str) -> int:
    digits = name.removeprefix("truth-").removesuffix(".json")
    if not digits.isdecimal():
        raise KbwatchError(f"{name}: has no number, so its variant is unknown")
    return int(digits)


def identical(one: Iterable[Decision], other: Iterable[Decision]) -> bool:
    """Whether both judgements say the same of the same files, in whatever order."""
    return _in_order(one) == _in_order(other)


def _in_order(decisions: Iterable[Decision]) -> list[Decision]:
    return sorted(decisions, key=lambda d: (d.file, d.kb, d.branch, d.type, d.t_ms))
