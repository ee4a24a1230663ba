"""The patch states of a node as a source: what it looks at, when, and what it says."""

import orjson
import pytest

from collectors.sources.patch_state import PatchStateSource
from collectors.sources.source import Source
from collectors.windows.api import Fault, WindowsApiError
from tests.fixtures.patching import CBS, CURRENT, INSTALLED, KB, PENDING, Computer


class TestTheSource:
    def test_an_installation_as_the_registry_shows_it(self) -> None:
        computer = Computer()
        source: Source = computer.source
        assert source.name == "patch_state"
        assert computer.says() == []
        computer.is_patched(PENDING)
        computer.registry.keys[rf"{CBS}\RebootPending"] = {}
        assert computer.says() == [(KB, "staged")]
        computer.boot_ms = computer.clock.ms
        del computer.registry.keys[rf"{CBS}\RebootPending"]
        computer.registry.keys[CURRENT]["UBR"] = 7558
        computer.is_patched(INSTALLED)
        assert sorted(computer.says()) == [(KB, "confirmed"), (KB, "effective")]
        assert computer.says() == []
        assert source.trouble == ""

    def test_a_restart_of_the_collector_repeats_nothing(self) -> None:
        computer = Computer()
        computer.looks()
        computer.is_patched(PENDING)
        computer.looks()
        computer.start()
        assert computer.says() == []

    def test_a_patch_while_the_collector_was_away_is_seen(self) -> None:
        computer = Computer()
        computer.looks()
        computer.boot_ms = computer.clock.ms
        computer.registry.keys[CURRENT]["UBR"] = 7558
        computer.start()
        assert computer.says() == [(KB, "effective")]

    def test_it_looks_only_when_it_is_time(self) -> None:
        computer = Computer()
        computer.looks()
        computer.registry.keys[CURRENT]["UBR"] = 7558
        assert list(computer.source.read(10)) == []

    def test_the_history_is_asked_hourly_or_when_something_changed(self) -> None:
        computer = Computer()
        for _ in range(9):
            computer.looks()
        assert computer.scripts == 3
        computer.is_patched(PENDING)
        computer.looks()
        assert computer.scripts == 4

    def test_the_history_is_read(self) -> None:
        computer = Computer()
        row = {"title": ".NET (KB5055169)", "date": "2025-07-08T18:00:00Z"}
        computer.history = orjson.dumps([{**row, "operation": 1, "result": 2}])
        assert computer.says() == [("KB5055169", "effective")]

    def test_no_more_than_asked_for_and_the_position_with_the_last(self) -> None:
        computer = Computer()
        rows = [
            {"title": f"(KB505516{n})", "date": "2025-07-08T18:00:00Z", "operation": 1, "result": 2}
            for n in range(3)
        ]
        computer.history = orjson.dumps(rows)
        computer.clock.advance(900)
        first, rest = computer.source.read(2), computer.source.read(2)
        assert [bool(item.position) for item in [*first, *rest]] == [False, False, True]

    @pytest.mark.parametrize("output", ["", "null", "{", "[1]", '[{"title": "x"}]', "\ufeff[]"])
    def test_output_that_is_no_history_is_no_history(self, output: str) -> None:
        computer = Computer()
        computer.history = output.encode()
        computer.is_patched(PENDING)
        assert computer.says() == [(KB, "staged")]

    def test_an_entry_without_a_time_is_passed_over(self) -> None:
        computer = Computer()
        row = {"title": "KB5055169", "date": "1899-12-30T00:00:00Z", "operation": 1, "result": 2}
        computer.history = orjson.dumps([row])
        assert computer.says() == []
        assert computer.source.trouble == ""

    def test_what_cannot_be_read_is_said_and_stops_nothing(self) -> None:
        computer = Computer()
        computer.registry.fault = Fault.ACCESS_DENIED
        assert computer.says() == []
        assert "access denied" in computer.source.trouble
        computer.registry.fault = None
        computer.says()
        assert computer.source.trouble == ""

    def test_elsewhere_than_on_windows_it_says_so(self) -> None:
        computer = Computer()
        computer.registry.fault = Fault.NOT_WINDOWS

        def no_powershell(script: str) -> str:
            raise WindowsApiError(Fault.NOT_WINDOWS)

        source = PatchStateSource(
            computer.registry, no_powershell, lambda now: 0, 900, 120, computer.clock.both
        )
        assert [item.records for item in source.read(10)] in ([], [()])
        assert "this is not Windows" in source.trouble

    @pytest.mark.parametrize("position", ["", "{", "3", '{"said": {"x": {}}}'])
    def test_a_position_that_is_none_is_a_first_start(self, position: str) -> None:
        computer = Computer()
        computer.position = position
        computer.start()
        computer.registry.keys[CURRENT]["UBR"] = 7558
        assert computer.says() == []
