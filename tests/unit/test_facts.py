"""What a node is: the script that asks, and what its answers mean."""

import json
import re
from importlib import resources
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.sources.facts import FactsSource, parse, remembered
from collectors.sources.source import Source
from collectors.windows.api import (
    Fault,
    WindowsApiError,
    powershell_command,
    run_powershell,
)
from schemas.codec import DecodeError, decode, encode
from schemas.reports import Facts
from tests.fixtures.fake_windows import Clock

FIXTURES = Path(__file__).parents[1] / "fixtures" / "facts"
T0 = 1_752_600_000_000  # 2025-07-15
SCRIPT = resources.files("collectors.sources").joinpath("facts.ps1").read_text()

QUERIES = re.findall(r"(?m)^Read-Fact '(\w+)'", SCRIPT)
FIELDS = ["id", "name", "version", "state", "build", "volume", "device", "type", "protection"]
SCALAR = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("x" * 400)
ROW = st.dictionaries(st.sampled_from(FIELDS), SCALAR, max_size=4)
ANYTHING = SCALAR | ROW | st.lists(SCALAR | ROW, max_size=3)


def output(name: str) -> str:
    return (FIXTURES / f"{name}.json").read_text()


def facts(name: str) -> Facts:
    return parse(output(name), T0).facts


class TestTheScript:
    """PowerShell is not here: these are its promises as far as its text shows them."""

    def test_it_is_ascii(self) -> None:
        assert SCRIPT.isascii()

    def test_it_calls_nothing_but_commands_that_read(self) -> None:
        code = re.sub(r"'[^']*'", "''", re.sub(r"#.*", "", SCRIPT))
        verbs = set(re.findall(r"(?<![\w$.])([A-Z]\w+-[A-Z]\w+)", code))
        own = {"Read-Fact", "Read-Cim", "Read-Key"}
        reading = {"Get-CimInstance", "Get-ItemProperty", "Get-WinEvent", "Test-Path"}
        forming = {"Where-Object", "ForEach-Object", "Select-Object"}
        assert verbs == own | reading | forming | {"ConvertTo-Json", "Get-Date"}

    def test_it_runs_and_fetches_nothing(self) -> None:
        words = r"Invoke-|iex\b|Add-Type|Import-Module|-ComputerName|http|DownloadString|\bcmd\b"
        assert not re.search(words, SCRIPT, re.IGNORECASE)
        assert re.findall(r"(?m)^.*&.*$", SCRIPT) == ["        $value = & $query"]

    def test_every_query_is_guarded(self) -> None:
        head, *queries = re.split(r"(?m)^Read-Fact ", SCRIPT)
        guard = head[head.index("function Read-Fact") :]
        assert re.search(
            r"try \{\s+\$value = & \$query.*\} catch \{\s+\$failed\[\$name\] =", guard, re.S
        )
        last = queries.pop()
        body, end, rest = last.partition("\n}\n")
        assert end
        assert "Get-" not in rest
        assert "Read-" not in rest
        assert not re.search(r"(?m)^(Get|Read)-(?!Fact)", SCRIPT)
        assert len(queries) >= 15
        assert all(query.rstrip().endswith("}") for query in [*queries, body + end])

    def test_no_query_of_wmi_waits_for_ever(self) -> None:
        lines = [line for line in SCRIPT.splitlines() if "Get-CimInstance" in line]
        assert lines
        assert all("-OperationTimeoutSec" in line for line in lines)

    def test_its_braces_are_balanced(self) -> None:
        code = re.sub(r"'[^']*'", "", re.sub(r"(?m)#.*$", "", SCRIPT))
        for opening, closing in ("{}", "()", "[]"):
            assert code.count(opening) == code.count(closing)

    def test_it_ends_with_all_of_it_as_json(self) -> None:
        assert re.search(
            r"(?m)^\$json = ConvertTo-Json -InputObject \$found -Compress -Depth \d$", SCRIPT
        )
        assert SCRIPT.strip().splitlines()[-1] == "$json"

    def test_constrained_language_mode_knows_all_that_it_uses(self) -> None:
        code = re.sub(r"'[^']*'", "''", re.sub(r"(?m)#.*$", "", SCRIPT))
        assert "::" not in code
        types = {"string", "int", "bool", "char[]"}  # about_Language_Modes: among those allowed
        assert set(re.findall(r"\[([a-z][\w.]*(?:\[\])?)\]", code)) == types
        # Methods of dates, and of nothing else.
        assert set(re.findall(r"\.(\w+)\(", code)) == {"ToUniversalTime", "ToString"}

    def test_a_command_line_can_carry_it(self) -> None:
        *_, option, text = powershell_command(SCRIPT)
        assert (option, text) == ("-Command", f"& {{\n{SCRIPT}\n}}")
        with pytest.raises(ValueError, match="command line"):
            powershell_command('echo "x"')

    def test_what_it_writes_is_what_is_read(self) -> None:
        source = (Path(__file__).parents[2] / "collectors/sources/facts.py").read_text()
        unread = {name for name in QUERIES if f'"{name}"' not in source}
        assert unread == set()


