"""Scores of a detector's decisions against the truth. A case is one KB on one branch.

Cases of roll-outs without any harmful KB are *null cases*: a halt there is a false halt. A harmless
KB beside a harmful one is a *bystander*, reported apart; so are the branches that a harmful KB was
rolled out on without harming anybody there.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from schemas.errors import KbwatchError
from streams.regbench.bench.bounds import Quantile, Share, quantile, share
from streams.regbench.bench.decisions import Decision
from streams.regbench.bench.stream import Node
from streams.regbench.bench.stream_file import SUFFIXES, read
from streams.regbench.bench.truth import KbTruth, read_truth, truth_of

PER_YEAR = 200
"""A large fleet's cases in a year: the unit of false halts."""
ENOUGH = 10
"""Victims that must have been possible before a detector is blamed for never halting."""
_COVERED = 0.95
_MINUTE_MS = 60_000

Truths = Mapping[str, list[KbTruth]]
"""By name of the truth file."""
Case = tuple[str, str, str]
"""(truth file, KB, branch)."""


class Null(Struct, frozen=True):
    """False alarms. ``…_per_200`` is the share times 200, with its upper bound."""

    rollouts: int
    cases: int
    halts: Share
    warns: Share
    notices: Share
    symptoms_noticed: Share
    """Notices among the cases whose KB has a signature by the truth: harmless, but to be said."""
    halts_per_200: float | None
    halts_per_200_upper: float | None
    warns_per_200: float | None
    warns_per_200_upper: float | None


class Power(Struct, frozen=True):
    """How soon harm was seen, over harmful cases with victims; victims up to and including then."""

    cases: int
    joined: int
    """Those of several branches, because no stream told them apart: the first halt counts."""
    reached: Share
    never: Share
    """Never, among those with at least ten victims possible."""
    early: int
    """Before the first victim: by chance."""
    victims_median: Quantile
    victims_p95: Quantile
    minutes_median: Quantile
    """From the first victim."""
    minutes_p95: Quantile
    possible_median: Quantile
    """Victims by the end of the period, had nobody halted it."""
    signature: Share
    """Named what fails, among those that named anything."""


class Blame(Struct, frozen=True):
    """Whom halts of roll-outs with a harmful KB blame; None where the detector never says."""

    top1: Share
    covered: Share
    """The guilty one is in the smallest set that holds 95 %."""
    set_size_median: Quantile
    innocent_alone: Share
    """Roll-outs in which a harmless KB was halted with the harmful one neither suspected nor
    halted by then.
    """
    bystander_halts: Share


class Rule(Struct, frozen=True):
    """Whom the KB harms, as against the truth; literals about the branch may be left out."""

    exact: Share
    jaccard: float | None


class Scores(Struct, frozen=True):
    """All of it, with the number of roll-outs."""

    rollouts: int
    null: Null
    halt: Power
    warn: Power
    blame: Blame
    rule: Rule


def read_truths(folder: Path) -> dict[str, list[KbTruth]]:
    """All truth files of a folder; KbwatchError when there is none or one is malformed."""
    paths = sorted(folder.glob("truth-*.json"))
    if not paths:
        raise KbwatchError(f"{folder}: no truth-NNNN.json here")
    return {path.name: read_truth(path) for path in paths}


def by_branch(truths: Truths, streams: Path) -> dict[str, list[KbTruth]]:
    """The truths with every harmful KB apart for each of its branches, as far as the streams, which
    know each node's branch, are in the folder ``streams``.

    Raises KbwatchError for a stream that is malformed.
    """
    return {name: _apart(truth, _stream_of(streams, name)) for name, truth in truths.items()}


def _stream_of(folder: Path, truth: str) -> Path | None:
    stem = truth.replace("truth-", "rollout-", 1).removesuffix(".json")
    return next((p for suffix in SUFFIXES if (p := folder / f"{stem}{suffix}").is_file()), None)


def _apart(truth: list[KbTruth], stream: Path | None) -> list[KbTruth]:
    nodes = {node for t in truth if len(t.branches) > 1 for node, _ in t.caused}
    if not nodes or stream is None:
        return truth
    branch_of: dict[str, str] = {}
    for line in read(stream):
        if isinstance(line, Node) and line.node in nodes:
            branch_of[line.node] = line.branch
            if len(branch_of) == len(nodes):
                break
    out = []
    for t in truth:
        if len(t.branches) > 1 and t.caused:
            for branch in t.branches:
                caused = tuple(c for c in t.caused if branch_of.get(c[0]) == branch)
                out.append(replace(t, branches=(branch,), caused=caused))
        else:
            out.append(t)
    return out


def score(decisions: Iterable[Decision], truths: Truths) -> Scores:
    """Compare decisions with the truth of all roll-outs that were judged.

    Raises KbwatchError for a decision on a roll-out, KB or branch that the truth does not know.
    """
    first: dict[tuple[Case, str], Decision] = {}
    cases = {(n, t.kb, b): t for n, truth in truths.items() for t in truth for b in t.branches}
    for decision in decisions:
        case = truth_of(decision.file), decision.kb, decision.branch
        if case not in cases:
            raise KbwatchError(
                f"{decision.file}: {decision.kb}@{decision.branch} is no case of the truth"
            )
        known = first.get((case, decision.type))
        if known is None or decision.t_ms < known.t_ms:
            first[case, decision.type] = decision
    return Scores(
        rollouts=len(truths),
        null=_null(first, truths),
        halt=_power(first, truths, "halt"),
        warn=_power(first, truths, "warn"),
        blame=_blame(first, truths),
        rule=_rule(first, truths),
    )


First = Mapping[tuple[Case, str], Decision]


