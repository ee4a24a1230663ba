"""The small parts of a collector: who it is, what it says, what it logs, how it is installed."""

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from collectors import log
from collectors.command import install, steps
from collectors.command.effective import masked
from collectors.durable import FolderLock
from collectors.runtime.http import HttpServer, exposition
from collectors.runtime.status import SourceStatus, Status
from collectors.settings import KafkaSettings, NodeSettings, RedactSettings, Settings, data_dir_of
from collectors.settings_file import SettingsFile
from collectors.windows.api import Fault, WindowsApiError
from collectors.windows.node import cluster_name, remember_cluster, this_node
from schemas.errors import KbwatchError
from schemas.reports import ChannelHealth

STATUS = Status(
    version="1",
    pid=7,
    fleet="default",
    node="hv03",
    domain="hv-c01",
    written_ms=0,
    uptime_s=12.5,
    records=12_345_678,
    sources={
        "eventlog": SourceStatus(
            items=9, channels={'odd "channel"\\': ChannelHealth(newest_record_id=2**40, lag_s=3)}
        ),
        "facts": SourceStatus(trouble="no answer"),
    },
)


class Registry:
    """Keys of HKEY_LOCAL_MACHINE and their values."""

    def __init__(self, **keys: Mapping[str, object]) -> None:
        self.keys: dict[str, Mapping[str, object]] = dict(keys)

    def values(self, key: str) -> Mapping[str, object]:
        for name, values in self.keys.items():
            if key.endswith(name):
                return values
        raise WindowsApiError(Fault.NOT_FOUND)

    def subkeys(self, key: str) -> Sequence[str]:
        return ()


class TestNode:
    def test_its_name_is_short_and_lower_case(self, tmp_path: Path) -> None:
        settings = NodeSettings(name="HV03.corp.example", domain="HV-C01", fleet="prod")
        node = this_node(settings, tmp_path, Registry())
        assert (node.fleet, node.name, node.domain) == ("prod", "hv03", "hv-c01")

    def test_without_a_cluster_it_is_its_own_domain(self, tmp_path: Path) -> None:
        assert this_node(NodeSettings(name="HV03"), tmp_path, Registry()).domain == "hv03"

    def test_in_a_cluster_the_cluster_is(self, tmp_path: Path) -> None:
        registry = Registry(Cluster={"ClusterName": "HV-C01"})
        assert this_node(NodeSettings(name="HV03"), tmp_path, registry).domain == "hv-c01"

    def test_a_dead_cluster_service_moves_no_node(self, tmp_path: Path) -> None:
        remember_cluster(tmp_path, Registry(Cluster={"ClusterName": "HV-C01"}))
        died = Registry(ClusSvc={"Start": 2})
        remember_cluster(tmp_path, died)
        assert cluster_name(tmp_path, died) == "HV-C01"

    @pytest.mark.parametrize("registry", [Registry(ClusSvc={"Start": 4}), Registry()])
    def test_a_node_that_left_its_cluster_is_its_own(
        self, tmp_path: Path, registry: Registry
    ) -> None:
        remember_cluster(tmp_path, Registry(Cluster={"ClusterName": "HV-C01"}))
        remember_cluster(tmp_path, registry)
        assert cluster_name(tmp_path, registry) == ""
        assert list(tmp_path.iterdir()) == []


