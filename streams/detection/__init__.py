"""Pure detection: reports in, evidence and verdicts out.

No clock, no I/O, no randomness, no framework: event time decides everything. The way through:
``domain_state`` (what one failure domain has said) → ``schemas.evidence`` → ``judge`` (per case:
``population`` and ``incidents`` → ``wealth`` → ``decide`` → ``verdict``). The method, its sources
and its guarantee are in docs/detection.md.
"""
