"""The placebo test of one's own past: how often the detector cries wolf where nothing is wrong.

Two parts: placebos (see ``placebo``), and the KBs of the past as they were, but for those that a
person calls harmful.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Literal

from msgspec import Struct

from schemas.errors import KbwatchError
from streams.calibration.learning import Word, check_names
from streams.calibration.outcome import Outcome, Rule, outcome
from streams.calibration.past import Past, as_of, label
from streams.calibration.placebo import (
    HISTORY_MS,
    WATCH_MS,
    Field,
    field_of,
    placebo,
    shape_of,
)
from streams.detection.chains import DAY_MS
from streams.detection.spans import Span
from streams.regbench.bench.bounds import Share, share
from streams.regbench.bench.chance import chance

WORST = 10
"""Cases that a report lists."""

_NAMED = 5
"""Branches that a complaint names."""

Part = Literal["placebo", "past", "all"]
Advance = Callable[[int, int], None]
"""Hears how many cases are done, and of how many."""


class Rate(Struct, frozen=True):
    """How many cases were called harmful, with exact one-sided 95 % bounds of their share."""

    part: Part
    cases: int
    warns: Share
    halts: Share


class Branch(Struct, frozen=True):
    """What of a branch went into the test."""

    source: str
    fleet: str
    branch: str
    from_ms: int
    until_ms: int
    nodes: int
    rollouts: int
    placebos: int
    quiet_days: float
    """Days on which placebos could be."""
    missing: str
    """Why there are no placebos, empty when there are."""


class Report(Struct, frozen=True):
    """What ``kbwatch aa`` found; everything that its Markdown says."""

    calibration: str
    seed: int
    log_threshold: float
    """A halt needs ln E of this much."""
    rates: tuple[Rate, ...]
    worst: tuple[Outcome, ...]
    """The highest ln E first; halted ones before all others."""
    branches: tuple[Branch, ...]
    left_out: tuple[str, ...]
    """Past KBs that a person called harmful."""
    past: tuple[str, ...]
    """Past KBs that were tested: ``KB5060531@17763 2025-06-10``."""
    learned_from: tuple[str, ...]
    """Those of them that the calibration was learned from."""


def aa(
    pasts: Sequence[Past],
    cases: int,
    seed: int,
    rule: Rule,
    word: Word,
    learned_from: Collection[str],
    advance: Advance,
) -> Report:
    """``cases`` placebos, spread over the branches by their quiet time, and every past KB once.
    ``learned_from``: labels of the roll-outs behind the calibration, see ``past.label``.

    Raises KbwatchError when no branch has room for a placebo: it says what each lacks.
    """
    fields = [field_of(past) for past in pasts]
    chosen = _spread(fields, cases, seed)
    tested, left_out = _past_kbs(pasts, word)
    total = cases + len(tested)
    placebos = []
    for number, at in enumerate(chosen):
        placebos.append(placebo(fields[at], chance(seed, number, "placebo"), number, rule))
        advance(len(placebos), total)
    real = []
    for past, spans in tested:
        real.append(_as_it_was(past, spans, rule))
        advance(cases + len(real), total)
    parts: list[tuple[Part, list[Outcome]]] = [("placebo", placebos), ("past", real)]
    everything = [*placebos, *real]
    labels = tuple(label(one.case, one.started_ms) for one in real)
    return Report(
        calibration=rule.margins.name,
        seed=seed,
        log_threshold=round(rule.log_threshold, 6),
        rates=tuple(_rate(part, outcomes) for part, outcomes in [*parts, ("all", everything)]),
        worst=tuple(sorted(everything, key=_badness)[:WORST]),
        branches=tuple(_branch(field, chosen.count(at)) for at, field in enumerate(fields)),
        left_out=tuple(left_out),
        past=labels,
        learned_from=tuple(one for one in labels if one in learned_from),
    )


def _spread(fields: Sequence[Field], cases: int, seed: int) -> list[int]:
    """Which field each placebo goes to."""
    days = [sum(b - a for a, b in f.quiet) if f.shapes else 0 for f in fields]
    if cases and not any(days):
        lacks = [f"{f.past.branch} ({f.past.source}): {_missing(f)}" for f in fields]
        more = f"; and {len(lacks) - _NAMED} more" if len(lacks) > _NAMED else ""
        raise KbwatchError(
            f"no room for a placebo in this past. {'; '.join(lacks[:_NAMED]) or 'No nodes'}{more}. "
            "--cases 0 tests the past KBs alone"
        )
    return chance(seed, 0, "spread").choices(range(len(fields)), days, k=cases) if cases else []


def _past_kbs(
    pasts: Sequence[Past], word: Word
) -> tuple[list[tuple[Past, tuple[Span, ...]]], list[str]]:
    """The roll-outs to test, and the names of those that a person called harmful."""
    tested, left_out, names = [], [], set()
    for past in pasts:
        for spans in past.rollouts():
            own = [past.case(span).name for span in spans]
            names.update(own)
            if word.harmful.intersection(own):
                left_out.append(" ".join(own))
            else:
                tested.append((past, spans))
    check_names(word, names)
    return tested, left_out


def _as_it_was(past: Past, spans: tuple[Span, ...], rule: Rule) -> Outcome:
    span = spans[0]
    until_ms = min(span.end_ms, past.end_ms)
    name = " ".join(past.case(one).name for one in spans)
    evidence = as_of(past.evidence, span.kb, until_ms)
    return outcome((past.fleet, past.branch), evidence, span, until_ms, rule, name)


def _rate(part: Part, outcomes: Sequence[Outcome]) -> Rate:
    cases = len(outcomes)
    return Rate(
        part=part,
        cases=cases,
        warns=share(sum(one.warn_ms is not None for one in outcomes), cases),
        halts=share(sum(one.halt_ms is not None for one in outcomes), cases),
    )


def _badness(one: Outcome) -> tuple[bool, float, int, str]:
    return one.halt_ms is None, -one.log_e, one.started_ms, one.case


def _branch(field: Field, placebos: int) -> Branch:
    past = field.past
    return Branch(
        source=past.source,
        fleet=past.fleet,
        branch=past.branch,
        from_ms=past.start_ms,
        until_ms=past.end_ms,
        nodes=len({node.node for part in past.evidence for node in part.nodes}),
        rollouts=len(past.rollouts()),
        placebos=placebos,
        quiet_days=round(sum(b - a for a, b in field.quiet) / DAY_MS, 1),
        missing="" if field.shapes else _missing(field),
    )


def _missing(field: Field) -> str:
    """What a branch lacks for a placebo."""
    past = field.past
    known_days = (past.end_ms - past.start_ms) // DAY_MS
    need_days = (HISTORY_MS + WATCH_MS) // DAY_MS
    rollouts = past.rollouts()
    if not rollouts:
        return "no roll-out whose shape a placebo could take"
    if known_days <= need_days:
        return f"{known_days} days of history, more than {need_days} are needed"
    shapes = [shape_of(past, spans[0]) for spans in rollouts]
    shortest = min(shape.lasts_ms for shape in shapes) / DAY_MS
    longest = max((b - a for a, b in field.quiet), default=0) / DAY_MS
    return (
        f"after the first {HISTORY_MS // DAY_MS} days the longest time without a roll-out has "
        f"{longest:.1f} days, the shortest roll-out took {shortest:.1f} and is watched 1 more"
    )