class TestHttp:
    @pytest.fixture
    def says(self) -> Iterator[tuple[HttpServer, list[Status]]]:
        current = [STATUS]
        server = HttpServer(0, lambda: current[0])
        yield server, current
        server.close()

    def get(self, server: HttpServer, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}") as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def test_healthz(self, says: tuple[HttpServer, list[Status]]) -> None:
        server, current = says
        code, body = self.get(server, "/healthz")
        assert (code, json.loads(body)["hints"]) == (200, ["source facts: no answer"])
        current[0] = replace(STATUS, spool_trouble="no space")
        code, body = self.get(server, "/healthz")
        assert (code, json.loads(body)["problems"]) == (
            503,
            ["the spool can't be written: no space"],
        )

    def test_other_paths(self, says: tuple[HttpServer, list[Status]]) -> None:
        assert self.get(says[0], "/")[0] == 404
        assert self.get(says[0], "/metrics")[0] == 200

    def test_a_port_that_is_taken(self, says: tuple[HttpServer, list[Status]]) -> None:
        with pytest.raises(KbwatchError, match=f"http_port {says[0].port}: .*another port"):
            HttpServer(says[0].port, lambda: STATUS)

    def test_metrics_are_what_prometheus_reads(self) -> None:
        families = {f.name: f for f in text_string_to_metric_families(exposition(STATUS))}
        assert all(f.documentation and f.type in ("gauge", "counter") for f in families.values())
        value = {
            (sample.name.removeprefix("kbwatch_collector_"), *sample.labels.values()): sample.value
            for family in families.values()
            for sample in family.samples
        }
        assert value["healthy",] == 1
        assert value["records_total",] == 12_345_678
        assert value["source_up", "eventlog"] == 1
        assert value["source_up", "facts"] == 0
        assert value["channel_newest_record_id", "eventlog", 'odd "channel"\\'] == 2**40


class TestLog:
    def line(self, **fields: object) -> str:
        record = logging.LogRecord(
            "kbwatch.spool", logging.WARNING, "x.py", 1, "%s", ("a\nb",), None
        )
        record.fields = fields
        return log.KeyValue().format(record)

    def test_one_line_whatever_is_in_it(self) -> None:
        line = self.line(path="C:\\data dir", said='"no"\r\n\x1b[31m', count=3)
        assert line.isprintable()
        assert 'kbwatch.spool "a\\nb" path="C:\\\\data dir"' in line
        assert line.endswith("count=3")

    def test_the_same_line_comes_once_in_ten_seconds(self) -> None:
        now = [0.0]
        flood = log.Flood(lambda: now[0])

        def passes(line: int, about: str = "") -> tuple[bool, int]:
            record = logging.LogRecord("x", logging.INFO, "x.py", line, "text", (), None)
            record.about = about
            return bool(flood.filter(record)), getattr(record, "suppressed", 0)

        assert passes(1) == (True, 0)
        assert passes(2) == (True, 0)
        assert passes(1, "another source") == (True, 0)
        assert [passes(1)[0] for _ in range(5)] == [False] * 5
        now[0] = 10.0
        assert passes(1) == (True, 5)

    def test_a_file_is_rotated_into(self, tmp_path: Path) -> None:
        root = logging.getLogger()
        before, raised = list(root.handlers), logging.raiseExceptions
        try:
            log.configure("info", tmp_path / "log" / "collector.log")
            log.Log("test").info("began", node="hv03")
            assert 'kbwatch.test "began" node=hv03' in (tmp_path / "log/collector.log").read_text()
        finally:
            for handler in root.handlers:
                handler.close()
            logging.basicConfig(handlers=before, force=True)
            logging.raiseExceptions = raised
            logging.getLogger("kafka").propagate = True


