"""The patch state of this node: registry, component store, update history → steps of KBs.

Which step follows from what is decided in collectors/sources/patch_machine.py. Where to look:
docs of Microsoft for ``CurrentVersion`` (``CurrentBuildNumber``, ``UBR``), "Tip of the Day: CBS
Servicing States Chart - Refresher" for packages, "IUpdateSearcher::QueryHistory method" for the
history.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from collectors.log import Log
from collectors.sources import patch_machine
from collectors.sources.patch_machine import HistoryEntry, Memory, Observation, Package
from collectors.sources.source import Item
from collectors.sources.subscription import Clocks
from collectors.windows.api import Fault, PowerShell, RegistryApi, WindowsApiError
from schemas.reports import ChannelHealth, PatchState
from schemas.windows.system_time import time_ms

_DAY_MS = 86_400_000
_HISTORY_S = 3_600
_FILETIME_1970 = 116_444_736_000_000_000  # tenths of a microsecond since 1601
_CURRENT_VERSION = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
_CBS = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing"
_WINDOWS_UPDATE = r"SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update"
_SESSION_MANAGER = r"SYSTEM\CurrentControlSet\Control\Session Manager"
# The history is UTC, newest first, and says nothing after a reset of SoftwareDistribution.
_HISTORY_SCRIPT = """\
$ErrorActionPreference = 'Stop'
$searcher = (New-Object -ComObject Microsoft.Update.Session).CreateUpdateSearcher()
$count = $searcher.GetTotalHistoryCount()
if ($count -gt 500) { $count = 500 }
$rows = @()
if ($count -gt 0) {
    $rows = @($searcher.QueryHistory(0, $count) | ForEach-Object {
        @{
            title = [string]$_.Title
            date = $_.Date.ToString('yyyy-MM-ddTHH:mm:ssZ')
            operation = [int]$_.Operation
            result = [int]$_.ResultCode
        }
    })
}
$json = ConvertTo-Json -InputObject $rows -Compress -Depth 3
-join ([char[]]$json | ForEach-Object {
        if ([int]$_ -gt 126) { '\\u{0:x4}' -f [int]$_ } else { $_ }
    })
