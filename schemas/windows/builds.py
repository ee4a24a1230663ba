"""Which KB brings which build: the code side of ``builds.json``.

A build is ``branch.UBR``, for example ``17763.7558``. Updates are cumulative: a node has every KB
of its branch up to its build.
"""

from functools import cache, lru_cache
from importlib import resources

import msgspec
from msgspec import Struct

NEVER_CASES = frozenset({"KB2267602", "KB890830"})
"""KB numbers that never name one change: Defender definitions and the Malicious Software Removal
Tool keep theirs for ever while the content changes daily or monthly."""


class _Row(Struct, frozen=True):
    build: str
    kb: str


class _File(Struct, frozen=True):
    builds: tuple[_Row, ...]


@lru_cache(4096)
def parse_build(build: str) -> tuple[int, int]:
    """``17763.7558`` → ``(17763, 7558)``. Raises ValueError for anything else."""
    branch, _, ubr = build.partition(".")
    if not (branch.isdecimal() and ubr.isdecimal()):
        raise ValueError(f"{build!r} is not a build such as 17763.7558")
    return int(branch), int(ubr)


def branch_of(build: str) -> str:
    """``17763.7558`` → ``17763``. Raises ValueError for anything but a build."""
    return str(parse_build(build)[0])


def build_of(kb: str, branch: str) -> str | None:
    """The build that a KB brings on a branch; None when the map does not know one."""
    return _builds_by_kb().get(kb, {}).get(branch)


def builds_of(kb: str) -> tuple[str, ...]:
    """The builds that a KB brings, one per branch."""
    return tuple(_builds_by_kb().get(kb, {}).values())


def is_os_update(kb: str) -> bool:
    """Whether the KB is a cumulative update of Windows: it takes effect at a boot, as a build."""
    return kb in _builds_by_kb()


@lru_cache(4096)
def kbs_between(old_build: str, new_build: str) -> tuple[tuple[str, str], ...]:
    """The (KB, build) with ``old_build`` < build ≤ ``new_build``, ascending.

    Empty when the branches differ or nothing is newer. Raises ValueError for what is no build.
    """
    branch, old = parse_build(old_build)
    new_branch, new = parse_build(new_build)
    if branch != new_branch:
        return ()
    return tuple((kb, f"{branch}.{ubr}") for ubr, kb in _rows_of(branch) if old < ubr <= new)


@cache
def _rows() -> tuple[tuple[int, int, str], ...]:
    raw = resources.files("schemas.windows").joinpath("builds.json").read_bytes()
    rows = msgspec.json.decode(raw, type=_File).builds
    return tuple(sorted((*parse_build(row.build), row.kb) for row in rows if row.kb))


@cache
def _builds_by_kb() -> dict[str, dict[str, str]]:
    by_kb: dict[str, dict[str, str]] = {}
    for branch, ubr, kb in _rows():
        by_kb.setdefault(kb, {})[str(branch)] = f"{branch}.{ubr}"
    return by_kb


@cache
def _rows_of(branch: int) -> tuple[tuple[int, str], ...]:
    return tuple((ubr, kb) for row_branch, ubr, kb in _rows() if row_branch == branch)
