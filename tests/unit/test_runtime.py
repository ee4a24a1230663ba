"""One engine after another: settings, cluster and parts change, nothing is read twice."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from collectors.pipeline.pipeline import Pipeline
from collectors.runtime import runtime
from collectors.runtime import status as status_file
from collectors.runtime.runtime import Runtime
from collectors.settings import KafkaSettings, Settings
from collectors.settings_file import SettingsFile
from collectors.sources.source import Source
from collectors.spool.bookmark import Bookmarks
from collectors.spool.spool import Spool
from collectors.windows import api as windows_api
from collectors.windows.api import Fault, WindowsApiError
from collectors.windows.node import Node
from schemas.errors import KbwatchError
from tests.fixtures.engines import STEPS, Clock, Kafka, Log, hasten


class Made:
    """The parts of a runtime whose sources and Kafka are the test's."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.settings: list[Settings] = []
        self.domains: list[str] = []
        self.kafka = Kafka()
        self.refuses = ""
        self.refuses_kafka = ""

    def sources(self, settings: Settings, node: Node) -> Sequence[Source]:
        if self.refuses:
            why, self.refuses = self.refuses, ""
            raise KbwatchError(why)
        self.settings.append(settings)
        self.logs.append(Log(count=10))
        return [self.logs[-1]]

    def pipeline(self, settings: Settings, node: Node) -> Pipeline:
        self.domains.append(node.domain)
        return Pipeline(settings, node.name, node.domain, "1")

    def shipper(self, kafka: KafkaSettings) -> Kafka:
        if self.refuses_kafka:
            why, self.refuses_kafka = self.refuses_kafka, ""
            raise KbwatchError(why)
        return self.kafka


