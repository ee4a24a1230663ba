"""Every call into Windows that the collector makes, behind small protocols.

Nothing else imports pywin32, ``winreg`` or starts PowerShell, so everything else runs and is tested
anywhere. Calls and error codes follow Microsoft Learn ("Subscribing to Events", "Bookmarking
Events", "EVT_SUBSCRIBE_FLAGS enumeration", "EVT_LOG_PROPERTY_ID enumeration", "Windows Event Log
Error Constants", "EvtNext function") and pywin32's help for ``win32evtlog``. The modules of Windows
are imported when they are first used.
"""

import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, Protocol

from msgspec import Struct

from schemas.errors import KbwatchError

Handle = Any
"""A subscription, an event, or a signal: only the API that gave it knows what it is."""


class Fault(Enum):
    """What may go wrong in Windows, as far as we act differently."""

    STALE = "the subscription is no longer valid"
    INVALID_OPERATION = "the subscription cannot be asked now"
    TOO_LARGE = "the events of one batch are too large together"
    TIMEOUT = "no answer in time"
    CHANNEL_NOT_FOUND = "no such channel"
    DIRECT_CHANNEL = "analytic and debug channels cannot be read"
    BOOKMARK_NOT_FOUND = "the bookmarked event is no longer there"
    BOOKMARK_INVALID = "the bookmark cannot be read"
    INVALID_QUERY = "Windows refuses the query"
    ACCESS_DENIED = "access denied"
    UNAVAILABLE = "the event log service does not answer"
    NOT_FOUND = "not there"
    NOT_WINDOWS = "this is not Windows"
    OTHER = "an unexpected error"


class WindowsApiError(Exception):
    """A call failed: ``fault`` says how, ``detail`` which call and the code of Windows."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault.value} ({detail})" if detail else fault.value)
        self.fault = fault
        self.detail = detail


class LogState(Struct, frozen=True):
    """What a channel's log holds now."""

    oldest_id: int
    """Record id of the oldest record; 0 when the log is empty."""
    newest_id: int
    """Record id of the newest record; 0 when the log is empty."""
    created_ms: int = 0
    """When the log file was made, Unix ms; 0 when unknown."""
    enabled: bool = True


class EventLogApi(Protocol):
    """Pull subscriptions. Every method may raise WindowsApiError."""

    def new_signal(self) -> Handle:
        """An event object of the manual-reset kind, not set."""

    def reset(self, signal: Handle) -> None:
        """Take the signal back; to be done before events are drained, never after."""

    def wait(self, signal: Handle, timeout_ms: int) -> bool:
        """Whether the signal was set before ``timeout_ms`` were over."""

    def subscribe(self, channel: str, query: str, bookmark_xml: str, signal: Handle) -> Handle:
        """Events that match ``query`` behind the bookmark, or all there are if it is empty.

        ``signal`` is set whenever there are more. A bookmark whose event is gone is an error
        (BOOKMARK_NOT_FOUND): Windows would otherwise begin behind the closest one, and skip it.
        """

    def next_events(self, subscription: Handle, limit: int, timeout_ms: int) -> Sequence[Handle]:
        """Up to ``limit`` events; none when there are no more for now."""

    def render(self, event: Handle) -> str:
        """The event as XML."""

    def bookmark(self, event: Handle) -> str:
        """The XML of a bookmark at this event."""

    def log_state(self, channel: str) -> LogState:
        """What the channel's log holds."""

    def close(self, handle: Handle) -> None:
        """Let go of a subscription, an event or a signal; never raises."""


class RegistryApi(Protocol):
    """The local machine's registry, read only."""

    def values(self, key: str) -> Mapping[str, object]:
        """The values of a key below HKEY_LOCAL_MACHINE. Raises WindowsApiError NOT_FOUND."""

    def subkeys(self, key: str) -> Sequence[str]:
        """The names of its subkeys. Raises WindowsApiError NOT_FOUND."""


PowerShell = Callable[[str], str]
"""Runs a script and returns its standard output; raises WindowsApiError."""

