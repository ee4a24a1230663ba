"""A verdict's evidence as a person reads it."""

import math
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.verdicts import Blast, Crossing, Verdict, credible
from streams.detection.wording import many, ruled
from streams.tables import add_columns

_STYLE = {"halt": "bold red", "warn": "bold yellow", "notice": "cyan", "quiet": "green"}


def explained(v: Verdict) -> RenderableType:
    """Everything a sceptic asks of a verdict, top down: what, why, who, what is left."""
    title = Text.assemble(
        (f"{v.case}  ", "bold"), (v.state.upper(), _STYLE.get(v.state, "bold")), f"  {v.sentence}"
    )
    parts: list[RenderableType] = [title, _facts(v)]
    if v.incidents:
        parts += [Text("\ntypical incidents", style="bold"), _incidents(v)]
    parts += [Text(f"why not more: {reason}") for reason in v.reasons]
    return Group(*parts)


def _facts(v: Verdict) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    rows = [
        ("fleet, branch, build", f"{v.fleet}, {v.branch}, {v.build or 'no build of its own'}"),
        ("first in effect", _stamp(v.started_ms)),
        ("evidence as of", _stamp(v.asof_ms)),
        ("nodes", f"{v.exposed} patched, {v.controls} not"),
        ("signature", v.signature or "none stands out"),
        ("victims", _victims(v)),
        ("wealth now", f"E = {_e(v.log_e)} with impact, {_e(v.log_e_any)} of any kind"),
        ("a halt needs", f"E ≥ {_e(v.log_threshold)}, corroborated: {_guarantee(v)}"),
        *([("halt", _crossing(v.halt))] if v.halt else []),
        *([("warn", _crossing(v.warn, "E_w"))] if v.warn else []),
        *([("notice", _crossing(v.notice))] if v.notice else []),
        *([("corroboration", _corroboration(v))] if v.log_e_within is not None else []),
        *([("suspects", _suspects(v))] if v.suspects else []),
        *([("whom it hits", _rule(v))] if v.suspects else []),
        ("could have shown", _power(v)),
        ("calibration", f"{v.calibration}; reports are {v.trust}"),
        ("left", _left(v)),
    ]
    for name, text in rows:
        table.add_row(name, text)
    return table


def _victims(v: Verdict) -> str:
    if not v.victims or v.first_victim_ms is None or v.last_victim_ms is None:
        return "none"
    return f"{v.victims}, {_stamp(v.first_victim_ms)} to {_stamp(v.last_victim_ms)}"


def _guarantee(v: Verdict) -> str:
    return (
        f"while the KB is harmless this happens with probability {math.exp(-v.log_threshold):.3g}"
    )


def _crossing(c: Crossing, wealth: str = "E") -> str:
    return (
        f"{_stamp(c.t_ms)}, {wealth} = {_e(c.log_e)}: {many(c.victims, 'victim')} in "
        f"{many(c.victim_domains, 'domain')} at {many(c.victim_sites, 'site')}; "
        f"{c.exposed} patched, {c.controls} not, {c.control_victims} of those failed"
    )


def _corroboration(v: Verdict) -> str:
    by_domain = (
        ""
        if v.log_e_without_domain is None
        else f" and E = {_e(v.log_e_without_domain)} with any one domain left out (needs 20)"
    )
    return (
        f"E = {_e(v.log_e_without_site or 0.0)} with any one site left out (needs 3); or "
        f"{_e(v.log_same_elsewhere or 0.0)} of the same failure alone then (needs 3){by_domain}; "
        f"or {_e(v.log_e_within or 0.0)} within domains alone (needs 20)"
    )


def _suspects(v: Verdict) -> str:
    named = credible(v.suspects)
    told = ", ".join(f"{name} ({100 * v.suspects[name]:.3g} %)" for name in named)
    against = ", ".join(v.confirmed_against)
    sure = f"; 20 times likelier than {against} at its best" if against else ""
    return f"{told}: 95 % together, each as likely in advance{sure}"


def _rule(v: Verdict) -> str:
    blast = v.blast or Blast(0, 0)
    return (
        f"{ruled(v.rule)}; {blast.nodes} such nodes still without it, {blast.staged} of them "
        f"staged (hold the reboot)"
    )


def _power(v: Verdict) -> str:
    p = v.power
    return (
        f"{p.observed} patched nodes observed for 24 h: a failure of 5 % of nodes with p = "
        f"{p.p_5pct:.2f}, one of {100 * p.rate_95:.3g} % with p = 0.95"
    )


def _left(v: Verdict) -> str:
    left = v.left
    return (
        f"{left.untouched} untouched, {left.offered} offered, {left.staged} staged (hold the "
        f"reboot), {left.effective} in effect"
    )


def _incidents(v: Verdict) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    rows = [
        (
            _stamp(incident.t_ms),
            incident.node,
            incident.domain,
            incident.site,
            f"{incident.minutes_after} min",
            str(incident.record_id or ""),
        )
        for incident in v.incidents
    ]
    add_columns(table, ("time", "node", "domain", "site", "after its boot", "record"), rows)
    return table


def _e(log_e: float) -> str:
    return f"{math.exp(log_e):,.3g}" if log_e < 7 else f"10^{log_e / math.log(10):.1f}"


def _stamp(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
