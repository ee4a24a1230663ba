"""kbwatch's own detector on a stream: here, and in ``evidence`` and ``learning``, the benchmark
meets detection.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from schemas.errors import KbwatchError
from schemas.evidence import DomainEvidence
from schemas.settings import DetectorSettings
from streams.detection.cases import Crossed, Judged, judge_cases
from streams.detection.margins import Margins, default_margins
from streams.detection.silence import with_silences
from streams.detection.spans import Span, case_spans, heard_ms
from streams.regbench.bench.decisions import Decision, Kind
from streams.regbench.bench.evidence import View
from streams.regbench.bench.history import History


class Branch(Struct, frozen=True):
    """A branch's evidence as of the end of some of its cases, and those cases."""

    name: str
    asof_ms: int
    evidence: list[DomainEvidence]
    spans: list[Span]


def branches(history: History) -> Iterator[Branch]:
    """Every case of the stream once: with evidence as of the stream's end, or as of the case's own
    end where that was earlier.
    """
    # One branch after the other: together they take several times the memory.
    view = View(history, history.end_ms)
    closed: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for name in view.branches:
        evidence = with_silences(view.evidence(name))
        open_spans = []
        for span in case_spans(evidence):
            if span.end_ms < history.end_ms:
                closed[span.end_ms].add((name, span.kb))
            else:
                open_spans.append(span)
        if open_spans:
            yield Branch(name, history.end_ms, evidence, open_spans)
        del evidence
    for asof_ms, cases in sorted(closed.items()):
        view = View(history, asof_ms)
        for name in view.branches:
            if any(name == branch for branch, _ in cases):
                evidence = with_silences(view.evidence(name))
                spans = [s for s in case_spans(evidence) if (name, s.kb) in cases]
                if spans:
                    yield Branch(name, asof_ms, evidence, spans)


class Kbwatch:
    """The detector as shipped, with its default settings."""

    def __init__(self, margins: Margins | None = None) -> None:
        settings = DetectorSettings()
        alpha = settings.false_halts_per_year / settings.cases_per_year
        self._log_threshold = math.log(1 / alpha)
        self._margins = margins or default_margins()

    def __call__(self, name: str, history: History) -> Iterator[Decision]:
        """The decisions on all cases of the stream in file ``name``."""
        for branch in branches(history):
            judged = judge_cases(
                (history.fleet, branch.name),
                branch.evidence,
                branch.spans,
                min(heard_ms(branch.evidence), branch.asof_ms),
                lambda _: self._margins,
                self._log_threshold,
            )
            for case in judged:
                yield from _decisions(name, case)


def _decisions(file: str, judged: Judged) -> Iterator[Decision]:
    crossed: tuple[tuple[Kind, Crossed | None], ...] = (
        ("warn", judged.first_warn),
        ("halt", judged.halt),
        ("notice", judged.notice),
    )
    for kind, crossing in crossed:
        if crossing is not None:
            yield Decision(
                file=file,
                type=kind,
                t_ms=crossing.t_ms,
                kb=judged.case.kb,
                branch=judged.case.branch,
                log_e=crossing.log_e,
                signature=crossing.signature,
                rule=crossing.rule,
                suspects=crossing.suspects,
                victims=len(crossing.hits),
            )


def read_margins(path: Path) -> Margins:
    """A calibration that ``kbwatch regbench calibrate`` wrote.

    Raises KbwatchError with the file and the reason when it is none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Margins)
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KbwatchError(f"{path}: not a calibration: {error}") from None
