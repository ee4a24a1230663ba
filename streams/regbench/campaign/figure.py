"""How the bench's pictures look: SVG that is readable on a light and on a dark page.

Matplotlib writes colours into every element. They are replaced by CSS variables, which a media
query sets; a viewer that knows no variables shows the light ones.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import KbwatchError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT = "#24292f", "#8c959f"
BLUE, ORANGE, GREEN, RED = "#0969da", "#bc4c00", "#1a7f37", "#cf222e"
COLOURS = (BLUE, ORANGE, GREEN)
"""Of the detectors, in their order."""
_ON_DARK = {
    INK: "#e6edf3",
    FAINT: "#7d8590",
    BLUE: "#58a6ff",
    ORANGE: "#f0883e",
    GREEN: "#3fb950",
    RED: "#ff7b72",
}
# Any: matplotlib types the names of its settings one by one.
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    # Names of clip paths: the same drawing must be the same file.
    "svg.hashsalt": "kbwatch",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
}


@contextmanager
def drawn(path: Path, columns: int, width: float, height: float) -> Iterator[list["Axes"]]:
    """A row of panels with one y axis, size in inches, to draw on; written to ``path`` at the end.

    Raises ModuleNotFoundError without matplotlib, KbwatchError when the file can't be written.
    """
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.use("svg")
    with mpl.rc_context(_STYLE):
        figure, grid = pyplot.subplots(
            1, columns, figsize=(width, height), sharey=True, squeeze=False, layout="constrained"
        )
        try:
            yield list(grid[0])
            _write(figure, path)
        finally:
            pyplot.close(figure)


def _write(figure: "Figure", path: Path) -> None:
    buffer = io.StringIO()
    # No date: the same drawing must be the same file.
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    lines = (line.rstrip() for line in buffer.getvalue().splitlines())
    try:
        path.write_text(themed("\n".join(lines) + "\n"))
    except OSError as error:
        raise KbwatchError(f"{path}: can't write: {error.strerror}") from None


def themed(svg: str) -> str:
    """An SVG in the colours above, with those for a dark page beside them."""
    names = {colour: f"--c{number}" for number, colour in enumerate(_ON_DARK)}
    for colour, name in names.items():
        svg = svg.replace(colour, f"var({name}, {colour})")
    light = " ".join(f"{name}: {colour};" for colour, name in names.items())
    dark = " ".join(f"{name}: {_ON_DARK[colour]};" for colour, name in names.items())
    style = (
        f"<style>:root {{ {light} font-family: system-ui, sans-serif }} "
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}</style>"
    )
    head, start, rest = svg.partition("<defs>")
    return f"{head}{style}\n {start}{rest}"