class TestInstall:
    STEPS = install.install_steps(
        [r"C:\Program Files\kbwatch-collector\kbwatch-collector.exe"],
        r"C:\ProgramData\kbwatch\collector.toml",
        r"C:\ProgramData\kbwatch\it's data",
        install.Files(
            (r"C:\ProgramData\kbwatch\secrets\password.txt",),
            (r"C:\ProgramData\kbwatch\secrets\ca.pem",),
        ),
    )

    def test_the_service_has_least_privilege(self) -> None:
        commands = [step.command for step in self.STEPS]
        create = next(c for c in commands if c[1] == "create")
        assert create[create.index("obj=") + 1] == r"NT SERVICE\kbwatch-collector"
        privileges = next(c for c in commands if c[1] == "privs")
        assert privileges[2:] == ("kbwatch-collector", "SeChangeNotifyPrivilege")

    def rights(self, file: str) -> list[tuple[str, ...]]:
        return [s.command[2:] for s in self.STEPS if s.command[1].endswith(file)]

    def test_a_secret_is_left_to_administrators_and_the_service(self) -> None:
        owner, reset, narrowed = self.rights("password.txt")
        assert owner == ("/setowner", "*S-1-5-32-544")
        assert reset == ("/reset",)
        assert narrowed[:2] == ("/inheritance:r", "/grant:r")
        assert r"NT SERVICE\kbwatch-collector:R" in narrowed

    def test_a_certificate_stays_readable_for_others(self) -> None:
        assert self.rights("ca.pem") == [("/grant", r"NT SERVICE\kbwatch-collector:R")]

    def test_no_program_is_looked_for_in_the_current_folder(self) -> None:
        every = (*install.requirements(), *self.STEPS, *install.remove_steps())
        assert {s.command[0].rpartition("\\")[0] for s in every} == {
            r"C:\Windows\System32",
            r"C:\Windows\System32\WindowsPowerShell\v1.0",
        }

    def test_the_account_of_a_service_follows_from_its_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(install, "SERVICE", "TrustedInstaller")
        assert install.service_sid() == (
            "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
        )

    def test_a_path_with_a_space_stays_one_word(self) -> None:
        command = self.STEPS[0].command
        path = command[command.index("binPath=") + 1]
        assert path.startswith(
            '"C:\\Program Files\\kbwatch-collector\\kbwatch-collector.exe" service'
        )

    def test_quotes_in_paths_end_no_string(self) -> None:
        scripts = [s.command[-1] for s in self.STEPS if s.command[0].endswith("powershell.exe")]
        assert any(r"'C:\ProgramData\kbwatch\it''s data'" in script for script in scripts)

    def test_removing_touches_nothing_but_what_a_collector_made(self, tmp_path: Path) -> None:
        folder = tmp_path / "data"
        (folder / "log").mkdir(parents=True)
        (folder / "log" / "collector.log").touch()
        (folder / "lock").touch()
        assert steps.remove_data(folder) == []
        assert not folder.exists()
        assert steps.remove_data(folder) == []
        folder.mkdir()
        (folder / "thesis.docx").touch()
        assert steps.remove_data(folder) == [str(folder / "thesis.docx")]
        assert (folder / "thesis.docx").exists()

    def test_removing_follows_no_link(self, tmp_path: Path) -> None:
        elsewhere, folder = tmp_path / "elsewhere", tmp_path / "data"
        elsewhere.mkdir()
        (elsewhere / "thesis.docx").touch()
        folder.mkdir()
        (folder / "spool").symlink_to(elsewhere)
        assert steps.remove_data(folder) == []
        assert (elsewhere / "thesis.docx").exists()

    @pytest.mark.parametrize(("made", "undone"), [(0, True), (1073, False)])
    def test_what_was_begun_anew_is_taken_back(self, made: int, undone: bool) -> None:
        ran: list[str] = []

        def run(command: Sequence[str]) -> tuple[int, str]:
            ran.append(command[1])
            return ({"create": made, "config": 5}.get(command[1], 0), "denied")

        with pytest.raises(KbwatchError, match="bring an older one up to date"):
            steps.carry_out(self.STEPS, run, lambda _: None, undo=install.remove_steps())
        assert ("delete" in ran) == undone

    def test_removing_goes_on_behind_what_fails(self) -> None:
        def run(command: Sequence[str]) -> tuple[int, str]:
            return (1, "denied") if "Stop-Service" in command[-1] else (0, "")

        said: list[str] = []
        (failed,) = steps.attempt(install.remove_steps(), run, said.append)
        assert failed.startswith("stop the service: ")
        assert said[-1] == "see that it is gone"

    def test_what_was_done_before_is_no_error(self) -> None:
        said: list[str] = []
        steps.carry_out(self.STEPS[:1], lambda _command: (1073, "exists"), said.append)
        assert said == ["make the service"]

    def test_a_step_that_fails_is_named(self) -> None:
        with pytest.raises(
            KbwatchError, match=r"make the service: .*sc.exe create .* with 5: denied"
        ):
            steps.carry_out(self.STEPS, lambda _command: (5, "denied\n"), lambda _said: None)


