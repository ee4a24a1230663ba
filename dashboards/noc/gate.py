"""The gate: may a patch pipeline go on with a KB? Pure: what is known goes in, an answer comes out.

*No-go* where a case of the KB is at WARN or HALT, where a halt is proposed or active, or where the
KB is one of those that may have caused another case. *Go* only where the detector has judged the
KB, at least 59 distinct nodes of every kind that waits have run it for 24 h (a failure of 5 % of
nodes would have shown with probability .95), and verdict and evidence are fresh and readable. All
else is *inconclusive*, and says what the nodes seen so far could have shown.

``cluster`` adds an interlock without statistics: no-go until the node of that cluster that was
changed last has come back and the cluster has stayed well.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct

from dashboards.noc.answers import Gate
from dashboards.noc.casemap import already_there
from dashboards.noc.model import GateAnswer
from dashboards.noc.sightings import REACHED, Node, build_order
from schemas.halts import Halt
from schemas.reports import Kb, Label, Name
from schemas.verdicts import ENOUGH, Verdict, credible

GONE_MS = 7 * 86_400_000
"""What was last seen so long before its branch's time is out of service, as for the detector."""

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
    evidence_ms: int
    """Since when nine tenths of the living domains have had newer evidence, by Kafka's time; 0:
    none is known.
    """
    ended: Sequence[Verdict] = ()
    """The last ones of cases that were closed at WARN or HALT."""
    unreadable: Collection[str] = ()
    """Verdicts, halts and evidence of the branch whose newest record can't be read."""
    mates: Collection[Node] = ()
    """The nodes of the cluster that is asked about, of all branches."""


class Terms(Struct, frozen=True):
    """What the operator set."""

    well_s: int
    """How long the last patched node of a cluster must have been well."""
    stale_after_s: float
    """Evidence older than this decides nothing."""


_Finding = tuple[GateAnswer, str]


def answer(asked: Question, known: Known, terms: Terms, now_ms: int) -> Gate:
    """The answer as of ``now_ms`` by Kafka's clock."""
    waiting, observed = _compared(asked, known)
    findings = [
        *_accusations(asked, known),
        *(_interlock(asked, known, terms) if asked.cluster else ()),
        *_ignorance(known),
        *_judgement(asked, known, terms),
        *_freshness(known, terms, now_ms),
        _coverage(asked, known, waiting, observed),
    ]
    worst = min((found for found, _ in findings), key=_WORST.index)
    count = _weakest(waiting, observed)
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
        needed=ENOUGH,
        p_5pct=_p_5pct(count),
        rate_95=round(1 - 0.05 ** (1 / count), 6) if count else 1.0,
        cases=tuple(sorted(f"{v.fleet}/{v.case}" for v in known.verdicts)),
        asof_ms=known.asof_ms,
        server_ms=now_ms,
    )


def stale(evidence_ms: int, terms: Terms, now_ms: int) -> bool:
    """Whether a branch's evidence (``Known.evidence_ms``) is too old to decide anything."""
    return 0 < evidence_ms < now_ms - 1000 * terms.stale_after_s


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
    for verdict in known.ended:
        if verdict.kb == asked.kb and verdict.case not in settled:
            out.append(
                (
                    "no-go",
                    f"{verdict.case} was closed at {verdict.state.upper()}: {verdict.sentence}",
                )
            )
    return out


def _ignorance(known: Known) -> list[_Finding]:
    if not known.unreadable:
        return []
    what = _some(sorted(known.unreadable))
    return [("inconclusive", f"can't be read: {what}: upgrade this server, or see its log")]


