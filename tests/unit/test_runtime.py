"""The collector's loop: nothing is lost, the bookmark follows the acknowledgement, all is said."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from collectors.pipeline.pipeline import Pipeline
from collectors.runtime import reader
from collectors.runtime import status as status_file
from collectors.runtime.engine import Engine
from collectors.runtime.node import Node
from collectors.runtime.runtime import Runtime
from collectors.runtime.settings_file import SettingsFile
from collectors.settings import KafkaSettings, Settings, SpoolSettings
from collectors.sources.source import Item, Source
from collectors.spool.bookmark import Bookmarks
from collectors.spool.bundle import Bundle
from collectors.spool.spool import Entry, Spool, SpoolFull
from schemas.errors import KbwatchError
from schemas.reports import ChannelHealth, Event, Heartbeat

STEPS = 400
START_MS = 1_752_015_000_000


class Clock:
    """Moved by hand; ``ms`` is the clock on the wall, which may be set."""

    def __init__(self) -> None:
        self.s = 1_000.0
        self.ms = START_MS

    def advance(self, seconds: float) -> None:
        self.s += seconds
        self.ms += int(seconds * 1000)

    def now_s(self) -> float:
        return self.s

    def now_ms(self) -> int:
        return self.ms


class Log:
    """A source: a list of events, positions are places in it."""

    def __init__(self, name: str = "log", count: int = 0) -> None:
        self.name = name
        self.trouble = ""
        self.delivers = True
        self.opened: list[str | None] = []
        self.closed = 0
        self.length = count
        self._place = 0

    def open(self, position: str | None) -> None:
        self.opened.append(position)
        self._place = int(position or 0)

    def read(self, limit: int) -> Sequence[Item]:
        first, self._place = self._place, min(self.length, self._place + min(limit, 10))
        return [
            Item((event(number),), "System", position=str(number))
            for number in range(first + 1, self._place + 1)
        ]

    def channels(self) -> Mapping[str, ChannelHealth]:
        return {"System": ChannelHealth(newest_record_id=self._place)}

    def close(self) -> None:
        self.closed += 1


class Failing(Log):
    def read(self, limit: int) -> Sequence[Item]:
        raise RuntimeError("driver fault")


class Hanging(Log):
    def __init__(self) -> None:
        super().__init__("hangs")
        self.let_go = threading.Event()

    def read(self, limit: int) -> Sequence[Item]:
        self.let_go.wait()
        return []


class Kafka:
    """A shipper whose answers are given by the test, or at once."""

    def __init__(self, at_once: bool = True) -> None:
        self.at_once = at_once
        self.clock = Clock()
        self.trouble = ""
        self.room = True
        self.refused = 0
        self.sent: list[Entry] = []
        self.acked: list[int] = []
        self.failed: list[int] = []
        self.closed = False

    def submit(self, entry: Entry) -> bool:
        if not self.room:
            return False
        self.sent.append(entry)
        if self.at_once:
            self.acked.append(entry.seq)
        return True

    def poll(self, timeout_s: float) -> tuple[Sequence[int], Sequence[int]]:
        if not self.acked:
            # Time passes for who waits, and threads get their turn.
            self.clock.advance(timeout_s)
            threading.Event().wait(0.001)
        acked, self.acked = self.acked, []
        failed, self.failed = self.failed, []
        return acked, failed

    def close(self, timeout_s: float) -> None:
        self.closed = True

    def record_ids(self) -> list[int]:
        return [
            record.record_id
            for entry in self.sent
            for record in entry.bundle.report.records
            if isinstance(record, Event)
        ]


class SmallDisk(Spool):
    full = False
    refused = 0

    def append(self, bundles: Sequence[Bundle]) -> None:
        if self.full:
            self.refused += 1
            raise SpoolFull("no space left on device")
        super().append(bundles)


def event(number: int) -> Event:
    return Event(
        t_ms=START_MS - 100_000 + number,
        channel="System",
        provider="Service Control Manager",
        id=7031,
        level=2,
        record_id=number,
        computer="HV03",
    )


class Bench:
    """An engine with everything it needs, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.settings = Settings(data_dir=str(folder))
        self.engines: list[Engine] = []

    def engine(self, kafka: Kafka, *sources: Source) -> Engine:
        self.spool = SmallDisk(self.folder / "spool", SpoolSettings(), self.clock.now_s)
        self.kafka = kafka
        kafka.clock = self.clock
        engine = Engine(
            self.settings,
            sources,
            Pipeline(self.settings, "hv03", "hv03", "1"),
            self.spool,
            kafka,
            self.bookmarks(),
            self.clock.now_s,
            self.clock.now_ms,
        )
        engine.start()
        self.engines.append(engine)
        return engine

    def bookmarks(self) -> Bookmarks:
        return Bookmarks(self.folder / "bookmarks.json")

    def until(self, engine: Engine, done: Callable[[], bool]) -> None:
        for _ in range(STEPS):
            if done():
                return
            self.clock.advance(0.3)
            engine.step()
        pytest.fail("it never came to that")

    def stop(self, engine: Engine) -> None:
        self.engines.remove(engine)
        engine.stop()


