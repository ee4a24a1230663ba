"""``kbwatch-collector check``: what would be read and shipped, without shipping it."""

import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import unescape

import msgspec
from msgspec import Struct

from collectors.command.effective import masked
from collectors.pipeline.redact import Redactor
from collectors.settings import KafkaSettings, RedactSettings, Settings
from collectors.sources.selection import Selection
from collectors.sources.source import Item, Source
from collectors.windows.node import Node, this_node
from schemas.codec import encode
from schemas.config import as_toml
from schemas.errors import KbwatchError

if TYPE_CHECKING:
    from collectors.runtime.runtime import Parts

_READ_S = 5.0
_ITEMS = 200
_WAIT_S = 0.1
_SECRET_FILES = ("ca_file", "cert_file", "key_file", "password_file", "token_file")
_SELECT = re.compile(r"<Select [^>]*>([^<]*)</Select>")

Probe = Callable[[KafkaSettings], str]
"""Tries the broker: what it found. Raises KbwatchError."""


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    what: str
    ok: bool
    says: str


class Channel(Struct, frozen=True):
    """One event channel that would be read."""

    channel: str
    xpaths: tuple[str, ...]
    optional: bool
    """Missing on most machines: no trouble if it is."""


class Sample(Struct, frozen=True):
    """What the first items would be shipped as."""

    items: int
    records: dict[str, int]
    """Records by type."""
    reports: int
    report_bytes: int
    """Encoded, before compression."""


class Check(Struct, frozen=True):
    """Everything that was found."""

    ok: bool
    node: Node | None
    findings: tuple[Finding, ...]
    channels: tuple[Channel, ...]
    sample: Sample | None
    settings: dict[str, object]
    """What holds, with secrets masked."""


def check(
    settings: Settings, parts: "Parts", probe: Probe, now_s: Callable[[], float] = time.monotonic
) -> Check:
    """Look at everything that a run needs; nothing is shipped and no bookmark is moved."""
    findings = [
        _folder(Path(settings.data_dir)),
        *_files(settings.kafka),
        _redaction(settings.redact),
    ]
    channels: tuple[Channel, ...] = ()
    node: Node | None = None
    sample: Sample | None = None
    try:
        selection = Selection(settings.logs)
        channels = tuple(
            Channel(s.channel, _xpaths(s.query), s.optional) for s in selection.subscriptions
        )
        node = this_node(settings.node, Path(settings.data_dir))
        sources = parts.sources(settings, node)
        read = {source.name: _read(source, findings, now_s) for source in sources}
        sample = _sample(settings, parts, node, read)
    except KbwatchError as error:
        findings.append(Finding("sources", False, str(error)))
    try:
        findings.append(Finding("Kafka", True, probe(settings.kafka)))
    except KbwatchError as error:
        findings.append(Finding("Kafka", False, str(error).removeprefix("Kafka at ")))
    return Check(
        ok=all(finding.ok for finding in findings),
        node=node,
        findings=tuple(findings),
        channels=channels,
        sample=sample,
        settings=msgspec.to_builtins(masked(settings)),
    )


def lines(found: Check, settings: Settings) -> Iterator[str]:
    """The check for a person."""
    if found.node:
        node = found.node
        yield f"node {node.name}, domain {node.domain}, fleet {node.fleet}, site {node.site}"
    for finding in found.findings:
        yield f"{'ok    ' if finding.ok else 'FAILED'} {finding.what}: {finding.says}"
    yield ""
    yield "would read (* if it is there), by these XPaths:"
    alike: dict[tuple[str, ...], list[str]] = {}
    for channel in found.channels:
        names = alike.setdefault(channel.xpaths, [])
        names.append(f"{channel.channel}{'*' if channel.optional else ''}")
    for xpaths, names in alike.items():
        yield from (f"  {name}" for name in names)
        yield from (f"    {xpath}" for xpath in xpaths)
    if found.sample:
        sample = found.sample
        records = ", ".join(f"{count} {kind}" for kind, count in sorted(sample.records.items()))
        yield f"would ship the first {sample.items} items as {records or 'nothing'}:"
        yield f"  {sample.reports} reports, {sample.report_bytes} bytes before compression"
    yield ""
    yield as_toml(masked(settings)).rstrip()


def _xpaths(query: str) -> tuple[str, ...]:
    return tuple(unescape(xpath) for xpath in _SELECT.findall(query))


def _folder(path: Path) -> Finding:
    what = f"data_dir {path}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"kbwatch")
        free_bytes = shutil.disk_usage(path).free
    except OSError as error:
        return Finding(what, False, f"{error.strerror}; the collector must be able to write there")
    return Finding(what, True, f"can be written, {free_bytes / 2**30:.1f} GiB free")


def _files(kafka: KafkaSettings) -> Iterator[Finding]:
    for name in _SECRET_FILES:
        path = getattr(kafka, name)
        if not path:
            continue
        try:
            size_bytes = len(Path(path).read_bytes())
        except OSError as error:
            yield Finding(f"kafka.{name} {path}", False, str(error.strerror))
        else:
            says = "can be read" if size_bytes else "is empty"
            yield Finding(f"kafka.{name} {path}", size_bytes > 0, says)


def _redaction(redact: RedactSettings) -> Finding:
    try:
        Redactor(redact)
    except KbwatchError as error:
        return Finding("redact", False, str(error))
    rules = [
        name for name in ("users", "sids", "addresses", "command_lines") if getattr(redact, name)
    ]
    if redact.patterns:
        rules.append(f"own patterns: {len(redact.patterns)}")
    return Finding("redact", True, ", ".join(rules) or "nothing")


def _read(source: Source, findings: list[Finding], now_s: Callable[[], float]) -> Sequence[Item]:
    what = f"source {source.name}"
    items: Sequence[Item] = ()
    end_s = now_s() + _READ_S
    try:
        source.open(None)
        while not items and not source.trouble and now_s() < end_s:
            items = source.read(_ITEMS)
            if not items:
                time.sleep(_WAIT_S)
        trouble = source.trouble
        channels = source.channels()
    except KbwatchError as error:
        findings.append(Finding(what, False, str(error)))
        return ()
    finally:
        source.close()
    newest = "; ".join(f"{c} to record {h.newest_record_id}" for c, h in sorted(channels.items()))
    says = f"{len(items)} items read as a sample" + (f" ({newest})" if newest else "")
    findings.append(Finding(what, not trouble, f"{trouble}; {says}" if trouble else says))
    return items


def _sample(
    settings: Settings, parts: "Parts", node: Node, read: dict[str, Sequence[Item]]
) -> Sample:
    pipeline = parts.pipeline(settings, node)
    now_ms = time.time_ns() // 1_000_000
    for name, items in read.items():
        pipeline.take(name, items, now_ms)
    reports = [bundle.report for bundle in pipeline.bundles(now_ms, force=True)]
    kinds = Counter(
        str(record.__struct_config__.tag) for report in reports for record in report.records
    )
    return Sample(
        items=sum(len(items) for items in read.values()),
        records=dict(kinds),
        reports=len(reports),
        report_bytes=sum(len(encode(report)) for report in reports),
    )
