"""KB drill-down: one case, for who has to decide and for who doubts."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.boards.frame import finished
from dashboards.boards.looks import BAD, CALM, WARN, steps
from dashboards.boards.panels import HALF, THIRD, WIDE, bars, lines, number, rows
from dashboards.sql import case

_DESCRIPTION = (
    "One KB on one branch: what the verdict says and what it rests on. Every number is the "
    "verdict's own, as of the end of the time range."
)


def board() -> Dashboard:
    """The board ``kbwatch-case``."""
    return finished(
        "kbwatch-case",
        "kbwatch · KB drill-down",
        _DESCRIPTION,
        ("fleet", "case_branch", "kb"),
        [
            number("State", case.verdict(), "state", thresholds=steps((None, CALM)), width=3),
            number("Victims", case.verdict(), "victims", thresholds=steps(
                (None, CALM), (1, WARN), (3, BAD)), width=3),
            number("Patched", case.verdict(), "exposed", width=3),
            number("Not patched", case.verdict(), "controls", width=3),
            number("E, for a HALT", case.verdict(), "e", thresholds=steps(
                (None, CALM), (200, BAD))),
            number("E_w, for a WARN", case.verdict(), "e_warn", thresholds=steps(
                (None, CALM), (100, WARN))),
            number("What fails", case.verdict(), "signature", unit="none"),
            number("The finding", case.verdict(), "sentence", unit="none", width=WIDE),
            lines("E against HALT, E_w against WARN", case.wealth(), log=True, height=11),
            lines("Patched, not patched, failed", case.spread(), height=11),
            bars("Victims against controls, at the crossing", case.comparison(), "nodes",
                 width=THIRD),
            bars("What is left to protect", case.left(), "group", width=THIRD),
            rows("Suspects", case.suspects(), width=THIRD),
            rows("What a sceptic asks", case.reasons(), width=HALF, height=9),
            rows("Typical incidents", case.incidents(), width=HALF, height=9),
            rows("Victims", case.victims(), width=HALF, height=11,
                 nothing="nobody has failed"),
            lines("Failures on the branch, by hour", case.onsets(), stacked=True, height=11),
            rows("What to do next, node by node", case.to_do(), height=12),
        ],
        since="now-7d",
    )  # fmt: skip
