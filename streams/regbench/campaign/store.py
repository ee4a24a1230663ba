"""Where outcomes are kept: a folder per version, a file per cell, a line per roll-out.

A line is appended when its roll-out is done, so whatever ends a campaign, what was done stays. A
last line that was cut off is a roll-out that was not done.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from schemas.errors import KbwatchError
from streams.regbench.bench.families import Request
from streams.regbench.campaign.cost import Cost
from streams.regbench.campaign.outcome import Outcome
from streams.regbench.campaign.plan import Cell

RESULTS = Path("build/regbench/results")
_COSTS = "costs.json"
_OUTCOME = msgspec.json.Decoder(Outcome)


class _Head(Struct, frozen=True):
    """The first line of a cell's file."""

    request: Request


class Store:
    """The outcomes of one version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def outcomes(self, cell: Cell) -> dict[int, Outcome]:
        """Index → outcome of what was done of a cell; nothing, if another request made it.

        Raises KbwatchError for a file that holds something else.
        """
        path = self._path(cell)
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise KbwatchError(f"{path}: {error.strerror}") from None
        try:
            if msgspec.json.decode(lines[0], type=_Head).request != cell.request:
                return {}
            # What follows the last newline is nothing, or was cut off.
            done = [_OUTCOME.decode(line) for line in lines[1:-1]]
        except msgspec.MsgspecError as error:
            raise KbwatchError(f"{path}: no results ({error}); delete it") from None
        return {outcome.index: outcome for outcome in sorted(done, key=lambda o: o.index)}

    def add(self, cell: Cell, outcome: Outcome) -> None:
        """Keep an outcome."""
        self._write(self._path(cell), msgspec.json.encode(outcome) + b"\n", append=True)

    def prepare(self, cell: Cell) -> None:
        """Make a cell's file fit to be added to: its own request's, and without half a line."""
        head = msgspec.json.encode(_Head(cell.request))
        known = [msgspec.json.encode(outcome) for outcome in self.outcomes(cell).values()]
        self._write(self._path(cell), b"\n".join([head, *known]) + b"\n", append=False)

    def costs(self) -> list[Cost]:
        """What was measured of single processes."""
        try:
            return msgspec.json.decode((self.folder / _COSTS).read_bytes(), type=list[Cost])
        except (OSError, msgspec.MsgspecError):
            return []

    def keep_costs(self, costs: list[Cost]) -> None:
        """Keep what was measured of single processes."""
        content = msgspec.json.format(msgspec.json.encode(costs)) + b"\n"
        self._write(self.folder / _COSTS, content, append=False)

    def _path(self, cell: Cell) -> Path:
        return self.folder / f"{cell.name}.jsonl"

    def _write(self, path: Path, content: bytes, *, append: bool) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if append:
                with path.open("ab") as file:
                    file.write(content)
            else:
                partial = path.with_name(f".{path.name}.partial")
                partial.write_bytes(content)
                partial.replace(path)
        except OSError as error:
            raise KbwatchError(f"{path}: can't write: {error.strerror}") from None


def versions(folder: Path = RESULTS) -> Iterator[str]:
    """The versions that there are results of."""
    if folder.is_dir():
        yield from sorted(path.name for path in folder.iterdir() if path.is_dir())
