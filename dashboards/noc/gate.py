"""The gate: may a patch pipeline go on with a KB? Pure: what is known goes in, an answer comes out.

*No-go* where a case of the KB is at WARN or HALT, where a halt is proposed or active, or where the
KB is one of those that may have caused another case. *Go* only where at least 59 distinct
comparable nodes have run the KB for 24 h (a failure of 5 % of nodes would have shown with
probability .95), every kind of node that waits is among them, and the evidence is fresh. All else
is *inconclusive*, and says what the nodes seen so far could have shown.

``cluster`` adds an interlock without statistics: no-go until the node of that cluster that was
patched last has come back and stayed well.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from dashboards.noc.answers import Gate
from dashboards.noc.casemap import already_there
from dashboards.noc.model import GateAnswer
from dashboards.noc.sightings import REACHED, Node, build_order
from schemas.halts import Halt
from schemas.reports import Kb, Label, Name
from schemas.verdicts import Verdict

NEEDED = 59
"""Nodes without a failure that rule out a failure of 5 % with probability .95."""

_CREDIBLE = 0.95
_DAY_MS = 86_400_000
_WORST: tuple[GateAnswer, ...] = ("no-go", "inconclusive", "go")
_SHOWN = 5
"""Names in a reason; the rest is counted."""


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """What a pipeline asks: may ``kb`` go on, on ``branch`` of ``fleet``, into ``ring`` (empty:
    anywhere), and into the next node of ``cluster`` (empty: no interlock)?
    """

    kb: Kb
    branch: Annotated[str, Meta(pattern=r"^[0-9]{1,7}$(?!\n)")]
    fleet: Name = "default"
    ring: Label = ""
    cluster: Label = ""


class Known(Struct, frozen=True):
    """What is known of the branch that is asked about."""

    verdicts: Sequence[Verdict]
    """Of all open cases of the fleet and branch."""
    halts: Sequence[Halt]
    """Of the same."""
    nodes: Collection[Node]
    silent: frozenset[str]
    asof_ms: int
    evidence_age_s: float | None
    """Seconds since Kafka got the newest evidence; None: not asked."""


class Terms(Struct, frozen=True):
    """What the operator set."""

    well_s: int
    """How long the last patched node of a cluster must have been well."""
    stale_after_s: float
    """Evidence older than this decides nothing."""


_Finding = tuple[GateAnswer, str]


def answer(asked: Question, known: Known, terms: Terms, now_ms: int) -> Gate:
    """The answer; ``now_ms`` is only written down."""
    waiting, observed = _compared(asked, known)
    findings = [
        *_accusations(asked, known),
        *(_interlock(asked, known, terms) if asked.cluster else ()),
        *_freshness(known, terms),
        _coverage(asked, known, waiting, observed),
    ]
    worst = min((found for found, _ in findings), key=_WORST.index)
    count = len(observed)
    return Gate(
        answer=worst,
        kb=asked.kb,
        branch=asked.branch,
        fleet=asked.fleet,
        ring=asked.ring,
        cluster=asked.cluster,
        reasons=tuple(
            reason for level in _WORST for found, reason in findings if found == level and reason
        ),
        observed=count,
        needed=NEEDED,
        p_5pct=_p_5pct(count),
        rate_95=round(1 - 0.05 ** (1 / count), 6) if count else 1.0,
        cases=tuple(sorted(f"{v.fleet}/{v.case}" for v in known.verdicts)),
        asof_ms=known.asof_ms,
        server_ms=now_ms,
    )


def credible(suspects: Mapping[str, float]) -> frozenset[str]:
    """The smallest set of suspects that holds 95 %, with those as probable as its last."""
    mass = last = 0.0
    out = set()
    for name, share in sorted(suspects.items(), key=lambda item: (-item[1], item[0])):
        if mass >= _CREDIBLE and share < last:
            break
        out.add(name)
        mass, last = mass + share, share
    return frozenset(out)


def _accusations(asked: Question, known: Known) -> list[_Finding]:
    out: list[_Finding] = []
    settled = {}
    for halt in known.halts:
        if halt.kb != asked.kb:
            continue
        last = halt.history[-1] if halt.history else None
        said = f", by {last.who}: {last.why}" if last else ""
        if halt.state in ("proposed", "active"):
            out.append(("no-go", f"the halt of {halt.case} is {halt.state}{said}"))
        else:
            settled[halt.case] = f"the halt of {halt.case} was {halt.state}{said}"
    for verdict in known.verdicts:
        mine = verdict.kb == asked.kb
        if mine and verdict.case in settled:
            # A person saw it and decided; what they said is part of the answer.
            out.append(("go", settled[verdict.case]))
        elif mine and verdict.state in ("halt", "warn"):
            out.append(
                ("no-go", f"{verdict.case} is at {verdict.state.upper()}: {verdict.sentence}")
            )
        elif mine and verdict.state == "notice":
            out.append(("go", f"{verdict.case}, harmless so far: {verdict.sentence}"))
        elif verdict.state in ("halt", "warn") and asked.kb in credible(verdict.suspects):
            share = 100 * verdict.suspects[asked.kb]
            out.append(
                (
                    "no-go",
                    f"{asked.kb} may be the cause of {verdict.case}, which is at "
                    f"{verdict.state.upper()} ({share:.0f} %)",
                )
            )
    return out


def _freshness(known: Known, terms: Terms) -> list[_Finding]:
    age_s = known.evidence_age_s
    if age_s is None or age_s <= terms.stale_after_s:
        return []
    return [
        (
            "inconclusive",
            f"nothing new was heard of this branch for {age_s / 60:.0f} min: is the detector "
            "running, and do the nodes report?",
        )
    ]


def _compared(asked: Question, known: Known) -> tuple[Counter[str], list[Node]]:
    """Nodes that wait for the KB by kind, and those of the same kinds that ran it for 24 h."""
    order = max((build_order(v.build) for v in known.verdicts if v.kb == asked.kb), default=(0, 0))
    kb, ring = asked.kb, asked.ring
    waiting: Counter[str] = Counter()
    ran = []
    for node in known.nodes:
        patch = node.patches.get(kb)
        if patch is not None and patch.state in REACHED:
            if min(node.last_ms, patch.end_ms or node.last_ms) - patch.t_ms >= _DAY_MS:
                ran.append(node)
        elif (not ring or ring == node.ring) and not already_there(order, node):
            waiting[node.kind] += 1
    return waiting, [node for node in ran if not waiting or node.kind in waiting]


def _coverage(
    asked: Question, known: Known, waiting: Counter[str], observed: Sequence[Node]
) -> _Finding:
    where = f"ring {asked.ring}" if asked.ring else f"branch {asked.branch}"
    if not any(asked.ring in ("", node.ring) for node in known.nodes):
        return "inconclusive", f"no node of branch {asked.branch} is known in {where}"
    count = len(observed)
    shown = f"a 5 % failure would have shown with p = {_p_5pct(count):.2f}"
    if count < NEEDED:
        return (
            "inconclusive",
            f"{count} of {NEEDED} comparable nodes have run {asked.kb} for 24 h: {shown}",
        )
    kinds = {node.kind for node in observed}
    unseen = [
        f"{kind or 'of no role'} ({n})" for kind, n in sorted(waiting.items()) if kind not in kinds
    ]
    if unseen:
        return (
            "inconclusive",
            f"kinds of node wait in {where} of which none has run {asked.kb} for 24 h: "
            f"{_some(unseen)}",
        )
    return "go", f"{count} comparable nodes have run {asked.kb} for 24 h without a case: {shown}"


def _interlock(asked: Question, known: Known, terms: Terms) -> list[_Finding]:
    nodes = [node for node in known.nodes if node.cluster == asked.cluster]
    if not nodes:
        return [("inconclusive", f"no node of cluster {asked.cluster} is known on this branch")]
    away = [node.node for node in nodes if node.rebooting or node.node in known.silent]
    if away:
        return [("no-go", f"cluster {asked.cluster}: {_some(sorted(away))} not back")]
    patched = [
        (patch.t_ms, node)
        for node in nodes
        if (patch := node.patches.get(asked.kb)) is not None and patch.in_effect
    ]
    if not patched:
        return [("go", f"cluster {asked.cluster}: no node has {asked.kb}, all are there")]
    t_ms, last = max(patched, key=lambda one: (one[0], one[1].node))
    sick_ms = max(node.ill_ms for node in nodes)
    # A failure before the patch is no news of it.
    well_s = (last.last_ms - max(t_ms, sick_ms)) // 1000
    if well_s < terms.well_s:
        return [
            (
                "no-go",
                f"cluster {asked.cluster}: {last.node} was patched last, the cluster has been "
                f"well for {max(well_s, 0) // 60} of {terms.well_s // 60} min",
            )
        ]
    return [("go", f"cluster {asked.cluster}: {last.node} is back and well")]


def _p_5pct(observed: int) -> float:
    return round(1 - 0.95**observed, 6)


def _some(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
