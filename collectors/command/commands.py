"""The commands of ``kbwatch-collector``."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import msgspec
import typer

from collectors import version
from collectors.command import install_commands, run_commands
from schemas.codec import encode
from schemas.errors import KbwatchError
from schemas.reports import Name, NodeReport
from schemas.topics import NODE_REPORTS

_EXAMPLES = "\n\n".join(
    f"\b\n{paragraph}"  # the backspace keeps typer from filling the lines
    for paragraph in (
        "Examples:\n"
        "  kbwatch-collector check --config collector.toml    what would be read and shipped?\n"
        "  kbwatch-collector once --config collector.toml     read, ship, and end\n"
        "  kbwatch-collector run --config collector.toml      until Ctrl-C\n"
        "  kbwatch-collector status --config collector.toml   how is the one that runs?\n"
        "  kbwatch-collector install --config C:\\ProgramData\\kbwatch\\collector.toml",
        "Recorded logs, on any system:\n"
        "  kbwatch-collector replay-evtx System.evtx --out - | head -n 1\n"
        "  kbwatch-collector replay-evtx System.evtx --bootstrap broker:9092",
        "Settings: --config FILE (or KBW_COLLECTOR_CONFIG), over it KBW_COLLECTOR_* variables,\n"
        "over both --set. --print-config shows what holds. docs/collector.md explains them.",
    )
)

app = typer.Typer(
    name="kbwatch-collector",
    help="Ship what Windows nodes log to kbwatch.",
    epilog=_EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: the rich one takes half a second to load
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kbwatch-collector {version()}")
        raise typer.Exit


@app.callback()
def _collector(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    return


app.command("run")(run_commands.run)
app.command("check")(run_commands.check_command)
app.command("once")(run_commands.once)
app.command("status")(run_commands.status_command)
app.command("install")(install_commands.install_command)
app.command("uninstall")(install_commands.uninstall_command)


@app.command("replay-evtx")
def replay_evtx(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=".evtx files.")],
    out: Annotated[
        str,
        typer.Option(
            help="Write reports here, one JSON a line, as zstd if it ends in .zst; "
            "- is standard output."
        ),
    ] = "-",
    bootstrap: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Send to this Kafka instead.")
    ] = "",
    topic: Annotated[str, typer.Option(help="Topic to send to.")] = NODE_REPORTS,
    timeout_s: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for Kafka's answers.")
    ] = 10.0,
    fleet: Annotated[str, typer.Option(help="Fleet of the nodes.")] = "default",
    site: Annotated[str, typer.Option(help="Site of the nodes.")] = "unknown",
) -> None:
    """Replay recorded Windows logs as the reports that their nodes would have sent.

    Each file is the log of one machine; its node is the computer that the log names last.
    """
    if bootstrap and out != "-":
        raise KbwatchError("--out and --bootstrap: give one of them, not both")
    _check_name("--fleet", fleet)
    _check_name("--site", site)
    if bootstrap:
        from collectors.settings import KafkaSettings
        from collectors.shipping.shipper import Shipper, ship

        with Shipper(KafkaSettings(bootstrap=bootstrap, timeout_s=timeout_s), topic) as shipper:
            for reports in _read(files, fleet, site):
                ship(shipper, reports, timeout_s)
    else:
        from collectors.shipping.shipper import stamped

        with _opened(out) as stream:
            for reports in _read(files, fleet, site):
                stream.writelines(encode(stamped(report)) + b"\n" for report in reports)


def _read(files: list[Path], fleet: str, site: str) -> Iterator[tuple[NodeReport, ...]]:
    from collectors.sources.evtx_file import read_log

    for path in files:
        log = read_log(path, fleet, site)
        yield log.reports
        for line in log.unreadable:
            typer.echo(f"{path}: unreadable: {' '.join(line.split())}", err=True)
        typer.echo(
            f"{path}: node {log.node}, {log.records} records in {len(log.reports)} reports, "
            f"{len(log.unreadable)} unreadable",
            err=True,
        )


@contextmanager
def _opened(out: str) -> Iterator[BinaryIO]:
    if out == "-":
        with _standard_output() as stream:
            yield stream
        return
    target = Path(out).resolve()
    if target.is_dir():
        raise KbwatchError(f"--out {out}: is a folder; name a file in it")
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:  # a pipe or a device: nothing to keep
                yield stream
            return
        # A log that can't be read must not cost what was there before.
        part = target.with_name(f"{target.name}.part")
        try:
            with _written(part, target.suffix == ".zst") as stream:
                yield stream
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise KbwatchError(f"--out {out}: {error.strerror}") from None


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # the reader has enough: typer ends quietly
    except OSError as error:
        # The interpreter flushes once more at its end, and would complain in its own way.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise KbwatchError(f"standard output: {error.strerror}") from None


@contextmanager
def _written(path: Path, compressed: bool) -> Iterator[BinaryIO]:
    if not compressed:
        with path.open("wb") as stream:
            yield stream
        return
    import zstandard

    with io.BufferedWriter(zstandard.open(path, "wb")) as buffered:
        yield cast(BinaryIO, buffered)


def _check_name(option: str, text: str) -> None:
    try:
        msgspec.convert(text, Name)
    except msgspec.ValidationError:
        raise KbwatchError(
            f"{option} {text!r}: use 1 to 256 characters, no '|' and no control characters"
        ) from None
