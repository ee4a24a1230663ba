"""The live NOC page, the API behind it, and the gate that a patch pipeline asks."""
