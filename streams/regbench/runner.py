"""Runs detection on simulated months: the one place where the benchmark meets the detector.

python -m streams.regbench.runner --seeds 1-20 [--harmless] [--jobs 2]
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated

import msgspec
import typer
from msgspec import Struct

from schemas.settings import DetectorSettings
from schemas.verdicts import Verdict
from streams.recording import Recorded
from streams.regbench.scenarios.kb5062557 import Scenario
from streams.replay import replay

app = typer.Typer(help="Detection on simulated months.")

Jobs = Annotated[int, typer.Option(min=1, help="Processes.")]


class SeedResult(Struct, frozen=True):
    """What one simulated month came to."""

    seed: int
    halted: bool
    victims: int
    """Nodes that the defect had broken at the halt, by the scenario's truth."""
    at_risk: int
    false_halts: tuple[str, ...]
    false_warns: tuple[str, ...]
    notices: tuple[str, ...]


def recorded(scenario: Scenario) -> Iterator[Recorded]:
    """The scenario's stream as a recording."""
    for sent in scenario.stream():
        yield Recorded(sent.append_ms, sent.report)


def run_seed(seed: int, harmful: bool) -> SeedResult:
    """Generate and replay one month."""
    scenario = Scenario(seed=seed, harmful=harmful)
    verdicts = replay(recorded(scenario), DetectorSettings()).verdicts
    truth = scenario.truth
    guilty = truth.case if harmful else ""
    true = next((v for v in verdicts if v.case == guilty), None)
    crossed_ms = true.halt.t_ms if true and true.halt else None
    return SeedResult(
        seed=seed,
        halted=crossed_ms is not None,
        victims=sum(crossed_ms is not None and t <= crossed_ms for t in truth.victims.values()),
        at_risk=len(truth.at_risk),
        false_halts=_of(verdicts, guilty, "halt"),
        false_warns=_of(verdicts, guilty, "warn"),
        notices=_of(verdicts, guilty, "notice"),
    )


def _of(verdicts: tuple[Verdict, ...], guilty: str, state: str) -> tuple[str, ...]:
    return tuple(v.case for v in verdicts if v.state == state and v.case != guilty)


@app.command()
def seeds(
    seeds: Annotated[str, typer.Option(help="First and last seed, e.g. 1-20.")] = "1-20",
    harmless: Annotated[bool, typer.Option(help="The month without the defect.")] = False,
    jobs: Jobs = 2,
) -> None:
    """Replay KB5062557's month for several seeds; one JSON line per seed, then the sum."""
    numbers = _range(seeds)
    results = []
    with ProcessPoolExecutor(jobs) as pool:
        for result in pool.map(run_seed, numbers, [not harmless] * len(numbers)):
            results.append(result)
            typer.echo(msgspec.json.encode(result).decode())
    halted = [r.victims for r in results if r.halted]
    typer.echo(
        f"halted {len(halted)} of {len(results)}"
        + (f", victims at the halt {sorted(halted)}" if halted else "")
        + f", false halts {sum(len(r.false_halts) for r in results)}"
        + f", false warnings {sum(len(r.false_warns) for r in results)}"
    )


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    app()
