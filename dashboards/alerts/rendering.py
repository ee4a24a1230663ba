"""Rules as Grafana takes them: by its provisioning API, and from a provisioning file."""

from typing import Any, Literal, cast

from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.alerting import Query as Step
from grafana_foundation_sdk.models.alerting import RelativeTimeRange, Rule

from dashboards.alerts.rules import ALERTS, Alert
from dashboards.boards import boards
from dashboards.boards.source import UID, Asked

FOLDER_UID = "kbwatch"
FOLDER = "kbwatch"
GROUP = "kbwatch"
INTERVAL = "60s"
_EXPRESSIONS = "__expr__"


class _Expression(Dataquery):
    """A server-side expression: it works on the answer of a step before it."""

    def __init__(self, ref_id: str, model: dict[str, Any]) -> None:
        self._model = {
            "refId": ref_id,
            "datasource": {"type": _EXPRESSIONS, "uid": _EXPRESSIONS},
            **model,
        }

    def to_json(self) -> dict[str, Any]:
        return self._model


def rule(alert: Alert) -> Rule:
    """The rule as the provisioning API takes it: ask (A), take the number (B), compare (C)."""
    window = RelativeTimeRange(from_val=3_600, to=0)
    compare = {"evaluator": {"type": "gt", "params": [alert.above]}, "type": "query"}
    return Rule(
        uid=alert.uid,
        title=alert.title,
        rule_group=GROUP,
        folder_uid=FOLDER_UID,
        org_id=1,
        condition="C",
        for_val=alert.hold,
        # The SDK's schema knows no KeepLast; Grafana does since 10.4.
        no_data_state=cast('Literal["Alerting", "NoData", "OK"]', alert.no_data),
        exec_err_state=cast('Literal["OK", "Alerting", "Error"]', alert.failed),
        labels={"app": "kbwatch", "severity": alert.severity, "kbwatch_rule": alert.uid},
        annotations={
            "summary": alert.summary,
            "description": alert.action,
            **_panel(alert),
        },
        is_paused=False,
        data=[
            Step(
                ref_id="A",
                datasource_uid=UID,
                relative_time_range=window,
                model=Asked(alert.query, "table"),
            ),
            Step(
                ref_id="B",
                datasource_uid=_EXPRESSIONS,
                relative_time_range=window,
                model=_Expression("B", {"type": "reduce", "expression": "A", "reducer": "last"}),
            ),
            Step(
                ref_id="C",
                datasource_uid=_EXPRESSIONS,
                relative_time_range=window,
                model=_Expression(
                    "C", {"type": "threshold", "expression": "B", "conditions": [compare]}
                ),
            ),
        ],
    )


def _panel(alert: Alert) -> dict[str, str]:
    uid, title = alert.panel
    for panel in boards()[uid].panels or []:
        if panel.title == title:
            return {"__dashboardUid__": uid, "__panelId__": str(panel.id_val)}
    raise LookupError(f"{alert.uid}: board {uid} has no panel {title!r}")


def rules() -> list[Rule]:
    """All rules."""
    return [rule(alert) for alert in ALERTS]


def as_file() -> dict[str, object]:
    """The rules as a provisioning file. There ``$`` begins an environment variable, so what is
    meant for Grafana's templates is written ``$$``; queries are taken as they are.
    """
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": GROUP,
                "folder": FOLDER,
                "interval": INTERVAL,
                "rules": [_in_file(one) for one in rules()],
            }
        ],
    }


def _in_file(one: Rule) -> dict[str, object]:
    made = one.to_json()
    kept = ("uid", "title", "condition", "data", "noDataState", "execErrState", "for", "labels")
    said = {key: text.replace("$", "$$") for key, text in (one.annotations or {}).items()}
    return {
        **{key: made[key] for key in kept},
        "dashboardUid": said.pop("__dashboardUid__"),
        "panelId": int(said.pop("__panelId__")),
        "annotations": said,
        "isPaused": False,
    }
