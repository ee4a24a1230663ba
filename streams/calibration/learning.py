"""Which roll-outs of the past were harmless, and the margins that they amount to. Pure."""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from schemas.calibration import ENOUGH, Calibration
from schemas.codec import DecodeError, decode, encode
from schemas.errors import KbwatchError
from streams.calibration.outcome import Outcome, Rule, outcome
from streams.calibration.past import Past, as_of, day, label
from streams.detection.calibrate import Controls, controls, table
from streams.detection.chains import DAY_MS
from streams.detection.margins import Margins
from streams.detection.members import members
from streams.detection.pinned import tables_of
from streams.detection.spans import Span

_HISTORY_DAYS = 30
"""What the long-run rates before a roll-out are taken from."""

Found = tuple[Controls, Controls]
"""What a roll-out showed: incidents with impact, and all."""


class Rollout(Struct, frozen=True):
    """One roll-out of the past, and whether it is learned from."""

    case: str
    fleet: str
    source: str
    started_ms: int
    ended_ms: int
    """When it was, or will be, closed."""
    exposed: int
    harmless: bool
    why: str
    """Why it counts as harmless, or why not."""


class Learned(Struct, frozen=True):
    """All roll-outs that were found, and the margins that the harmless ones amount to."""

    rollouts: tuple[Rollout, ...]
    margins: Margins

    @property
    def harmless(self) -> list[Rollout]:
        """Those that were learned from."""
        return [rollout for rollout in self.rollouts if rollout.harmless]

    @property
    def missing(self) -> int:
        """How many more harmless roll-outs it takes."""
        return max(ENOUGH - len(self.harmless), 0)


class Word(Struct, frozen=True):
    """A person's word on cases, by name (``KB5060531@17763``)."""

    harmless: frozenset[str] = frozenset()
    harmful: frozenset[str] = frozenset()


def learn(name: str, pasts: Iterable[Past], word: Word, rule: Rule) -> Learned:
    """Margins from the harmless roll-outs of ``pasts``, called ``name``.

    Harmless is what was closed (35 days after its last install) without a halt under ``rule``, or
    what a person cleared. Raises KbwatchError when a person's word is on a case that is nowhere.
    """
    rollouts: list[Rollout] = []
    found: list[Found] = []
    for past in pasts:
        for rollout, shown in _looked_at(past, word, rule):
            rollouts.append(rollout)
            if shown is not None:
                found.append(shown)
    check_names(word, {name for rollout in rollouts for name in rollout.case.split()})
    impact, symptoms = table([one for one, _ in found]), table([one for _, one in found])
    return Learned(tuple(rollouts), Margins(name, impact, symptoms, rule.margins.chatter))


def check_names(word: Word, cases: set[str]) -> None:
    """Raises KbwatchError when a person's word is on a case that is nowhere, or contradicts."""
    both = sorted(word.harmless & word.harmful)
    if both:
        raise KbwatchError(f"{both[0]}: is given as --harmless and as --harmful")
    unknown = sorted((word.harmless | word.harmful) - cases)
    if unknown:
        there = ", ".join(sorted(cases)[:10]) or "none"
        raise KbwatchError(f"{unknown[0]}: no such roll-out in this past; there are: {there}")


def calibration(learned: Learned, fleet: str, valid_from_ms: int) -> Calibration:
    """The record for the topic, for cases that begin after ``valid_from_ms`` (Unix ms).

    Raises KbwatchError when too few roll-outs were harmless, or when a name can't be one.
    """
    if learned.missing:
        raise KbwatchError(too_few(learned))
    impact, symptoms = tables_of(learned.margins)
    harmless = learned.harmless
    made = Calibration(
        v=1,
        fleet=fleet,
        name=learned.margins.name,
        valid_from_ms=valid_from_ms,
        rollouts=len(harmless),
        impact=impact,
        symptoms=symptoms,
        chatter=tuple(sorted(learned.margins.chatter)),
        learned_from=tuple(label(r.case, r.started_ms) for r in harmless),
    )
    try:
        return decode(encode(made), Calibration)
    except DecodeError as error:
        raise KbwatchError(f"--name {made.name}, --fleet {fleet}: {error.detail}") from None


def too_few(learned: Learned) -> str:
    """What is missing, for a person."""
    left_out = Counter(rollout.why.split()[0] for rollout in learned.rollouts)
    return (
        f"{len(learned.harmless)} of {len(learned.rollouts)} roll-outs are harmless, {ENOUGH} are "
        f"needed: {learned.missing} are missing, the shipped default stays. "
        f"{left_out['open']} are open: --harmless CASE clears one that a person knows"
    )


def _looked_at(past: Past, word: Word, rule: Rule) -> list[tuple[Rollout, Found | None]]:
    out = []
    for spans in past.rollouts():
        span = spans[0]
        names = [past.case(one).name for one in spans]
        until_ms = min(span.end_ms, past.end_ms)
        evidence = as_of(past.evidence, span.kb, until_ms)
        case, branch = " ".join(names), (past.fleet, past.branch)
        ended = outcome(branch, evidence, span, until_ms, rule, case)
        harmless, why = _judged(past, span, names, word, ended)
        rollout = Rollout(
            case=case,
            fleet=past.fleet,
            source=past.source,
            started_ms=span.start_ms,
            ended_ms=span.end_ms,
            exposed=ended.exposed,
            harmless=harmless,
            why=why,
        )
        people = members(past.case(span), evidence)
        seen = controls(people, evidence, span.start_ms, rule.margins.chatter) if harmless else None
        out.append((rollout, seen))
    return out


def _judged(
    past: Past, span: Span, names: list[str], word: Word, ended: Outcome
) -> tuple[bool, str]:
    """Whether a roll-out is harmless, and why."""
    before = (span.start_ms - past.start_ms) // DAY_MS
    if before < _HISTORY_DAYS:
        return False, f"{max(before, 0)} days of history before it, {_HISTORY_DAYS} are needed"
    if word.harmful.intersection(names):
        return False, "harmful by a person's word"
    if word.harmless.intersection(names):
        return True, "cleared by a person"
    if ended.halt_ms is not None:
        return False, f"halted {day(ended.halt_ms)}: {ended.signature}"
    if span.end_ms > past.end_ms:
        return False, f"open until {day(span.end_ms)}"
    return True, f"closed {day(span.end_ms)} without a halt"
