"""KB-RegBench: streams of patched fleets with known truth, for any detector to be held to."""
