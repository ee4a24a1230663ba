"""What a person reads of a verdict at three in the morning: one line, and why it is not more."""

import math
from collections.abc import Sequence

from schemas.verdicts import ENOUGH, Verdict, credible
from streams.detection.suspects import CHANGE

_NAMED = 3
"""Suspects and literals' names beyond this many are counted, not named."""


def sentence(v: Verdict) -> str:
    """The finding in one line."""
    crossing = v.halt or v.warn or v.notice
    if v.state not in ("halt", "warn", "notice") or crossing is None:
        if v.state == "quiet":
            return f"{v.power.observed} patched nodes ran {v.kb} for 24 h without a case against it"
        return v.reasons[0]
    who = (
        f"{crossing.victims} of {crossing.exposed} patched nodes show {v.signature}, "
        f"{crossing.control_victims} of {crossing.controls} unpatched"
        if v.signature
        else f"patched nodes ({crossing.exposed}) fail more than unpatched ones "
        f"({crossing.controls}), with no single signature"
    )
    if v.state == "notice":
        return f"{who}: caused by {blamed(v)}, harmless so far"
    parts = [
        f"{who}; {many(crossing.victim_domains, 'domain')} at "
        f"{many(crossing.victim_sites, 'site')}, "
        f"{'E' if v.halt else 'E_w'} = {math.exp(min(crossing.log_e, 60)):,.0f}"
    ]
    if v.rule:
        parts.append(f"hits {ruled(v.rule)}")
    if len(credible(v.suspects)) > 1:
        parts.append(f"suspects: {blamed(v)}")
    if v.blast is not None and v.blast.nodes:
        parts.append(f"{v.blast.nodes} more {'such ' if v.rule else ''}nodes wait{_staged(v)}")
    return "; ".join(parts)


def reasons(
    v: Verdict, peak: float, explained_by: dict[str, float], disputed: Sequence[str]
) -> tuple[str, ...]:
    """Why not more: what is missing for a conclusion or for a halt, who else may have done it, and
    what to doubt. ``peak``: the largest ln E so far; ``explained_by``: the suspects that a halt
    waits for; ``disputed``: nodes that two domains report (``claims``).
    """
    out = []
    if v.state == "inconclusive":
        out.append(
            f"{v.power.observed} of {ENOUGH} patched nodes observed for 24 h: "
            f"a 5 % failure would have shown with p = {v.power.p_5pct:.2f}"
        )
        if not v.controls:
            out.append("no unpatched node left to compare with")
    if v.state == "warn":
        if explained_by:
            out.append(f"not yet a halt: {_shares(explained_by)} explains it better")
        elif peak < v.log_threshold:
            out.append(
                f"not yet a halt: E is {math.exp(peak):.0f} of {math.exp(v.log_threshold):.0f}; "
                "E_w believes the branch's own past sooner"
            )
        else:
            out.append("not yet a halt: one site or domain alone brings the evidence")
    if v.state == "notice":
        out.append("not a halt: no outage, and no node repeats it three times within an hour")
    others = [name for name in credible(v.suspects) if name != v.kb]
    if others and v.kb in credible(v.suspects):
        kinds = "change" if all(name.startswith(CHANGE) for name in others) else "suspect"
        out.append(f"{many(len(others), f'other {kinds}')} cannot be told from {v.kb} yet")
    if disputed:
        told = ", ".join(disputed[:_NAMED]) + (", …" if len(disputed) > _NAMED else "")
        out.append(
            f"{many(len(disputed), 'node')} reported by two domains at once ({told}), "
            "the newest sighting counts: see who may write their reports"
        )
    return tuple(out)


def blamed(v: Verdict) -> str:
    """Who did it: the smallest set that holds 95 %, with probabilities where it is several."""
    names = credible(v.suspects)
    return _shares(v.suspects) if len(names) > 1 else "".join(names) or v.kb


def ruled(rule: tuple[str, ...]) -> str:
    """A rule as a person says it; no rule is every node."""
    return " and ".join(rule) if rule else "any node"


def _shares(suspects: dict[str, float]) -> str:
    names = credible(suspects)
    told = [f"{name} ({100 * suspects[name]:.0f} %)" for name in names[:_NAMED]]
    more = len(names) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def _staged(v: Verdict) -> str:
    staged = v.blast.staged if v.blast else 0
    return f", {staged} of them staged (hold their reboot)" if staged else ""


def many(count: int, what: str) -> str:
    """``1 site``, ``2 sites``."""
    return f"{count} {what}{'' if count == 1 else 's'}"
