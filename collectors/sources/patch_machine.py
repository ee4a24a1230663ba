"""What registry, component store and update history say about KBs → steps of each KB; pure.

Steps are a set downstream in which the earliest time of each counts, so a step is said once, and
again only with an earlier time; a step back is never said for a source that has forgotten (a reset
of SoftwareDistribution empties the update history). What the events of the log say about the same
steps (schemas/windows/records.py) can't be contradicted, only preceded.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from msgspec import Meta, Struct

from schemas.reports import Kb, PatchState, PatchStateName, TimeMs
from schemas.windows.builds import (
    NEVER_CASES,
    branch_of,
    build_of,
    is_os_update,
    kbs_between,
    parse_build,
)

_KB = re.compile(r"\bKB([0-9]{4,9})\b", re.IGNORECASE)
# Package_for_RollupFix~31bf3856ad364e35~amd64~~17763.7558.1.8: the build, not the KB.
_ROLLUP = re.compile(r"Package_for_RollupFix~[^~]*~[^~]*~[^~]*~(\d{1,7}\.\d{1,7})\.", re.IGNORECASE)
_NAMED = re.compile(r"Package_for_(KB[0-9]{4,9})~", re.IGNORECASE)
_TITLE_LENGTH = 1_024
_BOOT_SLACK_MS = 300_000  # a computed boot time moves when the clock is put right

# Microsoft, "Tip of the Day: CBS Servicing States Chart - Refresher".
_STAGING, _STAGED, _PENDING, _PARTIAL, _INSTALLED, _PERMANENT = 0x30, 0x40, 0x60, 0x65, 0x70, 0x80
_CBS: dict[int, PatchStateName] = {
    _STAGING: "installing",
    _STAGED: "staged",
    _PENDING: "staged",
    _PARTIAL: "staged",
    _INSTALLED: "confirmed",
    _PERMANENT: "confirmed",
}
# Microsoft Learn, "OperationResultCode enumeration" and "UpdateOperation enumeration".
_IN_PROGRESS, _SUCCEEDED, _WITH_ERRORS, _FAILED, _ABORTED = 1, 2, 3, 4, 5
_INSTALL, _UNINSTALL = 1, 2
_RANK: dict[PatchStateName, int] = {
    "offered": 0,
    "installing": 1,
    "staged": 2,
    "effective": 3,
    "confirmed": 4,
}


class Package(Struct, frozen=True):
    """A package of the component store."""

    name: str
    state: int
    """``CurrentState``."""
    installed_ms: int = 0
    """``InstallTimeHigh/Low``, Unix ms; 0 when there is none."""


class HistoryEntry(Struct, frozen=True):
    """An entry of the Windows Update Agent's history."""

    title: str
    t_ms: int
    operation: int
    result: int


