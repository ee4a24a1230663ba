"""The detector: reports become evidence, evidence becomes verdicts."""
