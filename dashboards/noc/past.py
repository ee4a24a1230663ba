"""What the store remembers of the open cases, from before this server's start."""

import asyncio

import structlog

from dashboards.noc.book import Book
from dashboards.noc.model import WealthPoint
from schemas.clickhouse.socket_store import ask, open_queries
from schemas.clickhouse.store import Result
from schemas.errors import KbwatchError
from schemas.settings import StoreSettings

Asked = dict[str, str | int]

_LIMIT = 100_000

_log = structlog.get_logger(__name__)


async def recall(book: Book, store: StoreSettings) -> None:
    """Put the past of every open case before what is known of it. A store that does not answer, or
    whose answer is of no use, is said in the log: the page does without.
    """
    try:
        for case in list(book.cases):
            asked: Asked = {"fleet": case.branch[0], "case": case.verdict.case, "limit": _LIMIT}
            result = await asyncio.to_thread(_run, store, asked)
            book.recall(case.id, points(result))
    except KbwatchError as error:
        _log.warning("no history", error=str(error))
    except Exception:  # the gate must not end for want of a curve
        _log.exception("no history")


def points(result: Result) -> list[WealthPoint]:
    """The rows of ``verdict_history`` as points; an older sink's answer has no ``log_e_warn``."""
    return [
        WealthPoint(
            t_ms=int(row["asof_ms"]),
            log_e=row["log_e"],
            log_c=row["log_c"],
            log_h=row["log_h"],
            log_e_warn=row.get("log_e_warn", row["log_e"]),
            victims=row["victims"],
            exposed=row["exposed"],
        )
        for row in result.dicts()
    ]


def _run(store: StoreSettings, asked: Asked) -> Result:
    if not store.host:
        # Never the folder itself: whoever opens it keeps the sink out.
        return ask(store.socket, "verdict_history", asked)
    with open_queries(store) as queries:
        return queries.run("verdict_history", asked)
