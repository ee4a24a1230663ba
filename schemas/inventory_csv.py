"""The operator's ``nodes.csv`` → inventory nodes. Pure but for reading the file."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from schemas.errors import KbwatchError
from schemas.inventory import InventoryNode
from schemas.windows.names import node_name

NOTHING_WRITTEN = "nothing was written"
COVARIATE = "covariate:"
COLUMNS = {
    "node": "name of the computer, short or fully qualified, in any case (required)",
    "fleet": "nodes that are judged together (default: default)",
    "domain": "failure domain: the failover cluster's name (default: the node itself)",
    "cluster": "the same as domain; use one of the two",
    "site": "where the node stands (default: unknown)",
    "ring": "ring of the roll-out",
    "role": "what it is for: hyperv, dc, sql, file, web, …; see services.toml",
    "os": "the system's name, for people",
    "branch": "its build without the last part, 17763; known from the log after the next boot",
    "virtual": "yes or no",
    "collector": "yes: kbwatch-collector runs on the node, so shippers' events of it are left out",
    "aliases": "other names of the computer, earlier or later, separated by blanks or semicolons",
    COVARIATE + "NAME": "anything that may decide who breaks, such as csv_bitlocker, s2d: yes, no"
    " or a word",
}
_TRUE, _FALSE = ("yes", "true"), ("no", "false")
_PLAIN = ("site", "ring", "os", "branch")
_TOLD = 20
_LARGEST_BYTES = 64 * 1024 * 1024

Row = dict[str, str]


class _WrongError(ValueError):
    """What is wrong with one value: column and what would be right."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(f"column {column}: {text}")


def read_nodes(path: Path, then: str = NOTHING_WRITTEN) -> list[InventoryNode]:
    """The nodes of a file, in its order.

    UTF-8, comma or semicolon between the fields, first line the names of the columns (``COLUMNS``).
    Raises KbwatchError with file, line and column when anything in it is wrong; ``then`` is what
    that means for the caller.
    """
    lines = _rows(path)
    header = _header(path, next(lines, (1, []))[1])
    nodes: list[InventoryNode] = []
    wrong: list[str] = []
    names = _Names()
    for number, cells in lines:
        if not any(cells):
            continue
        try:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} fields, the first line names {len(header)} columns")
            node = _node(dict(zip(header, cells, strict=True)))
            names.add(node, number)
        except ValueError as error:
            wrong.append(f"{path}:{number}: {error}")
        else:
            nodes.append(node)
    names.check_aliases(path, wrong)
    if wrong:
        raise KbwatchError(refusal(wrong, then))
    if not nodes:
        raise KbwatchError(f"{path}: names no node; {then}")
    return nodes


def refusal(wrong: Sequence[str], then: str = NOTHING_WRITTEN) -> str:
    """Everything that is wrong, a line each, up to twenty; one error is one line."""
    if len(wrong) == 1:
        return f"{wrong[0]}; {then}"
    more = [f"and {len(wrong) - _TOLD} more"] if len(wrong) > _TOLD else []
    told = [*wrong[:_TOLD], *more]
    return "\n  ".join([f"{len(wrong)} errors; {then}:", *told])


class _Names:
    """Every name of a file once: a name that two nodes bear would be a coin's toss."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], int] = {}
        self._aliases: list[tuple[InventoryNode, int]] = []

    def add(self, node: InventoryNode, number: int) -> None:
        first = self._lines.setdefault((node.fleet, node.node), number)
        if first != number:
            raise _WrongError("node", f"{node.node} is in line {first} already")
        if node.aliases:
            self._aliases.append((node, number))

    def check_aliases(self, path: Path, wrong: list[str]) -> None:
        for node, number in self._aliases:
            for alias in node.aliases:
                first = self._lines.setdefault((node.fleet, alias), number)
                if first != number or alias == node.node:
                    text = f"{alias} is a name of line {first} already"
                    wrong.append(f"{path}:{number}: {_WrongError('aliases', text)}")


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}") from None
    if len(raw) > _LARGEST_BYTES:
        raise KbwatchError(f"{path}: more than {_LARGEST_BYTES >> 20} MiB is no list of nodes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise KbwatchError(f"{path}:{line}: not UTF-8; save it as UTF-8") from None
    first, _, _ = text.partition("\n")
    # Spreadsheets of half the world write semicolons and call it CSV.
    separator = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise KbwatchError(f"{path}:{reader.line_num}: not CSV: {error}") from None
        if row is None:
            return
        yield reader.line_num, [cell.strip() for cell in row]


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell if cell.lower().startswith(COVARIATE) else cell.lower() for cell in cells]
    names = ["aliases" if name == "alias" else name for name in names]
    for name in names:
        if name.lower().startswith(COVARIATE):
            if not name[len(COVARIATE) :].strip():
                raise KbwatchError(f"{path}:1: column {name}: a name must follow the colon")
        elif name not in COLUMNS:
            raise KbwatchError(f"{path}:1: no column {name!r}; there are: {', '.join(COLUMNS)}")
        if names.count(name) > 1:
            raise KbwatchError(f"{path}:1: column {name} is there twice")
    if "node" not in names:
        raise KbwatchError(f"{path}:1: the column node is missing")
    if "domain" in names and "cluster" in names:
        raise KbwatchError(f"{path}:1: domain and cluster are the same; keep one of them")
    return names


def _node(row: Row) -> InventoryNode:
    name = node_name(row["node"])
    if not name:
        raise _WrongError("node", "a computer's name is missing")
    domain = node_name(row.get("domain") or row.get("cluster") or "") or name
    fields: dict[str, object] = {
        "v": 1,
        "fleet": row.get("fleet") or "default",
        "node": name,
        "domain": domain,
        "role": row.get("role", "").casefold(),
        "virtual": _yes_or_no(row, "virtual"),
        "collector": _yes_or_no(row, "collector") or False,
        "aliases": _aliases(row),
        "covariates": _covariates(row),
        **{column: row.get(column, "") for column in _PLAIN},
    }
    fields["site"] = fields["site"] or "unknown"
    try:
        return msgspec.convert(fields, InventoryNode)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        column = place.rstrip("`").partition("[")[0]
        raise _WrongError(column, _HINTS.get(column, _plain)(reason)) from None


def _plain(reason: str) -> str:
    return f"at most 256 characters without '|' and control characters ({reason})"


_HINTS: dict[str, Callable[[str], str]] = {
    "branch": lambda _: "digits such as 17763 are right",
    "covariates": lambda reason: f"at most 64, of at most 256 characters each ({reason})",
}


def _yes_or_no(row: Row, column: str) -> bool | None:
    text = row.get(column, "").casefold()
    if not text:
        return None
    if text not in (*_TRUE, *_FALSE):
        raise _WrongError(column, f"{row[column]!r} is neither yes nor no")
    return text in _TRUE


def _aliases(row: Row) -> tuple[str, ...]:
    words = row.get("aliases", "").replace(";", " ").split()
    return tuple(sorted({node_name(word) for word in words}))


def _covariates(row: Row) -> dict[str, bool | str]:
    found: dict[str, bool | str] = {}
    for column, text in row.items():
        if column.lower().startswith(COVARIATE) and text:
            name, folded = column[len(COVARIATE) :].strip(), text.casefold()
            found[name] = folded in _TRUE if folded in (*_TRUE, *_FALSE) else text
    return found
