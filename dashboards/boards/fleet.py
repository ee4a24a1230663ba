"""Fleet overview: the first look."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.boards.frame import finished
from dashboards.boards.looks import BAD, CALM, GOOD, NOTE, WARN, steps
from dashboards.boards.panels import HALF, bars, lines, number, rows
from dashboards.sql import fleet, halts

_DESCRIPTION = (
    "Which KBs are open, how far they are rolled out over rings and branches, and who is silent. "
    "Everything is as of the end of the time range; halts stay whatever the range."
)


def board() -> Dashboard:
    """The board ``kbwatch-fleet``."""
    return finished(
        "kbwatch-fleet",
        "kbwatch · Fleet overview",
        _DESCRIPTION,
        ("fleet", "branch", "site", "ring"),
        [
            number("Cases that say HALT", fleet.case_counts(), "halted", thresholds=steps(
                (None, GOOD), (1, BAD))),
            number("Cases that warn", fleet.case_counts(), "warned", thresholds=steps(
                (None, GOOD), (1, WARN))),
            number("Cases with a notice", fleet.case_counts(), "noticed", thresholds=steps(
                (None, GOOD), (1, NOTE))),
            number("Halts in force", halts.counts(), "active", thresholds=steps(
                (None, CALM), (1, BAD))),
            number("Nodes", fleet.counts(), "nodes"),
            number("Silent nodes", fleet.counts(), "silent", thresholds=steps(
                (None, GOOD), (1, WARN), (20, BAD))),
            rows("Open cases, the worst first", fleet.open_cases(), height=9),
            rows("Rings: how far the newest KB has come", fleet.rings(), width=HALF, height=10),
            lines("Rolled out, by case", fleet.exposed_share(), unit="percentunit", height=10),
            bars("Nodes by the build they run", fleet.builds(), "build", height=10),
            lines("Nodes heard of", fleet.nodes_heard(), height=10),
            rows("Not heard of for longest", fleet.longest_silent(), height=9),
        ],
        since="now-7d",
    )  # fmt: skip
