"""The calls into Windows, as far as they can be seen from elsewhere: pywin32 is a stand-in here."""

import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from collectors.windows import api as windows_api
from collectors.windows.api import EventLogApi, Fault, LogState, WindowsApiError
from schemas.errors import KbwatchError


class PywinError(Exception):
    """Like pywintypes.error."""

    def __init__(self, winerror: int) -> None:
        super().__init__(winerror)
        self.winerror = winerror


class StandIn(SimpleNamespace):
    """pywin32's win32evtlog and win32event with its constants, noting what is called."""

    WAIT_OBJECT_0 = 0
    EvtSubscribeStartAtOldestRecord = 2
    EvtSubscribeStartAfterBookmark = 3
    EvtSubscribeStrict = 0x10000
    EvtOpenChannelPath = 1
    EvtLogCreationTime = 0
    EvtLogNumberOfLogRecords = 5
    EvtLogOldestRecordNumber = 6
    EvtChannelConfigEnabled = 0

    def __init__(self) -> None:
        super().__init__()
        self.fails: dict[str, int] = {}
        self.subscribed: list[tuple[int, object]] = []
        self.properties: dict[int, object] = {5: 0, 6: 0, 0: None}

    def _check(self, call: str) -> None:
        if call in self.fails:
            raise PywinError(self.fails[call])

    def EvtCreateBookmark(self, xml: str | None) -> str:
        self._check("EvtCreateBookmark")
        return f"bookmark of {xml}"

    def EvtSubscribe(
        self, channel: str, flags: int, SignalEvent: object, Query: str, Bookmark: object = None
    ) -> str:
        self._check("EvtSubscribe")
        self.subscribed.append((flags, Bookmark))
        return channel

    def EvtNext(self, subscription: str, count: int, timeout: int) -> tuple[str, ...]:
        self._check("EvtNext")
        return ()

    def EvtOpenLog(self, path: str, flags: int) -> str:
        self._check("EvtOpenLog")
        return path

    def EvtGetLogInfo(self, log: str, number: int) -> tuple[object, int]:
        return self.properties[number], 0

    def EvtOpenChannelConfig(self, path: str) -> str:
        return path

    def EvtGetChannelConfigProperty(self, config: str, number: int) -> tuple[object, int]:
        return True, 0


@pytest.fixture
def pywin32(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "win32evtlog", stand_in)
    monkeypatch.setitem(sys.modules, "win32event", stand_in)
    monkeypatch.setattr(sys, "platform", "win32")
    return stand_in


def api() -> EventLogApi:
    return windows_api.event_log()


def test_without_a_bookmark_everything_there_is_is_read(pywin32: StandIn) -> None:
    api().subscribe("System", "*", "", None)
    assert pywin32.subscribed == [(2, None)]


def test_a_bookmark_is_strict_so_that_windows_does_not_skip_the_closest_event(
    pywin32: StandIn,
) -> None:
    api().subscribe("System", "*", "<xml/>", None)
    assert pywin32.subscribed == [(0x10003, "bookmark of <xml/>")]


@pytest.mark.parametrize(
    ("call", "code", "fault"),
    [
        ("EvtCreateBookmark", 87, Fault.BOOKMARK_INVALID),
        ("EvtSubscribe", 87, Fault.BOOKMARK_INVALID),
        ("EvtSubscribe", 1168, Fault.BOOKMARK_NOT_FOUND),
        ("EvtSubscribe", 15007, Fault.CHANNEL_NOT_FOUND),
        ("EvtSubscribe", 2, Fault.CHANNEL_NOT_FOUND),
        ("EvtSubscribe", 15001, Fault.INVALID_QUERY),
        ("EvtSubscribe", 5, Fault.ACCESS_DENIED),
        ("EvtSubscribe", 1722, Fault.UNAVAILABLE),
        ("EvtSubscribe", 12345, Fault.OTHER),
    ],
)
def test_what_subscribing_may_come_to(pywin32: StandIn, call: str, code: int, fault: Fault) -> None:
    pywin32.fails[call] = code
    with pytest.raises(WindowsApiError) as raised:
        api().subscribe("System", "*", "<xml/>", None)
    assert raised.value.fault is fault


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (6, Fault.STALE),
        (15011, Fault.STALE),
        (4317, Fault.INVALID_OPERATION),
        (1460, Fault.TIMEOUT),
        (1734, Fault.TOO_LARGE),
    ],
)
def test_what_reading_may_come_to(pywin32: StandIn, code: int, fault: Fault) -> None:
    pywin32.fails["EvtNext"] = code
    with pytest.raises(WindowsApiError, match=str(code)) as raised:
        api().next_events("System", 10, 100)
    assert raised.value.fault is fault


def test_what_a_log_holds(pywin32: StandIn) -> None:
    created = datetime(2025, 7, 8, tzinfo=UTC)
    pywin32.properties = {5: 50, 6: 101, 0: created}
    assert api().log_state("System") == LogState(101, 150, 1_751_932_800_000)


def test_what_an_empty_log_holds(pywin32: StandIn) -> None:
    pywin32.properties = {5: 0, 6: 1, 0: None}
    assert api().log_state("System") == LogState(0, 0)


def test_errors_that_are_not_of_windows_stay_what_they_are(pywin32: StandIn) -> None:
    with pytest.raises(AttributeError):
        api().render("no EvtRender here")


def test_elsewhere_there_is_no_event_log_and_no_registry() -> None:
    with pytest.raises(KbwatchError, match="replay-evtx"):
        windows_api.event_log()
    with pytest.raises(WindowsApiError, match="not Windows"):
        windows_api.registry().values("SOFTWARE")
    assert windows_api.boot_ms(1_000) == 0
    assert windows_api.computer_name()


def test_without_pywin32_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "win32evtlog", None)
    with pytest.raises(KbwatchError, match="pywin32"):
        windows_api.event_log()
