"""What Grafana makes of a query before ClickHouse sees it: variables put in, macros expanded.

Source: the documentation of the ClickHouse data source (grafana/clickhouse-datasource,
docs/sources/query-editor.md and template-variables.md): first ``$__conditionalAll`` and the
variables, in the browser, then the macros, in the plugin. Only what that page names is known here;
anything else that looks like a macro or a variable is an error, so that a typo never reaches a
board.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from msgspec import Struct

from schemas.errors import KbwatchError

ALL = "$__all"
"""The value of a variable on which *All* is chosen."""

Value = str | Sequence[str]
"""One value, or those that are chosen of a variable with several."""

_NAME = r"[A-Za-z_]\w*"
_MACRO = re.compile(rf"\$__({_NAME})")
_VARIABLE = re.compile(rf"\$\{{({_NAME})(?::(\w+))?\}}|\$(?!__)({_NAME})")
_QUOTES = "'\"`"


class Window(Struct, frozen=True):
    """A board's time range (Unix ms) and the interval Grafana makes of it and a panel's width."""

    from_ms: int
    to_ms: int
    interval_s: int = 60


def expand(sql: str, window: Window, variables: Mapping[str, Value]) -> str:
    """``sql`` as ClickHouse gets it. Raises KbwatchError for an unknown macro or variable, and for
    arguments that a macro does not take.
    """
    sql = _each(sql, lambda name, arguments: _conditional(name, arguments, variables))
    sql = _VARIABLE.sub(lambda found: _put_in(found, variables), sql)
    return _each(sql, lambda name, arguments: _time(name, arguments, window))


def variables_of(text: str) -> set[str]:
    """The variables that a query or a link uses, Grafana's own (``__…``) left out."""
    names = {found[1] or found[3] for found in _VARIABLE.finditer(text)}
    return {name for name in names if not name.startswith("__")}


def _each(sql: str, replacement: Callable[[str, list[str]], str | None]) -> str:
    """``sql`` with every macro replaced; None leaves one as it is."""
    out: list[str] = []
    at = 0
    while found := _MACRO.search(sql, at):
        end = found.end()
        arguments: list[str] = []
        if sql[end : end + 1] == "(":
            close = _closing(sql, end)
            arguments = _split(sql[end + 1 : close])
            end = close + 1
        new = replacement(found[1], arguments)
        if new is None:  # its arguments may hold another
            end = found.end()
            new = found[0]
        out += [sql[at : found.start()], new]
        at = end
    return "".join((*out, sql[at:]))


def _conditional(name: str, arguments: list[str], variables: Mapping[str, Value]) -> str | None:
    if name != "conditionalAll":
        return None
    condition, variable = _of(name, arguments, 2)
    key = variable.strip("${}")
    if key not in variables:
        raise KbwatchError(f"$__conditionalAll: no variable {variable}")
    value = variables[key]
    return "1=1" if value == ALL or (not isinstance(value, str) and ALL in value) else condition


def _put_in(found: re.Match[str], variables: Mapping[str, Value]) -> str:
    name, how = found[1] or found[3], found[2]
    if name not in variables:
        raise KbwatchError(f"no variable {found[0]} (there are: {', '.join(sorted(variables))})")
    value = variables[name]
    values = [value] if isinstance(value, str) else list(value)
    if how == "singlequote":
        return ",".join("'" + one.replace("'", "\\'") + "'" for one in values)
    if how is None or how == "csv":
        return ",".join(values)
    raise KbwatchError(f"{found[0]}: format {how!r} is not for queries; use singlequote")


def _time(name: str, arguments: list[str], window: Window) -> str:
    seconds = [f"toDateTime({ms // 1000})" for ms in (window.from_ms, window.to_ms)]
    exact = [f"fromUnixTimestamp64Milli({ms})" for ms in (window.from_ms, window.to_ms)]
    dates = [
        f"toDate('{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}')"
        for ms in (window.from_ms, window.to_ms)
    ]
    every_s = max(window.interval_s, 1)
    match name:
        case "fromTime":
            return seconds[0]
        case "toTime":
            return seconds[1]
        case "fromTime_ms":
            return exact[0]
        case "toTime_ms":
            return exact[1]
        case "interval_s":
            return str(every_s)
        case "timeFilter":
            return _between(_of(name, arguments, 1)[0], seconds)
        case "timeFilter_ms":
            return _between(_of(name, arguments, 1)[0], exact)
        case "dateFilter":
            return _between(_of(name, arguments, 1)[0], dates)
        case "dateTimeFilter" | "dt":
            day, column = _of(name, arguments, 2)
            return f"({_between(day, dates)}) AND ({_between(column, seconds)})"
        case "timeInterval":
            (column,) = _of(name, arguments, 1)
            return f"toStartOfInterval(toDateTime({column}), INTERVAL {every_s} second)"
        case "timeInterval_ms":
            (column,) = _of(name, arguments, 1)
            every_ms = every_s * 1000
            return f"toStartOfInterval(toDateTime64({column}, 3), INTERVAL {every_ms} millisecond)"
        case _:
            raise KbwatchError(f"the ClickHouse data source has no macro $__{name}")


def _between(column: str, bounds: Sequence[str]) -> str:
    low, high = bounds
    return f"{column} >= {low} AND {column} <= {high}"


def _of(name: str, arguments: list[str], count: int) -> list[str]:
    if len(arguments) != count:
        raise KbwatchError(f"$__{name} takes {count} arguments, not {len(arguments)}")
    return arguments


def _closing(sql: str, start: int) -> int:
    """Where the parenthesis closes that opens at ``start``; quoted ones don't count."""
    depth = 0
    for at, sign in _unquoted(sql, start):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return at
    raise KbwatchError(f"a parenthesis is not closed: {sql[start : start + 40]}")


def _split(text: str) -> list[str]:
    """The arguments between commas that lie in no parentheses and no quotes."""
    cuts, depth = [-1], 0
    for at, sign in _unquoted(text, 0):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            cuts.append(at)
    cuts.append(len(text))
    return [text[a + 1 : b].strip() for a, b in pairwise(cuts)]


def _unquoted(text: str, start: int) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    quote = ""
    for at in range(start, len(text)):
        sign = text[at]
        if quote:
            if sign == quote and text[at - 1] != "\\":
                quote = ""
        elif sign in _QUOTES:
            quote = sign
        else:
            found.append((at, sign))
    return found
