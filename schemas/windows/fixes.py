"""From which build on what a KB broke is known to be repaired: the code side of ``fixes.toml``."""

import tomllib
from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

from schemas.windows.builds import branch_of, build_of, builds_of, parse_build


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    fixed_by: dict[str, tuple[str, ...]]


def fixes_of(kb: str) -> tuple[str, ...]:
    """The KBs that are known to repair what ``kb`` broke."""
    return _fixes().get(kb, ())


@cache
def fix_build(kb: str, branch: str) -> str | None:
    """The build of a branch with which the last known defect of ``kb`` is repaired; None when no
    fix is known.
    """
    known = [build for fix in fixes_of(kb) if (build := build_of(fix, branch)) is not None]
    return max(known, key=parse_build, default=None)


@cache
def fixed_cases() -> dict[str, str]:
    """The builds with which the last known defect of a KB is repaired, by case
    (``KB5062557@17763``).
    """
    return {
        f"{kb}@{branch}": fix
        for kb in sorted(_fixes())
        for branch in map(branch_of, builds_of(kb))
        if (fix := fix_build(kb, branch)) is not None
    }


@cache
def _fixes() -> dict[str, tuple[str, ...]]:
    text = resources.files("schemas.windows").joinpath("fixes.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _File).fixed_by
