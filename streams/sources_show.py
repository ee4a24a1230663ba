"""``kbwatch sources check`` as people read it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import typer
from rich.table import Table

from streams.sources_check import WORDS, NodeSources
from streams.tables import add_columns, console, printable

_NAMED = 3
_CHANNELS = 2


def show(found: Sequence[NodeSources], everything: bool) -> None:
    """Print each kind of trouble once, then the nodes that have any (``everything``: all)."""
    shown = [one for one in found if everything or one.missing or one.unjudged]
    troubles = _troubles(shown)
    if troubles:
        _table(("what is wrong", "nodes", "which"), troubles)
        typer.echo()
    if shown:
        _table(
            ("node", "site", "newest", "arrives", "can't be judged", "missing"),
            [_row(one, whole=len(found) == 1) for one in shown],
        )
        typer.echo()
    typer.echo(_summary(found, len(shown) == len(found)))


def _troubles(shown: Iterable[NodeSources]) -> list[tuple[str, str, str]]:
    graver: dict[str, list[str]] = defaultdict(list)
    lesser: dict[str, list[str]] = defaultdict(list)
    for one in shown:
        for texts, nodes in ((one.unjudged, graver), (one.missing, lesser)):
            for text in texts:
                if _short(text) != text:
                    nodes[text].append(one.node)
    return [
        (printable(text), f"{len(names):,}", printable(_some(names)))
        for nodes in (graver, lesser)
        for text, names in sorted(nodes.items(), key=lambda item: -len(item[1]))
    ]


def _row(one: NodeSources, whole: bool) -> tuple[str, ...]:
    return (
        printable(one.node),
        printable(one.site or "-"),
        _when(one.newest_ms),
        printable(_arrives(one, whole)),
        printable("; ".join(map(_short, one.unjudged)) or "-"),
        printable("; ".join(map(_short, one.missing)) or "-"),
    )


def _arrives(one: NodeSources, whole: bool) -> str:
    kinds = set(WORDS.values())
    channels = {name: count for name, count in one.arrives.items() if name not in kinds}
    counted = [(name, count) for name, count in one.arrives.items() if name in kinds]
    parts = [f"{count:,} {name}" for name, count in channels.items()]
    if len(channels) > _CHANNELS and not whole:
        parts = [f"{sum(channels.values()):,} events of {len(channels)} channels"]
    parts += [f"{count:,} {name if count != 1 else _ONE[name]}" for name, count in counted]
    return ", ".join(parts) or "nothing"


_ONE = {name: name if name == "facts" else name.removesuffix("s") for name in WORDS.values()}


def _summary(found: Sequence[NodeSources], all_shown: bool) -> str:
    judged = sum(not one.unjudged for one in found)
    whole = sum(not (one.unjudged or one.missing) for one in found)
    nodes = "1 node" if len(found) == 1 else f"{len(found):,} nodes"
    missing = f"nothing is missing of {whole:,}" if whole else "something is missing of each"
    if len(found) == 1:
        missing = "nothing is missing" if whole else "something is missing"
    more = "" if all_shown else " (--all lists them)"
    return f"{judged:,} of {nodes} can be judged, {missing}{more}"


def _short(text: str) -> str:
    """What is wrong, without what it means."""
    return text.partition(": ")[0]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    add_columns(table, headings, rows)
    console().print(table, crop=False)


def _when(t_ms: int) -> str:
    if not t_ms:
        return "never"
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