@pytest.fixture(autouse=True)
def _readers_do_not_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_GATHER_S", 0.0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for engine in made.engines:
        engine.stop()


class TestWhatIsRead:
    def test_all_of_it_arrives_once_and_in_order(self, bench: Bench) -> None:
        kafka = Kafka()
        engine = bench.engine(kafka, Log(count=95))
        bench.until(engine, engine.drained)
        assert kafka.record_ids() == list(range(1, 96))

    def test_two_sources_arrive_side_by_side(self, bench: Bench) -> None:
        kafka = Kafka()
        engine = bench.engine(kafka, Log("a", 20), Log("b", 30))
        bench.until(engine, engine.drained)
        assert sorted(kafka.record_ids()) == sorted([*range(1, 21), *range(1, 31)])

    def test_a_source_that_raises_stops_no_other_and_is_said(self, bench: Bench) -> None:
        kafka = Kafka()
        engine = bench.engine(kafka, Failing("broken"), Log(count=20))
        bench.until(engine, lambda: len(kafka.record_ids()) == 20)
        assert "driver fault" in engine.status(blank()).sources["broken"].trouble

    def test_a_source_that_hangs_stops_no_other_and_is_said(self, bench: Bench) -> None:
        kafka, hanging = Kafka(), Hanging()
        engine = bench.engine(kafka, hanging, Log(count=20))
        bench.until(engine, lambda: len(kafka.record_ids()) == 20)
        bench.clock.advance(300)
        assert "hangs" in engine.status(blank()).sources["hangs"].trouble
        hanging.let_go.set()

    def test_what_the_log_itself_has_lost_is_counted(self, bench: Bench) -> None:
        class Wrapped(Log):
            def read(self, limit: int) -> Sequence[Item]:
                return [replace(item, lost=3) for item in super().read(limit)]

        engine = bench.engine(Kafka(), Wrapped(count=2))
        bench.until(engine, engine.drained)
        assert engine.status(blank()).sources["log"].lost == 6


class TestBookmark:
    def test_it_is_there_after_the_acknowledgement(self, bench: Bench) -> None:
        engine = bench.engine(Kafka(), Log(count=20))
        bench.until(engine, engine.drained)
        bench.clock.advance(2)
        engine.step()
        assert bench.bookmarks().load() == {"log": "20"}

    def test_it_is_not_there_before(self, bench: Bench) -> None:
        kafka = Kafka(at_once=False)
        engine = bench.engine(kafka, Log(count=20))
        bench.until(engine, lambda: len(kafka.record_ids()) == 20)
        bench.stop(engine)
        assert bench.bookmarks().load() == {}

    def test_an_acknowledgement_out_of_turn_does_not_move_it(self, bench: Bench) -> None:
        kafka, log = Kafka(at_once=False), Log(count=10)
        engine = bench.engine(kafka, log)
        bench.until(engine, lambda: len(kafka.record_ids()) == 10)
        log.length = 20
        bench.until(engine, lambda: len(kafka.record_ids()) == 20)
        kafka.acked = [kafka.sent[-1].seq]
        bench.until(engine, lambda: not kafka.acked)
        bench.stop(engine)
        assert "log" not in bench.bookmarks().load()

    def test_a_source_begins_with_its_history_at_the_first_start(self, bench: Bench) -> None:
        log = Log(count=5)
        engine = bench.engine(Kafka(), log)
        bench.until(engine, engine.drained)
        assert log.opened == [None]

    def test_then_behind_what_was_acknowledged(self, bench: Bench) -> None:
        bench.bookmarks().save({"log": "7"})
        log = Log(count=9)
        engine = bench.engine(Kafka(), log)
        bench.until(engine, engine.drained)
        assert log.opened == ["7"]
        assert bench.kafka.record_ids() == [8, 9]

    def test_and_behind_what_is_in_the_spool_which_is_sent_first(self, bench: Bench) -> None:
        engine = bench.engine(Kafka(at_once=False), Log(count=20))
        bench.until(engine, lambda: len(bench.kafka.record_ids()) == 20)
        bench.stop(engine)
        log = Log(count=25)
        engine = bench.engine(Kafka(), log)
        bench.until(engine, engine.drained)
        assert log.opened == ["20"]
        assert bench.kafka.record_ids() == list(range(1, 26))


