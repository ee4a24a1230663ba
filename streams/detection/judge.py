"""All cases of some branches: replace a domain's evidence, ask for verdicts.

Holds evidence and nothing else, so that a judge that is killed is rebuilt by reading the evidence
topic again. Law: verdicts are a function of the newest evidence of each domain, however it came.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from statistics import median_low

from schemas.evidence import DomainEvidence
from schemas.verdicts import Verdict
from streams.detection.decide import decide
from streams.detection.margins import Margins, default_margins
from streams.detection.members import Case, members
from streams.detection.spans import case_spans, heard_ms
from streams.detection.tree import baseline
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
        margins: Margins | None = None,
    ) -> None:
        self._log_threshold = math.log(1 / alpha)
        self._trust = trust
        self._margins = margins or default_margins()
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

    def branches(self) -> list[Branch]:
        """The branches with evidence."""
        return sorted(branch for branch, domains in self._evidence.items() if domains)

    def verdicts(self, branch: Branch) -> Iterator[Verdict]:
        """The verdicts of a branch's open cases, by case, made one after the other."""
        evidence = [e for _, e in sorted(self._evidence[branch].items())]
        asof_ms = heard_ms(evidence)
        fleet, name = branch
        for span in case_spans(evidence):
            if asof_ms < span.end_ms:
                case = Case(fleet, name, span.kb, span.build)
                yield self._verdict(case, evidence, span.start_ms, asof_ms)

    def _verdict(
        self, case: Case, evidence: list[DomainEvidence], started_ms: int, asof_ms: int
    ) -> Verdict:
        people = members(case, evidence)
        base = baseline(evidence, started_ms)
        # While old reports are caught up on, some domains' news is ahead of their peers'. An onset
        # waits until half of the branch has been heard of, give or take a node's grace.
        grace_ms = median_low([m.node.grace_s for m in people] or [0]) * 1000
        decision = decide(
            people,
            evidence,
            base,
            started_ms,
            self._margins,
            self._log_threshold,
            until_ms=asof_ms + grace_ms,
        )
        return verdict(
            case,
            people,
            evidence,
            decision,
            started_ms=started_ms,
            asof_ms=asof_ms,
            margins=self._margins,
            log_threshold=self._log_threshold,
            trust=self._trust,
        )


def _content(evidence: DomainEvidence) -> tuple[object, ...]:
    return evidence.nodes, evidence.onsets, evidence.baseline
