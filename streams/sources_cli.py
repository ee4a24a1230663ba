"""``kbwatch sources``: what arrives from whom."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from schemas.cli_options import AsJson, Config, PrintConfig, Set, settings_from
from schemas.clickhouse.socket_store import open_queries
from schemas.inventory import InventoryNode
from schemas.settings import Settings
from streams.sources_check import Arrival, NodeSources, check
from streams.tables import add_columns, console, printable

_DAY_MS = 86_400_000

app = typer.Typer(help="What arrives from each node, and what does not.", no_args_is_help=True)


@app.callback()
def _sources() -> None:
    return


@app.command("check")
def check_sources(
    fleet: Annotated[str, typer.Option(help="Fleet to check.")] = "default",
    node: Annotated[str, typer.Option(help="This node only.")] = "",
    days: Annotated[
        int, typer.Option(min=1, max=730, help="Look at what arrived in the last so many days.")
    ] = 30,
    inventory: Annotated[
        bool,
        typer.Option(help="Compare with kbw-inventory; --no-inventory needs no Kafka."),
    ] = True,
    everything: Annotated[
        bool, typer.Option("--all", help="List the nodes of which nothing is missing too.")
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
    overrides: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """List per node what arrives, what is missing, and why it can't be judged if it can't.

    JSON has every node. Exits 1 when a node can't be judged.
    """
    settings = settings_from(config, overrides, print_config)
    since_ms = int(time.time() * 1000) - days * _DAY_MS
    with open_queries(settings.store) as opened:
        rows = opened.run("node_sources", {"fleet": fleet, "since_ms": since_ms}).dicts()
    found = check(
        [msgspec.convert(row, Arrival) for row in rows],
        _inventory(settings, fleet) if inventory else {},
    )
    shown = [one for one in found if not node or one.node == node]
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
    else:
        _print(shown, everything or bool(node))
    if any(one.unjudged for one in shown):
        raise typer.Exit(1)


def _inventory(settings: Settings, fleet: str) -> dict[str, InventoryNode]:
    from streams.inventory.topic import read_inventory  # aiokafka loads only when it is used

    nodes = asyncio.run(read_inventory(settings.kafka))
    return {name: entry for (of, name), entry in nodes.items() if of == fleet}


def _print(found: list[NodeSources], everything: bool) -> None:
    if not found:
        typer.echo("nothing has arrived: is the sink running, and has a collector or ingest begun?")
        return
    shown = [one for one in found if everything or one.missing or one.unjudged]
    if shown:
        _print_table(shown)
    judged = sum(not one.unjudged for one in found)
    whole = sum(not (one.unjudged or one.missing) for one in found)
    typer.echo(
        f"{judged} of {len(found)} nodes can be judged, nothing is missing of {whole}"
        f"{'' if len(shown) == len(found) else ' (--all lists them)'}"
    )


def _print_table(shown: list[NodeSources]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    rows = [
        (
            printable(one.node),
            printable(one.site or "-"),
            _when(one.newest_ms),
            printable(", ".join(f"{n:,} {what}" for what, n in one.arrives.items()) or "nothing"),
            printable("; ".join(one.missing) or "-"),
            printable("; ".join(one.unjudged) or "-"),
        )
        for one in shown
    ]
    headings = ("node", "site", "newest", "arrives", "missing", "can't be judged, because")
    add_columns(table, headings, rows)
    console().print(table, crop=False)


def _when(t_ms: int) -> str:
    if not t_ms:
        return "never"
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
