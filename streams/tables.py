"""Tables whose ids can be copied: nothing in them is ever cut."""

import os
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_FILE_COLUMNS = 200


def console() -> Console:
    """Standard output; 200 columns wide where no terminal says how wide it is.

    Values come from logs: brackets and colons in them are no markup.
    """
    opened = Console(markup=False, highlight=False, emoji=False)
    if not opened.is_terminal and "COLUMNS" not in os.environ:
        opened.width = _FILE_COLUMNS
    return opened


def printable(text: str) -> str:
    """``text`` without terminal escapes: logs may hold them."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def add_columns(table: Table, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Add columns with their rows; only prose, which is what has blanks and is no time, wraps.

    Print the table with ``crop=False``: where a terminal is too narrow for the ids it folds them.
    """
    cells = list(rows)
    for index, heading in enumerate(headings):
        texts = [heading, *(row[index] for row in cells)]
        whole = heading == "time" or heading.endswith("_ms")
        words = texts if whole else [word for text in texts for word in text.split()]
        table.add_column(
            heading, no_wrap=whole, overflow="fold", min_width=max(map(cell_len, words), default=0)
        )
    for row in cells:
        table.add_row(*map(Text, row))
