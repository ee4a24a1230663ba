"""The detection of the Faust agents, in one process and without a broker."""

from collections.abc import Iterable

from msgspec import Struct

from schemas.codec import DecodeError
from schemas.evidence import DomainEvidence
from schemas.settings import DetectorSettings
from schemas.topics import NODE_REPORTS, all_topics, key
from schemas.verdicts import Verdict
from streams.admission import admit_report
from streams.detection.domain_state import DomainState
from streams.detection.judge import Judge
from streams.detection.pinned import Calibrations
from streams.kafka_io import partition_of
from streams.recording import Recorded

_PARTITIONS = all_topics()[NODE_REPORTS].partitions


class Collected(Struct, frozen=True):
    """The evidence a recording amounts to."""

    evidence: tuple[DomainEvidence, ...]
    reports: int
    dead_lettered: int


class Replayed(Struct, frozen=True):
    """What a recording comes to."""

    verdicts: tuple[Verdict, ...]
    reports: int
    dead_lettered: int


def collect(records: Iterable[Recorded], settings: DetectorSettings) -> Collected:
    """Put a recording into the states of its failure domains."""
    domains: dict[tuple[str, str], DomainState] = {}
    reports = dead = 0
    for offset, record in enumerate(records):
        report = record.report
        if report is None:
            dead += 1
            continue
        try:
            admit_report(report)
            state = domains.setdefault((report.fleet, report.domain), DomainState())
            state.add(report, record.append_ms, offset)
        except DecodeError:
            dead += 1
        else:
            reports += 1
    evidence = [
        part
        for (fleet, domain), state in sorted(domains.items())
        for part in state.evidence(
            fleet, domain, settings.topic_epoch, partition_of(key(fleet, domain), _PARTITIONS)
        )
    ]
    return Collected(tuple(evidence), reports, dead)


def replay(
    records: Iterable[Recorded],
    settings: DetectorSettings,
    calibrations: Calibrations | None = None,
) -> Replayed:
    """Fold a recording: the verdicts of all cases that are open at its end. Without
    ``calibrations`` they are judged with the shipped default.

    The same states, evidence and judge as in the detector, so with the same calibrations the same
    final folds.
    """
    collected = collect(records, settings)
    alpha = settings.false_halts_per_year / settings.cases_per_year
    judge = Judge(alpha=alpha, calibrations=calibrations)
    for evidence in collected.evidence:
        judge.replace(evidence)
    verdicts = [v for branch in judge.branches() for v in judge.verdicts(branch)]
    return Replayed(tuple(verdicts), collected.reports, collected.dead_lettered)