class TestTrouble:
    def test_a_full_disk_stops_reading_until_it_can_be_written(self, bench: Bench) -> None:
        kafka, log = Kafka(), Log(count=10_000)
        engine = bench.engine(kafka, log)
        bench.spool.full = True
        bench.until(engine, lambda: bench.spool.refused >= 5)
        said = engine.status(blank())
        assert "no space left" in said.spool_trouble
        assert said.problems()
        # One batch in each hand, the queue, and what the pipeline had.
        assert log._place < 200
        bench.spool.full = False
        bench.until(engine, lambda: len(kafka.record_ids()) >= 500)
        assert kafka.record_ids()[:500] == list(range(1, 501))
        assert not engine.status(blank()).spool_trouble

    def test_what_failed_is_sent_again(self, bench: Bench) -> None:
        kafka = Kafka(at_once=False)
        engine = bench.engine(kafka, Log(count=10))
        bench.until(engine, lambda: len(kafka.record_ids()) == 10)
        kafka.failed = [entry.seq for entry in kafka.sent]
        kafka.at_once = True
        bench.until(engine, engine.drained)
        assert kafka.record_ids() == [*range(1, 11), *range(1, 11)]

    def test_while_kafka_takes_nothing_the_spool_does(self, bench: Bench) -> None:
        kafka = Kafka()
        kafka.room, kafka.trouble = False, "no broker answers"
        engine = bench.engine(kafka, Log(count=100))
        bench.until(engine, lambda: engine.status(blank()).records == 100)
        bench.clock.advance(400)
        assert "no broker answers" in engine.status(blank()).problems()[-1]
        kafka.room, kafka.trouble = True, ""
        bench.until(engine, engine.drained)
        assert kafka.record_ids() == list(range(1, 101))
        assert not engine.status(blank()).problems()


class TestHeartbeats:
    def beats(self, bench: Bench, engine: Engine, seconds: int) -> int:
        for _ in range(seconds):
            bench.clock.advance(1)
            engine.step()
        return sum(
            isinstance(record, Heartbeat)
            for entry in bench.kafka.sent
            for record in entry.bundle.report.records
        )

    def test_one_a_minute(self, bench: Bench) -> None:
        bench.settings = Settings(data_dir=str(bench.folder))
        engine = bench.engine(Kafka(), Log(count=5_000))
        assert self.beats(bench, engine, 185) == 4

    def test_a_clock_set_back_delays_none(self, bench: Bench) -> None:
        engine = bench.engine(Kafka(), Log(count=5_000))
        engine.step()
        bench.clock.ms -= 7 * 86_400_000
        assert self.beats(bench, engine, 125) == 3


class Made:
    """The parts of a runtime whose sources and Kafka are the test's."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.settings: list[Settings] = []
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
def made() -> Made:
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

    def test_what_needs_a_restart_is_named(self, running: Running, made: Made) -> None:
        running.write("http_port = 9477")
        running.until(lambda: running.runtime.status().restart_needed == ("http_port",))
        assert len(made.logs) == 1


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


def blank() -> status_file.Status:
    return status_file.Status(
        version="1",
        pid=1,
        fleet="default",
        node="hv03",
        domain="hv03",
        written_ms=0,
        uptime_s=0.0,
    )
