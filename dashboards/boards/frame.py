"""What all boards have: variables, links to one another and to the NOC page, time."""

from typing import Literal

from grafana_foundation_sdk.builders.dashboard import (
    ConstantVariable,
    Dashboard,
    DashboardLink,
    QueryVariable,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from dashboards.boards.panels import said
from dashboards.boards.source import source
from dashboards.sql import Query, choices
from schemas.settings import NocSettings

TAG = "kbwatch"
NOC_URL = f"http://127.0.0.1:{NocSettings().port}"
"""Where `kbwatch noc` listens by default; the hidden variable ``noc`` of each board says where
yours does (`kbwatch dashboards push` takes it from the setting grafana.noc_url).
"""

Name = Literal["fleet", "branch", "case_branch", "kb", "site", "ring", "node", "cluster"]

_CHOICES: dict[Name, tuple[str, str, Query, bool]] = {
    "fleet": ("fleet", "Fleet", choices.fleets(), False),
    "branch": ("branch", "Branch", choices.branches(), True),
    "case_branch": ("branch", "Branch", choices.case_branches(), False),
    "kb": ("kb", "KB", choices.kbs(), False),
    "site": ("site", "Site", choices.sites(), True),
    "ring": ("ring", "Ring", choices.rings(), True),
    "node": ("node", "Node", choices.nodes_at(), False),
    "cluster": ("cluster", "Cluster", choices.clusters_at(), False),
}


def finished(
    uid: str,
    title: str,
    description: str,
    variables: tuple[Name, ...],
    panels: list[Builder[model.Panel]],
    *,
    since: str = "now-24h",
) -> model.Dashboard:
    """A board of panels, from left to right and down; panels are numbered from 1."""
    board = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("utc")
        .time(since, "now")
        .refresh("30s")
        .editable()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .links(_links())
        .variables([*map(_variable, variables), _noc()])
    )
    for panel in panels:
        board.with_panel(panel)
    made = board.build()
    for number, panel_made in enumerate(made.panels or [], start=1):
        panel_made.id_val = number
    return made


def _variable(name: Name) -> QueryVariable:
    called, label, query, many = _CHOICES[name]
    variable = (
        QueryVariable(called)
        .label(label)
        .description(said(query))
        .datasource(source())
        .query(query.sql)
        .refresh(model.VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(model.VariableSort.DISABLED)
        .multi(many)
        .include_all(many)
        .allow_custom_value(False)
    )
    made = variable.build()
    # Of interval variables; the SDK writes them into every one.
    made.auto = made.auto_min = made.auto_count = None
    if many:
        variable.current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    return variable


def _noc() -> ConstantVariable:
    variable = ConstantVariable("noc").value(NOC_URL).description("Where the NOC page is")
    made = variable.build()
    made.auto = made.auto_min = made.auto_count = None
    return variable


def _links() -> list[Builder[model.DashboardLink]]:
    others = (
        DashboardLink("kbwatch")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
        .tooltip("The other boards, with the same fleet and time range")
    )
    noc = (
        DashboardLink("NOC page")
        .type(model.DashboardLinkType.LINK)
        .url("${noc}/")
        .icon("external link")
        .target_blank(True)
        .tooltip("What is happening now, live, and what to do next")
    )
    return [others, noc]
