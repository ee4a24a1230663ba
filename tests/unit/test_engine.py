"""One run of the collector: nothing is lost, the bookmark follows the acknowledgement."""

import errno
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from collectors.runtime.engine import Engine
from collectors.settings import Settings, SpoolSettings
from collectors.shipping.outbox import Outbox
from collectors.sources.source import Item
from collectors.spool.bookmark import Bookmarks
from collectors.spool.spool import Spool
from schemas.reports import Heartbeat
from tests.fixtures.engines import Bench, Clock, Failing, Hanging, Kafka, Log, blank, hasten
from tests.fixtures.spooling import abandon, bundle


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    hasten(monkeypatch)
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

    def test_while_kafka_takes_nothing_nothing_is_taken_out_of_the_spool(
        self, bench: Bench
    ) -> None:
        kafka, log = Kafka(at_once=False), Log(count=100)
        engine = bench.engine(kafka, log)
        bench.until(engine, lambda: len(kafka.record_ids()) == 100)
        kafka.failed, kafka.room = [entry.seq for entry in kafka.sent], False
        log.length = 200
        bench.until(engine, lambda: engine.status(blank()).records == 200)
        assert not bench.spool._flights
        kafka.at_once = kafka.room = True
        bench.until(engine, engine.drained)
        assert kafka.record_ids()[100:] == list(range(1, 201))

    def test_a_disk_that_cannot_sync_is_said_and_stops_nothing_that_is_on_it(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(_handle: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        kafka, log = Kafka(), Log(count=10)
        kafka.room = False
        engine = bench.engine(kafka, log)
        bench.until(engine, lambda: engine.status(blank()).records == 10)
        bench.clock.advance(2)
        engine.step()
        bench.spool.sync()
        with monkeypatch.context() as disk:
            disk.setattr(os, "fsync", fails)
            log.length, kafka.room = 20, True
            bench.until(engine, lambda: bool(engine.status(blank()).spool_trouble))
            bench.until(engine, lambda: len(kafka.record_ids()) >= 10)
            assert "Input/output error" in engine.status(blank()).spool_trouble
        bench.until(engine, engine.drained)
        assert kafka.record_ids() == list(range(1, 21))
        bench.until(engine, lambda: not engine.status(blank()).spool_trouble)

    def test_a_sync_that_fails_when_nothing_comes_any_more_is_said_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(_handle: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        clock, kafka = Clock(), Kafka()
        spool = Spool(tmp_path / "spool", SpoolSettings(), clock.now_s)
        spool.append([bundle(1)])
        spool.append([bundle(2)])
        clock.advance(2)
        outbox = Outbox(spool, kafka, Bookmarks(tmp_path / "bookmarks.json"), clock.now_s)
        with monkeypatch.context() as disk:
            disk.setattr(os, "fsync", fails)
            outbox.ship(0.0)
            assert "Input/output error" in outbox.trouble
            assert len(kafka.sent) == 1
        outbox.ship(0.0)
        assert outbox.trouble == ""
        assert len(kafka.sent) == 2
        spool.close()

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


class Gap(Log):
    """Its log had lost 499 records before the first that is there."""

    def read(self, limit: int) -> Sequence[Item]:
        return [
            replace(item, lost=499 if item.position == "1" else 0) for item in super().read(limit)
        ]


class TestWhatWasLost:
    """It gets into a heartbeat that reaches Kafka, whatever happens in between."""

    def said(self, kafka: Kafka) -> list[int]:
        records = [record for e in kafka.sent for record in e.bundle.report.records]
        return [record.lost for record in records if isinstance(record, Heartbeat)]

    def test_a_run_that_ends_says_it_in_a_last_heartbeat(self, bench: Bench) -> None:
        kafka, log = Kafka(), Gap()
        engine = bench.engine(kafka, log)
        bench.until(engine, lambda: self.said(kafka) == [0])
        log.length = 5
        bench.until(engine, lambda: engine.status(blank()).records == 5)
        bench.until(engine, engine.drained)
        assert self.said(kafka) == [0, 499]

    def test_it_is_on_the_disk_before_its_place_is_passed(self, bench: Bench) -> None:
        engine = bench.engine(Kafka(), Gap(count=5))
        while engine._batches.empty():
            threading.Event().wait(0.001)
        bench.stop(engine)
        assert bench.spool.counted[0] == 499

    def test_a_clean_stop_leaves_a_last_heartbeat(self, bench: Bench) -> None:
        kafka = Kafka(at_once=False)
        engine = bench.engine(kafka, Gap(count=5))
        bench.until(engine, lambda: engine.status(blank()).records == 5)
        kafka.at_once = True
        bench.stop(engine)
        assert self.said(kafka)[-1] == 499

    def test_a_crash_before_the_next_heartbeat_forgets_nothing(self, bench: Bench) -> None:
        kafka, log = Kafka(), Gap()
        engine = bench.engine(kafka, log)
        bench.until(engine, lambda: self.said(kafka) == [0])
        log.length = 5
        bench.until(engine, lambda: len(kafka.record_ids()) == 5)
        assert self.said(kafka) == [0]
        bench.bookmarks().save(bench.spool.acked)
        bench.engines.remove(engine)
        for reader_ in engine._readers:
            reader_.ask_to_stop()
        abandon(bench.spool)
        kafka = Kafka()
        engine = bench.engine(kafka, Gap(count=5))
        bench.until(engine, engine.drained)
        assert self.said(kafka)[0] == 499

    def test_what_kafka_or_readers_refuse_is_said_after_a_restart_too(self, bench: Bench) -> None:
        kafka = Kafka()
        engine = bench.engine(kafka, Nobodys(count=3))
        kafka.refused = 2
        bench.until(engine, lambda: engine.status(blank()).refused == 5)
        bench.stop(engine)
        kafka = Kafka()
        engine = bench.engine(kafka, Log(count=1))
        bench.until(engine, engine.drained)
        beats = [r for e in kafka.sent for r in e.bundle.report.records]
        assert {beat.dropped for beat in beats if isinstance(beat, Heartbeat)} == {5}


class Nobodys(Log):
    """Events of a computer whose name can be none."""

    def read(self, limit: int) -> Sequence[Item]:
        return [replace(item, origin="a|b") for item in super().read(limit)]


class TestDeadSources:
    """Nothing that is dead looks well."""

    def test_one_that_raises_is_a_problem(self, bench: Bench) -> None:
        engine = bench.engine(Kafka(), Failing("eventlog"), Log())
        bench.until(engine, lambda: bool(engine.status(blank()).problems()))
        assert engine.status(blank()).problems() == ("source eventlog: RuntimeError: driver fault",)

    def test_one_that_hangs_is_a_problem_and_falls_behind(self, bench: Bench) -> None:
        class HangsLater(Hanging):
            def read(self, limit: int) -> Sequence[Item]:
                return Log.read(self, limit) if self._place < 3 else super().read(limit)

        hanging = HangsLater()
        hanging.length = 3
        engine = bench.engine(Kafka(), hanging, Log())
        bench.until(engine, lambda: engine.status(blank()).records == 3)
        bench.clock.advance(300)
        engine.step()
        status = engine.status(blank())
        assert any("source hangs: hangs" in problem for problem in status.problems())
        assert status.sources["hangs"].channels["System"].lag_s >= 300
        hanging.let_go.set()

    def test_one_without_a_channel_that_nodes_are_judged_by_is_a_problem(
        self, bench: Bench
    ) -> None:
        log = Log("eventlog")
        log.trouble, log.misses = "System: access denied", True
        engine = bench.engine(Kafka(), log)
        bench.until(engine, lambda: bool(engine.status(blank()).problems()))
        assert engine.status(blank()).problems() == ("source eventlog: System: access denied",)
