"""All cases of some branches: replace a domain's evidence, ask for verdicts.

Holds evidence and nothing else, so that a judge that is killed is rebuilt by reading the evidence
topic again. Law: verdicts are a function of the newest evidence of each domain, however it came.
"""

import math
from collections import defaultdict
from collections.abc import Iterator

from schemas.evidence import DomainEvidence
from schemas.verdicts import Verdict
from streams.detection.cases import judge_cases
from streams.detection.claims import disputed
from streams.detection.margins import Margins
from streams.detection.pinned import Calibrations
from streams.detection.silence import with_silences
from streams.detection.spans import Span, case_spans, heard_ms
from streams.detection.verdict import verdict

Branch = tuple[str, str]
"""(fleet, branch): cases of different branches share nothing."""


class Judge:
    """The evidence of every domain, and the verdicts that follow from it."""

    def __init__(
        self,
        *,
        alpha: float,
        trust: str = "open",
        calibrations: Calibrations | None = None,
    ) -> None:
        self._log_threshold = math.log(1 / alpha)
        self._trust = trust
        self._calibrations = calibrations or Calibrations()
        self._evidence: dict[Branch, dict[str, DomainEvidence]] = defaultdict(dict)

    def replace(self, evidence: DomainEvidence) -> Branch | None:
        """Take a domain's contribution; returns its branch when it is news, None when it is
        older than what is known or says the same.
        """
        branch = (evidence.fleet, evidence.branch)
        domains = self._evidence[branch]
        known = domains.get(evidence.domain)
        if known is not None:
            if (evidence.epoch, evidence.offset) < (known.epoch, known.offset):
                return None
            if _content(known) == _content(evidence):
                domains[evidence.domain] = evidence
                return None
        domains[evidence.domain] = evidence
        return branch

    def calibrate(self, calibrations: Calibrations) -> None:
        """Judge with these from now on: each case with the one that was valid before it."""
        self._calibrations = calibrations

    def branches(self) -> list[Branch]:
        """The branches with evidence."""
        return sorted(branch for branch, domains in self._evidence.items() if domains)

    def verdicts(self, branch: Branch) -> Iterator[Verdict]:
        """The verdicts of a branch's open cases, by case, made one after the other."""
        evidence = with_silences([e for _, e in sorted(self._evidence[branch].items())])
        asof_ms = heard_ms(evidence)
        spans = [span for span in case_spans(evidence) if asof_ms < span.end_ms]

        def margins_for(span: Span) -> Margins:
            return self._calibrations.at(branch[0], span.start_ms)

        threshold = self._log_threshold
        contested = disputed(evidence)
        for case in judge_cases(branch, evidence, spans, asof_ms, margins_for, threshold):
            yield verdict(
                case,
                evidence,
                asof_ms=asof_ms,
                log_threshold=threshold,
                trust=self._trust,
                disputed=contested,
            )


def _content(evidence: DomainEvidence) -> tuple[object, ...]:
    return evidence.nodes, evidence.onsets, evidence.baseline