"""

_log = Log("patch_state")


class _Row(Struct, frozen=True):
    title: str
    date: str
    operation: int
    result: int


class PatchStateSource:
    """Looks every ``every_s`` and says each step once; its position is what it remembers."""

    name = "patch_state"

    def __init__(
        self,
        registry: RegistryApi,
        powershell: PowerShell,
        boot_ms: Callable[[int], int],
        every_s: int,
        history_days: int,
        clocks: Clocks,
    ) -> None:
        """``boot_ms``: from now (Unix ms) to the start of the running system."""
        self._registry = registry
        self._powershell = powershell
        self._boot_ms = boot_ms
        self._every_s = every_s
        self._history_ms = history_days * _DAY_MS
        self._clocks = clocks
        self._troubles: list[str] = []
        self._memory = Memory()
        self._waiting: deque[Item] = deque()
        self._due_s = 0.0
        self._history_due_s = 0.0
        self._newest: Observation | None = None

    @property
    def trouble(self) -> str:
        """What of it can't be read."""
        return "; ".join(dict.fromkeys(self._troubles))

    @property
    def delivers(self) -> bool:
        """Whether the build is known: without the rest there are fewer steps, not none."""
        return self._newest is None or bool(self._newest.build.strip("."))

    @property
    def misses(self) -> bool:
        """Never: what the registry does not say, the logs do."""
        return False

    def open(self, position: str | None) -> None:
        """Begin with what was remembered; without it nothing is known of the running build."""
        try:
            self._begin(msgspec.json.decode(position, type=Memory) if position else Memory())
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("bookmark can't be read, begun anew", error=str(error))
            self._begin(Memory())

    def read(self, limit: int) -> Sequence[Item]:
        """The steps that are new; never waits for the next look."""
        now_s = self._clocks.now_s()
        if not self._waiting and now_s >= self._due_s:
            self._due_s = now_s + self._every_s
            self._look(now_s)
        return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def channels(self) -> Mapping[str, ChannelHealth]:
        """None: it reads no event channel."""
        return {}

    def close(self) -> None:
        """Nothing is held open."""

    def _begin(self, memory: Memory) -> None:
        self._memory = memory
        self._waiting.clear()
        self._due_s = self._history_due_s = 0.0
        self._newest = None

    def _look(self, now_s: float) -> None:
        self._troubles = []
        now_ms = self._clocks.now_ms()
        seen = Observation(
            now_ms=now_ms,
            build=self._build(),
            boot_ms=max(self._boot_ms(now_ms), 0),
            packages=self._packages(),
            reboot_pending=self._is_there(rf"{_CBS}\RebootPending")
            or self._is_there(rf"{_WINDOWS_UPDATE}\RebootRequired"),
            renames_pending=bool(self._values(_SESSION_MANAGER).get("PendingFileRenameOperations")),
        )
        changed = self._newest is None or _without_times(seen) != _without_times(self._newest)
        self._newest = seen
        # The history costs a second of PowerShell: it is asked when there is a reason.
        if changed or now_s >= self._history_due_s:
            self._history_due_s = now_s + _HISTORY_S
            seen = msgspec.structs.replace(seen, history=self._history())
        before = self._memory
        since_ms = now_ms - self._history_ms
        self._memory, steps = patch_machine.advance(before, seen, since_ms)
        if steps or self._memory != before:
            self._give(steps)

    def _give(self, steps: Sequence[PatchState]) -> None:
        position = msgspec.json.encode(self._memory).decode()
        self._waiting.extend(Item((step,)) for step in steps[:-1])
        self._waiting.append(Item(tuple(steps[-1:]), position=position))

    def _build(self) -> str:
        values = self._values(_CURRENT_VERSION)
        return f"{values.get('CurrentBuildNumber', '')}.{values.get('UBR', '')}"

    def _packages(self) -> tuple[Package, ...]:
        key = rf"{_CBS}\Packages"
        try:
            names = [name for name in self._registry.subkeys(key) if patch_machine.names_a_kb(name)]
        except WindowsApiError as error:
            self._troubles.append(f"CBS packages: {error}")
            return ()
        packages = []
        for name in names:
            values = self._values(rf"{key}\{name}")
            state = values.get("CurrentState")
            if isinstance(state, int):
                packages.append(Package(name, state, _install_ms(values)))
        return tuple(packages)

    def _history(self) -> tuple[HistoryEntry, ...]:
        try:
            rows = msgspec.json.decode(self._powershell(_HISTORY_SCRIPT) or "[]", type=list[_Row])
        except (WindowsApiError, msgspec.DecodeError) as error:
            self._troubles.append(f"update history: {error}")
            return ()
        entries = []
        for row in rows:
            try:
                entries.append(
                    HistoryEntry(row.title, time_ms(row.date), row.operation, row.result)
                )
            except ValueError:
                continue  # an entry without a time, as aborted ones may be
        return tuple(entries)

    def _values(self, key: str) -> Mapping[str, object]:
        try:
            return self._registry.values(key)
        except WindowsApiError as error:
            self._troubles.append(f"registry: {error}")
            return {}

    def _is_there(self, key: str) -> bool:
        try:
            self._registry.values(key)
        except WindowsApiError as error:
            if error.fault is not Fault.NOT_FOUND:
                self._troubles.append(f"registry: {error}")
            return False
        return True


def _without_times(seen: Observation) -> Observation:
    return msgspec.structs.replace(seen, now_ms=0, boot_ms=0)


def _install_ms(values: Mapping[str, object]) -> int:
    high, low = values.get("InstallTimeHigh"), values.get("InstallTimeLow")
    if not isinstance(high, int) or not isinstance(low, int):
        return 0
    return max(((high << 32 | low & 0xFFFFFFFF) - _FILETIME_1970) // 10_000, 0)
