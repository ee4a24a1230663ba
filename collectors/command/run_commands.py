"""The commands that run the collector, and those that ask how it is."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec.structs import replace

from collectors import log
from collectors.command.effective import shown
from collectors.durable import keep_files_private
from collectors.runtime import status
from collectors.settings import data_dir_of, load
from collectors.settings_file import SettingsFile
from schemas.cli_options import AsJson, CollectorConfig, PrintConfig, Set


def run(
    config: CollectorConfig = None, overrides: Set = None, print_config: PrintConfig = False
) -> None:
    """Read and ship until Ctrl-C or SIGTERM.

    \b
    kbwatch-collector run --config C:\\ProgramData\\kbwatch\\collector.toml
    kbwatch-collector run --set kafka.bootstrap=broker:9092 --set http_port=9477

    A changed settings file takes effect within ten seconds; one with an error changes nothing. It
    ends within ten seconds.
    """
    from collectors.runtime.parts import WindowsParts
    from collectors.runtime.runtime import Runtime, served

    settings = _settings_file(config, overrides, print_config)
    log.configure(settings.current.log_level)
    keep_files_private()
    runtime = Runtime(settings, WindowsParts())
    with _stopped_by_signals(runtime.stop), served(settings.current, runtime.status):
        runtime.run()


def once(
    timeout_s: Annotated[
        float, typer.Option(min=1.0, help="Seconds until what is left waits for the next run.")
    ] = 600.0,
    config: CollectorConfig = None,
    overrides: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Read what is there, ship it, and end.

    Exit 0: Kafka has acknowledged all of it; 1: not everything was acknowledged in time; it is in
    the spool, and the next run goes on. For scheduled tasks, and to try a new set-up.
    """
    from collectors.runtime.parts import WindowsParts
    from collectors.runtime.runtime import Runtime

    settings = _settings_file(config, overrides, print_config)
    log.configure(settings.current.log_level)
    keep_files_private()
    runtime = Runtime(settings, WindowsParts(throttled=False))
    with _stopped_by_signals(runtime.stop):
        done = runtime.run_until_idle(timeout_s)
    said = runtime.status()
    for hint in (*said.problems(), *said.hints()):
        typer.echo(f"kbwatch-collector: {hint}", err=True)
    typer.echo(
        f"{said.records} records read, {said.reports_acked} reports acknowledged, "
        f"{said.spool_depth} records wait in the spool"
    )
    if not done or said.problems():
        raise typer.Exit(1)


def check_command(
    as_json: AsJson = False,
    config: CollectorConfig = None,
    overrides: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Say what would be read; try sources and broker.

    Nothing is shipped, and no bookmark is moved.

    Exit 0: all is well; 1: something is wrong; 2: the settings or the command line are.
    """
    from collectors.command.check import check, lines
    from collectors.runtime.parts import WindowsParts
    from collectors.shipping.kafka_client import probe

    settings = shown(load(config, overrides or ()), print_config)
    keep_files_private()
    found = check(settings, WindowsParts(throttled=False), probe)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        typer.echo("\n".join(lines(found, settings)))
    if not found.ok:
        raise typer.Exit(1)


def status_command(
    as_json: AsJson = False,
    config: CollectorConfig = None,
    overrides: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Say how the running collector is.

    It reads what that writes into its data_dir. Exit 0: it runs and does its work; 1: it does not;
    2: it can't be asked.
    """
    if print_config:
        shown(load(config, overrides or ()), print_config)
    # A collector that runs goes on with the settings that it has: a broken file hides nothing.
    data_dir, wrong = data_dir_of(config, overrides or ())
    found = status.read(Path(data_dir))
    if found is None:
        hint = f" ({wrong})" if wrong else ""
        typer.echo(f"not running: {Path(data_dir) / status.FILE} is not there{hint}", err=True)
        raise typer.Exit(1)
    if wrong:
        found = replace(found, settings_trouble=wrong)
    gone = found.gone(time.time_ns() // 1_000_000)
    problems = ((gone,) if gone else ()) + found.problems()
    if as_json:
        body = {"problems": problems, "hints": found.hints(), "status": found}
        typer.echo(msgspec.json.encode(body).decode())
    else:
        for problem in problems:
            typer.echo(f"PROBLEM {problem}")
        for hint in found.hints():
            typer.echo(f"hint    {hint}")
        typer.echo("\n".join(found.lines()))
    if problems:
        raise typer.Exit(1)


def _settings_file(
    config: str | None, overrides: list[str] | None, print_config: bool
) -> SettingsFile:
    settings = SettingsFile(config, overrides or ())
    shown(settings.current, print_config)
    return settings


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    def stopping(_signal: int, _frame: object) -> None:
        stop()

    # SIGBREAK is what Windows sends to a console that is closed.
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    ours = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, stopping) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
