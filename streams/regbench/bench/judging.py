"""kbwatch's own detector on a stream: here, and in ``evidence`` and ``learning``, the benchmark
meets detection.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median_low

import msgspec
from msgspec import Struct

from schemas.errors import KbwatchError
from schemas.evidence import DomainEvidence
from schemas.settings import DetectorSettings
from streams.detection import decide as deciding
from streams.detection.fold import Path as Wealth
from streams.detection.margins import Margins, default_margins
from streams.detection.members import Case, members
from streams.detection.spans import Span, case_spans, heard_ms
from streams.detection.tree import baseline
from streams.detection.verdict import driving, victim_hits
from streams.regbench.bench.decisions import Decision, Kind
from streams.regbench.bench.evidence import evidence_of
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
    found = evidence_of(history, history.end_ms)
    closed: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for name, evidence in _by_branch(found):
        open_spans = []
        for span in case_spans(evidence):
            if span.end_ms < history.end_ms:
                closed[span.end_ms].add((name, span.kb))
            else:
                open_spans.append(span)
        if open_spans:
            yield Branch(name, history.end_ms, evidence, open_spans)
    for asof_ms, cases in sorted(closed.items()):
        for name, evidence in _by_branch(evidence_of(history, asof_ms)):
            spans = [s for s in case_spans(evidence) if (name, s.kb) in cases]
            if spans:
                yield Branch(name, asof_ms, evidence, spans)


def _by_branch(evidence: list[DomainEvidence]) -> Iterator[tuple[str, list[DomainEvidence]]]:
    out: dict[str, list[DomainEvidence]] = defaultdict(list)
    for part in evidence:
        out[part.branch].append(part)
    yield from sorted(out.items())


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
            for span in branch.spans:
                yield from self._case(name, history.fleet, branch, span)

    def _case(self, file: str, fleet: str, branch: Branch, span: Span) -> Iterator[Decision]:
        evidence = branch.evidence
        people = members(Case(fleet, branch.name, span.kb, span.build), evidence)
        grace_ms = median_low([m.node.grace_s for m in people] or [0]) * 1000
        decided = deciding.decide(
            people,
            evidence,
            baseline(evidence, span.start_ms),
            span.start_ms,
            self._margins,
            self._log_threshold,
            until_ms=min(heard_ms(evidence), branch.asof_ms) + grace_ms,
        )
        warned_ms = next(
            (s.t_ms for s in decided.impact.steps if s.log_e >= deciding.LOG_WARN), None
        )
        crossed: tuple[tuple[Kind, int | None, Wealth], ...] = (
            ("warn", warned_ms, decided.impact),
            ("halt", decided.halt_ms, decided.impact),
            ("notice", decided.notice_ms, decided.symptoms),
        )
        for kind, t_ms, path in crossed:
            if t_ms is None:
                continue
            signature = driving(path, evidence, t_ms)
            yield Decision(
                file=file,
                type=kind,
                t_ms=t_ms,
                kb=span.kb,
                branch=branch.name,
                log_e=path.at(t_ms),
                signature=signature,
                victims=sum(hit.t_ms <= t_ms for hit in victim_hits(path, signature)),
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