class TestSettingsFile:
    def test_a_file_that_vanishes_changes_nothing(self, tmp_path: Path) -> None:
        now = [0.0]
        path = tmp_path / "collector.toml"
        path.write_text("[node]\nsite = 'fra'")
        settings = SettingsFile(str(path), now_s=lambda: now[0])
        path.unlink()
        now[0] = 11.0
        assert not settings.changed()
        assert settings.current.node.site == "fra"
        assert "collector.toml" in settings.trouble

    def test_it_is_not_looked_at_all_the_time(self, tmp_path: Path) -> None:
        now = [0.0]
        path = tmp_path / "collector.toml"
        path.write_text("")
        settings = SettingsFile(str(path), now_s=lambda: now[0])
        path.write_text("[node]\nsite = 'fra'")
        now[0] = 9.0
        assert not settings.changed()
        now[0] = 10.0
        assert settings.changed()
        assert settings.current.node.site == "fra"

    def test_the_command_line_still_wins(self, tmp_path: Path) -> None:
        now = [0.0]
        path = tmp_path / "collector.toml"
        path.write_text("")
        settings = SettingsFile(str(path), ["node.site=muc"], now_s=lambda: now[0])
        path.write_text("[node]\nsite = 'fra'")
        now[0] = 11.0
        assert not settings.changed()
        assert settings.current.node.site == "muc"


def test_what_may_be_secret_is_masked() -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap="user:pw@broker:9092,other:9092"),
        redact=RedactSettings(patterns=("Nightjar",)),
    )
    shown = masked(settings)
    assert shown.kafka.bootstrap == "[masked]@broker:9092,other:9092"
    assert shown.redact.patterns == ("[masked]",)


class TestSources:
    SILENT = SourceStatus(trouble="Setup: access denied", delivers=False)
    HALF = SourceStatus(trouble="Setup: access denied", items=1_501)

    def test_one_that_delivers_in_part_is_no_problem(self) -> None:
        status = replace(STATUS, sources={"eventlog": self.HALF})
        assert status.problems() == ()
        assert status.hints() == ("source eventlog: Setup: access denied",)

    def test_one_that_misses_what_nodes_are_judged_by_is_and_is_said_once(self) -> None:
        missing = replace(self.HALF, misses=True)
        facts = SourceStatus(trouble="no answer")
        status = replace(STATUS, sources={"eventlog": missing, "facts": facts})
        assert status.problems() == ("source eventlog: Setup: access denied",)
        assert status.hints() == ("source facts: no answer",)

    def test_what_is_wrong_is_said_once(self) -> None:
        status = replace(STATUS, sources={"eventlog": self.SILENT})
        said = "\n".join([*status.problems(), *status.hints(), *status.lines()])
        assert status.problems() == ("no source delivers: eventlog: Setup: access denied",)
        assert said.count("access denied") == 1


class TestDataDir:
    @pytest.mark.parametrize("rest", ["[kafka", "kafka.tls = 'perhaps'", "nothing = 1"])
    def test_it_is_known_of_a_broken_file(self, tmp_path: Path, rest: str) -> None:
        path = tmp_path / "collector.toml"
        path.write_text(f"data_dir = '/var/lib/kbwatch'\n{rest}\n")
        data_dir, wrong = data_dir_of(str(path), environ={})
        assert data_dir == "/var/lib/kbwatch"
        assert str(path) in wrong

    def test_a_wrong_option_is_still_an_error(self) -> None:
        with pytest.raises(KbwatchError, match="bootstrp"):
            data_dir_of(None, ["kafka.bootstrp=x"], {})

    def test_it_is_for_its_user_alone(self, tmp_path: Path) -> None:
        folder = tmp_path / "data"
        folder.mkdir(mode=0o755)
        FolderLock(folder).release()
        assert folder.stat().st_mode & 0o777 == 0o700
