"""Exposure: from when until when a node runs what a KB brought.

    exposed to a KB  ⇔  the KB's build ≤ running build < the fix's build, where a fix is known

Updates are cumulative, so a later one doesn't end exposure unless it is the fix. A restart into an
older build ends it (roll-back). Effective time: the start of the first boot whose build reached the
KB's; for a hotpatch the first sight of its build with no boot to explain it. Source: Kernel-General
12 names the booted build (``schemas.reports.Boot``); the registry's UBR shows what came without a
boot (``PatchState`` of ``registry/ubr``); fixes from ``schemas.windows.fixes``.
"""

from collections.abc import Sequence

from msgspec import Struct

from schemas.evidence import NodePatch
from schemas.windows.builds import branch_of, kbs_between, parse_build
from schemas.windows.fixes import fix_build

_SLACK_MS = 300_000
"""The registry's reader works out when the system booted; the log knows it exactly."""


class Sight(Struct, frozen=True):
    """A KB of Windows itself that was first seen in effect at ``t_ms`` (Unix ms)."""

    t_ms: int
    kb: str
    build: str
    back_ms: int | None = None
    """When it was seen gone again."""


class Exposures(Struct, frozen=True):
    """What a node's boots and sights amount to."""

    patches: dict[str, NodePatch]
    """Each KB that came into effect, with the end of its exposure."""
    build: str
    """The running build; empty when unknown."""


def exposures(boots: Sequence[tuple[int, str]], sights: Sequence[Sight], branch: str) -> Exposures:
    """Exposure by ``boots`` (start in Unix ms and build, ascending) and ``sights``.

    What the earliest known boot already ran is no install: nobody knows since when. Where the fix
    came with the very same boot, exposure ends as it begins.
    """
    boots = [boot for boot in boots if branch_of(boot[1]) == branch]
    unexplained = [sight for sight in sights if not _booted_into(sight, boots)]
    if not unexplained:
        return _Walk(branch).over([(t_ms, build, "") for t_ms, build in boots])
    turns = [(t_ms, build, "") for t_ms, build in boots]
    turns += [(sight.t_ms, sight.build, sight.kb) for sight in unexplained]
    turns.sort(key=lambda turn: (turn[0], parse_build(turn[1]), turn[2]))
    found = _Walk(branch).over(turns)
    build = found.build
    for sight in unexplained:
        patch = found.patches.get(sight.kb)
        if sight.back_ms is None or patch is None or patch.t_ms != sight.t_ms:
            continue
        if sight.back_ms > patch.t_ms and patch.end_ms is None:
            found.patches[sight.kb] = _ended(patch, "rolled_back", sight.back_ms)
            if build == sight.build:
                build = boots[-1][1] if boots else ""
    return Exposures(found.patches, build)


def _booted_into(sight: Sight, boots: Sequence[tuple[int, str]]) -> bool:
    before = [build for t_ms, build in boots if t_ms <= sight.t_ms + _SLACK_MS]
    return bool(before) and not _older(before[-1], sight.build)


class _Walk:
    """The running build from turn to turn."""

    def __init__(self, branch: str) -> None:
        self._branch = branch
        self._booted = self._running = ""
        self._patches: dict[str, NodePatch] = {}

    def over(self, turns: Sequence[tuple[int, str, str]]) -> Exposures:
        """``turns``: time, build, and for a sight its KB, in order of time."""
        for t_ms, build, kb in turns:
            before = self._running
            if kb:
                self._seen(t_ms, build, kb)
            else:
                self._boot(t_ms, build)
            if self._running != before:
                self._repaired(t_ms)
        return Exposures(self._patches, self._running)

    def _seen(self, t_ms: int, build: str, kb: str) -> None:
        known = self._patches.get(kb)
        if known is None or known.state == "rolled_back":
            self._patches[kb] = NodePatch(kb, build, "effective", t_ms)
        if not self._running or _older(self._running, build):
            self._running = build

    def _boot(self, t_ms: int, build: str) -> None:
        # A hotpatch leaves the kernel file alone, so a boot may name the build below it: only a
        # boot that is older than the boot before it is a roll-back.
        if self._booted and _older(build, self._booted):
            self._rolled_back(t_ms, build)
        for kb, its in kbs_between(self._running, build) if self._running else ():
            self._patches[kb] = NodePatch(kb, its, "effective", t_ms)
        self._booted = build
        if not self._running or _older(self._running, build):
            self._running = build

    def _rolled_back(self, t_ms: int, build: str) -> None:
        self._running = build
        for kb, patch in self._patches.items():
            if patch.state == "rolled_back":
                continue
            if _older(build, patch.build):
                end_ms = t_ms if patch.end_ms is None else patch.end_ms
                self._patches[kb] = _ended(patch, "rolled_back", end_ms)
            elif patch.end_ms is not None:
                self._patches[kb] = NodePatch(kb, patch.build, "effective", t_ms)

    def _repaired(self, t_ms: int) -> None:
        for kb, patch in self._patches.items():
            fix = fix_build(kb, self._branch) if patch.end_ms is None else None
            if fix is not None and not _older(self._running, fix):
                self._patches[kb] = _ended(patch, patch.state, t_ms)


def _older(a: str, b: str) -> bool:
    return parse_build(a) < parse_build(b)


def _ended(patch: NodePatch, state: str, end_ms: int) -> NodePatch:
    return NodePatch(patch.kb, patch.build, state, patch.t_ms, end_ms)