class Observation(Struct, frozen=True):
    """What was seen at one moment; empty where a source could not be read."""

    now_ms: TimeMs
    build: str = ""
    """Of the registry, for example ``17763.7558``."""
    boot_ms: int = 0
    packages: tuple[Package, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    reboot_pending: bool = False
    """Component servicing or Windows Update wait for a restart."""
    renames_pending: bool = False
    """Files are to be replaced at the next start: updates do that, and many other programs."""


class Memory(Struct, frozen=True):
    """What was seen and said before."""

    build: str = ""
    boot_ms: Annotated[int, Meta(ge=0)] = 0
    said: dict[Kb, dict[PatchStateName, TimeMs]] = {}


def names_a_kb(package: str) -> bool:
    """Whether a package of the component store is that of a KB; most are parts of others."""
    return bool(_NAMED.match(package) or _ROLLUP.match(package))


def advance(
    memory: Memory, seen: Observation, since_ms: int
) -> tuple[Memory, tuple[PatchState, ...]]:
    """What is new in ``seen``, and what to remember of it.

    Steps from before ``since_ms`` are not said. ``seen`` comes from this machine's registry and is
    taken as it is; what makes no sense in it (builds, times, states) is passed over.
    """
    build, boot_ms, running = _running(memory, seen)
    steps = [*running, *_packages(seen, build, boot_ms), *_history(seen, build)]
    said = {kb: dict(states) for kb, states in memory.said.items()}
    new = []
    for step in sorted(steps, key=lambda step: (step.t_ms, _RANK.get(step.state, 5))):
        if since_ms <= step.t_ms <= seen.now_ms and step.kb not in NEVER_CASES:
            states = said.setdefault(step.kb, {})
            if _is_news(states, step):
                states[step.state] = step.t_ms
                new.append(step)
    current = {step.kb for step in steps}
    kept = {
        kb: states
        for kb, states in said.items()
        if kb in current or any(t_ms >= since_ms for t_ms in states.values())
    }
    return Memory(build, boot_ms, kept), tuple(new)


def _is_news(states: dict[PatchStateName, TimeMs], step: PatchState) -> bool:
    if step.state in states:
        return step.t_ms < states[step.state]
    rank = _RANK.get(step.state, 5)
    if rank >= _RANK["effective"]:
        return True
    # A step that comes after one that follows it is only seen late, or forgotten and seen again.
    later = [t_ms for state, t_ms in states.items() if _RANK.get(state, -1) > rank]
    return not later or step.t_ms <= min(later)


def _running(memory: Memory, seen: Observation) -> tuple[str, int, list[PatchState]]:
    """The build that is in effect, its boot, and what its change means."""
    if not _is_build(seen.build):
        return memory.build, memory.boot_ms, []
    booted = seen.boot_ms > memory.boot_ms + _BOOT_SLACK_MS
    boot_ms = seen.boot_ms if booted or not memory.boot_ms else memory.boot_ms
    if not memory.build:
        # Nobody knows since when: the log's own boots say it if it reaches back so far.
        return seen.build, boot_ms, []
    if seen.build == memory.build:
        return seen.build, boot_ms, []
    if not booted and seen.reboot_pending:
        # The registry may name the new build before the restart that brings it.
        return memory.build, boot_ms, []
    # Without a boot in between it is a hotpatch: in effect, as far as anybody can say, since now.
    t_ms = seen.boot_ms if booted else seen.now_ms
    steps = [
        PatchState(kb, "effective", t_ms, "registry/ubr", build)
        for kb, build in kbs_between(memory.build, seen.build)
    ]
    steps += [
        PatchState(kb, "rolled_back", t_ms, "registry/ubr", build)
        for kb, build in kbs_between(seen.build, memory.build)
    ]
    return seen.build, boot_ms, steps


def _packages(seen: Observation, running: str, boot_ms: int) -> Iterator[PatchState]:
    for package in seen.packages:
        state = _CBS.get(package.state)
        found = _named(package.name)
        if state is None or found is None:
            continue
        kb, build = found[0], found[1] or _build_on(found[0], seen.build)
        source = f"cbs/{'installed' if state == 'confirmed' else state}"
        if state == "confirmed":
            state = _when_installed(kb, build, running)
        elif _runs(build, running):
            continue  # left over: what runs has it
        if state is None:
            continue
        t_ms = package.installed_ms or seen.now_ms
        if state == "confirmed" and build == running:
            t_ms = max(t_ms, boot_ms)  # the install time is from before the restart
        yield PatchState(kb, state, t_ms, source, build)


def _named(package: str) -> tuple[str, str] | None:
    """The KB and the build of a package; None for parts, and for what names no KB."""
    named = _NAMED.match(package)
    if named:
        return named[1].upper(), ""
    rollup = _ROLLUP.match(package)
    if not rollup:
        return None
    branch, ubr = parse_build(rollup[1])
    return next(iter(kbs_between(f"{branch}.{ubr - 1}", rollup[1])), None) if ubr else None


def _history(seen: Observation, running: str) -> Iterator[PatchState]:
    for entry in seen.history:
        for kb in _kbs(entry.title):
            build = _build_on(kb, seen.build)
            state = _outcome(entry, kb, build, running)
            if state is not None:
                waits = state == "staged"
                if waits and not (seen.reboot_pending or seen.renames_pending):
                    continue  # installed by its own account, neither running nor waiting
                yield PatchState(kb, state, entry.t_ms, "wua/history", build)


def _outcome(entry: HistoryEntry, kb: str, build: str, running: str) -> PatchStateName | None:
    succeeded = entry.result in (_SUCCEEDED, _WITH_ERRORS)
    if entry.operation == _UNINSTALL:
        return "rolled_back" if succeeded else None
    if entry.operation != _INSTALL:
        return None
    if succeeded:
        return _when_installed(kb, build, running)
    if entry.result in (_FAILED, _ABORTED):
        return "failed"
    return "installing" if entry.result == _IN_PROGRESS else None


def _when_installed(kb: str, build: str, running: str) -> PatchStateName | None:
    """What "installed" means: an update of Windows itself takes effect by its build alone.

    None for one of another branch: it was of the Windows that was here before an upgrade.
    """
    if not is_os_update(kb):
        return "effective"
    if not build or not running or branch_of(build) != branch_of(running):
        return None
    return "confirmed" if _runs(build, running) else "staged"


def _runs(build: str, running: str) -> bool:
    """Whether the running build has what ``build`` brought; what is unknown is not said to run."""
    if not build or not running:
        return False
    branch, ubr = parse_build(build)
    running_branch, running_ubr = parse_build(running)
    return branch == running_branch and ubr <= running_ubr


def _build_on(kb: str, build: str) -> str:
    return (build_of(kb, branch_of(build)) or "") if _is_build(build) else ""


def _kbs(title: str) -> Iterable[str]:
    return dict.fromkeys(f"KB{number}" for number in _KB.findall(title[:_TITLE_LENGTH]))


def _is_build(text: str) -> bool:
    try:
        parse_build(text)
    except ValueError:
        return False
    return True
