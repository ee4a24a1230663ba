"""``kbwatch regbench``: KB-RegBench, the benchmark that any detector can be held to."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.cli_options import AsJson
from streams.bar import bar
from streams.regbench.bench import generate_cli
from streams.regbench.campaign import campaign_cli

app = typer.Typer(
    help="KB-RegBench: seeded fleets with known truth, and how well a detector sees which KB harms."
    "\n\nThe way: generate streams, judge them, score the decisions against the truth. All of "
    "them are JSON that other tools may write and read. Judge never looks at the truth.",
    no_args_is_help=True,
)
app.command(help=generate_cli.HELP)(generate_cli.generate)
app.command()(campaign_cli.run)
app.command()(campaign_cli.report)
app.command()(campaign_cli.plot)

In = Annotated[
    list[Path],
    typer.Option("--in", metavar="FILE|DIR", help="A stream, or a folder of them; repeatable."),
]
Jobs = Annotated[int, typer.Option(min=1, help="Processes.")]


@app.command()
def judge(
    inputs: In,
    out: Annotated[Path, typer.Option(help="Where the decisions go, as JSON lines.")],
    calibration: Annotated[
        Path | None,
        typer.Option(help="What `calibrate` learned; default: the shipped margins."),
    ] = None,
    detector: Annotated[
        str, typer.Option(help="kbwatch, or a baseline: count, poisson.")
    ] = "kbwatch",
    jobs: Jobs = 1,
) -> None:
    """Decide on every case of streams: its first WARN, HALT and NOTICE, with the instant.

    A case is one KB on one branch. Anything malformed ends it with file, line and reason, exit
    code 2, and nothing is written. Example:

        kbwatch regbench judge --in build/n2 --out build/n2.jsonl --jobs 2
    """
    from streams.regbench.bench.judge import Job, stream_files
    from streams.regbench.bench.judge import judge as judge_files

    files = stream_files(inputs)
    with bar("judged", len(files)) as shown:
        decisions = judge_files(files, out, Job(detector, calibration), jobs, shown.advance)
    typer.echo(f"{len(decisions)} decisions on {len(files)} streams → {out}")


@app.command()
def calibrate(
    inputs: In,
    out: Annotated[Path, typer.Option(help="Where the calibration goes, as JSON.")],
    name: Annotated[str, typer.Option(help="What verdicts call it.")] = "regbench",
    jobs: Jobs = 1,
) -> None:
    """Learn how much more often patched nodes may fail (ρ) from harmless roll-outs.

    Only from roll-outs that are known to be harmless, and never from those that will be scored.
    Example:

        kbwatch regbench calibrate --in build/design-n1 --in build/design-n2 --out cal.json
    """
    from functools import partial

    import msgspec

    from streams.detection.margins import default_margins
    from streams.regbench.bench.judge import each, save, stream_files
    from streams.regbench.bench.learning import ENOUGH, learn_from, margins_of

    chatter = default_margins().chatter
    files = stream_files(inputs, unique=False)
    with bar("read", len(files)) as shown:
        learn = partial(learn_from, chatter=chatter)
        found = [one for some in each(learn, files, jobs, shown.advance) for one in some]
    save(out, msgspec.json.encode(margins_of(name, found, chatter), order="sorted") + b"\n")
    few = f" (fewer than {ENOUGH}: too few to rely on)" if len(found) < ENOUGH else ""
    typer.echo(f"{len(found)} harmless cases{few} → {out}")


@app.command()
def score(
    decisions: Annotated[Path, typer.Option(help="What `judge`, or any detector, decided.")],
    truth: Annotated[Path, typer.Option(metavar="DIR", help="The folder of truth-NNNN.json.")],
    streams: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The streams, which say on which branch a victim is; default: beside the truth.",
        ),
    ] = None,
    variants: Annotated[
        bool,
        typer.Option("--variants", help="Each variant of the family apart, as generated.json has."),
    ] = False,
    twin: Annotated[
        Path | None,
        typer.Option(
            metavar="DECISIONS",
            help="Decisions on the twin (`generate --clean`): says whether they are identical.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare decisions with the truth: false halts, victims at the halt, who was blamed.

    Every truth file counts as judged; a stream without decisions is one that was left in peace.
    Bounds are 95 %, one-sided (Clopper and Pearson for shares, order statistics for quantiles).
    With --json and --variants the scores are by variant; with --twin they have a field `identical`.
    Examples:

        kbwatch regbench score --decisions build/n2.jsonl --truth build/n2/truth
        kbwatch regbench score --decisions n8.jsonl --truth build/n8/truth --twin clean.jsonl
    """
    from streams.regbench.bench.decisions import read
    from streams.regbench.bench.score import by_branch, read_truths
    from streams.regbench.bench.score import score as scored
    from streams.regbench.bench.score_table import as_text, show
    from streams.regbench.bench.score_variants import generated_variants, identical, score_variants

    truths = by_branch(read_truths(truth), truth.parent if streams is None else streams)
    decided = read(decisions)
    same = None if twin is None else identical(decided, read(twin))
    if variants:
        scores = score_variants(decided, truths, generated_variants(truth, truths))
    else:
        scores = {"": scored(decided, truths)}
    if as_json:
        typer.echo(as_text(scores, same))
    else:
        show(scores, same)
