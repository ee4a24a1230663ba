"""``kbwatch calibrate``: margins from one's own past."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from schemas.calibration import Calibration
from schemas.cli_options import AsJson, DryRun, print_json, with_settings
from schemas.codec import DecodeError, decode
from schemas.errors import KbwatchError
from schemas.settings import KafkaSettings, Settings
from streams.calibration.options import From, Harmful, read_pasts
from streams.calibration.past import Past, day

app = typer.Typer()

_NO_SOURCE = "--from FILE says what to learn from; `kbwatch calibrate --help` shows the rest"


@app.callback(invoke_without_command=True)
@with_settings
def calibrate(
    settings: Settings,
    context: typer.Context,
    source: From = None,
    harmless: Annotated[
        list[str] | None,
        typer.Option(
            "--harmless",
            metavar="CASE",
            help="A past KB that a person clears, e.g. KB5060531@17763; repeatable.",
            show_default=False,
        ),
    ] = None,
    harmful: Harmful = None,
    fleet: Annotated[
        str | None,
        typer.Option(help="Whose it becomes (default: the fleet of the source).", metavar="NAME"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="What verdicts call it (default: own-DATE, the end of the past).", metavar="NAME"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write it to this file, as JSON.", show_default=False)
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Put it on kbw-calibration, valid from now.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Learn from harmless roll-outs how much more often a patched node may fail (ρ).

    Harmless: closed 35 days after its last install without a halt, or cleared by --harmless. It
    takes 24 of them; with fewer nothing is written, exit code 1. A calibration holds for cases
    that begin after it; those that run keep what they have. Examples:

    \b
        kbwatch calibrate --from reports.jsonl.zst --dry-run
        kbwatch calibrate --from reports.jsonl.zst --out own.json
        kbwatch aa --from reports.jsonl.zst --calibration own.json --out report.md
        kbwatch calibrate publish own.json
    """
    if context.invoked_subcommand is not None:
        return
    if not source:
        raise KbwatchError(_NO_SOURCE)
    from streams.calibration import show
    from streams.calibration.learning import Word, calibration, learn, too_few
    from streams.calibration.outcome import rule_of
    from streams.detection.margins import default_margins

    word = Word(frozenset(harmless or ()), frozenset(harmful or ()))
    pasts = read_pasts(source)
    end_ms = max((past.end_ms for past in pasts), default=0)
    rule = rule_of(default_margins(), settings.detector)
    found = learn(name or f"own-{day(end_ms)}", pasts, word, rule)
    made = None
    if not found.missing:
        writes = not dry_run and (publish or out is not None)
        made = calibration(found, _fleet(fleet, pasts, needed=writes), end_ms)
    if as_json:
        printed = show.Printed(
            found.rollouts, len(found.harmless), found.missing, found.margins, made
        )
        print_json(printed)
    else:
        show.learned(found)
    if made is None:
        typer.echo(f"kbwatch: {too_few(found)}", err=True)
        raise typer.Exit(0 if dry_run else 1)
    if not dry_run:
        _write(made, out, settings.kafka if publish else None)


@app.command("publish")
@with_settings
def publish_(
    settings: Settings, file: Annotated[Path, typer.Argument(help="What --out wrote.")]
) -> None:
    """Put a calibration on kbw-calibration, valid from now."""
    try:
        made = decode(file.read_bytes(), Calibration)
    except OSError as error:
        raise KbwatchError(f"{file}: {error.strerror}") from None
    except DecodeError as error:
        raise KbwatchError(f"{file}: not a calibration of `kbwatch calibrate`: {error}") from None
    _write(made, None, settings.kafka)


@app.command("show")
@with_settings
def show_(settings: Settings, as_json: AsJson = False) -> None:
    """Show the calibrations that are on Kafka."""
    from streams.calibration import show
    from streams.calibration.topic import known

    found = asyncio.run(known(settings.kafka))
    if as_json:
        print_json(found)
    else:
        show.calibrations(found)


def _fleet(given: str | None, pasts: Sequence[Past], *, needed: bool) -> str:
    fleets = sorted({past.fleet for past in pasts})
    if given or len(fleets) == 1 or not needed:
        return given or fleets[0]
    raise KbwatchError(
        f"the sources are of {len(fleets)} fleets ({', '.join(fleets[:3])} …): "
        "--fleet NAME says whose calibration it becomes"
    )


def _write(made: Calibration, out: Path | None, kafka: KafkaSettings | None) -> None:
    if out is not None:
        from schemas.codec import encode
        from streams.regbench.bench.judge import save

        save(out, encode(made) + b"\n")
        typer.echo(f"{made.name} → {out}", err=True)
    if kafka is not None:
        from streams.calibration.topic import publish

        # Cases that have begun keep what they were judged with so far.
        now_ms = int(time.time() * 1000)
        made = replace(made, valid_from_ms=max(made.valid_from_ms, now_ms))
        asyncio.run(publish(kafka, made))
        typer.echo(f"{made.name} of fleet {made.fleet} → kbw-calibration", err=True)
