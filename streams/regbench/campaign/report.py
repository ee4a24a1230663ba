"""docs/regbench.md: its generated part, between two markers; a person writes the rest."""

import io
from pathlib import Path

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from schemas.errors import KbwatchError
from streams.regbench.campaign.results import Results
from streams.regbench.campaign.sheet import Sheet
from streams.regbench.campaign.tables import sheets
from streams.tables import add_columns

PAGE = Path("docs/regbench.md")
PICTURE = "regbench.svg"
BEGIN = "<!-- written by `kbwatch regbench report`: do not edit -->"
END = "<!-- end of what `kbwatch regbench report` writes -->"
# Nothing is wrapped: a row is a line.
_WIDTH = 1_000


def write(results: Results, page: Path) -> None:
    """Put the results between the markers of a page; KbwatchError when it has none."""
    try:
        text = page.read_text()
    except OSError as error:
        raise KbwatchError(f"{page}: {error.strerror}") from None
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise KbwatchError(f"{page}: has no place for the figures: {BEGIN} … {END}")
    try:
        page.write_text(f"{before}{BEGIN}\n\n{markdown(results)}\n{END}{after}")
    except OSError as error:
        raise KbwatchError(f"{page}: can't write: {error.strerror}") from None


def markdown(results: Results) -> str:
    """The results as Markdown."""
    code, _, calibration = results.version.partition("-")
    rollouts = sum(scored.done for scored in results.cells)
    wanted = sum(scored.cell.full for scored in results.cells)
    parts = [
        f"Code `{code}`, calibration `{calibration}`: {rollouts:,} roll-outs in "
        f"{len(results.cells)} cells (a full campaign makes {wanted:,} in these), report seeds.\n",
        f"![Victims at the halt against false halts a year]({PICTURE})\n",
    ]
    for sheet in sheets(results):
        parts.append(f"### {sheet.title}\n\n{sheet.note}\n\n{_table(sheet)}")
    return "\n".join(parts)


def _table(sheet: Sheet) -> str:
    table = Table(box=MARKDOWN)
    add_columns(table, sheet.headings, sheet.rows)
    console = Console(file=io.StringIO(), width=_WIDTH, markup=False, emoji=False, highlight=False)
    console.print(table)
    written = console.file
    assert isinstance(written, io.StringIO)  # noqa: S101 - it is the one above
    return "".join(f"{line.strip()}\n" for line in written.getvalue().splitlines() if line.strip())
