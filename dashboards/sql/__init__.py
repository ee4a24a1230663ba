"""Every question that boards and alerts ask, by name.

A question is a function that returns a ``Query``; its parameters are SQL texts, by default
Grafana's variables, which Grafana quotes (``${fleet:singlequote}``). What the store itself answers
on its socket (``schemas.clickhouse.queries``) is not written again: ``stored`` takes it over.
"Now" is the end of the time range everywhere, so that yesterday can be looked at as it was; only a
halt is shown whatever the range, because it is latched.
"""

from dashboards.sql.query import Query, catalogue

__all__ = ["Query", "catalogue"]
