"""What there is to learn from: recordings of reports, benchmark streams, the store."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import zstandard
from msgspec import Struct

from schemas.codec import DecodeError
from schemas.errors import KbwatchError
from schemas.evidence import DomainEvidence
from streams import recording
from streams.admission import admit_report
from streams.calibration.past import Past, branches
from streams.detection.domain_state import DomainState
from streams.detection.node_state import MAX_NODES, NodeState, apply
from streams.regbench.bench.evidence import evidence_of
from streams.regbench.bench.history import gather
from streams.regbench.bench.judge import stream_files, without_pauses
from streams.regbench.bench.stream_file import read as read_stream

STORE = "store"
_HEAD_BYTES = 1 << 16

_Domains = dict[tuple[str, str], dict[str, NodeState]]
"""Per fleet and domain: the nodes."""


class _Head(Struct):
    type: str = ""


def pasts(sources: Sequence[str], advance: Callable[[], None]) -> list[Past]:
    """All branches of all sources; recordings are parts of one history, a stream is one by itself.
    ``advance`` hears of each file that is done.

    Raises KbwatchError for what can't be read.
    """
    if STORE in sources:
        raise KbwatchError(
            "--from store: the store does not suffice to rebuild evidence. It keeps heartbeats for "
            "30 days and a case needs 65 (30 before it, 35 of exposure), so it can't tell who was "
            "in service; and it keeps the clock of a boot (sent_ms, boot_ms) with heartbeats only. "
            "Use a recording of kbw-node-reports: --from reports.jsonl.zst"
        )
    files = stream_files([Path(source) for source in sources], unique=False)
    streams = {path: _is_stream(path) for path in files}
    return without_pauses(lambda: _read(streams, advance))


def _read(files: dict[Path, bool], advance: Callable[[], None]) -> list[Past]:
    out: list[Past] = []
    domains: _Domains = defaultdict(dict)
    recorded = []
    for path, is_stream in files.items():
        if is_stream:
            history = gather(read_stream(path))
            out += branches(path.name, evidence_of(history, history.end_ms, history.start_ms))
        else:
            _take(path, domains)
            recorded.append(path.name)
        advance()
    return [*out, *branches(" ".join(recorded), _contributions(domains))]


def _is_stream(path: Path) -> bool:
    """Whether the first line opens a benchmark stream (``{"type":"fleet",…}``)."""
    try:
        with recording.opened(path, "rb") as file:
            head = file.readline(_HEAD_BYTES)
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}") from None
    except zstandard.ZstdError as error:
        raise KbwatchError(f"{path}: not readable as zstd: {error}") from None
    try:
        return msgspec.json.decode(head, type=_Head).type == "fleet"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False  # what else it is, the reader of recordings says


def _take(path: Path, domains: _Domains) -> None:
    # As DomainState.add, but nothing is forgotten after 26 weeks.
    for record in recording.read(path):
        report = record.report
        if report is None:
            continue
        try:
            admit_report(report)
        except DecodeError:
            continue
        nodes = domains[report.fleet, report.domain]
        if report.node not in nodes and len(nodes) >= MAX_NODES:
            continue
        nodes.setdefault(report.node, NodeState()).header(report, record.append_ms)
        for one in report.records:
            apply(nodes, report.node, one, report.heartbeat_s)


def _contributions(domains: _Domains) -> list[DomainEvidence]:
    # Looked at from the beginning of time, no onset is too old to be kept.
    return [
        part
        for (fleet, domain), nodes in sorted(domains.items())
        for part in DomainState(nodes=nodes, offset=0, newest_ms=0).evidence(fleet, domain, 0)
    ]
