"""Tables: an id stands in one piece, however narrow the terminal is."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from streams.tables import add_columns, console

CASE, NODE, TIME = "KB5062557@17763", "hv-c04-n2.a-rather-long-domain.example", "2018-07-06 18:37Z"
PROSE = "one two three four five six seven eight nine ten"


def shown(width: int) -> str:
    table = Table(box=None, padding=(0, 2, 0, 0))
    add_columns(table, ("case", "node", "t_ms", "sentence"), [(CASE, NODE, TIME, PROSE)])
    out = io.StringIO()
    Console(file=out, width=width).print(table, crop=False)
    return out.getvalue()


@pytest.mark.parametrize("width", [200, 100, 60, 40])
def test_ids_and_times_are_whole(width: int) -> None:
    assert [cell for cell in (CASE, NODE, TIME) if cell not in shown(width)] == []


@pytest.mark.parametrize("width", [200, 90, 60])
def test_prose_wraps_between_words(width: int) -> None:
    assert [word for word in PROSE.split() if word not in shown(width)] == []


def test_a_file_gets_wide_lines_unless_columns_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width == 200
    monkeypatch.setenv("COLUMNS", "70")
    assert console().width == 70
