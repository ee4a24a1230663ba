"""What is an incident, what kind of one, and on whom it is booked."""

import os
import re
from importlib import resources
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.formats.evtx import event_of
from schemas.reports import Event
from schemas.windows.tables import taxonomy
from schemas.windows.taxonomy import (
    Symptom,
    about_node,
    classify,
    impact_for,
    node_name,
    planned_restart,
)

FIXTURES = Path(__file__).parents[1] / "fixtures" / "evtx"
SCM = "Service Control Manager"
CLUSTER = "Microsoft-Windows-FailoverClustering"
CLUSSVC = "43006C00750073005300760063000000"  # "ClusSvc\0"


def event(
    provider: str,
    number: int,
    level: int = 2,
    channel: str = "System",
    binary: str = "",
    about: str | None = None,
    data: dict[str, str] | None = None,
    **named: str,
) -> Event:
    return Event(
        t_ms=0,
        channel=channel,
        provider=provider,
        id=number,
        level=level,
        data=named if data is None else data,
        binary=binary,
        computer="hv01.corp.example",
        about=about,
    )


def signature(one: Event) -> str | None:
    symptom = classify(one)
    return None if symptom is None else symptom.signature


def utf16(text: str) -> str:
    return text.encode("utf-16-le").hex()


class TestServices:
    @pytest.mark.parametrize("number", [7000, 7001, 7022, 7023, 7024, 7031, 7034, 7038])
    def test_a_dead_service_is_named_by_its_key(self, number: int) -> None:
        symptom = classify(event(SCM, number, binary=CLUSSVC, param1="Cluster Service"))
        assert symptom == Symptom(f"scm/{number}/clussvc", "service", "degraded", False)

    def test_the_key_in_binary_beats_every_display_name(self) -> None:
        german = event(SCM, 7031, binary=CLUSSVC, param1="Irgendein Dienst")
        assert signature(german) == "scm/7031/clussvc"

    @pytest.mark.parametrize(
        "display", ["Cluster Service", "Clusterdienst", "Service de cluster", "CLUSTER SERVICE"]
    )
    def test_without_binary_the_display_name_gives_the_key(self, display: str) -> None:
        assert signature(event(SCM, 7031, param1=display)) == "scm/7031/clussvc"

    def test_an_unknown_display_name_is_slugged(self) -> None:
        assert signature(event(SCM, 7034, param1="Contoso Backup (x64)")) == (
            "scm/7034/contoso-backup-x64"
        )

    def test_display_names_in_other_scripts_stay_apart(self) -> None:
        one, two = (signature(event(SCM, 7034, param1=name)) for name in ("Служба", "サービス"))
        assert one != two
        assert signature(event(SCM, 7034, param1="Служба")) == one

    @pytest.mark.parametrize(
        ("binary", "service"),
        [
            (utf16("ClusSvc/4\0"), "clussvc"),
            (utf16("ClusSvc"), "clussvc"),
            (utf16("MSSQL$PROD\0"), "mssql"),
            (utf16("CDPUserSvc_3a5f1\0"), "cdpusersvc"),
            ("43006", "fallback"),
            ("not hexadecimal", "fallback"),
            ("00D8" * 3, "fallback"),
            ("0000", "fallback"),
        ],
    )
    def test_binaries_as_they_come(self, binary: str, service: str) -> None:
        assert signature(event(SCM, 7031, binary=binary, param1="Fallback")) == (
            f"scm/7031/{service}"
        )

    def test_time_outs_name_the_service_second(self) -> None:
        assert signature(event(SCM, 7011, param1="30000", param2="Netlogon")) == "scm/7011/netlogon"

    def test_unexpected_restart_of_an_instance_is_the_same_service(self) -> None:
        assert signature(event(SCM, 7034, param1="SQL Server (PROD)")) == "scm/7034/mssql"


class TestRoles:
    @pytest.mark.parametrize(
        ("what", "role", "impact"),
        [
            ("scm/7031/clussvc", "hyperv", "outage"),
            ("scm/7031/clussvc", "HyperV", "outage"),
            ("scm/7031/clussvc", "dc", "degraded"),
            ("scm/7024/vmms", "hyperv", "outage"),
            ("scm/7023/ntds", "dc", "outage"),
            ("scm/7000/w3svc", "web", "outage"),
            ("scm/7034/mssql", "sql", "outage"),
            ("scm/7034/dhcpserver", "dhcp", "outage"),
            ("scm/7023/sgrmbroker", "hyperv", "degraded"),
            ("scm/7011/clussvc", "hyperv", "degraded"),
            ("application-error/1000/vmms.exe/ntdll.dll/c0000005", "hyperv", "outage"),
            ("application-error/1000/notepad.exe/x.dll/c0000005", "hyperv", "degraded"),
            ("scm/7031", "hyperv", "degraded"),
            ("scm/7031/clussvc", "no such role", "degraded"),
        ],
    )
    def test_a_service_that_the_role_needs_raises_the_impact(
        self, what: str, role: str, impact: str
    ) -> None:
        assert impact_for(what, "degraded", role) == impact

    @pytest.mark.parametrize("impact", ["none", "outage"])
    def test_only_degraded_is_raised(self, impact: str) -> None:
        assert impact_for("scm/7031/clussvc", impact, "hyperv") == impact


