"""What a named query is, and the list of them all."""

import inspect
import re
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import ParamSpec

from msgspec import Struct

from schemas.clickhouse.queries import QUERIES

P = ParamSpec("P")

_PLACE = re.compile(r"\{(\w+):\w+\}")
_ROOMS = ("fleet", "case", "node", "cluster", "halts", "pipeline", "readiness", "alerts", "choices")
_DECLARED: dict[str, Callable[[], "Query"]] = {}


class Query(Struct, frozen=True):
    """One question: SQL with Grafana's macros and variables, and the columns of the answer."""

    name: str
    doc: str
    columns: tuple[str, ...]
    sql: str


def named(*columns: str) -> Callable[[Callable[P, str]], Callable[P, Query]]:
    """Make a function that returns SQL into a named query which answers with ``columns``."""

    def declare(function: Callable[P, str]) -> Callable[P, Query]:
        name = f"{function.__module__.rpartition('.')[2]}_{function.__name__}"
        doc = inspect.getdoc(function) or ""

        @wraps(function)
        def query(*args: P.args, **kwargs: P.kwargs) -> Query:
            return Query(name, doc, columns, inspect.cleandoc(function(*args, **kwargs)).strip())

        _DECLARED[name] = query
        return query

    return declare


def stored(name: str, **params: str) -> str:
    """The SQL of one of the store's own queries, its parameters replaced by SQL texts; those that
    are not given keep their defaults.
    """
    query = QUERIES[name]
    texts = {key: _literal(param.default) for key, param in query.params.items()} | params
    return _PLACE.sub(lambda found: texts[found[1]], query.sql)


def catalogue() -> dict[str, Query]:
    """All named queries of boards and alerts as they are by default, by name."""
    for room in _ROOMS:
        import_module(f"dashboards.sql.{room}")
    return {name: make() for name, make in _DECLARED.items()}


def _literal(value: str | int | None) -> str:
    return str(value) if isinstance(value, int) else f"'{value}'"
