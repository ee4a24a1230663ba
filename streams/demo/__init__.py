"""The demonstration: a simulated roll-out through the real pipeline."""
