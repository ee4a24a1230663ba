"""Pipeline health: whether the other boards can be believed."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.boards.frame import finished
from dashboards.boards.looks import BAD, GOOD, WARN, steps
from dashboards.boards.panels import HALF, WIDE, lines, number, rows
from dashboards.sql import fleet, pipeline

_DESCRIPTION = (
    "What arrives, how late, what could not be used, and which collectors lost something. Times "
    "are those of arrival at the broker, not those of the events."
)


def board() -> Dashboard:
    """The board ``kbwatch-pipeline``."""
    return finished(
        "kbwatch-pipeline",
        "kbwatch · Pipeline health",
        _DESCRIPTION,
        ("fleet", "site"),
        [
            number("Dead letters", pipeline.dead_letter_share(), "refused", width=6),
            number("Their share", pipeline.dead_letter_share(), "share", unit="percentunit",
                   width=6, thresholds=steps((None, GOOD), (0.001, WARN), (0.01, BAD))),
            number("Reports arrived", pipeline.dead_letter_share(), "arrived", width=6),
            number("Silent nodes", fleet.counts(chosen="1"), "silent", width=6, thresholds=steps(
                (None, GOOD), (1, WARN), (20, BAD))),
            lines("Records arrived, by kind", pipeline.rates(), stacked=True, width=HALF),
            lines("From sending to arrival", pipeline.lag(), unit="s", width=HALF),
            lines("Dead letters, by reason", pipeline.dead_letters(), stacked=True, width=HALF),
            rows("Why they could not be used", pipeline.dead_letter_reasons(), width=HALF,
                 height=9),
            rows("The newest of each kind", pipeline.newest(), width=HALF, height=9),
            rows("Versions of the collector", pipeline.versions(), width=HALF, height=9),
            rows("Collectors, the worst first", pipeline.collectors(), width=WIDE, height=12),
        ],
        since="now-6h",
    )  # fmt: skip
