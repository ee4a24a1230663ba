"""Simulated fleets with known truth: the scenarios and the benchmark that detection is held to."""
