"""What runs on a node: sources/ → pipeline/ → spool/ → shipping/, driven by runtime/, told what to
do by command/. Windows itself is in windows/.
"""

from importlib import metadata


def version() -> str:
    """The collector's version, as reports carry it; ``unpackaged`` in a source tree."""
    try:
        return metadata.version("kbwatch")
    except metadata.PackageNotFoundError:
        return "unpackaged"