class TestMeanings:
    def test_a_hyperv_host_with_an_encrypted_shared_volume(self) -> None:
        found = facts("hyperv-csv-bitlocker")
        assert (found.role, found.branch, found.cluster) == ("hyperv", "17763", "hvclu01")
        assert (found.os, found.virtual) == ("Windows Server 2019 Datacenter", False)
        assert found.covariates == {
            "csv_bitlocker": True,
            "s2d": True,
            "bitlocker_os": False,
            "recovery_key_escrow": True,
            "secure_boot": True,
            "domain_joined": True,
            "server_core": True,
            "role:cluster": True,
            "kir:4193921674": "1",
            "kir:99887766": "0",
        }
        assert found.changes == {
            "firmware": "Dell Inc. 2.21.2",
            "agent:Microsoft Defender": "4.18.25050.5",
            "driver:Mellanox ConnectX-5 Adapter": "3.10.51000.0",
            "driver:PERC H740P": "7.716.3.0",
            "agent:Contoso Backup Agent": "11.2",
        }

    def test_a_node_that_coordinates_no_volume_says_nothing_of_their_encryption(self) -> None:
        found = facts("hyperv-not-coordinator")
        assert "csv_bitlocker" not in found.covariates
        assert found.covariates["bitlocker_os"] is True

    def test_shared_volumes_that_are_all_seen_unencrypted_are_not(self) -> None:
        raw = orjson.loads(output("hyperv-not-coordinator"))
        raw["volumes"].append({"device": raw["csv"][0]["volume"].upper(), "protection": 0})
        assert parse(orjson.dumps(raw).decode(), T0).facts.covariates["csv_bitlocker"] is False

    def test_the_newest_backup(self) -> None:
        made_ms = 1_752_458_400_000  # 2025-07-14T02:00:00Z
        raw = orjson.loads(output("hyperv-csv-bitlocker"))
        text = orjson.dumps(raw).decode()
        assert parse(text, made_ms + 1).facts.backup_ms == made_ms
        assert parse(text, made_ms - 1).facts.backup_ms is None, "it is yet to come"
        for nonsense in ("0001-01-01T00:00:00.0000000Z", "yesterday", 7, None):
            raw["backup"] = nonsense
            assert parse(orjson.dumps(raw).decode(), made_ms).facts.backup_ms is None

    def test_a_domain_controller(self) -> None:
        gathered = parse(output("domain-controller"), T0)
        assert (gathered.facts.role, gathered.facts.virtual) == ("dc", True)
        assert gathered.facts.covariates["role:dns"] is True
        assert gathered.facts.covariates["role:dhcp"] is True
        assert gathered.problems == ("cluster: Invalid namespace", "defender: Invalid class")

    def test_lists_of_one(self) -> None:
        gathered = parse(output("collapsed"), T0)
        found = gathered.facts
        assert (found.role, found.virtual) == ("sql", True)
        assert found.covariates["kir:5"] == "2"
        assert found.covariates["recovery_key_escrow"] is True
        assert found.covariates["role:rds"] is True
        assert found.changes == {"driver:vmxnet3": "1.9"}
        assert gathered.problems == ("backup: x",)

    def test_nothing_at_all(self) -> None:
        gathered = parse(output("everything-failed"), T0)
        assert gathered.facts == Facts(t_ms=T0)
        assert len(gathered.problems) == 3

    def test_no_more_than_64_of_each(self) -> None:
        rows = [{"id": str(n), "name": f"d{n}", "version": "1", "state": 1} for n in range(500)]
        raw = {"v": 1, "cluster": {"name": "c", "s2d": True}, "rollbacks": rows, "drivers": rows}
        found = parse(orjson.dumps(raw).decode(), T0).facts
        assert (len(found.covariates), len(found.changes)) == (64, 64)
        assert "s2d" in found.covariates

    @pytest.mark.parametrize(
        "garbage",
        ["", "[]", "null", "{", "{}", '{"v": 2}', "Get-CimInstance : denied", "[" * 9_999],
    )
    def test_output_that_is_no_answer(self, garbage: str) -> None:
        with pytest.raises(DecodeError):
            parse(garbage, T0)

    @given(st.dictionaries(st.sampled_from(QUERIES), ANYTHING, max_size=6))
    @settings(deadline=None)
    def test_whatever_it_says_the_facts_can_be_sent(self, found: dict[str, object]) -> None:
        sent = parse(json.dumps({**found, "v": 1}), T0).facts
        assert decode(encode(sent), Facts) == sent


