"""``kbwatch store``: make the tables, and ask what is in them."""

from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer
from rich.table import Table

from schemas.cli_options import AsJson, Config, PrintConfig, Set, settings_from
from schemas.clickhouse.migrate import migrate
from schemas.clickhouse.queries import QUERIES, NamedQuery
from schemas.clickhouse.socket_store import open_queries
from schemas.errors import KbwatchError
from streams.tables import add_columns, console, printable

app = typer.Typer(help="The store: tables and named queries.", no_args_is_help=True)

_ParamOption = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the query; repeatable."),
]


@app.command("migrate")
def migrate_store(
    config: Config = None, overrides: Set = None, print_config: PrintConfig = False
) -> None:
    """Bring the tables up to date. The sink does so too whenever it starts."""
    settings = settings_from(config, overrides, print_config)
    from schemas.clickhouse.chdb_store import ChdbStore

    store = ChdbStore(settings.store.path)
    try:
        applied = migrate(store)
    finally:
        store.close()
    typer.echo("\n".join(applied) if applied else "nothing to do")


@app.command()
def queries() -> None:
    """List the named queries with their parameters."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    rows = [(query.name, _params(query), query.doc) for query in QUERIES.values()]
    add_columns(table, ("query", "parameters", "what it tells"), rows)
    console().print(table, crop=False)


@app.command()
def query(
    name: Annotated[str, typer.Argument(help="A name that `kbwatch store queries` lists.")],
    param: _ParamOption = None,
    as_json: AsJson = False,
    config: Config = None,
    overrides: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Run a named query, through the running sink or on the store itself."""
    settings = settings_from(config, overrides, print_config)
    params: dict[str, str | int] = {}
    for text in param or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise KbwatchError(f"--param {text}: write it as name=value")
        params[key] = value
    with open_queries(settings.store) as opened:
        result = opened.run(name, params)
    if as_json:
        typer.echo(orjson.dumps(result.dicts(), option=orjson.OPT_INDENT_2).decode())
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    rows = [[*map(_shown, result.columns, row)] for row in result.rows]
    add_columns(table, result.columns, rows)
    console().print(table, crop=False)


def _params(query: NamedQuery) -> str:
    return " ".join(
        name if param.default is None else f"{name}={param.default}"
        for name, param in query.params.items()
    )


def _shown(column: str, value: object) -> str:
    if value is None:
        return ""
    if column.endswith("_ms") and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).isoformat(" ", "milliseconds")[:-6] + "Z"
    return printable(str(value))
