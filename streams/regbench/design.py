"""Learns the shipped default margins from harmless roll-outs with design seeds.

python -m streams.regbench.design --out streams/detection/default_margins.toml
"""

from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import msgspec
import tomlkit
import typer
from rich.progress import track

from streams.detection.calibrate import Controls, table, widest
from streams.detection.margins import FLOOR, Margins, Rho, Table
from streams.regbench.bench.families import Request
from streams.regbench.bench.generate import generate_file
from streams.regbench.bench.learning import Found, learn_from
from streams.regbench.bench.truth import rollout_name

CHATTER = frozenset({"service"})
"""Restarts break services: in every set their class's acute margin is ten times the next one."""
_NEVER_FAIL_HERE = ("install", "other")
"""Classes that the benchmark's harmless roll-outs do not show. What restarts do to them is unknown,
so they get the widest margin of a class.
"""
_SETS = ("N1", "N2", "N6")
"""Each family counts by itself: KBs that differ in what their restarts break; shocks; flaky
canaries.
"""
_ROLLOUTS = {1_000: 128, 3_000: 56, 10_000: 64}
_SEED = 5_000
"""Reports use seeds from 50,000 on."""

app = typer.Typer()


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Where the table goes.")],
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Learn the shipped default margins anew."""
    found: dict[str, list[Found]] = {family: [] for family in _SETS}
    work = [
        (Request(family, nodes=nodes, seed=_SEED + at), index)
        for at, (family, nodes) in enumerate(product(_SETS, _ROLLOUTS))
        for index in range(_ROLLOUTS[nodes])
    ]
    with ProcessPoolExecutor(jobs) as pool:
        done = track(pool.map(_learned, work), "roll-outs", total=len(work))
        for (request, _), cases in zip(work, done, strict=True):
            found[request.family] += cases
    shipped = Margins(
        "default",
        _table([[impact for impact, _ in cases] for cases in found.values()]),
        _table([[every for _, every in cases] for cases in found.values()]),
        CHATTER,
    )
    total = sum(map(len, found.values()))
    origin = f"# {total} harmless cases of KB-RegBench, design seeds: streams.regbench.design\n"
    out.write_text(origin + tomlkit.dumps(msgspec.to_builtins(shipped, order="sorted")))
    typer.echo(f"{total} harmless cases → {out}")


def _learned(work: tuple[Request, int]) -> list[Found]:
    request, index = work
    with TemporaryDirectory() as folder:
        (Path(folder) / "truth").mkdir()
        generate_file(request, Path(folder), index)
        return learn_from(Path(folder) / rollout_name(index), CHATTER)


def _table(sets: list[list[Controls]]) -> Table:
    learned = widest([table(cases) for cases in sets])
    unknown = {
        f"{levels}:{cls}": _widest_of(learned, levels)
        for levels in ("class", "loop")
        for cls in _NEVER_FAIL_HERE
    }
    return widest([learned, Table(unknown)])


def _widest_of(learned: Table, levels: str) -> Rho:
    found = [rho for level, rho in learned.rho.items() if level.startswith(f"{levels}:")]
    acute, subacute, chronic = map(max, zip(FLOOR, *found, strict=True))
    return acute, subacute, chronic


if __name__ == "__main__":
    app()
