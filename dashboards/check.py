"""What ``kbwatch dashboards check`` looks at: the files are those of the code, and the boards hold
what every board promises. Nothing here asks a database or Grafana.
"""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from dashboards.boards import asked, boards
from dashboards.build import GENERATED, drifted
from dashboards.macros import ALL, Value, Window, expand, variables_of
from dashboards.sql import catalogue
from schemas.errors import KbwatchError

_AN_HOUR = Window(0, 3_600_000, 60)


def complaints() -> list[str]:
    """What is wrong, one line each; empty when all is well."""
    found = [
        f"{GENERATED.name}/{path}: not what the code makes; run `kbwatch dashboards build`"
        for path in drifted()
    ]
    for uid, board in boards().items():
        found += [f"{uid}: {complaint}" for complaint in _of_board(board)]
    return found + list(_of_queries())


def _of_board(board: Dashboard) -> Iterator[str]:
    variables = board.templating.list_val or []
    choices: dict[str, Value] = {str(one.name): [ALL] if one.multi else "x" for one in variables}
    for variable in variables:
        if isinstance(variable.query, str) and variable.name != "noc":
            yield from _expanded(f"variable {variable.name}", variable.query, choices)
    for panel in board.panels or []:
        name = f"panel {panel.title!r}"
        if not isinstance(panel, Panel) or not panel.targets:
            yield f"{name} asks nothing"
            continue
        if not panel.description:
            yield f"{name} has no description"
        defaults = panel.field_config and panel.field_config.defaults
        if not defaults or not defaults.unit or not defaults.thresholds:
            yield f"{name} lacks a unit or thresholds"
    for panel, query in asked(board):
        yield from _expanded(f"panel {panel.title!r}", query.sql, choices)


def _of_queries() -> Iterator[str]:
    for query in catalogue().values():
        if not query.doc:
            yield f"query {query.name} has no docstring"
        if query.name.startswith("alerts_") and variables_of(query.sql):
            yield f"query {query.name} has variables, which an alert rule has not"


def _expanded(name: str, sql: str, choices: dict[str, Value]) -> Iterator[str]:
    try:
        expand(sql, _AN_HOUR, choices)
    except KbwatchError as error:
        yield f"{name}: {error}"
