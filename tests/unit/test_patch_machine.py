"""The steps of a KB, from what registry, component store and update history say."""

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
from schemas.reports import PatchState
from tests.fixtures.patching import (
    DAY,
    HOUR,
    INSTALLED,
    KB,
    MINUTE,
    NEW,
    OLD,
    PENDING,
    ROLLUP,
    STAGED,
    SUPERSEDED,
    T0,
    TITLE,
)


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
