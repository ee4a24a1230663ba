"""``kbwatch regbench generate``."""

from pathlib import Path
from typing import Annotated

import typer

from streams.regbench.bench.families import FAMILIES, Request
from streams.regbench.bench.incidents import INCIDENTS
from streams.regbench.bench.plan import PlanName, Rings

_EFFECT = "What a harmful KB does (given with an N family: makes its KB harm)"
_FAMILY_LINES = "\n".join(f"{name:<4} {family.tests}" for name, family in FAMILIES.items())
_INCIDENT_LINES = "\n".join(f"{name:<11} {make().title}" for name, make in INCIDENTS.items())

HELP = f"""Make roll-outs with known truth: streams into DIR, their truth into DIR/truth.

The same options give the same files, whatever --jobs. Called again, it makes what is missing.
Variants of a family take turns, roll-out by roll-out; DIR/truth/generated.json names them.

\b
{_FAMILY_LINES}

The named incidents are R1's variants:

\b
{_INCIDENT_LINES}

Examples:

\b
kbwatch regbench generate --family N2 --nodes 10000 --rollouts 20 --seed 7 --out build/n2
kbwatch regbench generate --family A2 --under N6 --share 5 --fails 0.2 --out build/flaky
kbwatch regbench generate --family R1 --variant R02 --rollouts 10 --out build/dc
"""


def generate(
    family: Annotated[str, typer.Option(metavar="N0|…|R1", help="See above.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")],
    nodes: Annotated[
        int | None,
        typer.Option(
            help="Nodes of a fleet (default: 10,000; N9: 300 and 1,000).", show_default=False
        ),
    ] = None,
    rollouts: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="The first one's number.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Where chance starts.")] = 0,
    under: Annotated[
        str | None,
        typer.Option(
            metavar="N0|…|N10",
            help="The null that A, C, G and R families are put on (default: N1; A2: N2–N7, N9).",
            show_default=False,
        ),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(help="One variant instead of all in turn.", show_default=False),
    ] = None,
    share: Annotated[
        int | None,
        typer.Option(
            metavar="1|5|100",
            help="Percent of the fleet under the rule: 1 clustered ∧ BitLocker ∧ 17763, "
            "5 hyperv ∧ 17763, 100 all (default: 5).",
            show_default=False,
            rich_help_panel=_EFFECT,
        ),
    ] = None,
    fails: Annotated[
        float | None,
        typer.Option(
            help="Share of the patched nodes under the rule that fail (default: 0.2; G1: 0.5).",
            show_default=False,
            rich_help_panel=_EFFECT,
        ),
    ] = None,
    onset_h: Annotated[
        float | None,
        typer.Option(
            "--onset-h",
            help="Mean hours from patch to failure, exponential (default: 0.25).",
            show_default=False,
            rich_help_panel=_EFFECT,
        ),
    ] = None,
    onset_sd: Annotated[
        float | None,
        typer.Option(
            "--onset-sd",
            help="Log-normal instead: --onset-h is the median, this the sd of the logarithm.",
            show_default=False,
            rich_help_panel=_EFFECT,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="rare|novel|common|boot",
            help="What victims log (default: rare).",
            show_default=False,
            rich_help_panel=_EFFECT,
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            help="A second, harmless KB, installed along with the first on this share of the "
            "nodes (C1: 0.9), by a plan of its own on the others.",
            show_default=False,
            rich_help_panel=_EFFECT,
        ),
    ] = None,
    plan: Annotated[
        PlanName | None,
        typer.Option(help="Instead of the family's plan.", show_default=False),
    ] = None,
    rings: Annotated[
        Rings | None,
        typer.Option(help="What rings go by, instead of as in the family.", show_default=False),
    ] = None,
    clean: Annotated[
        bool,
        typer.Option("--clean", help="N8 without duplicates and lateness, else the same."),
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made and how long it takes.")
    ] = False,
) -> None:
    """Make roll-outs; the help is made of the families."""
    request = Request(
        family=family,
        nodes=nodes,
        seed=seed,
        under=under,
        variant=variant,
        share=share,
        fails=fails,
        onset_h=onset_h,
        onset_sd=onset_sd,
        kind=kind,
        overlap=overlap,
        plan=plan,
        rings=rings,
        clean=clean,
    )
    from rich.console import Console
    from rich.progress import track

    from streams.regbench.bench.families import order
    from streams.regbench.bench.generate import estimate, generate_files, missing

    console = Console(stderr=True)
    indices = range(first, first + rollouts)
    order(request, first)
    todo = missing(request, out, indices)
    if not todo:
        console.print(f"nothing to make: {out} has all {rollouts} roll-outs")
        return
    if dry_run:
        cost = estimate(request, todo[0])
        seconds = cost.seconds * len(todo) / jobs
        console.print(
            f"{len(todo)} of {rollouts} roll-outs to make in {out}: {2 * len(todo)} files, "
            f"about {cost.records * len(todo):,} records, about {max(1, round(seconds)):,} s"
        )
        return
    lines = 0
    for made in track(
        generate_files(request, out, todo, jobs),
        description=f"{family}: {len(todo)} roll-outs",
        total=len(todo),
        console=console,
    ):
        lines += made
    console.print(f"{len(todo)} roll-outs, {lines:,} records in {out}")
