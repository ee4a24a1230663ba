"""The steps of a KB, from what registry, component store and update history say."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.sources.patch_machine import (
    HistoryEntry,
    Memory,
    Observation,
    Package,
    advance,
    names_a_kb,
)
from collectors.sources.patch_state import PatchStateSource
from collectors.sources.source import Item, Source
from collectors.windows.api import Fault, WindowsApiError
from schemas.reports import PatchState
from tests.fixtures.fake_windows import Clock, FakeRegistry

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
T0 = 1_752_000_000_000
OLD, NEW = "17763.7434", "17763.7558"
KB = "KB5062557"
ROLLUP = "Package_for_RollupFix~31bf3856ad364e35~amd64~~17763.7558.1.8"
TITLE = f"2025-07 Cumulative Update for Windows Server 2019 ({KB})"
INSTALLED, PENDING, STAGED, SUPERSEDED = 0x70, 0x60, 0x40, 0x50


class Machine:
    """Feeds observations and keeps what was said."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.said: list[PatchState] = []

    def sees(self, now_ms: int, build: str = OLD, boot_ms: int = T0 - DAY, **more: object) -> None:
        fields = {"now_ms": now_ms, "build": build, "boot_ms": boot_ms, **more}
        seen = Observation(**fields)  # type: ignore[arg-type]
        self.memory, steps = advance(self.memory, seen, T0 - 120 * DAY)
        self.said += steps

    def steps(self, kb: str = KB) -> list[tuple[str, int]]:
        return [(step.state, step.t_ms - T0) for step in self.said if step.kb == kb]

    def sources(self, kb: str = KB) -> list[str]:
        return [step.source for step in self.said if step.kb == kb]


@pytest.fixture
def machine() -> Machine:
    seen = Machine()
    seen.sees(T0)
    return seen


def entry(
    result: int, t_ms: int = T0, operation: int = 1, title: str = TITLE
) -> tuple[HistoryEntry, ...]:
    return (HistoryEntry(title, t_ms, operation, result),)


class TestTheRunningBuild:
    def test_what_runs_at_the_first_look_is_no_install(self, machine: Machine) -> None:
        assert machine.said == []

    def test_a_boot_into_a_new_build_is_when_it_took_effect(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, NEW, boot_ms=T0 + 50 * MINUTE)
        assert machine.steps() == [("effective", 50 * MINUTE)]
        assert machine.said[-1].build == NEW
        assert machine.sources() == ["registry/ubr"]

    def test_a_jump_brings_all_kbs_in_between(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, "17763.7678", boot_ms=T0 + 50 * MINUTE)
        assert {step.kb for step in machine.said} >= {KB, "KB5063877"}

    def test_a_new_build_without_a_boot_counts_from_when_it_was_first_seen(
        self, machine: Machine
    ) -> None:
        machine.sees(T0 + HOUR, NEW)
        machine.sees(T0 + 2 * HOUR, NEW)
        assert machine.steps() == [("effective", HOUR)]

    def test_unless_a_restart_is_pending_that_will_bring_it(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, NEW, reboot_pending=True)
        assert machine.steps() == []
        machine.sees(T0 + 3 * HOUR, NEW, boot_ms=T0 + 2 * HOUR)
        assert machine.steps() == [("effective", 2 * HOUR)]

    def test_files_to_be_renamed_are_no_such_sign(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, NEW, renames_pending=True)
        assert machine.steps() == [("effective", HOUR)]

    def test_a_boot_time_that_wavers_is_no_boot(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, NEW, boot_ms=T0 - DAY + 2 * MINUTE, reboot_pending=True)
        assert machine.steps() == []

    def test_an_older_build_takes_the_kb_back(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, NEW, boot_ms=T0 + 50 * MINUTE)
        machine.sees(T0 + 3 * HOUR, OLD, boot_ms=T0 + 2 * HOUR)
        assert machine.steps() == [("effective", 50 * MINUTE), ("rolled_back", 2 * HOUR)]

    def test_an_upgrade_to_another_windows_is_a_new_beginning(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, "20348.3932", boot_ms=T0 + 50 * MINUTE)
        assert machine.said == []

    @pytest.mark.parametrize("build", ["", ".", "x.y", "17763", "17763.-1"])
    def test_a_build_that_cannot_be_read_changes_nothing(
        self, machine: Machine, build: str
    ) -> None:
        machine.sees(T0 + HOUR, build)
        machine.sees(T0 + 2 * HOUR, OLD)
        assert machine.said == []


