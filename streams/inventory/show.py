"""Inventory and changes, for people and for programs."""

from collections.abc import Iterable, Mapping, Sequence

import typer
from msgspec import Struct
from rich.table import Table

from schemas.inventory import InventoryNode
from streams import tables
from streams.inventory.changes import Changes, Field, new_aliases

_HEADINGS = (
    "fleet", "node", "domain", "site", "ring", "role", "branch", "collector", "aliases",
    "covariates",
)  # fmt: skip

_FIELDS = ("domain", "site", "ring", "role", "os", "branch", "virtual", "aliases")
_NAMED = 10


class Loaded(Struct, frozen=True):
    """What ``inventory load --json`` prints."""

    changes: Changes
    written: bool


def nodes(found: Sequence[InventoryNode]) -> None:
    """Print the inventory as a table."""
    if not found:
        typer.echo("no nodes yet: kbwatch inventory load NODES.CSV")
        return
    rows = [
        (
            n.fleet,
            n.node,
            n.domain,
            n.site,
            n.ring,
            n.role,
            n.branch,
            "yes" if n.collector else "",
            " ".join(n.aliases),
            _covariates(n.covariates),
        )
        for n in found
    ]
    _print(_HEADINGS, rows)
    typer.echo(f"{len(found)} nodes")


def changes(found: Changes, dry_run: bool) -> None:
    """Print what changed, or would."""
    rows = [("add", n.fleet, n.node, _described(n)) for n in found.added]
    rows += [
        ("change", c.node.fleet, c.node.node, ", ".join(map(_difference, c.fields)))
        for c in found.changed
    ]
    rows += [("remove", n.fleet, n.node, "") for n in found.removed]
    rows += [("keep", n.fleet, n.node, "not in the file, kept") for n in found.kept]
    if rows:
        _print(("what", "fleet", "node", "fields"), rows)
    aliases = new_aliases(found)
    if aliases:
        more = f" and {len(aliases) - _NAMED} more" if len(aliases) > _NAMED else ""
        typer.echo(
            f"new aliases: {tables.printable(' '.join(aliases[:_NAMED]))}{more}. They hold for "
            "what ingest reads from now on; what was taken under them before stays under them"
        )
    kept = f", {len(found.kept)} not in the file, kept (--prune removes them)" if found.kept else ""
    verb = "would be " if dry_run else ""
    typer.echo(
        f"{len(found.added)} {verb}added, {len(found.changed)} {verb}changed, "
        f"{len(found.removed)} {verb}removed, {found.same} the same{kept}"
    )


def _print(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False)
    tables.add_columns(table, headings, [[tables.printable(cell) for cell in row] for row in rows])
    tables.console().print(table, crop=False)


def _described(node: InventoryNode) -> str:
    parts = [
        f"{name}={_text(getattr(node, name))}"
        for name in _FIELDS
        if getattr(node, name) not in (None, "", ())
    ]
    parts += ["collector=yes"] if node.collector else []
    return " ".join([*parts, _covariates(node.covariates)]).strip()


def _difference(field: Field) -> str:
    return f"{field.name}: {_text(field.was)} → {_text(field.now)}"


def _covariates(covariates: Mapping[str, bool | str]) -> str:
    return " ".join(f"{name}={_text(value)}" for name, value in sorted(covariates.items()))


def _text(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ";".join(value) or "-"
    return str(value)
