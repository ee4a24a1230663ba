"""The ClickHouse data source as the SDK wants queries: it has none of its own.

Shape: grafana/clickhouse-datasource, src/types/sql.ts (``CHSqlQuery``); ``format`` is 0 for time
series and 1 for tables.
"""

from typing import Any, Literal

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from dashboards.sql import Query

TYPE = "grafana-clickhouse-datasource"
UID = "kbwatch-clickhouse"
PLUGIN_VERSION = "4.11.0"

Kind = Literal["table", "timeseries"]
_FORMATS: dict[Kind, int] = {"timeseries": 0, "table": 1}


def source() -> DataSourceRef:
    """The data source that every panel asks."""
    return DataSourceRef(type_val=TYPE, uid=UID)


class Asked(Dataquery):
    """A named query as a panel's or a rule's target."""

    def __init__(self, query: Query, kind: Kind, ref_id: str = "A") -> None:
        self.query = query
        self.kind = kind
        self.ref_id = ref_id

    def to_json(self) -> dict[str, Any]:
        """The target as Grafana keeps it."""
        return {
            "refId": self.ref_id,
            "datasource": {"type": TYPE, "uid": UID},
            "editorType": "sql",
            "queryType": self.kind,
            "format": _FORMATS[self.kind],
            "rawSql": self.query.sql,
            "pluginVersion": PLUGIN_VERSION,
        }


class Ask(Builder[Dataquery]):
    """Makes the SDK's panels take an ``Asked``."""

    def __init__(self, query: Query, kind: Kind, ref_id: str = "A") -> None:
        self._asked = Asked(query, kind, ref_id)

    def build(self) -> Dataquery:
        """The target."""
        return self._asked
