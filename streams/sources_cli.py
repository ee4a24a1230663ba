"""``kbwatch sources``: what arrives from whom."""

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated

import msgspec
import typer

from schemas.cli_options import AsJson, InFleet, print_json, with_settings
from schemas.clickhouse.socket_store import open_queries
from schemas.inventory import InventoryNode
from schemas.settings import Settings
from schemas.windows.names import node_name
from streams.sources_check import Arrival, check
from streams.sources_show import show
from streams.tables import printable

_DAY_MS = 86_400_000

app = typer.Typer(help="What arrives from each node, and what does not.", no_args_is_help=True)


@app.callback()
def _sources() -> None:
    return


@app.command("check")
@with_settings
def check_sources(
    settings: Settings,
    fleet: InFleet = "default",
    node: Annotated[str, typer.Option(help="This node only, under any of its spellings.")] = "",
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
) -> None:
    """List per node what arrives, what is missing, and why it can't be judged if it can't.

    JSON has every node. Exits 1 when a node can't be judged or is unknown.
    """
    since_ms = int(time.time() * 1000) - days * _DAY_MS
    with open_queries(settings.store) as opened:
        rows = opened.run("node_sources", {"fleet": fleet, "since_ms": since_ms}).dicts()
    known = _inventory(settings) if inventory else {}
    listed = {name: entry for (of, name), entry in known.items() if of == fleet}
    found = check([msgspec.convert(row, Arrival) for row in rows], listed)
    shown = [one for one in found if not node or one.node == node_name(node)]
    if as_json:
        print_json(shown)
    elif shown:
        show(shown, everything or bool(node))
    if not found:
        typer.echo(_unknown_fleet(fleet, days, {of for of, _ in known}), err=True)
    elif not shown:
        typer.echo(_unknown_node(node_name(node), fleet, days, listed), err=True)
    if not shown or any(one.unjudged for one in shown):
        raise typer.Exit(1)


def _inventory(settings: Settings) -> dict[tuple[str, str], InventoryNode]:
    from streams.inventory.topic import read_inventory  # aiokafka loads only when it is used

    return asyncio.run(read_inventory(settings.kafka))


def _unknown_fleet(fleet: str, days: int, fleets: set[str]) -> str:
    others = f"; the inventory has the fleets {', '.join(sorted(fleets))}" if fleets else ""
    return printable(
        f"nothing has arrived of fleet {fleet!r} in {days} days, and no inventory lists it{others}"
        " (is the sink running, and has a collector or ingest begun?)"
    )


def _unknown_node(node: str, fleet: str, days: int, listed: Mapping[str, InventoryNode]) -> str:
    bearer = next((one.node for one in listed.values() if node in one.aliases), None)
    if bearer:
        return printable(f"{node} is an alias of {bearer}: ask for --node {bearer}")
    return printable(
        f"unknown node {node!r}: nothing has arrived of it in {days} days, and the inventory of "
        f"fleet {fleet!r} does not list it"
    )
