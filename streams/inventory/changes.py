"""What a file changes of an inventory. Pure."""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from schemas.inventory import InventoryNode

Place = tuple[str, str]
"""Fleet and node."""
Nodes = Mapping[Place, InventoryNode]


class Field(Struct, frozen=True):
    """One field that differs."""

    name: str
    was: object
    now: object


class Changed(Struct, frozen=True):
    """One node that differs."""

    node: InventoryNode
    fields: tuple[Field, ...]


class Changes(Struct, frozen=True):
    """A file against an inventory."""

    added: tuple[InventoryNode, ...]
    changed: tuple[Changed, ...]
    removed: tuple[InventoryNode, ...]
    """Pruned: no longer in the file."""
    kept: tuple[InventoryNode, ...]
    """No longer in the file, and not pruned."""
    same: int

    @property
    def records(self) -> list[tuple[Place, InventoryNode | None]]:
        """What must be written; None takes the node away."""
        new = [*self.added, *(changed.node for changed in self.changed)]
        written: list[tuple[Place, InventoryNode | None]] = [(place_of(node), node) for node in new]
        return [*written, *((place_of(node), None) for node in self.removed)]


def compare(known: Nodes, file: Iterable[InventoryNode], prune: bool) -> Changes:
    """What ``file`` changes. Only fleets that it names are looked at for nodes to be removed."""
    wanted = {place_of(node): node for node in file}
    fleets = {node.fleet for node in wanted.values()}
    gone = tuple(
        known[name] for name in sorted(known.keys() - wanted) if known[name].fleet in fleets
    )
    changed = []
    for name, node in wanted.items():
        fields = _differences(known[name], node) if name in known else ()
        if fields:
            changed.append(Changed(node, fields))
    added = tuple(node for name, node in wanted.items() if name not in known)
    return Changes(
        added=added,
        changed=tuple(changed),
        removed=gone if prune else (),
        kept=() if prune else gone,
        same=len(wanted) - len(added) - len(changed),
    )


def clashes(changes: Changes, file: Iterable[InventoryNode]) -> list[str]:
    """Names in ``file`` that nodes bear which it lacks and the inventory keeps, in words.

    Names outrank aliases, and of two equal aliases one would be a coin's toss: such a file would
    not mean what it says.
    """
    bearers = {(old.fleet, name): old for old in changes.kept for name in (old.node, *old.aliases)}
    found = []
    for new in file:
        for name in (new.node, *new.aliases):
            old = bearers.get((new.fleet, name))
            if old is not None:
                found.append(
                    f"{new.node}: {name} is a name of {old.node}, which the file lacks and the "
                    f"inventory keeps. If one was renamed to the other, list {old.node} with the "
                    f"alias {new.node} to keep its history, or begin anew with --prune, which "
                    f"removes {old.node}"
                )
    return found


def new_aliases(changes: Changes) -> list[str]:
    """Aliases that nodes did not have before."""
    found = {alias for node in changes.added for alias in node.aliases}
    for changed in changes.changed:
        for field in changed.fields:
            if field.name == "aliases" and isinstance(field.was, tuple):
                found.update(set(changed.node.aliases) - set(field.was))
    return sorted(found)


def place_of(node: InventoryNode) -> Place:
    """Where a node stands in ``Nodes``."""
    return node.fleet, node.node


def _differences(was: InventoryNode, now: InventoryNode) -> tuple[Field, ...]:
    before, after = msgspec.structs.asdict(was), msgspec.structs.asdict(now)
    found = [
        Field(name, before[name], after[name])
        for name in after
        if name not in ("v", "covariates") and before[name] != after[name]
    ]
    for name in sorted({*was.covariates, *now.covariates}):
        one, other = was.covariates.get(name), now.covariates.get(name)
        if one != other:
            found.append(Field(f"covariate:{name}", one, other))
    return tuple(found)