# Microsoft Learn, "System Error Codes" and "Windows Event Log Error Constants".
_INVALID_PARAMETER = 87
_FAULTS = {
    2: Fault.NOT_FOUND,  # ERROR_FILE_NOT_FOUND
    5: Fault.ACCESS_DENIED,
    6: Fault.STALE,  # ERROR_INVALID_HANDLE
    258: Fault.TIMEOUT,  # WAIT_TIMEOUT
    1168: Fault.BOOKMARK_NOT_FOUND,  # ERROR_NOT_FOUND, by EvtSubscribeStrict
    1460: Fault.TIMEOUT,
    1717: Fault.UNAVAILABLE,  # RPC_S_UNKNOWN_IF
    1722: Fault.UNAVAILABLE,  # RPC_S_SERVER_UNAVAILABLE
    1726: Fault.UNAVAILABLE,  # RPC_S_CALL_FAILED
    1727: Fault.UNAVAILABLE,  # RPC_S_CALL_FAILED_DNE
    1734: Fault.TOO_LARGE,  # RPC_S_INVALID_BOUND: undocumented for EvtNext, elastic/beats#3076
    1753: Fault.UNAVAILABLE,  # EPT_S_NOT_REGISTERED
    4317: Fault.INVALID_OPERATION,
    15000: Fault.CHANNEL_NOT_FOUND,  # ERROR_EVT_INVALID_CHANNEL_PATH
    15001: Fault.INVALID_QUERY,
    15007: Fault.CHANNEL_NOT_FOUND,
    15008: Fault.INVALID_QUERY,  # ERROR_EVT_MALFORMED_XML_TEXT
    15009: Fault.DIRECT_CHANNEL,
    15011: Fault.STALE,  # ERROR_EVT_QUERY_RESULT_STALE
    15012: Fault.STALE,  # ERROR_EVT_QUERY_RESULT_INVALID_POSITION
}
_TIMEOUT_S = 180
_POWERSHELL = r"System32\WindowsPowerShell\v1.0\powershell.exe"
_COMMAND_LENGTH = 32_000
"""Windows takes 32,767 characters."""


def event_log() -> EventLogApi:
    """The event log of this computer. Raises KbwatchError where there is none, or no pywin32."""
    if sys.platform != "win32":
        raise KbwatchError(
            "event logs can be read on Windows only; for recorded .evtx files use replay-evtx"
        )
    try:
        return _Pywin32EventLog()
    except ImportError as error:
        raise KbwatchError(f"{error}: install pywin32 into this Python") from None


def registry() -> RegistryApi:
    """The registry of this computer; elsewhere each call raises WindowsApiError NOT_WINDOWS."""
    return _Winreg()


def run_powershell(script: str, timeout_s: float = _TIMEOUT_S) -> str:
    """Run ``script`` in Windows PowerShell 5.1 without profile or window; its standard output.

    Raises WindowsApiError: NOT_WINDOWS, TIMEOUT, or OTHER with what it said when it failed.
    """
    _need_windows()
    try:
        done = subprocess.run(
            powershell_command(script),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired:
        raise WindowsApiError(
            Fault.TIMEOUT, f"PowerShell ran longer than {timeout_s:g} s"
        ) from None
    except OSError as error:
        raise WindowsApiError(Fault.OTHER, f"PowerShell: {error}") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:300]
        raise WindowsApiError(Fault.OTHER, f"PowerShell exit code {done.returncode}: {said}")
    return done.stdout.decode("utf-8", "replace")


def powershell_command(script: str) -> list[str]:
    """The command that runs ``script``: in plain sight, for whoever audits command lines.

    No type of .NET is touched for it, so it works in Constrained Language Mode too; what the script
    writes is ASCII, since the console's encoding could not be set there. ``script`` is ASCII, has
    no double quote, and at most 32,000 characters; ValueError otherwise.
    """
    if not script.isascii() or '"' in script or len(script) > _COMMAND_LENGTH:
        raise ValueError("not a script that a command line can carry")
    program = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), _POWERSHELL)
    options = ("-NoLogo", "-NoProfile", "-NonInteractive", "-Command")
    return [program, *options, f"& {{\n{script}\n}}"]


def computer_name() -> str:
    """This computer's name, without its domain."""
    return os.environ.get("COMPUTERNAME") or socket.gethostname()


def is_administrator() -> bool:
    """Whether this process may change the system; False where that is not known."""
    if sys.platform != "win32":
        return False
    shell: Any = importlib.import_module("ctypes").windll.shell32
    return bool(shell.IsUserAnAdmin())


def boot_ms(now_ms: int) -> int:
    """When the running system was started, Unix ms; 0 where that is not known.

    ``GetTickCount64`` counts since the start, by a clock that nobody can set.
    """
    if sys.platform != "win32":
        return 0
    kernel: Any = importlib.import_module("ctypes").windll.kernel32
    kernel.GetTickCount64.restype = importlib.import_module("ctypes").c_ulonglong
    return now_ms - int(kernel.GetTickCount64())


def _need_windows() -> None:
    if sys.platform != "win32":
        raise WindowsApiError(Fault.NOT_WINDOWS)


@contextmanager
def _faults(call: str) -> Iterator[None]:
    """pywin32's errors as ours."""
    try:
        yield
    except Exception as error:
        code = getattr(error, "winerror", None)
        if code is None:
            raise
        raise WindowsApiError(_FAULTS.get(code, Fault.OTHER), f"{call}: {code}") from None