def _judgement(asked: Question, known: Known, terms: Terms) -> list[_Finding]:
    mine = [verdict for verdict in known.verdicts if verdict.kb == asked.kb]
    if not mine:
        return [("inconclusive", f"the detector has not judged {asked.kb}, or its case is closed")]
    # The detector's own measure: every verdict is published anew when this time moves on.
    seen = sorted(n.last_ms for n in known.nodes if n.last_ms > known.asof_ms - GONE_MS)
    heard_ms = seen[(len(seen) - 1) // 2] if seen else 0
    judged_ms = min(verdict.asof_ms for verdict in mine)
    if heard_ms - judged_ms <= 1000 * terms.stale_after_s:
        return []
    return [
        (
            "inconclusive",
            f"the verdict on {asked.kb} is of {_instant(judged_ms)}, more than "
            f"{terms.stale_after_s / 60:.0f} min behind the evidence: is the detector running?",
        )
    ]


def _freshness(known: Known, terms: Terms, now_ms: int) -> list[_Finding]:
    if not stale(known.evidence_ms, terms, now_ms):
        return []
    return [
        (
            "inconclusive",
            "nothing new was heard of a tenth of this branch or more since "
            f"{_instant(known.evidence_ms)}: is the detector running, and do the nodes report?",
        )
    ]


def _compared(asked: Question, known: Known) -> tuple[Counter[str], Counter[str]]:
    """By kind: nodes that wait for the KB, and those that ran it for 24 h and are no victims."""
    mine = [verdict for verdict in known.verdicts if verdict.kb == asked.kb]
    order = max((build_order(verdict.build) for verdict in mine), default=(0, 0))
    # A notice is harmless so far: its victims have not failed.
    victims = {name for v in mine if v.state != "notice" for name in v.victim_nodes}
    kb, ring = asked.kb, asked.ring
    waiting: Counter[str] = Counter()
    observed: Counter[str] = Counter()
    for node in known.nodes:
        patch = node.patches.get(kb)
        if patch is not None and patch.state in REACHED:
            ran_ms = min(node.last_ms, patch.end_ms or node.last_ms) - patch.t_ms
            if ran_ms >= _DAY_MS and node.node not in victims:
                observed[node.kind] += 1
        elif (not ring or ring == node.ring) and not already_there(order, node):
            waiting[node.kind] += 1
    return waiting, observed


def _weakest(waiting: Counter[str], observed: Counter[str]) -> int:
    """How many nodes of the waiting kind that was tried least have been observed."""
    return min((observed[kind] for kind in waiting), default=observed.total())


def _coverage(
    asked: Question, known: Known, waiting: Counter[str], observed: Counter[str]
) -> _Finding:
    where = f"ring {asked.ring}" if asked.ring else f"branch {asked.branch}"
    if not any(asked.ring in ("", node.ring) for node in known.nodes):
        return "inconclusive", f"no node of branch {asked.branch} is known in {where}"
    count = _weakest(waiting, observed)
    shown = f"a 5 % failure would have shown with p = {_p_5pct(count):.2f}"
    few = sorted((observed[kind], kind) for kind in waiting if observed[kind] < ENOUGH)
    if few:
        kinds = _some(f"{ran} of {ENOUGH} {kind or 'of no role'}" for ran, kind in few)
        return (
            "inconclusive",
            f"too few nodes of kinds that wait in {where} have run {asked.kb} for 24 h without a "
            f"failure: {kinds}: {shown}",
        )
    if count < ENOUGH:
        return (
            "inconclusive",
            f"{count} of {ENOUGH} nodes have run {asked.kb} for 24 h without a failure: {shown}",
        )
    each = " of each kind that waits" if len(waiting) > 1 else ""
    return (
        "go",
        f"{count} comparable nodes{each} have run {asked.kb} for 24 h without a failure that "
        f"counts against it: {shown}",
    )


def _interlock(asked: Question, known: Known, terms: Terms) -> list[_Finding]:
    nodes, name = known.mates, f"cluster {asked.cluster}"
    if not nodes:
        return [("inconclusive", f"no node of {name} is known in fleet {asked.fleet}")]
    away = [node.node for node in nodes if node.rebooting or node.node in known.silent]
    if away:
        return [("no-go", f"{name}: {_some(sorted(away))} not back")]
    last = max(nodes, key=lambda node: (_changed_ms(node), node.ill_ms, node.node))
    since_ms = max(_changed_ms(last), *(node.ill_ms for node in nodes))
    well_s = (last.last_ms - since_ms) // 1000
    if since_ms and well_s < terms.well_s:
        return [
            (
                "no-go",
                f"{name}: well for {max(well_s, 0) // 60} of {terms.well_s // 60} min since its "
                f"last change or failure, as far as {last.node} was heard",
            )
        ]
    if not _changed_ms(last):
        return [("go", f"{name}: no node was changed, all are there and well")]
    return [("go", f"{name}: {last.node} is back and well")]


def _changed_ms(node: Node) -> int:
    """When a KB, whichever, last came into or went out of effect on a node; 0: never."""
    reached = (patch for patch in node.patches.values() if patch.state in REACHED)
    return max((max(patch.t_ms, patch.end_ms) for patch in reached), default=0)


def _p_5pct(observed: int) -> float:
    return round(1 - 0.95**observed, 6)


def _instant(t_ms: int) -> str:
    # Reasons name instants and not ages: a card says them as long as they hold.
    return f"{datetime.fromtimestamp(t_ms / 1000, UTC):%Y-%m-%d %H:%M}Z"


def _some(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