class TestTheComponentStore:
    def test_a_package_that_waits_for_the_restart_is_staged(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, packages=(Package(ROLLUP, PENDING, T0 + MINUTE),))
        assert machine.steps() == [("staged", MINUTE)]
        assert machine.sources() == ["cbs/staged"]

    def test_one_that_is_installed_and_runs_is_confirmed(self, machine: Machine) -> None:
        pack = (Package(ROLLUP, INSTALLED, T0 + MINUTE),)
        machine.sees(T0 + HOUR, NEW, boot_ms=T0 + 50 * MINUTE, packages=pack)
        assert machine.steps() == [("effective", 50 * MINUTE), ("confirmed", 50 * MINUTE)]
        assert machine.sources() == ["registry/ubr", "cbs/installed"]

    def test_one_that_is_installed_and_does_not_run_yet_is_staged(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, packages=(Package(ROLLUP, INSTALLED, T0 + MINUTE),))
        assert machine.steps() == [("staged", MINUTE)]

    def test_remains_of_what_runs_already_say_nothing(self, machine: Machine) -> None:
        old = ROLLUP.replace("7558", "7314")
        machine.sees(T0 + HOUR, packages=(Package(old, STAGED), Package(old, SUPERSEDED)))
        assert machine.said == []

    def test_what_brings_no_build_is_effective_when_installed(self, machine: Machine) -> None:
        name = "Package_for_KB5005112~31bf3856ad364e35~amd64~~17763.2090.1.1"
        machine.sees(T0 + HOUR, packages=(Package(name, INSTALLED, T0 + MINUTE),))
        assert machine.steps("KB5005112") == [("effective", MINUTE)]

    def test_only_packages_that_name_a_kb_or_a_rollup_are_of_interest(self) -> None:
        assert names_a_kb(ROLLUP)
        assert names_a_kb("Package_for_KB5005112~31bf3856ad364e35~amd64~~17763.2090.1.1")
        assert not names_a_kb("Package_1_for_KB5005112~31bf3856ad364e35~amd64~~17763.2090.1.1")
        assert not names_a_kb("Microsoft-Windows-Foundation-Package~31bf~amd64~~10.0.17763.1")

    @pytest.mark.parametrize("state", [0, 5, 0x10, 0x20, SUPERSEDED, 999, -1])
    def test_other_states_say_nothing(self, machine: Machine, state: int) -> None:
        machine.sees(T0 + HOUR, packages=(Package(ROLLUP, state, T0),))
        assert machine.said == []


class TestTheHistory:
    def test_success_of_what_does_not_run_yet_is_staged_while_a_restart_pends(
        self, machine: Machine
    ) -> None:
        machine.sees(T0 + HOUR, history=entry(2), reboot_pending=True)
        assert machine.steps() == [("staged", 0)]

    def test_and_nothing_while_none_does(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, history=entry(2))
        assert machine.steps() == []

    def test_success_of_what_runs_is_confirmed(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, NEW, boot_ms=T0 - HOUR, history=entry(3))
        assert ("confirmed", 0) in machine.steps()

    @pytest.mark.parametrize("result", [4, 5])
    def test_failure(self, machine: Machine, result: int) -> None:
        machine.sees(T0 + HOUR, history=entry(result))
        assert machine.steps() == [("failed", 0)]

    def test_removal(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, history=entry(2, operation=2))
        assert machine.steps() == [("rolled_back", 0)]

    def test_definitions_are_no_kbs(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, history=entry(2, title="Security Intelligence (KB2267602)"))
        assert machine.said == []

    def test_what_was_of_the_windows_before_an_upgrade_says_nothing(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, history=entry(2, title="(KB4338819)"), reboot_pending=True)
        assert machine.said == []

    def test_what_is_too_old_or_not_yet_is_not_said(self, machine: Machine) -> None:
        title = "2020 .NET (KB4578966)"
        both = entry(2, T0 - 200 * DAY, title=title) + entry(2, T0 + 2 * HOUR, title=title)
        machine.sees(T0 + HOUR, history=both)
        assert machine.said == []

    def test_a_reset_of_software_distribution_takes_nothing_back(self, machine: Machine) -> None:
        dotnet = entry(2, title=".NET (KB5055169)")
        machine.sees(T0 + HOUR, history=dotnet)
        before = machine.memory.said
        machine.sees(T0 + 2 * HOUR, history=())
        assert machine.memory.said == before
        machine.sees(T0 + 3 * HOUR, history=dotnet)
        assert machine.steps("KB5055169") == [("effective", 0)]