class TestCrashes:
    def test_kernel_power_writes_the_bugcheck_in_decimal(self) -> None:
        one = event("Microsoft-Windows-Kernel-Power", 41, level=1, BugcheckCode="159")
        assert classify(one) == Symptom("kernel-power/41/0x9f", "crash", "outage", True)

    def test_a_power_cut_has_no_bugcheck(self) -> None:
        one = event("Microsoft-Windows-Kernel-Power", 41, level=1, BugcheckCode="0")
        assert classify(one) == Symptom("kernel-power/41", "crash", "outage", True)

    @pytest.mark.parametrize("provider", ["Microsoft-Windows-WER-SystemErrorReporting", "BugCheck"])
    def test_error_reporting_writes_it_in_hexadecimal(self, provider: str) -> None:
        one = event(provider, 1001, param1="0x0000009f (0x3, 0x0, 0x0, 0x0)")
        expected = Symptom("wer-systemerrorreporting/1001/0x9f", "crash", "outage", True)
        assert classify(one) == expected

    @pytest.mark.parametrize(
        "data",
        [
            {"AppName": "W3WP.exe", "ModuleName": "clr.dll", "ExceptionCode": "c0000005"},
            {"param1": "w3wp.exe", "param4": "clr.dll", "param7": "0xC0000005"},
        ],
    )
    def test_applications_by_name_module_and_exception(self, data: dict[str, str]) -> None:
        one = event("Application Error", 1000, channel="Application", data=data)
        assert classify(one) == Symptom(
            "application-error/1000/w3wp.exe/clr.dll/c0000005", "crash", "degraded", False
        )

    def test_lsass_is_more_than_an_application(self) -> None:
        one = classify(event("Application Error", 1000, param1="lsass.exe"))
        assert one is not None
        assert (one.cls, one.impact) == ("identity", "outage")

    def test_wininit_says_that_lsass_died(self) -> None:
        path = r"C:\Windows\system32\lsass.exe"
        assert classify(event("Microsoft-Windows-Wininit", 1015, param1=path)) == Symptom(
            "wininit/1015/lsass.exe", "identity", "outage", False
        )


class TestRestarts:
    def restart(self, by: str, reason: str, provider: str = "User32") -> Event:
        return event(provider, 1074, level=4, param1=by, param4=reason)

    @pytest.mark.parametrize("provider", ["User32", "USER32"])
    def test_a_planned_restart_is_no_incident(self, provider: str) -> None:
        one = self.restart(r"C:\Windows\system32\svchost.exe (HV01)", "0x80020010", provider)
        assert planned_restart(one)
        assert classify(one) is None

    def test_a_restart_because_lsass_died_is_one(self) -> None:
        one = self.restart(r"C:\Windows\system32\wininit.exe (HV01)", "0x50006")
        assert not planned_restart(one)
        assert classify(one) == Symptom("user32/1074/lsass", "identity", "outage", False)

    def test_a_remote_restart_also_goes_through_wininit(self) -> None:
        assert planned_restart(self.restart("wininit.exe (10.3.58.4)", "0x84040002"))

    def test_other_providers_may_use_the_number(self) -> None:
        assert not planned_restart(event("Contoso", 1074))


class TestClusterEvents:
    @pytest.mark.parametrize("number", [1135, 1672, 1673, 1675, 1677])
    @pytest.mark.parametrize("name", ["NodeName", "Node", "param1"])
    def test_they_are_about_the_node_they_name(self, number: int, name: str) -> None:
        assert about_node(event(CLUSTER, number, data={name: "HV02.corp.example"})) == "hv02"

    def test_unknown_names_are_read_by_position_while_the_order_is_the_logs(self) -> None:
        one = event(CLUSTER, 1672, ZielKnoten="HV02", Anzahl="3")
        assert about_node(one, as_logged=True) == "hv02"
        assert about_node(one) is None

    def test_what_a_collector_found_out_holds(self) -> None:
        assert about_node(event("any", 1, about="HV09.corp.example")) == "hv09"

    def test_a_node_writes_its_own_quarantine(self) -> None:
        assert about_node(event(CLUSTER, 1676, param1="HV07")) is None

    @pytest.mark.parametrize("name", ["", "a|b", "x" * 80, "no host", "\x00"])
    def test_what_is_no_host_name_is_nobody(self, name: str) -> None:
        assert about_node(event(CLUSTER, 1135, NodeName=name), as_logged=True) is None

    def test_the_debug_log_is_no_incident(self) -> None:
        assert classify(event(CLUSTER, 2051, channel=f"{CLUSTER}/Diagnostic")) is None
        assert signature(event(CLUSTER, 2051)) == "failoverclustering/2051"


