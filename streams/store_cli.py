"""``kbwatch store``: make the tables, and ask what is in them."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Concatenate, ParamSpec, TypeVar

import typer
from rich.table import Table

from schemas.cli_options import (
    AsJson,
    Config,
    PrintConfig,
    Set,
    print_json,
    settings_from,
    with_settings,
)
from schemas.clickhouse.migrate import migrate, script
from schemas.clickhouse.named_query import NamedQuery
from schemas.clickhouse.opening import open_store
from schemas.clickhouse.queries import QUERIES
from schemas.clickhouse.retention import in_words, keep
from schemas.clickhouse.socket_store import open_queries
from schemas.clickhouse.verify import differences, status
from schemas.errors import KbwatchError
from schemas.settings import Settings
from streams.tables import add_columns, console, printable

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(help="The store: tables and named queries.", no_args_is_help=True)

_ParamOption = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the query; repeatable."),
]


def _settings_on_cluster(
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="NAME", help="The same as --set store.cluster=NAME."),
    ] = None,
    config: Config = None,
    overrides: Set = None,
    print_config: PrintConfig = False,
) -> Settings:
    given = [*(overrides or ()), *([f"store.cluster={cluster}"] if cluster else ())]
    return settings_from(config, given, print_config)


def _with_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[..., R]:
    return with_settings(command, _settings_on_cluster)


@app.command("migrate")
@_with_settings
def migrate_store(
    settings: Settings,
    show: Annotated[
        bool, typer.Option("--print", help="Print the statements for an empty store, run none.")
    ] = False,
) -> None:
    """Bring the tables and how long they keep rows up to date. The sink does so at its start."""
    if show:
        typer.echo(script(settings.store.cluster), nl=False)
        return
    with closing(open_store(settings.store)) as store:
        done = migrate(store, cluster=settings.store.cluster)
        done += keep(store, settings.retention, settings.store.cluster)
    typer.echo("\n".join(done) if done else "nothing to do")


@app.command("status")
@_with_settings
def show_status(settings: Settings, as_json: AsJson = False) -> None:
    """Tell what the store is, which migrations ran, and what each table holds."""
    store = settings.store
    with open_queries(store, migrated=False) as opened:
        found = status(opened.run, store.host or store.path, store.cluster)
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found.store}: ClickHouse {found.engine}")
    typer.echo(f"migrations: {len(found.applied)} ran, {len(found.pending)} to run")
    table = Table(box=None, padding=(0, 2, 0, 0))
    rows = [
        (one.table, f"{one.rows:,}", str(one.parts), f"{one.disk_bytes:,}", _days(one.kept_days))
        for one in found.tables
    ]
    add_columns(table, ("table", "rows", "parts", "bytes", "kept"), rows)
    console().print(table, crop=False)


@app.command("verify")
@_with_settings
def verify_store(settings: Settings, as_json: AsJson = False) -> None:
    """Compare the database's tables with the declared ones; exit 1 where they differ."""
    with open_queries(settings.store, migrated=False) as opened:
        found = differences(opened.run, settings.retention, settings.store.cluster)
    if as_json:
        print_json(found)
    elif not found:
        typer.echo("the store is as declared")
    else:
        for one in found:
            typer.echo(
                f"{one.table}: {one.what} should be {one.declared}, is {one.found}: {one.do}"
            )
    if found:
        raise typer.Exit(1)


@app.command()
def queries() -> None:
    """List the named queries with their parameters."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    rows = [(query.name, _params(query), query.doc) for query in QUERIES.values()]
    add_columns(table, ("query", "parameters", "what it tells"), rows)
    console().print(table, crop=False)


@app.command()
@with_settings
def query(
    settings: Settings,
    name: Annotated[str, typer.Argument(help="A name that `kbwatch store queries` lists.")],
    param: _ParamOption = None,
    as_json: AsJson = False,
) -> None:
    """Run a named query, through the running sink or on the store itself."""
    params: dict[str, str | int] = {}
    for text in param or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise KbwatchError(f"--param {text}: write it as name=value")
        params[key] = value
    with open_queries(settings.store) as opened:
        result = opened.run(name, params)
    if as_json:
        print_json(result.dicts())
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    rows = [[*map(_shown, result.columns, row)] for row in result.rows]
    add_columns(table, result.columns, rows)
    console().print(table, crop=False)


def _days(kept: int | None) -> str:
    return "?" if kept is None else in_words(kept)


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
