"""A storm becomes a summary; nothing is dropped in silence."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collectors.pipeline.limits import (
    MAX_KINDS,
    SUMMARY_ID,
    SUMMARY_PROVIDER,
    WINDOW_MS,
    Kept,
    Limiter,
)
from collectors.pipeline.positions import Mark
from collectors.settings import LimitSettings
from schemas.reports import Event
from schemas.windows.taxonomy import classify

T0 = 1_751_000_000_000
SETTINGS = LimitSettings(events_per_s=1.0, burst=5)
SCM = "Service Control Manager"


def event(
    number: int, t_ms: int = 0, provider: str = "p", kind: int = 7, binary: str = ""
) -> Event:
    return Event(
        t_ms=T0 + t_ms,
        channel="System",
        provider=provider,
        id=kind,
        level=3,
        record_id=number,
        binary=binary,
        computer="n1",
    )


class Storm:
    """A limiter, and everything that came out of it."""

    def __init__(self, settings: LimitSettings = SETTINGS) -> None:
        self.limiter = Limiter(settings)
        self.out: list[Kept] = []

    def take(self, *events: Event, now_ms: int = 0, origin: str = "") -> "Storm":
        for one in events:
            self.out += self.limiter.take("src", origin, one, Mark(str(one.record_id)), now_ms)
        return self

    def due(self, now_ms: int, force: bool = False) -> "Storm":
        self.out += self.limiter.due(now_ms, force)
        return self

    @property
    def events(self) -> list[int]:
        return [k.event.record_id for k in self.out if k.event.provider != SUMMARY_PROVIDER]

    @property
    def summaries(self) -> list[Event]:
        return [k.event for k in self.out if k.event.provider == SUMMARY_PROVIDER]


def test_what_fits_into_the_bucket_passes_as_it_is() -> None:
    storm = Storm().take(*(event(n) for n in range(1, 6))).due(WINDOW_MS)
    assert storm.events == [1, 2, 3, 4, 5]
    assert storm.summaries == []


def test_a_storm_keeps_its_first_and_last_event_and_says_what_was_between() -> None:
    storm = Storm().take(*(event(n, n) for n in range(1, 101)))
    assert storm.events == [1, 2, 3, 4, 5, 6]
    storm.due(WINDOW_MS)
    assert storm.events == [1, 2, 3, 4, 5, 6, 100]
    (summary,) = storm.summaries
    assert summary.data == {
        "suppressed": "93",
        "first_ms": str(T0 + 6),
        "last_ms": str(T0 + 99),
        "p/7": "93",
    }


def test_a_summary_is_a_record_of_its_own_and_no_incident() -> None:
    storm = Storm().take(*(event(n, n) for n in range(1, 101))).due(WINDOW_MS)
    (summary,) = storm.summaries
    assert (summary.channel, summary.computer, summary.id) == ("System", "n1", SUMMARY_ID)
    assert (summary.record_id, summary.t_ms) == (99, T0 + 99)  # of an event that is not shipped
    assert summary.record_id not in storm.events
    assert classify(summary) is None


def test_kinds_and_services_are_told_apart() -> None:
    def died(number: int, service: str) -> Event:
        return event(number, provider=SCM, kind=7031, binary=service.encode("utf-16-le").hex())

    full = [event(n) for n in range(1, 6)]
    storm = Storm().take(*full)
    storm.take(*(died(100 + n, ("Spooler", "ClusSvc")[n % 2]) for n in range(20)))
    storm.due(WINDOW_MS)
    assert storm.events == [1, 2, 3, 4, 5, 100, 101, 118, 119]
    (summary,) = storm.summaries
    assert summary.data["scm/7031/spooler"] == "8"
    assert summary.data["scm/7031/clussvc"] == "8"


def crashed(number: int, program: str) -> Event:
    data = {"AppName": program, "ModuleName": "m.dll", "ExceptionCode": "c0000005"}
    return replace(event(number, provider="Application Error", kind=1000), data=data)


def test_a_program_that_crashes_all_the_time_hides_no_other() -> None:
    storm = Storm().take(*(crashed(n, "noisy.exe") for n in range(1, 50)))
    storm.take(*(crashed(100 + n, "lsass.exe") for n in range(3)))
    storm.take(*(crashed(200 + n, "noisy.exe") for n in range(3)))
    assert 100 in storm.events


def test_made_up_programs_that_crash_do_not_use_up_the_room_of_an_outage() -> None:
    storm = Storm().take(*(crashed(n, f"made-up-{n}.exe") for n in range(2 * MAX_KINDS)))
    storm.take(crashed(1_000, "lsass.exe"), crashed(1_001, "made-up.exe"))
    assert 1_000 in storm.events
    assert 1_001 not in storm.events


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(("a.exe", "b.exe", "c.exe", "lsass.exe")), max_size=60))
def test_what_is_shipped_has_every_signature_that_was_logged(programs: list[str]) -> None:
    logged = [crashed(number, program) for number, program in enumerate(programs, start=1)]
    storm = Storm(LimitSettings(events_per_s=0.01, burst=2)).take(*logged).due(0, force=True)
    shipped = {classify(kept.event) for kept in storm.out} - {None}
    assert shipped == {classify(one) for one in logged}


def test_a_bucket_fills_again_with_the_events_own_time() -> None:
    storm = Storm().take(*(event(n) for n in range(1, 6)))
    storm.take(event(6, 1_000), event(7, 2_000), now_ms=3)
    assert storm.events == [1, 2, 3, 4, 5, 6, 7]
    assert storm.due(WINDOW_MS * 2).summaries == []


def test_a_quiet_history_read_in_a_moment_is_no_storm() -> None:
    storm = Storm().take(*(event(n, n * 1_000) for n in range(1, 2_000)))
    assert len(storm.events) == 1_999


def test_channels_and_origins_have_buckets_of_their_own() -> None:
    storm = Storm()
    for origin in ("a", "b"):
        storm.take(*(event(n) for n in range(1, 6)), origin=origin)
        storm.take(*(replace(event(n), channel="Setup") for n in range(1, 6)), origin=origin)
    assert len(storm.events) == 20
    assert storm.due(WINDOW_MS).summaries == []


def test_a_long_storm_has_a_summary_for_every_window() -> None:
    storm = Storm(LimitSettings(events_per_s=0.001, burst=1))
    storm.take(*(event(n, n * 100) for n in range(1, 3_000)))
    storm.due(0, force=True)
    assert len(storm.summaries) == 5
    assert len({(s.record_id, s.t_ms) for s in storm.summaries}) == 5


@pytest.mark.parametrize("now_ms", [-1, WINDOW_MS])
def test_a_window_ends_when_its_time_is_over_or_the_clock_was_set_back(now_ms: int) -> None:
    storm = Storm().take(*(event(n) for n in range(1, 101)))
    assert storm.due(WINDOW_MS - 1).summaries == []
    assert len(storm.due(now_ms).summaries) == 1
    assert len(storm.due(now_ms).summaries) == 1


def test_an_event_time_that_was_set_back_does_not_stop_the_refill() -> None:
    storm = Storm().take(*(event(n, 86_400_000) for n in range(1, 6)))
    storm.take(*(event(n, n * 1_000) for n in range(6, 12)))
    assert storm.due(0, force=True).summaries == []
    assert 11 in storm.events


def test_events_of_ever_new_kinds_are_counted_together() -> None:
    storm = Storm().take(*(event(n) for n in range(1, 6)))
    storm.take(*(event(1_000 + n, provider=f"made-up-{n}") for n in range(10 * MAX_KINDS)))
    storm.due(WINDOW_MS)
    (summary,) = storm.summaries
    assert len(storm.events) == 5 + MAX_KINDS + 1
    assert summary.data["others"] == summary.data["suppressed"] == str(9 * MAX_KINDS - 1)


events = st.lists(
    st.builds(
        lambda t, provider, kind: (t, provider, kind),
        st.integers(0, 200_000),
        st.sampled_from(("p", "q", SCM)),
        st.integers(1, 3),
    ),
    max_size=120,
)


@settings(deadline=None)
@given(events, st.integers(1, 10), st.integers(1, 50))
def test_every_event_comes_out_once_or_is_counted(
    drawn: list[tuple[int, str, int]], burst: int, batch: int
) -> None:
    storm = Storm(LimitSettings(events_per_s=0.01, burst=burst))
    for number, (t_ms, provider, kind) in enumerate(drawn, start=1):
        storm.take(event(number, t_ms, provider, kind), now_ms=number * 1_000)
        if number % batch == 0:
            storm.due(number * 1_000)
    storm.due(0, force=True)
    assert max(Counter(storm.events).values(), default=1) == 1
    suppressed = sum(int(s.data["suppressed"]) for s in storm.summaries)
    assert len(storm.events) + suppressed == len(drawn)
    for summary in storm.summaries:
        counts = [int(n) for name, n in summary.data.items() if "/" in name or name == "others"]
        assert sum(counts) == int(summary.data["suppressed"])
    assert {s.record_id for s in storm.summaries}.isdisjoint(storm.events)


def test_the_mark_at_which_a_window_opened_is_held_until_its_summary_has_left() -> None:
    limiter = Limiter(SETTINGS)
    marks = [Mark(str(n)) for n in range(20)]
    for number, mark in enumerate(marks):
        for kept in limiter.take("src", "", event(number), mark, 0):
            kept.mark.held -= 1
    assert [n for n, mark in enumerate(marks) if mark.held] == [5]
    last = limiter.due(0, force=True)
    assert [kept.mark for kept in last] == [marks[5], marks[5]]
    assert marks[5].held == 2


@settings(deadline=None)
@given(events)
def test_all_marks_are_free_when_everything_that_came_out_has_left(
    drawn: list[tuple[int, str, int]],
) -> None:
    limiter = Limiter(LimitSettings(events_per_s=0.01, burst=2))
    marks = [Mark(str(n)) for n in range(len(drawn))]
    out: list[Kept] = []
    for number, (t_ms, provider, kind) in enumerate(drawn):
        one = event(number, t_ms, provider, kind)
        out += limiter.take("src", "", one, marks[number], number)
    out += limiter.due(0, force=True)
    for kept in out:
        kept.mark.held -= 1
    assert [mark.held for mark in marks] == [0] * len(marks)
