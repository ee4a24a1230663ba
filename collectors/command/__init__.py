"""The commands of ``kbwatch-collector``."""