def _null(first: First, truths: Truths) -> Null:
    harmless = {n: truth for n, truth in truths.items() if not any(t.harmful for t in truth)}
    cases = [(n, t.kb, b) for n, truth in harmless.items() for t in truth for b in t.branches]
    halts, warns, notices = (
        share(sum((case, kind) in first for case in cases), len(cases))
        for kind in ("halt", "warn", "notice")
    )
    symptoms = [
        (n, t.kb, b)
        for n, truth in harmless.items()
        for t in truth
        if t.signature
        for b in t.branches
    ]

    def yearly(value: float | None) -> float | None:
        return None if value is None else PER_YEAR * value

    return Null(
        rollouts=len(harmless),
        cases=len(cases),
        halts=halts,
        warns=warns,
        notices=notices,
        symptoms_noticed=share(sum((case, "notice") in first for case in symptoms), len(symptoms)),
        halts_per_200=yearly(halts.share),
        halts_per_200_upper=yearly(halts.upper),
        warns_per_200=yearly(warns.share),
        warns_per_200_upper=yearly(warns.upper),
    )


def _power(first: First, truths: Truths, kind: str) -> Power:
    victims: list[float] = []
    minutes: list[float] = []
    at_end: list[float] = []
    never, possible, early, cases, joined = 0, 0, 0, 0, 0
    named: list[bool] = []
    for name, truth in _guilty(truths):
        if not truth.caused:
            continue
        cases += 1
        at_end.append(len(truth.caused))
        joined += len(truth.branches) > 1
        found = _earliest(first, name, truth, kind)
        if len(truth.caused) >= ENOUGH:
            possible += 1
            never += found is None
        if found is None:
            continue
        victims.append(sum(t_ms <= found.t_ms for _, t_ms in truth.caused))
        early += victims[-1] == 0
        minutes.append(max(found.t_ms - truth.caused[0][1], 0) / _MINUTE_MS)
        if found.signature:
            named.append(found.signature == truth.signature)
    return Power(
        cases=cases,
        joined=joined,
        reached=share(len(victims), cases),
        never=share(never, possible),
        early=early,
        victims_median=quantile(victims, 0.5),
        victims_p95=quantile(victims, 0.95),
        minutes_median=quantile(minutes, 0.5),
        minutes_p95=quantile(minutes, 0.95),
        possible_median=quantile(at_end, 0.5),
        signature=share(sum(named), len(named)),
    )


def _blame(first: First, truths: Truths) -> Blame:
    top, covered, sizes = [], [], []
    for name, truth in _guilty(truths):
        found = _earliest(first, name, truth, "halt")
        if found is not None and found.suspects:
            suspected = _suspected(found.suspects)
            top.append(suspected[0] == truth.kb)
            covered.append(truth.kb in suspected)
            sizes.append(float(len(suspected)))
    alone, rollouts, halted, bystanders = 0, 0, 0, 0
    for name, truth_list in truths.items():
        guilty = [t for t in truth_list if t.harmful]
        harmless = [(t.kb, b) for t in truth_list if not t.harmful for b in t.branches]
        if not guilty:
            continue
        halts = [h for kb, b in harmless if (h := first.get(((name, kb, b), "halt")))]
        bystanders += len(harmless)
        halted += len(halts)
        numbers = {t.kb for t in guilty}
        if any(kb not in numbers for kb, _ in harmless):
            rollouts += 1
            innocent = [halt for halt in halts if halt.kb not in numbers]
            alone += any(not _shared(halt, name, guilty, first) for halt in innocent)
    return Blame(
        top1=share(sum(top), len(top)),
        covered=share(sum(covered), len(covered)),
        set_size_median=quantile(sizes, 0.5),
        innocent_alone=share(alone, rollouts),
        bystander_halts=share(halted, bystanders),
    )


def _shared(halt: Decision, name: str, guilty: Sequence[KbTruth], first: First) -> bool:
    """Whether a harmless KB's halt points at a harmful KB as well."""
    if halt.suspects:
        return any(t.kb in _suspected(halt.suspects) for t in guilty)
    found = [first.get(((name, t.kb, halt.branch), "halt")) for t in guilty]
    return any(f is not None and f.t_ms // _MINUTE_MS <= halt.t_ms // _MINUTE_MS for f in found)


def _suspected(suspects: Mapping[str, float]) -> list[str]:
    """The smallest set that holds 95 %, most suspected first."""
    out: list[str] = []
    mass = 0.0
    for kb, probability in sorted(suspects.items(), key=lambda item: (-item[1], item[0])):
        if mass >= _COVERED:
            break
        out.append(kb)
        mass += probability
    return out


def _rule(first: First, truths: Truths) -> Rule:
    if not any(decision.rule for decision in first.values()):
        return Rule(share(0, 0), None)
    exact, overlaps = [], []
    for name, truth in _guilty(truths):
        found = _earliest(first, name, truth, "halt")
        if found is not None:
            said, true = _literals(found.rule), _literals(truth.rule)
            exact.append(said == true)
            overlaps.append(len(said & true) / len(said | true) if said | true else 1.0)
    jaccard = sum(overlaps) / len(overlaps) if overlaps else None
    return Rule(share(sum(exact), len(exact)), jaccard)


def _literals(rule: Iterable[str]) -> set[str]:
    return {literal for literal in rule if not literal.startswith("branch=")}


def _guilty(truths: Truths) -> list[tuple[str, KbTruth]]:
    return [(name, t) for name, truth in truths.items() for t in truth if t.harmful]


def _earliest(first: First, name: str, truth: KbTruth, kind: str) -> Decision | None:
    """A KB that harms on several branches is stopped where it is seen first."""
    found = [first.get(((name, truth.kb, branch), kind)) for branch in truth.branches]
    return min((f for f in found if f is not None), key=lambda f: f.t_ms, default=None)
