"""All cases of some branches: replace a domain's evidence, ask for verdicts.

Holds evidence and nothing else, so that a judge that is killed is rebuilt by reading the evidence
topic again. Law: verdicts are a function of the newest evidence of each domain, however it came.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from statistics import median_low

from schemas.evidence import DomainEvidence
from schemas.verdicts import Verdict
from streams.detection.decide import decide
from streams.detection.margins import Margins, default_margins
from streams.detection.members import EXPOSED_MS, Case, members
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

    def drop(self, keep: Iterable[Branch]) -> None:
        """Forget all branches but ``keep``: another worker judges them now."""
        kept = set(keep)
        for branch in list(self._evidence):
            if branch not in kept:
                del self._evidence[branch]

    def branches(self) -> list[Branch]:
        """The branches with evidence."""
        return sorted(branch for branch, domains in self._evidence.items() if domains)

    def verdicts(self, branch: Branch) -> list[Verdict]:
        """The verdicts of a branch's open cases, by case. A case is open for 35 days after the
        KB's first effective time; time is the median of when the branch's nodes were last seen,
        so that no single clock can close a case.
        """
        evidence = [e for _, e in sorted(self._evidence[branch].items())]
        seen = [node.service[-1][1] for part in evidence for node in part.nodes]
        if not seen:
            return []
        asof_ms = median_low(seen)
        fleet, name = branch
        return [
            self._verdict(Case(fleet, name, kb, build), evidence, started_ms, asof_ms)
            for (kb, build), started_ms in case_starts(evidence)
            if asof_ms < started_ms + EXPOSED_MS
        ]

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


def case_starts(evidence: Iterable[DomainEvidence]) -> list[tuple[tuple[str, str], int]]:
    """The first effective time of every (KB, build) of a branch, in order of their names."""
    started: dict[tuple[str, str], int] = {}
    for part in evidence:
        for node in part.nodes:
            for patch in node.patches:
                if patch.state in ("effective", "rolled_back"):
                    kb = (patch.kb, patch.build)
                    started[kb] = min(started.get(kb, patch.t_ms), patch.t_ms)
    return sorted(started.items())


def _content(evidence: DomainEvidence) -> tuple[object, ...]:
    return evidence.nodes, evidence.onsets, evidence.baseline
