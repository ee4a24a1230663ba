"""``kbwatch aa``: placebo cases over one's own past."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.cli_options import AsJson, print_json, with_settings
from schemas.errors import KbwatchError
from schemas.settings import Settings
from streams.calibration.options import CalibrationFile, From, Harmful, read_margins, read_pasts

app = typer.Typer(help="Placebo cases over one's own past: how often kbwatch cries wolf.")


@app.command()
@with_settings
def aa(
    settings: Settings,
    source: From = None,
    cases: Annotated[
        int, typer.Option(min=0, max=100_000, help="Placebo cases; 0 tests the past KBs alone.")
    ] = 200,
    seed: Annotated[int, typer.Option(help="Where chance starts.")] = 1,
    calibration: CalibrationFile = None,
    harmful: Harmful = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the report to this file, as Markdown.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count false WARNs and HALTs where nothing was wrong, with exact bounds.

    Random nodes are called patched at random past times, as a real roll-out went, and judged by
    the code that judges real cases; then every past KB as it was. The same past and seed give the
    same report. Example:

    \b
        kbwatch aa --from reports.jsonl.zst --harmful KB5062557@17763 --out report.md
    """
    if not source:
        raise KbwatchError("--from FILE says what past to test on; see `kbwatch aa --help`")
    from streams.bar import bar
    from streams.calibration import report, show
    from streams.calibration.aa import aa as tested
    from streams.calibration.learning import Word
    from streams.calibration.outcome import rule_of
    from streams.regbench.bench.judge import save

    margins, learned_from = read_margins(calibration)
    pasts = read_pasts(source)
    with bar("cases judged") as judging:
        found = tested(
            pasts,
            cases,
            seed,
            rule_of(margins, settings.detector),
            Word(harmful=frozenset(harmful or ())),
            learned_from,
            judging.at,
        )
    if out is not None:
        save(out, report.markdown(found).encode())
    if as_json:
        print_json(found)
    else:
        show.aa(found)
