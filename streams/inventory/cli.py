"""``kbwatch inventory``: who the nodes are."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from schemas.cli_options import AsJson, DryRun, print_json, with_settings
from schemas.errors import KbwatchError
from schemas.inventory import InventoryNode
from schemas.inventory_csv import COLUMNS, read_nodes, refusal
from schemas.settings import KafkaSettings, Settings
from streams.inventory.changes import Place, clashes, compare

app = typer.Typer(
    help="Who the nodes are: fleet, cluster, site, role, covariates.", no_args_is_help=True
)

_COLUMNS = "\b\n" + "\n".join(f"{name:<15} {meaning}" for name, meaning in COLUMNS.items())
_LOAD_HELP = f"""Bring kbw-inventory to what a CSV file says; writes only what differs.

The first line names the columns, in any order; UTF-8, comma or semicolon:

{_COLUMNS}

Nothing is written unless the whole file is right. Nodes that the file no longer has are kept,
unless --prune is given; fleets that it does not name are left alone. Of its nodes the file says
everything: a column that it lacks, covariates too, is empty for all of them.
"""


@app.command(help=_LOAD_HELP)
@with_settings
def load(
    settings: Settings,
    file: Annotated[Path, typer.Argument(metavar="NODES.CSV", help="The file.")],
    dry_run: DryRun = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove nodes that the file no longer has.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring kbw-inventory to what a CSV file says; the help is made of the columns."""
    nodes = read_nodes(file)
    from streams.inventory import show  # what needs Kafka and rich loads when the file is right
    from streams.inventory.topic import read_inventory

    changes = compare(asyncio.run(read_inventory(settings.kafka)), nodes, prune)
    wrong = [f"{file}: {clash}" for clash in clashes(changes, nodes)]
    if wrong:
        raise KbwatchError(refusal(wrong))
    if not dry_run:
        _write(settings.kafka, changes.records)
    if as_json:
        print_json(show.Loaded(changes, written=not dry_run))
    else:
        show.changes(changes, dry_run)


@app.command("show")
@with_settings
def show_(settings: Settings, as_json: AsJson = False) -> None:
    """Show the inventory as it is on Kafka."""
    from streams.inventory import show
    from streams.inventory.topic import read_inventory

    known = asyncio.run(read_inventory(settings.kafka))
    nodes = [known[place] for place in sorted(known)]
    if as_json:
        print_json(nodes)
    else:
        show.nodes(nodes)


def _write(kafka: KafkaSettings, records: list[tuple[Place, InventoryNode | None]]) -> None:
    from streams.bar import bar
    from streams.inventory.topic import write

    with bar("writing kbw-inventory", len(records)) as writing:
        asyncio.run(write(kafka, records, writing.advance))