class Running:
    """A runtime in a thread, with a settings file."""

    def __init__(self, folder: Path, made: Made) -> None:
        self.file = folder / "collector.toml"
        self.write("")
        self.clock = Clock()
        made.kafka.clock = self.clock
        settings = SettingsFile(str(self.file), now_s=self.clock.now_s)
        self.runtime = Runtime(settings, made, self.clock.now_s, self.clock.now_ms)
        self._thread = threading.Thread(target=self.runtime.run)
        self._thread.start()

    def write(self, more: str) -> None:
        self.file.write_text(f"data_dir = {str(self.file.parent / 'data')!r}\n{more}")

    def until(self, done: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(STEPS):
            if done():
                return
            self.clock.advance(1)
            pause.wait(0.02)
        pytest.fail("it never came to that")

    def end(self) -> None:
        self.runtime.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    hasten(monkeypatch)
    return Made()


@pytest.fixture
def running(tmp_path: Path, made: Made) -> Iterator[Running]:
    thread = Running(tmp_path, made)
    yield thread
    thread.end()


class TestReload:
    def test_changed_settings_take_effect_and_nothing_is_read_twice(
        self, running: Running, made: Made
    ) -> None:
        running.until(lambda: len(made.kafka.record_ids()) == 10)
        running.write("[logs]\nmax_level = 2")
        running.until(lambda: len(made.logs) == 2 and bool(made.logs[1].opened))
        assert made.settings[1].logs.max_level == 2
        assert made.logs[1].opened == ["10"]
        assert made.logs[0].closed == 1
        assert made.kafka.record_ids() == list(range(1, 11))

    def test_a_broken_file_changes_nothing_and_is_said(self, running: Running, made: Made) -> None:
        running.write("[logs]\nmax_levle = 2")
        running.until(lambda: "max_levle" in running.runtime.status().settings_trouble)
        assert len(made.logs) == 1
        running.write("")
        running.until(lambda: not running.runtime.status().settings_trouble)

    def test_settings_that_cannot_work_give_way_to_those_before(
        self, running: Running, made: Made
    ) -> None:
        running.until(lambda: len(made.logs) == 1)
        made.refuses = "logs.xpath: is no XPath"
        running.write("[logs]\nmax_level = 2")
        running.until(lambda: len(made.logs) == 2)
        assert made.settings[1].logs.max_level == 3
        running.until(lambda: "is no XPath" in running.runtime.status().settings_trouble)

    def test_a_refused_shipper_leaves_the_spool_to_the_next_try(
        self, running: Running, made: Made
    ) -> None:
        running.until(lambda: len(made.kafka.record_ids()) == 10)
        made.refuses_kafka = "kafka.password_file: is empty"
        running.write("[kafka]\ntimeout_s = 2")
        running.until(lambda: "is empty" in running.runtime.status().settings_trouble)
        assert not running.runtime.status().problems()

    def test_a_spool_that_cannot_be_opened_for_a_moment_refuses_no_settings(
        self, running: Running, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tries: list[None] = []

        def unreliable(*args: Any) -> Spool:  # noqa: ANN401 - whatever a spool takes
            tries.append(None)
            if len(tries) <= 2:
                raise KbwatchError("the spool can't be opened: no space left on device")
            return Spool(*args)

        running.until(lambda: len(made.kafka.record_ids()) == 10)
        monkeypatch.setattr(runtime, "Spool", unreliable)
        monkeypatch.setattr(runtime, "_TRY_AGAIN_S", 0.01)
        running.write("[logs]\nmax_level = 2")
        running.until(lambda: len(tries) == 3)
        running.until(lambda: not running.runtime.status().problems())
        assert made.settings[-1].logs.max_level == 2
        assert not running.runtime.status().settings_trouble

    def test_what_needs_a_restart_is_named(self, running: Running, made: Made) -> None:
        running.write("http_port = 9477")
        running.until(lambda: running.runtime.status().restart_needed == ("http_port",))
        assert len(made.logs) == 1


class TestCluster:
    """The failure domain follows the cluster, whose service may come up after the collector."""

    @pytest.fixture
    def cluster(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        values: dict[str, str] = {}

        class Registry:
            def values(self, key: str) -> Mapping[str, object]:
                if key == "Cluster" and values:
                    return values
                raise WindowsApiError(Fault.NOT_FOUND)

        monkeypatch.setattr(windows_api, "registry", Registry)
        return values

    def test_a_cluster_that_comes_up_later_is_the_domain_from_then_on(
        self, cluster: dict[str, str], running: Running, made: Made
    ) -> None:
        running.until(lambda: len(made.kafka.record_ids()) == 10)
        cluster["ClusterName"] = "HV-C01"
        running.until(lambda: made.domains[-1] == "hv-c01")
        running.until(lambda: running.runtime.status().domain == "hv-c01")
        running.until(lambda: bool(made.logs[-1].opened))
        assert made.logs[-1].opened == ["10"]
        assert len(made.domains) == 2

    def test_parts_that_fail_just_then_take_no_settings_back(
        self, cluster: dict[str, str], running: Running, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runtime, "_TRY_AGAIN_S", 0.01)
        running.until(lambda: len(made.kafka.record_ids()) == 10)
        running.write("[logs]\nmax_level = 2")
        running.until(lambda: len(made.settings) == 2)
        made.refuses_kafka = "kafka.password_file: is empty"
        cluster["ClusterName"] = "HV-C01"
        running.until(lambda: running.runtime.status().domain == "hv-c01")
        assert made.settings[-1].logs.max_level == 2
        assert not running.runtime.status().settings_trouble


class TestRuntime:
    def test_a_second_collector_in_the_folder_is_refused(
        self, running: Running, tmp_path: Path, made: Made
    ) -> None:
        running.until(lambda: len(made.logs) == 1)
        second = Runtime(SettingsFile(str(running.file)), made)
        with pytest.raises(KbwatchError, match="in use by another collector"):
            second.run()

    def test_its_status_is_in_a_file(self, running: Running, tmp_path: Path) -> None:
        def said() -> bool:
            found = status_file.read(tmp_path / "data")
            return found is not None and found.reports_acked > 0 and found.running

        running.until(said)
        running.end()
        found = status_file.read(tmp_path / "data")
        assert found is not None
        assert "not running" in found.gone(running.clock.ms)

    def test_a_loop_that_stands_still_is_unhealthy(self, running: Running, made: Made) -> None:
        running.end()
        running.clock.advance(120)
        assert any("stands still" in problem for problem in running.runtime.status().problems())

    def test_until_idle_ships_what_is_there_and_ends(self, tmp_path: Path, made: Made) -> None:
        settings = SettingsFile(None, [f"data_dir={tmp_path / 'data'}"])
        runtime = Runtime(settings, made)
        assert runtime.run_until_idle(60)
        assert made.kafka.record_ids() == list(range(1, 11))
        assert Bookmarks(tmp_path / "data" / "bookmarks.json").load() == {"log": "10"}

    def test_until_idle_says_when_not_all_was_acknowledged(
        self, tmp_path: Path, made: Made
    ) -> None:
        made.kafka.room = False
        made.kafka.trouble = "no broker answers"
        settings = SettingsFile(None, [f"data_dir={tmp_path / 'data'}"])
        runtime = Runtime(settings, made)
        assert not runtime.run_until_idle(1)
        assert runtime.status().spool_depth > 0
