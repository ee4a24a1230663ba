"""``kbwatch-collector replay-evtx``: recorded logs as reports, to a file or to Kafka."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import msgspec
import typer
from msgspec.structs import replace

from collectors.command.effective import shown
from collectors.settings import Settings, load
from schemas.cli_options import CollectorConfig, PrintConfig, Set
from schemas.codec import encode
from schemas.errors import KbwatchError
from schemas.reports import Name, NodeReport


def replay_evtx(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help=".evtx files.")],
    out: Annotated[
        str,
        typer.Option(
            help="Write reports here, one JSON a line, as zstd if it ends in .zst; "
            "- is standard output."
        ),
    ] = "-",
    send: Annotated[
        bool, typer.Option("--send", help="Send to the Kafka of the settings instead.")
    ] = False,
    bootstrap: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Send to this Kafka (kafka.bootstrap) instead.")
    ] = "",
    topic: Annotated[
        str,
        typer.Option(
            help="Topic to send to (default: kbw-node-reports behind kafka.namespace).",
            show_default=False,
        ),
    ] = "",
    timeout_s: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Seconds to wait for Kafka's answers (kafka.timeout_s).",
            show_default=False,
        ),
    ] = None,
    fleet: Annotated[
        str | None, typer.Option(help="Fleet of the nodes (node.fleet).", show_default=False)
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="Site of the nodes (node.site).", show_default=False)
    ] = None,
    config: CollectorConfig = None,
    overrides: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Replay recorded Windows logs as their nodes' reports.

    \b
    kbwatch-collector replay-evtx System.evtx --out - | head -n 1
    kbwatch-collector replay-evtx System.evtx --set redact.users=false --out mine.jsonl
    kbwatch-collector replay-evtx System.evtx --config collector.toml --send

    Each file is the log of one machine; its node is the computer that the log names last. User
    names, SIDs, addresses and command lines are redacted as on a node: redact.* of the settings
    says which. The Kafka connection (TLS, SASL) is that of kafka.*.
    """
    settings = shown(_settings(config, overrides, bootstrap, timeout_s, fleet, site), print_config)
    if not (send or bootstrap):
        _write(files, settings, out)
    elif out == "-":
        _send(files, settings, topic)
    else:
        raise KbwatchError("--out and --send or --bootstrap: give one of them, not both")


def _settings(
    config: str | None,
    overrides: list[str] | None,
    bootstrap: str,
    timeout_s: float | None,
    fleet: str | None,
    site: str | None,
) -> Settings:
    settings = load(config, overrides or ())
    kafka, node = settings.kafka, settings.node
    return replace(
        settings,
        kafka=replace(
            kafka,
            bootstrap=bootstrap or kafka.bootstrap,
            timeout_s=kafka.timeout_s if timeout_s is None else timeout_s,
        ),
        node=replace(
            node,
            fleet=node.fleet if fleet is None else _name("--fleet", fleet),
            site=node.site if site is None else _name("--site", site),
        ),
    )


def _send(files: list[Path], settings: Settings, topic: str) -> None:
    from collectors.shipping.shipper import Shipper, ship

    with Shipper(settings.kafka, topic) as shipper:
        for reports in _read(files, settings):
            ship(shipper, reports, settings.kafka.timeout_s)


def _write(files: list[Path], settings: Settings, out: str) -> None:
    from collectors.shipping.shipper import stamped

    with _opened(out) as stream:
        for reports in _read(files, settings):
            stream.writelines(encode(stamped(report)) + b"\n" for report in reports)


def _read(files: list[Path], settings: Settings) -> Iterator[tuple[NodeReport, ...]]:
    from collectors.pipeline.recorded import recorded
    from collectors.sources.evtx_file import read_log

    for path in files:
        log = read_log(path)
        made = recorded(log.events, settings.node.fleet, settings.node.site, settings.redact)
        yield made.reports
        left_out = (*log.unreadable, *made.unfit)
        for line in left_out:
            typer.echo(f"{path}: unreadable: {' '.join(line.split())}", err=True)
        typer.echo(
            f"{path}: node {made.node}, {len(log.events)} records in {len(made.reports)} reports, "
            f"{len(left_out)} unreadable",
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


def _name(option: str, text: str) -> str:
    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError:
        raise KbwatchError(
            f"{option} {text!r}: use 1 to 256 characters, no '|' and no control characters"
        ) from None