class TestUnknownKinds:
    @pytest.mark.parametrize("level", [1, 2])
    def test_critical_and_error_count(self, level: int) -> None:
        one = event("Microsoft-Windows-Brand-New", 17, level=level)
        assert classify(one) == Symptom("brand-new/17", "other", "degraded", False)

    @pytest.mark.parametrize("level", [0, 3, 4, 5])
    def test_other_levels_do_not(self, level: int) -> None:
        assert classify(event("Microsoft-Windows-Brand-New", 17, level=level)) is None

    def test_a_known_provider_gives_the_class(self) -> None:
        one = classify(event("Microsoft-Windows-Hyper-V-VMMS", 12345))
        assert one == Symptom("hyper-v-vmms/12345", "vm", "degraded", False)

    def test_the_same_id_of_another_provider_is_another_kind(self) -> None:
        assert signature(event(CLUSTER, 5120, level=3)) == "failoverclustering/5120"
        assert classify(event("Microsoft-Windows-OnlineResponder", 5120, level=3)) is None


@given(st.text(), st.integers(0, 2**31), st.text(), st.text(), st.text())
def test_hostile_strings_give_short_harmless_signatures(
    provider: str, number: int, one: str, two: str, binary: str
) -> None:
    events = [
        event(provider, number, param1=one),
        event(SCM, 7031, binary=binary, param1=one),
        event(SCM, 7031, binary=utf16(one.encode("utf-8", "ignore").decode()), param1=two),
        event("Application Error", 1000, AppName=one, ModuleName=two, ExceptionCode=binary),
        event("Microsoft-Windows-Kernel-Power", 41, BugcheckCode=one),
    ]
    for hostile in events:
        symptom = classify(hostile)
        if symptom is not None:
            assert len(symptom.signature) <= 120
            assert set(symptom.signature) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-/")


def test_a_service_cannot_forge_another_signature() -> None:
    assert signature(event(SCM, 7031, param1="x/../clussvc")) == "scm/7031/x-..-clussvc"


def test_long_strings_give_short_signatures() -> None:
    one = event("p" * 500_000, 1, param1="s" * 500_000, channel="c" * 500_000)
    assert len(signature(one) or "") <= 120
    assert len(signature(event(SCM, 7031, param1="s" * 500_000)) or "") <= 120


@pytest.mark.parametrize(
    ("computer", "node"),
    [
        ("HV03.corp.example", "hv03"),
        ("hv03", "hv03"),
        (" HV03 ", "hv03"),
        ("10.3.58.4", "10.3.58.4"),
        ("a|b", "a-b"),
        ("", ""),
    ],
)
def test_node_names(computer: str, node: str) -> None:
    assert node_name(computer) == node


class TestTheTables:
    def test_no_id_is_listed_twice(self) -> None:
        known = taxonomy()
        listed = sum(len(k.ids) for p in known.providers.values() for k in p.kinds)
        assert listed == len(known.kinds)
        assert sum(len(p.names) for p in known.providers.values()) == len(known.short)

    def test_names_are_written_as_they_are_compared(self) -> None:
        known = taxonomy()
        assert all(name == name.casefold() for name in known.short)
        assert all(name == name.casefold() for name in known.services.display_names)
        assert all(channel == channel.casefold() for channel, _, _ in known.kinds)

    def test_benign_kinds_claim_no_impact(self) -> None:
        kinds = [k for p in taxonomy().providers.values() for k in p.kinds if k.benign]
        assert kinds
        assert not [k for k in kinds if k.impact != "none" or k.discriminator]


def test_real_records_mean_what_the_golden_file_says() -> None:
    golden = FIXTURES / "kinds.golden.json"
    meanings: dict[str, str] = {}
    for line in (FIXTURES / "kinds.jsonl").read_bytes().splitlines():
        one = event_of(orjson.loads(line))
        symptom = classify(one)
        text = f"{symptom.signature} {symptom.cls} {symptom.impact}" if symptom else "-"
        meanings[f"{one.provider} {one.id} level {one.level}"] = text
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(orjson.dumps(meanings, option=orjson.OPT_INDENT_2) + b"\n")
    assert meanings == orjson.loads(golden.read_bytes())


def test_whatever_windows_facts_stand_on_is_explained() -> None:
    folder = Path(str(resources.files("schemas.windows")))
    files = {path.name for path in folder.iterdir() if path.suffix in (".py", ".toml", ".json")}
    named = set(re.findall(r"`(\w+\.(?:py|toml|json))`", (folder / "README.md").read_text()))
    assert named == files - {"__init__.py"}
