"""``kbwatch-collector``: what a person at a prompt sees."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from collectors.runtime import status
from collectors.settings import LogSettings, Settings
from collectors.sources.selection import Selection

ROOT = Path(__file__).parents[2]
NOBODY = "kafka.bootstrap=127.0.0.1:1"


def collector(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "collectors.cli", *words],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def complaint(*words: str) -> str:
    done = collector(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("kbwatch-collector: ")
    return line


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "password.txt").write_text("hunter2")
    path = tmp_path / "collector.toml"
    path.write_text(
        f"""
        data_dir = "{tmp_path / "data"}"
        [kafka]
        bootstrap = "127.0.0.1:1"
        timeout_s = 0.3
        sasl = "scram-sha-512"
        username = "node"
        password_file = "{tmp_path / "password.txt"}"
        [redact]
        patterns = ["Project Nightjar"]
        """
    )
    return path


class TestHelp:
    def test_it_teaches_by_examples(self) -> None:
        shown = collector("--help").stdout
        for line in (
            "kbwatch-collector check --config collector.toml ",
            "kbwatch-collector replay-evtx System.evtx --out - | head -n 1\n",
            "KBW_COLLECTOR_CONFIG",
        ):
            assert line in shown

    def test_no_command_s_summary_is_cut_off(self) -> None:
        commands, _, _ = collector("--help").stdout.partition("Examples:")
        assert "replay-evtx  " in commands
        assert "..." not in commands.partition("Commands:")[2]

    def test_what_windows_alone_starts_is_not_offered(self) -> None:
        assert not re.search(r"^  service\b", collector("--help").stdout, re.MULTILINE)

    def test_a_person_who_starts_it_is_told(self, config: Path, tmp_path: Path) -> None:
        assert "needs Windows and pywin32" in complaint("service", "--config", str(config))
        assert (tmp_path / "data" / "log" / "collector.log").exists()

    @pytest.mark.parametrize("command", ["run", "check", "once", "status", "install", "uninstall"])
    def test_each_command_has_some(self, command: str) -> None:
        assert "--config FILE" in collector(command, "--help").stdout


class TestSettings:
    def test_they_are_shown_as_a_file_that_gives_them_again(
        self, config: Path, tmp_path: Path
    ) -> None:
        first = collector("run", "--config", str(config), "--print-config")
        again = tmp_path / "again.toml"
        again.write_text(first.stdout)
        assert 'sasl = "scram-sha-512"' in first.stdout
        assert collector("run", "--config", str(again), "--print-config").stdout == first.stdout

    @pytest.mark.parametrize("command", ["run", "check", "once", "status"])
    def test_what_may_be_secret_is_masked(self, config: Path, command: str) -> None:
        address = "kafka.bootstrap=user:pw@h:1"
        shown = collector(command, "--config", str(config), "--set", address, "--print-config")
        assert 'patterns = ["[masked]"]' in shown.stdout
        assert 'bootstrap = "[masked]@h:1"' in shown.stdout
        assert "pw" not in shown.stdout.replace("password", "")

    def test_errors_say_what_would_be_right(self) -> None:
        assert "Expected true or false" in complaint("run", "--set", "kafka.tls=perhaps")
        assert '"scram-sha-512"' in complaint("run", "--set", "kafka.sasl=md5")

    def test_environment_and_command_line_win_over_the_file(self, config: Path) -> None:
        done = collector(
            *("run", "--print-config", "--set", "node.site=fra"),
            KBW_COLLECTOR_CONFIG=str(config),
            KBW_COLLECTOR_NODE_FLEET="prod",
        )
        assert 'site = "fra"' in done.stdout
        assert 'fleet = "prod"' in done.stdout

    @pytest.mark.parametrize("command", ["run", "check", "once", "status"])
    def test_a_wrong_name_is_one_line(self, command: str) -> None:
        assert "kafka.bootstrp" in complaint(command, "--set", "kafka.bootstrp=x")


class TestElsewhereThanOnWindows:
    @pytest.mark.parametrize("command", ["run", "once"])
    def test_reading_is_refused_and_says_what_works(self, command: str, tmp_path: Path) -> None:
        said = complaint(command, "--set", f"data_dir={tmp_path}", "--set", NOBODY)
        assert "on Windows only" in said
        assert "replay-evtx" in said

    def test_installing_is_refused(self, config: Path) -> None:
        assert "on Windows only" in complaint("uninstall", "--config", str(config))

    def test_what_installing_would_do_is_shown(self, config: Path, tmp_path: Path) -> None:
        done = collector("install", "--dry-run", "--config", str(config))
        assert done.returncode == 0
        commands = [line for line in done.stdout.splitlines() if not line.startswith("#")]
        first, create, *_ = commands
        assert "DomainRole" in first
        assert r"\sc.exe create kbwatch-collector binPath= " in create
        assert f"service --config {config}" in create
        assert r'obj= "NT SERVICE\kbwatch-collector"' in create
        assert any("S-1-5-32-573" in command for command in commands)
        readable = '"NT SERVICE\\kbwatch-collector:R"'
        assert [c for c in commands if str(tmp_path / "password.txt") in c and readable in c]

    def test_the_example_settings_are_those_of_windows(self) -> None:
        example = ROOT / "deploy" / "windows" / "collector.example.toml"
        done = collector("install", "--dry-run", "--config", str(example))
        assert done.returncode == 0, done.stderr
        assert r"C:\ProgramData\kbwatch\data" in done.stdout

    def test_the_service_may_read_what_tls_needs(self, config: Path, tmp_path: Path) -> None:
        ca, key = tmp_path / "ca.pem", tmp_path / "node.key"
        tls = f"tls = true\nca_file = '{ca}'\ncert_file = '{tmp_path}/node.pem'\nkey_file = '{key}'"
        config.write_text(config.read_text().replace("[kafka]", f"[kafka]\n{tls}"))
        done = collector("install", "--dry-run", "--config", str(config))
        lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
        for file in ("ca.pem", "node.pem", "node.key"):
            granted = [line for line in lines if file in line and "/grant" in line]
            assert len(granted) == 1, file
            assert ("/inheritance:r" in granted[0]) == (file == "node.key")

    @pytest.mark.parametrize("broken", ["[kafka", "nothing = 1"])
    def test_broken_settings_and_foreign_files_hold_up_no_removal(
        self, config: Path, tmp_path: Path, broken: str
    ) -> None:
        config.write_text(f"data_dir = '{tmp_path}/data'\n{broken}\n")
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "thesis.docx").touch()
        done = collector("uninstall", "--dry-run", "--config", str(config))
        assert done.returncode == 0, done.stderr
        assert "sc.exe delete kbwatch-collector" in done.stdout
        assert f"# remove from {tmp_path}/data" in done.stdout

    def test_a_folder_that_may_not_be_the_collectors_is_not_removed(self, tmp_path: Path) -> None:
        config = tmp_path / "collector.toml"
        config.write_text('data_dir = "/"')
        done = collector("uninstall", "--dry-run", "--config", str(config))
        assert done.returncode == 0
        assert "# data_dir stays: " in done.stdout
        assert "# remove from" not in done.stdout

    @pytest.mark.parametrize(
        ("setting", "says"),
        [('data_dir = "data"', "absolute"), ('data_dir = "/"', "collector alone")],
    )
    def test_a_folder_that_is_not_the_collectors_is_refused(
        self, tmp_path: Path, setting: str, says: str
    ) -> None:
        config = tmp_path / "collector.toml"
        config.write_text(setting)
        assert says in complaint("install", "--dry-run", "--config", str(config))

    def test_a_folder_with_something_else_in_it_is_refused(
        self, config: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "thesis.docx").touch()
        assert "thesis.docx" in complaint("install", "--dry-run", "--config", str(config))


class TestCheck:
    def test_all_that_is_wrong_is_said_at_once(self, config: Path) -> None:
        done = collector("check", "--config", str(config))
        assert done.returncode == 1
        assert re.search(r"^ok +data_dir .* can be written", done.stdout, re.MULTILINE)
        assert re.search(r"^ok +kafka.password_file .* can be read", done.stdout, re.MULTILINE)
        assert re.search(r"^FAILED sources: .*on Windows only", done.stdout, re.MULTILINE)
        assert re.search(r"^FAILED Kafka: .*127.0.0.1:1", done.stdout, re.MULTILINE)

    def test_a_pattern_that_is_none_is_said(self, config: Path) -> None:
        done = collector("check", "--config", str(config), "--set", 'redact.patterns=["("]')
        assert re.search(r"^FAILED redact: .*'\('", done.stdout, re.MULTILINE)

    def test_a_password_among_the_addresses_is_refused_and_not_shown(self, config: Path) -> None:
        address = "kafka.bootstrap=user:hunter2@h:1"
        done = collector("check", "--config", str(config), "--set", address)
        assert re.search(r"^FAILED Kafka: .*kafka.password_file", done.stdout, re.MULTILINE)
        assert "hunter2" not in done.stdout + done.stderr

    def test_it_says_what_would_be_read(self, config: Path) -> None:
        shown = collector("check", "--config", str(config)).stdout
        assert "  System\n" in shown
        assert "Microsoft-Windows-FailoverClustering/Operational*" in shown
        assert "*[System[(Level=1 or Level=2 or Level=3)]]" in shown

    def test_secrets_are_masked(self, config: Path) -> None:
        for words in (("check",), ("check", "--json")):
            done = collector(*words, "--config", str(config))
            assert "hunter2" not in done.stdout + done.stderr
            assert "Nightjar" not in done.stdout + done.stderr
            assert "[masked]" in done.stdout

    def test_programs_get_json(self, config: Path) -> None:
        found = json.loads(collector("check", "--json", "--config", str(config)).stdout)
        assert found["ok"] is False
        assert {f["what"]: f["ok"] for f in found["findings"]}["Kafka"] is False
        assert found["channels"][0]["channel"] == "System"
        assert found["settings"]["kafka"]["username"] == "node"

    def test_a_secret_that_is_not_there_is_said(self, config: Path, tmp_path: Path) -> None:
        (tmp_path / "password.txt").unlink()
        shown = collector("check", "--config", str(config)).stdout
        assert re.search(r"^FAILED kafka.password_file .*: No such file", shown, re.MULTILINE)


class TestStatus:
    @pytest.fixture
    def running(self) -> status.Status:
        return status.Status(
            version="1",
            pid=7,
            fleet="default",
            node="hv03",
            domain="hv-c01",
            written_ms=time.time_ns() // 1_000_000,
            uptime_s=7_300,
            sources={"eventlog": status.SourceStatus(items=5)},
            last_ack_age_s=1.0,
        )

    def said(self, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return collector("status", "--set", f"data_dir={folder}", *words)

    def test_none(self, tmp_path: Path) -> None:
        done = self.said(tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "not running" in done.stderr

    def test_well(self, tmp_path: Path, running: status.Status) -> None:
        status.write(tmp_path, running)
        done = self.said(tmp_path)
        assert done.returncode == 0
        assert "node hv03, domain hv-c01" in done.stdout
        assert "up 2 h" in done.stdout

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"spool_trouble": "no space"}, "the spool can't be written: no space"),
            ({"spool_depth": 1, "waiting_s": 301.0}, "acknowledged nothing for 301 s"),
            (
                {
                    "sources": {
                        "eventlog": status.SourceStatus(trouble="access denied", delivers=False)
                    }
                },
                "no source delivers: eventlog: access denied",
            ),
            ({"running": False}, "not running"),
            ({"written_ms": 1}, "not running, or it hangs"),
        ],
    )
    def test_badly(
        self, tmp_path: Path, running: status.Status, change: dict[str, object], says: str
    ) -> None:
        status.write(tmp_path, msgspec.structs.replace(running, **change))
        done = self.said(tmp_path)
        assert done.returncode == 1
        assert f"PROBLEM {says}" in done.stdout or says in done.stdout.splitlines()[0]
        assert says in json.loads(self.said(tmp_path, "--json").stdout)["problems"][0]

    def test_a_broken_settings_file_hides_nothing(
        self, tmp_path: Path, running: status.Status
    ) -> None:
        status.write(tmp_path, running)
        config = tmp_path / "collector.toml"
        config.write_text(f"data_dir = '{tmp_path}'\n[kafka\n")
        done = collector("status", "--config", str(config))
        assert done.returncode == 0
        assert "node hv03, domain hv-c01" in done.stdout
        assert "hint    changed settings are not in effect: " in done.stdout

    def test_it_says_why_a_run_has_ended(self, tmp_path: Path) -> None:
        complaint("once", "--set", f"data_dir={tmp_path}", "--set", NOBODY)
        done = self.said(tmp_path)
        assert done.returncode == 1
        assert re.search(r"^PROBLEM event logs can be read on Windows only", done.stdout, re.M)

    def test_damaged(self, tmp_path: Path) -> None:
        (tmp_path / status.FILE).write_text("{")
        assert "is no status" in complaint("status", "--set", f"data_dir={tmp_path}")


class TestDeployment:
    def test_forwarding_subscriptions_select_what_the_collector_does(self) -> None:
        found = {}
        for name in ("kbwatch-base", "kbwatch-roles"):
            tree = ElementTree.parse(ROOT / "deploy" / "windows" / "wec" / f"{name}.xml")  # noqa: S314 - ours
            spaces = "{http://schemas.microsoft.com/2006/03/windows/events/subscription}"
            query = tree.findtext(f"{spaces}Query")
            assert query
            assert tree.findtext(f"{spaces}SubscriptionId") == name
            for one in ElementTree.fromstring(query):  # noqa: S314 - ours
                found[one.get("Path")] = (
                    [select.text for select in one],
                    name == "kbwatch-roles",
                )
        defaults = {
            s.channel: (
                [e.text for e in ElementTree.fromstring(s.query).iter("Select")],  # noqa: S314
                s.optional,
            )
            for s in Selection(LogSettings()).subscriptions
        }
        assert found == defaults

    def test_the_example_settings_are_right(self) -> None:
        example = ROOT / "deploy" / "windows" / "collector.example.toml"
        done = collector("run", "--print-config", "--config", str(example))
        assert done.returncode == 0, done.stderr

    def test_every_setting_is_in_the_documentation_with_its_default(self) -> None:
        page = (ROOT / "docs" / "collector.md").read_text()
        rows = dict(re.findall(r"^\| `([a-z_.]+)` \| `([^`]*)` \|", page, re.MULTILINE))
        declared: dict[str, str] = {}
        for name, value in msgspec.to_builtins(Settings()).items():
            if isinstance(value, dict):
                declared |= {f"{name}.{inner}": json.dumps(v) for inner, v in value.items()}
            else:
                declared[name] = json.dumps(value)
        assert rows == declared
