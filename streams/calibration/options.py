"""What ``kbwatch calibrate`` and ``kbwatch aa`` are both given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Struct

from streams.calibration.past import Past
from streams.detection.margins import Margins, default_margins

From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="FILE|DIR",
        help="Recording of kbw-node-reports (as `kbwatch replay` reads), or a benchmark stream; "
        "a folder of them; repeatable. Recordings are parts of one history.",
        show_default=False,
    ),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="What `kbwatch calibrate --out` wrote (default: the shipped margins).",
        show_default=False,
    ),
]
Pinned = Annotated[
    bool,
    typer.Option(
        "--pinned",
        help="Each case with the calibration of kbw-calibration that it pins, as the detector "
        "judges it; needs Kafka.",
    ),
]
Harmful = Annotated[
    list[str] | None,
    typer.Option(
        "--harmful",
        metavar="CASE",
        help="A past KB that did harm, e.g. KB5062557@17763: left out; repeatable.",
        show_default=False,
    ),
]


class _Origin(Struct):
    learned_from: tuple[str, ...] = ()


def read_margins(path: Path | None) -> tuple[Margins, tuple[str, ...]]:
    """The margins of a calibration file and what they were learned from; None: the shipped ones.

    Raises KbwatchError with the file and the reason when it is none.
    """
    if path is None:
        return default_margins(), ()
    from streams.regbench.bench.judging import read_margins as read

    margins = read(path)
    return margins, msgspec.json.decode(path.read_bytes(), type=_Origin).learned_from


def read_pasts(sources: Sequence[str]) -> list[Past]:
    """All branches of all sources, with a bar on standard error."""
    from streams.bar import bar
    from streams.calibration.source import pasts

    with bar("reading") as reading:
        return pasts(sources, reading.advance)
