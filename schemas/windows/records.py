"""One node's events, in the order of its log → events, boots and patch states."""

import re
from itertools import islice

from msgspec.structs import replace

from schemas.reports import Boot, Event, PatchState, PatchStateName, Record
from schemas.windows import builds
from schemas.windows.shutdown import with_shutdown_time
from schemas.windows.system_time import time_ms
from schemas.windows.taxonomy import about_node

_KB = re.compile(r"\bKB([0-9]{4,9})\b", re.IGNORECASE)
_TEXT_LENGTH = 65_536  # as much of a hostile text as is searched for KBs
_MAX_NAMED = 64  # an update names one; an event that names more is no step of any

_KERNEL_GENERAL = "microsoft-windows-kernel-general"
_UPDATE_CLIENT = "microsoft-windows-windowsupdateclient"
_SERVICING = "microsoft-windows-servicing"

_UPDATE_CLIENT_STATES: dict[int, PatchStateName] = {
    19: "confirmed",
    20: "failed",
    21: "staged",
    22: "staged",
    23: "rolled_back",
    43: "installing",
    44: "offered",
}

# States of a component package, as numbers (every language) and as text.
_ABSENT = frozenset({"5000", "absent"})
_STAGED = frozenset({"5064", "staged"})
_SUPERSEDED = frozenset({"5080", "superseded"})


class RecordReader:
    """Turns events into records.

    One reader per node, fed in log order: what an event means may depend on the ones before it (a
    boot was clean if a shutdown was logged since the boot before; a package goes because it was
    superseded). Every event gives at least one record, each with the event's record id; an update
    event that names several KBs (up to 64) gives one patch state per KB.

    ``copy.copy`` gives a reader that goes its own way from there.
    """

    def __init__(
        self, branch: str = "", as_logged: bool = True, max_cleaned_up: int = 1_000
    ) -> None:
        """Start before the first event of a log.

        ``branch`` is the node's until a boot tells, for the builds of patch states. ``as_logged``
        promises that event data have the order of the log; many shippers sort them.
        ``max_cleaned_up`` bounds the KBs of superseded packages that are remembered: real nodes
        have tens.
        """
        self.max_cleaned_up = max_cleaned_up
        self._branch = branch
        self._as_logged = as_logged
        self._booted = False
        self._stopped = False
        self._cleaned_up: frozenset[str] = frozenset()

    def records_of(self, event: Event) -> tuple[Record, ...]:
        """The records of one event; the event itself when it is nothing more special."""
        provider = event.provider[:256].casefold()
        special: tuple[Record, ...] = ()
        if provider == _KERNEL_GENERAL:
            special = self._boot(event)
        elif provider == _UPDATE_CLIENT:
            special = self._update_client(event)
        elif provider == _SERVICING and event.channel.casefold() == "setup":
            special = self._servicing(event)
        return special or (_completed(event, self._as_logged),)

    def _boot(self, event: Event) -> tuple[Record, ...]:
        if event.id == 13:
            self._stopped = True
        if event.id != 12:
            return ()
        build = f"{event.data.get('BuildVersion', '')}.{event.data.get('QfeVersion', '')}"
        try:
            self._branch = builds.branch_of(build)
            t_ms = time_ms(event.data.get("StartTime", ""))
        except ValueError:
            return ()
        # Where a shipper cuts times of events to the second, but not those in their data, what is
        # logged in the second of the boot must not come before it.
        if event.t_ms % 1000 == 0 and 0 < t_ms - event.t_ms < 1000:
            t_ms = event.t_ms
        clean = True if self._stopped else (False if self._booted else None)
        self._booted, self._stopped = True, False
        return (Boot(t_ms=t_ms, build=build, clean=clean, record_id=event.record_id),)

    def _update_client(self, event: Event) -> tuple[Record, ...]:
        state = _UPDATE_CLIENT_STATES.get(event.id)
        if state is None:
            return ()
        source = f"wuclient/{event.id}"
        return tuple(self._patch(kb, state, source, event) for kb in _kbs(event))

    def _servicing(self, event: Event) -> tuple[Record, ...]:
        state = self._package_state(event)
        if state is None:
            return ()
        source = f"servicing/{event.id}"
        return tuple(self._patch(kb, state, source, event) for kb in _kbs(event))

    def _package_state(self, event: Event) -> PatchStateName | None:
        intended = _state_of(event, "Intended")
        kbs = _kbs(event)
        if intended & _ABSENT:
            # Windows cleans superseded packages away; that takes no update back.
            if event.id == 1 and _state_of(event, "Initial") & _SUPERSEDED:
                kept = self._cleaned_up.union(kbs)
                full = len(kept) > self.max_cleaned_up
                self._cleaned_up = frozenset(kbs[: self.max_cleaned_up]) if full else kept
            removed = event.id == 2 and self._cleaned_up.isdisjoint(kbs)
            return "rolled_back" if removed else None
        self._cleaned_up = self._cleaned_up.difference(kbs)
        match event.id:
            case 1:
                return "installing"
            case 2:
                return "staged" if intended & _STAGED else "confirmed"
            case 3:
                return "failed"
            case 4:
                return "staged"
        return None

    def _patch(self, kb: str, state: PatchStateName, source: str, event: Event) -> PatchState:
        # What brings no build takes effect when it is installed: nothing else will tell.
        if state == "confirmed" and not builds.is_os_update(kb):
            state = "effective"
        return PatchState(
            kb=kb,
            state=state,
            t_ms=event.t_ms,
            source=source,
            build=self._build_of(kb),
            record_id=event.record_id,
        )

    def _build_of(self, kb: str) -> str:
        if self._branch:
            return builds.build_of(kb, self._branch) or ""
        known = builds.builds_of(kb)
        return known[0] if len(known) == 1 else ""


def _kbs(event: Event) -> tuple[str, ...]:
    named = (
        f"KB{match[1]}"
        for text in event.data.values()
        for match in _KB.finditer(text[:_TEXT_LENGTH])
    )
    found = dict.fromkeys(islice(named, 10 * _MAX_NAMED))
    return tuple(found) if len(found) <= _MAX_NAMED else ()


def _state_of(event: Event, which: str) -> set[str]:
    names = (f"{which}PackageState", f"{which}PackageStateTextized")
    return {event.data.get(name, "").strip().casefold() for name in names}


def _completed(event: Event, as_logged: bool) -> Event:
    """The event with what its own fields say less plainly."""
    about = about_node(event, as_logged=as_logged)
    if about is not None and about != event.about:
        event = replace(event, about=about)
    data = with_shutdown_time(event)
    return event if data is None else replace(event, data=data)
