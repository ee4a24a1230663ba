"""``kbwatch record``: the fleet's reports from Kafka to a file."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from schemas.cli_options import AsJson, print_json, with_settings
from schemas.errors import KbwatchError
from schemas.settings import Settings

app = typer.Typer(help="Keep what the fleet reports: from kbw-node-reports to a recording.")


def instant_ms(text: str) -> int:
    """Unix ms of an ISO 8601 date or time; UTC where it names no zone.

    Raises typer.BadParameter for what is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: write 2025-07-08 or 2025-07-08T22:00, UTC, or with +02:00"
        ) from None
    t_ms = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if t_ms < 0:
        raise typer.BadParameter(f"{text!r} is before 1970")
    return t_ms


def _bound(name: str, what: str) -> object:
    return typer.Option(name, parser=instant_ms, metavar="TIME", help=what, show_default=False)


@app.command()
@with_settings
def record(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help="Recording: .jsonl or .jsonl.zst.")],
    since: Annotated[
        int | None,
        _bound("--since", "What Kafka got at this time or later (default: all that it has)."),
    ] = None,
    until: Annotated[
        int | None,
        _bound("--until", "What Kafka got before this time (default: what it has now)."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many records.", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where FILE ends; begin it if there is none.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin FILE anew; what it has is lost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write what kbw-node-reports holds to FILE, so that the fleet's past outlives Kafka's
    retention. `kbwatch calibrate`, `aa`, `replay` and `explain` read it.

    TIME is Kafka's append time, not the time of an event: a log that is read late counts as late.
    It ends at what Kafka has when it begins. Examples:

    \b
        kbwatch record past/2026-11.jsonl.zst --resume     every day, from a timer
        kbwatch record july.jsonl.zst --since 2026-07-08 --until 2026-07-15T12:00
    """
    if resume and (overwrite or since is not None):
        other = "--overwrite" if overwrite else "--since"
        raise KbwatchError(f"--resume and {other}: give one of them, not both")
    from streams.bar import bar
    from streams.record import take
    from streams.record.file import alone, marks

    with alone(file):
        if file.stat().st_size and not (resume or overwrite):
            raise KbwatchError(
                f"{file}: is there already: --resume goes on where it ends, --overwrite begins anew"
            )
        ended = marks(file) if resume else {}
        wanted = take.Wanted(since, until, limit)
        with bar("recording") as recording:
            written = asyncio.run(take.record(settings.kafka, file, wanted, ended, recording.at))
    if written.missed:
        typer.echo(
            f"kbwatch: {written.missed} records are missing from {file}: Kafka had deleted them "
            "before this call; record more often, or keep kbw-node-reports longer",
            err=True,
        )
    if as_json:
        print_json(written)
    else:
        typer.echo(take.told(written))