class TestMemory:
    """What a node is does not change because it fails, or can't be asked just now."""

    def after(self, **changed: object) -> Facts:
        """What is known of the Hyper-V host when some of its answers have changed; None: gone."""
        raw = {**orjson.loads(output("hyperv-csv-bitlocker")), **changed}
        raw = {name: value for name, value in raw.items() if value is not None}
        return remembered(parse(json.dumps(raw), T0), facts("hyperv-csv-bitlocker"))

    def test_its_cluster_service_has_died(self) -> None:
        assert self.after(cluster=None, csv=None) == facts("hyperv-csv-bitlocker")

    def test_it_has_left_its_cluster(self) -> None:
        found = self.after(cluster=None, csv=None, services=["vmms"])
        assert found.cluster == ""
        assert not {"s2d", "csv_bitlocker", "role:cluster"} & set(found.covariates)

    def test_another_node_coordinates_its_volumes_now(self) -> None:
        found = self.after(volumes=[{"device": "c", "type": 0, "protection": 0}])
        assert found.covariates["csv_bitlocker"] is True

    def test_its_volumes_were_decrypted(self) -> None:
        csv = [{"volume": "v"}]
        found = self.after(csv=csv, volumes=[{"device": "v", "type": 1, "protection": 0}])
        assert found.covariates["csv_bitlocker"] is False

    def test_the_log_that_tells_of_its_backup_has_turned_over(self) -> None:
        before = facts("hyperv-csv-bitlocker").backup_ms
        assert before is not None
        assert self.after(backup=None).backup_ms == before

    def test_queries_failed(self) -> None:
        names = ["os", "computer", "services", "volumes", "rollbacks", "drivers", "agents", "csv"]
        errors = [{"query": name, "message": "Access denied"} for name in names]
        found = self.after(errors=errors, **dict.fromkeys(names))
        assert found == facts("hyperv-csv-bitlocker")

    def test_a_rollback_and_a_driver_are_gone(self) -> None:
        found = self.after(rollbacks=None, drivers=[])
        assert not [name for name in found.covariates if name.startswith("kir:")]
        assert not [name for name in found.changes if name.startswith("driver:")]


class Computer:
    """A computer that answers what it is told to."""

    def __init__(self) -> None:
        self.clock = Clock(T0)
        self.answer: str | Fault = output("hyperv-csv-bitlocker")
        self.scripts: list[str] = []
        self.source = FactsSource(self.powershell, 3_600, self.clock.both)
        self.source.open(None)
        self.position = ""

    def powershell(self, script: str) -> str:
        self.scripts.append(script)
        if isinstance(self.answer, Fault):
            raise WindowsApiError(self.answer, "PowerShell")
        return self.answer

    def reads(self, hours: float = 0) -> list[str]:
        self.clock.advance(hours * 3_600)
        items = self.source.read(10)
        self.position = next((item.position for item in items), self.position)
        return [r.role for item in items for r in item.records if isinstance(r, Facts)]


class TestTheSource:
    def test_facts_are_sent_at_the_start(self) -> None:
        computer = Computer()
        source: Source = computer.source
        assert computer.reads() == ["hyperv"]
        assert computer.scripts == [SCRIPT]
        assert source.trouble == ""

    def test_then_gathered_hourly_and_sent_daily(self) -> None:
        computer = Computer()
        computer.reads()
        sent = [computer.reads(hours=1) for _ in range(48)]
        assert len(computer.scripts) == 49
        assert [n for n, roles in enumerate(sent, 1) if roles] == [24, 48]

    def test_or_when_they_change(self) -> None:
        computer = Computer()
        computer.reads()
        computer.answer = output("domain-controller")
        assert computer.reads(hours=0.5) == []
        assert computer.reads(hours=0.5) == ["dc"]

    def test_a_restart_sends_them_again(self) -> None:
        computer = Computer()
        computer.reads()
        computer.source.open(computer.position)
        assert computer.reads() == ["hyperv"]

    def test_and_remembers_what_it_knew(self) -> None:
        computer = Computer()
        computer.reads()
        computer.answer = output("everything-failed").replace("volumes", "services")
        computer.source.open(computer.position)
        assert computer.reads() == ["hyperv"]

    @pytest.mark.parametrize("position", ["{", "[]", "3"])
    def test_a_position_that_is_none_is_a_first_start(self, position: str) -> None:
        computer = Computer()
        computer.source.open(position)
        assert computer.reads() == ["hyperv"]

    @pytest.mark.parametrize("answer", [Fault.TIMEOUT, Fault.NOT_WINDOWS, "{", ""])
    def test_without_an_answer_it_says_why_and_tries_again(self, answer: str | Fault) -> None:
        computer = Computer()
        computer.answer = answer
        assert computer.reads() == []
        assert computer.source.trouble
        computer.answer = output("domain-controller")
        assert computer.reads(hours=1) == ["dc"]
        assert computer.source.trouble == ""

    def test_queries_that_fail_are_no_trouble(self) -> None:
        computer = Computer()
        computer.answer = output("everything-failed")
        assert computer.reads() == ["server"]
        assert computer.source.trouble == ""


def test_powershell_is_asked_on_windows_only() -> None:
    with pytest.raises(WindowsApiError, match="not Windows"):
        run_powershell("1")
