"""What is rolled out: which KB each branch gets, which of them acts, and the truth about each."""

from random import Random

from msgspec import Struct

from streams.regbench.bench.effects import Effect, harmed_branches
from streams.regbench.bench.fleet import BRANCHES, Member
from streams.regbench.bench.script import Script
from streams.regbench.bench.truth import KbTruth

_FIRST_NUMBER = 9_000_001


class Release(Struct, frozen=True):
    """The KBs of one roll-out."""

    kb_of: dict[str, str]
    """Branch → its KB."""
    active: frozenset[str]
    """Those that do something."""
    other_kb: str
    """The number of the second, harmless KB, when there is one."""


def release(
    random: Random, index: int, script: Script | None, effect: Effect | None, overlap: float | None
) -> Release:
    """Number the KBs: one for all branches, but where a script names them.

    Of two KBs either may have the lower number.
    """
    numbers = [f"KB{_FIRST_NUMBER + 2 * index + which}" for which in range(2)]
    if overlap is not None:
        random.shuffle(numbers)
    kb, other_kb = numbers
    if script and script.kbs:
        kb_of = dict.fromkeys(BRANCHES, kb) | script.kbs
        return Release(kb_of, frozenset(script.kbs.values()), other_kb)
    return Release(dict.fromkeys(BRANCHES, kb), frozenset({kb} if effect else ()), other_kb)


def truths(
    released: Release,
    effect: Effect | None,
    caused: dict[str, int],
    fleet: list[Member],
    overlap: float | None,
) -> list[KbTruth]:
    """Each KB once; twice, when a rule spares some of its branches: those are harmless cases."""
    branch_of = {member.node.node: member.node.branch for member in fleet}
    in_time = sorted(caused.items(), key=lambda victim: (victim[1], victim[0]))
    told: list[KbTruth] = []
    for kb in dict.fromkeys(released.kb_of.values()):
        branches = [branch for branch, its in released.kb_of.items() if its == kb]
        struck: tuple[str, ...] = ()
        if effect is not None and kb in released.active:
            hit = harmed_branches(effect.rule)
            struck = tuple(branch for branch in branches if branch in hit)
            victims = tuple(v for v in in_time if effect.harmful and branch_of[v[0]] in struck)
            told.append(KbTruth(kb, effect.harmful, struck, effect.signature, effect.rule, victims))
        if spared := tuple(branch for branch in branches if branch not in struck):
            told.append(KbTruth(kb, False, spared))
    if overlap is not None:
        told.append(KbTruth(released.other_kb, False, tuple(BRANCHES)))
    return told