class _Pywin32EventLog:
    """EventLogApi by pywin32. Handles close themselves when nobody holds them any more."""

    def __init__(self) -> None:
        self._log: Any = importlib.import_module("win32evtlog")
        self._event: Any = importlib.import_module("win32event")

    def new_signal(self) -> Handle:
        with _faults("CreateEvent"):
            return self._event.CreateEvent(None, True, False, None)

    def reset(self, signal: Handle) -> None:
        with _faults("ResetEvent"):
            self._event.ResetEvent(signal)

    def wait(self, signal: Handle, timeout_ms: int) -> bool:
        with _faults("WaitForSingleObject"):
            result = self._event.WaitForSingleObject(signal, timeout_ms)
        return bool(result == self._event.WAIT_OBJECT_0)

    def subscribe(self, channel: str, query: str, bookmark_xml: str, signal: Handle) -> Handle:
        log = self._log
        more: dict[str, Any] = {}
        flags = log.EvtSubscribeStartAtOldestRecord
        if bookmark_xml:
            try:
                with _faults("EvtCreateBookmark"):
                    more["Bookmark"] = log.EvtCreateBookmark(bookmark_xml)
            except WindowsApiError as error:
                raise WindowsApiError(Fault.BOOKMARK_INVALID, error.detail) from None
            flags = log.EvtSubscribeStartAfterBookmark | log.EvtSubscribeStrict
        try:
            with _faults("EvtSubscribe"):
                return log.EvtSubscribe(channel, flags, SignalEvent=signal, Query=query, **more)
        except WindowsApiError as error:
            if bookmark_xml and error.detail.endswith(f": {_INVALID_PARAMETER}"):
                raise WindowsApiError(Fault.BOOKMARK_INVALID, error.detail) from None
            if error.fault is Fault.NOT_FOUND:
                raise WindowsApiError(Fault.CHANNEL_NOT_FOUND, error.detail) from None
            raise

    def next_events(self, subscription: Handle, limit: int, timeout_ms: int) -> Sequence[Handle]:
        with _faults("EvtNext"):
            events: Sequence[Handle] = self._log.EvtNext(subscription, limit, timeout_ms)
        return events

    def render(self, event: Handle) -> str:
        with _faults("EvtRender"):
            return str(self._log.EvtRender(event, self._log.EvtRenderEventXml))

    def bookmark(self, event: Handle) -> str:
        log = self._log
        with _faults("EvtUpdateBookmark"):
            mark = log.EvtCreateBookmark(None)
            log.EvtUpdateBookmark(mark, event)
            return str(log.EvtRender(mark, log.EvtRenderBookmark))

    def log_state(self, channel: str) -> LogState:
        log = self._log
        with _faults("EvtGetLogInfo"):
            handle = log.EvtOpenLog(channel, log.EvtOpenChannelPath)
            count = int(log.EvtGetLogInfo(handle, log.EvtLogNumberOfLogRecords)[0] or 0)
            oldest = int(log.EvtGetLogInfo(handle, log.EvtLogOldestRecordNumber)[0] or 0)
            created = log.EvtGetLogInfo(handle, log.EvtLogCreationTime)[0]
            config = log.EvtOpenChannelConfig(channel)
            enabled = log.EvtGetChannelConfigProperty(config, log.EvtChannelConfigEnabled)[0]
        return LogState(
            oldest_id=oldest if count else 0,
            newest_id=oldest + count - 1 if count else 0,
            created_ms=int(created.timestamp() * 1000) if created else 0,
            enabled=bool(enabled),
        )

    def close(self, handle: Handle) -> None:
        try:
            handle.Close()
        except Exception as error:
            # A handle that Windows has closed already is what we want.
            if getattr(error, "winerror", None) is None:
                raise


class _Winreg:
    """RegistryApi by the standard library; always the 64-bit view."""

    def values(self, key: str) -> Mapping[str, object]:
        with self._opened(key) as (winreg, handle):
            count = winreg.QueryInfoKey(handle)[1]
            rows = [winreg.EnumValue(handle, index) for index in range(count)]
        return {name: value for name, value, _ in rows}

    def subkeys(self, key: str) -> Sequence[str]:
        with self._opened(key) as (winreg, handle):
            count = winreg.QueryInfoKey(handle)[0]
            return [str(winreg.EnumKey(handle, index)) for index in range(count)]

    @contextmanager
    def _opened(self, key: str) -> Iterator[tuple[Any, Any]]:
        _need_windows()
        winreg: Any = importlib.import_module("winreg")
        access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
        with (
            _faults(f"registry key {key}"),
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, access) as handle,
        ):
            yield winreg, handle
