"""The placebo test as a page that a change board reads."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from streams.calibration.aa import Part, Rate, Report
from streams.calibration.outcome import Outcome
from streams.calibration.past import day
from streams.regbench.bench.bounds import Share
from streams.tables import printable

_PARTS: dict[Part, str] = {
    "placebo": "placebo cases",
    "past": "past KBs as they were",
    "all": "together",
}
PER = 200
"""Cases that a rate is stated for: about a large fleet's year."""


def markdown(report: Report) -> str:
    """The report as Markdown; a function of ``report`` alone."""
    return "\n".join(
        [
            "# Placebo test of kbwatch over this fleet's own past",
            "",
            *_result(report),
            "",
            "## What was counted",
            "",
            *_table(RATE_HEADINGS, rate_rows(report)),
            "",
            "In brackets exact one-sided 95 % bounds (Clopper and Pearson).",
            "",
            "## The worst cases",
            "",
            *_table(WORST_HEADINGS, worst_rows(report)),
            "",
            f"A warning needs E = 100 (ln E = 4.61), a halt {_halt_at(report)} and corroboration.",
            "",
            "## What it was tested on",
            "",
            *_table(BRANCH_HEADINGS, branch_rows(report)),
            "",
            "## What this shows, and what not",
            "",
            *(f"- {line}" for line in assumptions(report)),
            "",
        ]
    )


RATE_HEADINGS = (
    "",
    "cases",
    "false WARNs",
    f"per {PER} cases",
    "false HALTs",
    f"per {PER} cases",
)
WORST_HEADINGS = ("case", "began", "ended as", "time", "ln E", "driven by", "victims", "patched")
BRANCH_HEADINGS = (
    "branch",
    "nodes",
    "from",
    "until",
    "past KBs",
    "quiet days",
    "placebos",
    "source",
    "no placebos because",
)


def rate_rows(report: Report) -> list[list[str]]:
    """One row per part of the test, see ``RATE_HEADINGS``."""
    return [
        [
            _PARTS[rate.part],
            str(rate.cases),
            str(rate.warns.hits),
            _per(rate.warns),
            str(rate.halts.hits),
            _per(rate.halts),
        ]
        for rate in report.rates
    ]


def worst_rows(report: Report) -> list[list[str]]:
    """One row per case, see ``WORST_HEADINGS``."""
    return [
        [
            one.case,
            day(one.started_ms),
            _ended(one),
            _minute(one.worst_ms),
            f"{one.log_e:.2f}",
            one.signature or "no single signature",
            str(one.victims),
            f"{one.exposed} of {one.nodes}",
        ]
        for one in report.worst
    ]


def branch_rows(report: Report) -> list[list[str]]:
    """One row per branch, see ``BRANCH_HEADINGS``."""
    return [
        [
            f"{one.fleet} {one.branch}",
            str(one.nodes),
            day(one.from_ms),
            day(one.until_ms),
            str(one.rollouts),
            f"{one.quiet_days:g}",
            str(one.placebos),
            one.source,
            one.missing,
        ]
        for one in report.branches
    ]


def assumptions(report: Report) -> list[str]:
    """What the figures rest on, one sentence or some each."""
    quiet = sum(branch.quiet_days for branch in report.branches)
    placebos = next(rate.cases for rate in report.rates if rate.part == "placebo")
    left_out = ", ".join(report.left_out) or "none"
    lines = [
        f"Calibration: {report.calibration}. Seed: {report.seed}; the same past and seed give the "
        "same report.",
        "In a placebo case nothing was installed: random failure domains are called patched, whole "
        "and node by node, in the rhythm of a real roll-out of the same branch, at a random time "
        "without one. What the nodes did then is real. It is judged by the code that judges real "
        "cases, until the next roll-out or for 35 days after its last node.",
        "A placebo reboots nothing. What reboots do shows in the past KBs only.",
        "Every past KB counts as harmless unless it was called harmful: a true regression among "
        f"them is counted as a false alarm. Called harmful and left out: {left_out}.",
        f"{placebos} placebos share {quiet:g} quiet days of all branches, so they share incidents. "
        "The bounds take cases as independent: the shorter the past, the less they hold for other "
        "times.",
        "Nodes that were patched for real while a placebo ran, stragglers of other roll-outs, take "
        "no part in it.",
    ]
    if report.learned_from:
        lines.append(
            f"{len(report.learned_from)} of the {len(report.past)} past KBs are those that the "
            "calibration was learned from: for them this is no independent test."
        )
    return lines


def _result(report: Report) -> list[str]:
    whole = {rate.part: rate for rate in report.rates}
    return [_sentence(whole[part]) for part in ("placebo", "past") if whole[part].cases]


def _sentence(rate: Rate) -> str:
    halts, warns = rate.halts, rate.warns
    return (
        f"Of {rate.cases} {_PARTS[rate.part]}, **{halts.hits} were halted and {warns.hits} warned "
        f"of**. With 95 % confidence at most {_bound(halts)} in {PER} such cases would be halted, "
        f"at most {_bound(warns)} warned of."
    )


def _bound(share: Share) -> str:
    return f"{PER * (1.0 if share.upper is None else share.upper):.1f}"


def _per(share: Share) -> str:
    if share.share is None or share.lower is None or share.upper is None:
        return "none tested"
    low, at, high = (PER * x for x in (share.lower, share.share, share.upper))
    return f"{at:.1f} ({low:.1f} to {high:.1f})"


def _halt_at(report: Report) -> str:
    return f"E = {math.exp(report.log_threshold):.0f} (ln E = {report.log_threshold:.2f})"


def _ended(one: Outcome) -> str:
    if one.halt_ms is not None:
        return "HALT"
    return "WARN" if one.warn_ms is not None else "quiet"


def _minute(t_ms: int | None) -> str:
    if t_ms is None:
        return ""
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def _cell(text: str) -> str:
    # Names come from logs: none may end a cell or a line.
    return printable(text).replace("\\", "\\\\").replace("|", "\\|")