class TestTheMachine:
    def test_a_whole_installation(self, machine: Machine) -> None:
        machine.sees(T0 + 10 * MINUTE, history=entry(1, T0 + 5 * MINUTE))
        pending = (Package(ROLLUP, PENDING, T0 + 15 * MINUTE),)
        machine.sees(T0 + 20 * MINUTE, packages=pending, reboot_pending=True)
        installed = (Package(ROLLUP, INSTALLED, T0 + 15 * MINUTE),)
        done = entry(2, T0 + 42 * MINUTE)
        for hours in (1, 2, 3):
            now_ms, boot_ms = T0 + hours * HOUR, T0 + 40 * MINUTE
            machine.sees(now_ms, NEW, boot_ms=boot_ms, packages=installed, history=done)
        assert machine.steps() == [
            ("installing", 5 * MINUTE),
            ("staged", 15 * MINUTE),
            ("effective", 40 * MINUTE),
            ("confirmed", 40 * MINUTE),
        ]

    def test_a_step_is_said_again_only_if_it_was_earlier(self, machine: Machine) -> None:
        for minutes in (30, 40, 10):
            machine.sees(T0 + HOUR, history=entry(4, T0 + minutes * MINUTE))
        assert machine.steps() == [("failed", 30 * MINUTE), ("failed", 10 * MINUTE)]

    def test_a_step_back_is_not_said(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, NEW, boot_ms=T0 + 50 * MINUTE)
        machine.sees(T0 + 3 * HOUR, NEW, boot_ms=T0 + 50 * MINUTE, history=entry(1, T0 + 2 * HOUR))
        assert machine.steps() == [("effective", 50 * MINUTE)]

    def test_what_is_over_is_forgotten(self, machine: Machine) -> None:
        machine.sees(T0 + HOUR, history=entry(4))
        assert KB in machine.memory.said
        seen = Observation(now_ms=T0 + 200 * DAY, build=OLD)
        memory, _ = advance(machine.memory, seen, T0 + 80 * DAY)
        assert memory.said == {}

    @given(
        st.lists(
            st.builds(
                Observation,
                now_ms=st.integers(T0, T0 + DAY),
                build=st.sampled_from([OLD, NEW, "17763.7678", "20348.3932", ""]),
                boot_ms=st.integers(0, T0 + DAY),
                packages=st.lists(
                    st.builds(
                        Package,
                        st.sampled_from([ROLLUP, "Package_for_KB5005112~a~b~~1.2.3"]),
                        st.sampled_from([0, 0x30, 0x40, 0x50, 0x60, 0x65, 0x70, 0x80]),
                        st.integers(0, T0 + DAY),
                    ),
                    max_size=3,
                ).map(tuple),
                history=st.lists(
                    st.builds(
                        HistoryEntry,
                        st.sampled_from([TITLE, "KB5055169", "KB4338819", ""]),
                        st.integers(0, T0 + DAY),
                        st.integers(0, 3),
                        st.integers(0, 6),
                    ),
                    max_size=3,
                ).map(tuple),
                reboot_pending=st.booleans(),
            ),
            max_size=6,
        )
    )
    @settings(deadline=None)
    def test_laws(self, observations: list[Observation]) -> None:
        memory, said = Memory(), dict[tuple[str, str], int]()
        for seen in observations:
            memory, steps = advance(memory, seen, T0 - DAY)
            for step in steps:
                assert T0 - DAY <= step.t_ms <= seen.now_ms
                assert step.t_ms < said.get((step.kb, step.state), 2 * T0)
                said[step.kb, step.state] = step.t_ms
            _, again = advance(memory, seen, T0 - DAY)
            assert again == ()


CURRENT = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
CBS = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing"
SESSION = r"SYSTEM\CurrentControlSet\Control\Session Manager"


def filetime(t_ms: int) -> dict[str, object]:
    value = t_ms * 10_000 + 116_444_736_000_000_000
    return {"InstallTimeHigh": value >> 32, "InstallTimeLow": value & 0xFFFFFFFF}


class Computer:
    """A registry, an update history and a source that looks at both."""

    def __init__(self) -> None:
        self.clock = Clock(T0)
        self.registry = FakeRegistry(
            {
                CURRENT: {"CurrentBuildNumber": "17763", "UBR": 7434},
                rf"{CBS}\Packages\Microsoft-Windows-Foundation": {"CurrentState": 0x70},
                SESSION: {"ProtectionMode": 1},
            }
        )
        self.history = b"[]"
        self.scripts = 0
        self.boot_ms = T0 - DAY
        self.position: str | None = None
        self.start()

    def start(self) -> None:
        self.source = PatchStateSource(
            self.registry, self.powershell, lambda now: self.boot_ms, 900, 120, self.clock.both
        )
        self.source.open(self.position)

    def powershell(self, script: str) -> str:
        self.scripts += 1
        return self.history.decode()

    def looks(self) -> list[Item]:
        self.clock.advance(900)
        items = list(self.source.read(100))
        for item in items:
            self.position = item.position or self.position
        return items

    def says(self) -> list[tuple[str, str]]:
        records = [record for item in self.looks() for record in item.records]
        return [(r.kb, r.state) for r in records if isinstance(r, PatchState)]

    def is_patched(self, state: int) -> None:
        installed = {"CurrentState": state, **filetime(self.clock.ms)}
        self.registry.keys[rf"{CBS}\Packages\{ROLLUP}"] = installed


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
