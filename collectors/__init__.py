"""What runs on a node, or on the one server that nodes forward their events to."""

from importlib import metadata


def version() -> str:
    """The collector's version, as reports carry it; ``unpackaged`` in a source tree."""
    try:
        return metadata.version("kbwatch")
    except metadata.PackageNotFoundError:
        return "unpackaged"
