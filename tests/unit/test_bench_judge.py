"""Judging streams: crossings as detection gives them, whole results or none."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from schemas.errors import KbwatchError
from streams.detection.judge import Judge
from streams.regbench.bench.baseline_count import THRESHOLD
from streams.regbench.bench.decisions import read, to_lines
from streams.regbench.bench.evidence import evidence_of
from streams.regbench.bench.history import History, gather
from streams.regbench.bench.judge import DETECTORS, Job, each, judge, stream_files
from streams.regbench.bench.judging import Kbwatch, branches, read_margins
from streams.regbench.bench.learning import learn_from, margins_of
from streams.regbench.bench.stream import End, Event, Fleet, Install, Line
from streams.regbench.bench.stream_file import write
from tests.fixtures.bench_streams import (
    BRANCH,
    DAY,
    END,
    HOUR,
    KB,
    SIGNATURE,
    START,
    T0,
    head,
    node,
    rollout,
    written,
)

FAILING = 20


def history(failing: int = 0) -> History:
    return gather(rollout(300, failing))


def nothing() -> None:
    """Progress that nobody sees."""


class TestKbwatch:
    def test_a_defect_is_warned_of_and_then_halted(self) -> None:
        found = {d.type: d for d in Kbwatch()("f", history(FAILING))}
        assert list(found) == ["warn", "halt"]
        halt = found["halt"]
        assert (halt.file, halt.kb, halt.branch, halt.signature) == ("f", KB, BRANCH, SIGNATURE)
        assert found["warn"].t_ms <= halt.t_ms
        assert found["warn"].victims <= halt.victims < FAILING
        assert halt.log_e >= 5.298

    def test_a_harmless_roll_out_is_left_in_peace(self) -> None:
        assert list(Kbwatch()("f", history())) == []

    def test_the_halt_is_that_of_the_live_judge(self) -> None:
        told = history(FAILING)
        live = Judge(alpha=1 / 200)
        for part in evidence_of(told, END):
            live.replace(part)
        (verdict,) = live.verdicts(("f0001", BRANCH))
        halt = next(d for d in Kbwatch()("f", told) if d.type == "halt")
        assert verdict.halt is not None
        assert (halt.t_ms, halt.log_e, halt.victims, halt.signature) == (
            verdict.halt.t_ms,
            verdict.halt.log_e,
            verdict.halt.victims,
            verdict.signature,
        )
        assert (halt.suspects, halt.rule) == (verdict.suspects, verdict.rule)

    def test_two_kbs_that_came_together_are_both_halted_and_both_suspected(self) -> None:
        lines = list(rollout(300, FAILING))
        twins = [replace(x, kb="KB2") for x in lines if isinstance(x, Install)]
        halts = [d for d in Kbwatch()("f", gather([*lines, *twins])) if d.type == "halt"]
        assert {d.kb for d in halts} == {KB, "KB2"}
        assert all(d.suspects == {KB: 0.5, "KB2": 0.5} for d in halts)

    def test_a_warning_that_ended_later_is_a_decision_all_the_same(self) -> None:
        """Late victims, so that it is the chronic window that bets, and then as many controls."""
        lines = list(rollout(300, per_day=0.001))[:-1]
        early = [x for x in lines if isinstance(x, Install) and int(x.node[1:]) % 4 == 0][:12]
        for x in early:
            lines.append(Event(x.t_ms + DAY + HOUR, x.node, "other", "x/1", "outage"))
        assert [d.type for d in Kbwatch()("f", gather([*lines, End(END)]))][:1] == ["warn"]
        for at, i in enumerate(range(3, 300, 4)):
            t_ms = T0 + 3 * DAY + at * HOUR
            lines.append(Event(t_ms, node(i).node, "other", "x/1", "outage"))
        told = gather([*lines, End(END)])
        live = Judge(alpha=1e-12)
        for part in evidence_of(told, END):
            live.replace(part)
        (verdict,) = live.verdicts(("f0001", BRANCH))
        assert verdict.warn is None
        assert next(d.type for d in Kbwatch()("f", told)) == "warn"

    def test_each_branch_is_a_case_of_its_own(self) -> None:
        lines = [
            replace(x, branch="20348") if x == node(0) or x == node(4) else x
            for x in rollout(300, FAILING)
        ]
        lines = [*lines[:-1], Install(T0, node(0).node, KB), Install(T0, node(4).node, KB)]
        cases = [(b.name, s.kb) for b in branches(gather(lines)) for s in b.spans]
        assert cases == [(BRANCH, KB), ("20348", KB)]

    def test_a_case_that_ended_before_the_stream_is_judged_as_of_its_end(self) -> None:
        later = END + 90 * DAY
        lines = [replace(x, end_ms=later) if isinstance(x, Fleet) else x for x in rollout(300, 20)]
        lines = [*lines[:-1], End(later)]
        long = [replace(d, file="") for d in Kbwatch()("", gather(lines))]
        assert [d.type for d in long] == ["warn", "halt"]
        assert long == list(Kbwatch()("", history(FAILING)))


class TestBaselines:
    def test_the_count_halts_at_the_fifth_event_within_an_hour(self) -> None:
        def found(times: list[int]) -> list[tuple[str, int]]:
            events = [Event(t, node(0).node, "storage", "disk/1", "none") for t in times]
            lines: list[Line] = [*head(8), Install(T0, node(0).node, KB), *events]
            return [(d.type, d.t_ms) for d in Job("count").made()("f", gather(lines))]

        close = [T0 + i * 60_000 for i in range(THRESHOLD)]
        assert found(close) == [("warn", close[-1]), ("halt", close[-1])]
        assert found(close[:-1]) == []
        assert found([t - HOUR for t in close]) == [], "before the patch"
        assert found([T0 + i * HOUR // 4 for i in range(9)]) == [], "less often"

    def test_poisson_halts_when_patched_nodes_fail_more_often_than_before(self) -> None:
        poisson = Job("poisson").made()
        assert [d.type for d in poisson("f", history(40))] == ["warn", "halt"]
        assert list(poisson("f", history())) == []


class TestFiles:
    def test_decisions_are_written_whole_and_can_be_read(self, tmp_path: Path) -> None:
        files = [written(tmp_path / f"rollout-{i}.jsonl.zst", 300, FAILING * i) for i in range(2)]
        out = tmp_path / "out.jsonl"
        made = judge(files, out, Job("kbwatch"), 1, nothing)
        assert read(out) == made
        assert {d.file for d in made} == {"rollout-1.jsonl.zst"}

    @pytest.mark.parametrize("detector", DETECTORS)
    def test_nothing_is_written_when_the_last_file_is_cut_off(
        self, tmp_path: Path, detector: str
    ) -> None:
        good = written(tmp_path / "a.jsonl", 300, FAILING)
        cut = tmp_path / "b.jsonl"
        cut.write_bytes(b"\n".join(good.read_bytes().splitlines()[:-1]) + b"\n")
        with pytest.raises(KbwatchError, match=r"b\.jsonl:\d+: the file ends here"):
            judge([good, cut], tmp_path / "out", Job(detector), 1, nothing)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl"]

    def test_in_a_folder_only_roll_outs_are_meant(self, tmp_path: Path) -> None:
        for name in ("rollout-0001.jsonl", "rollout-0000.jsonl.zst", "decisions.jsonl", "x.txt"):
            (tmp_path / name).touch()
        names = [p.name for p in stream_files([tmp_path])]
        assert names == ["rollout-0000.jsonl.zst", "rollout-0001.jsonl"]

    def test_a_folder_without_any_takes_every_stream(self, tmp_path: Path) -> None:
        (tmp_path / "theirs.jsonl").touch()
        assert [p.name for p in stream_files([tmp_path])] == ["theirs.jsonl"]

    def test_decisions_could_not_tell_two_files_of_one_name(self, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "x.jsonl").touch()
        with pytest.raises(KbwatchError, match="same name"):
            stream_files([tmp_path / "a", tmp_path / "b"])
        assert len(stream_files([tmp_path / "a", tmp_path / "b"], unique=False)) == 2

    def test_several_processes_give_the_same_in_the_same_order(self, tmp_path: Path) -> None:
        files = [written(tmp_path / f"rollout-{i}.jsonl", 120, 15, seed=i) for i in range(3)]

        def decided(jobs: int) -> bytes:
            found = each(Job("count"), files, jobs, nothing)
            return to_lines(d for some in found for d in some)

        assert decided(2) == decided(1) != b""

    @pytest.mark.parametrize(
        ("job", "message"),
        [
            (lambda _: Job("oracle"), "no detector 'oracle'"),
            (lambda folder: Job("kbwatch", folder / "no.json"), "no.json: No such file"),
            (lambda folder: Job("kbwatch", Path(__file__)), "not a calibration"),
        ],
    )
    def test_a_wrong_job_is_refused_before_any_file_is_read(
        self, tmp_path: Path, job: Callable[[Path], Job], message: str
    ) -> None:
        with pytest.raises(KbwatchError, match=message):
            judge([tmp_path / "absent"], tmp_path / "out", job(tmp_path), 1, nothing)


class TestCalibration:
    def test_margins_are_learned_from_every_case_and_come_back_from_their_file(
        self, tmp_path: Path
    ) -> None:
        found = []
        for seed in range(4):
            lines = list(rollout(300, 0, seed=seed))
            reboots = [
                Event(x.t_ms + 60_000, x.node, "service", "scm/7023/x", "outage")
                for x in lines
                if isinstance(x, Install)
            ]
            path = tmp_path / f"{seed}.jsonl"
            write(path, [*lines[:-1], *reboots, lines[-1]])
            found += learn_from(path, frozenset({"service"}))
        margins = margins_of("mine", found, frozenset({"service"}))
        assert len(found) == 4
        assert margins.impact.rho["class:service"][0] > 100, "every patched node fails at its boot"
        saved = tmp_path / "cal.json"
        saved.write_bytes(msgspec.json.encode(margins))
        assert read_margins(saved) == margins

    def test_kbs_that_came_with_the_same_boots_are_one_roll_out(self, tmp_path: Path) -> None:
        lines = list(rollout(60))
        twice = [replace(x, kb="KB2") for x in lines if isinstance(x, Install)]
        path = tmp_path / "x.jsonl"
        write(path, [*lines[:-1], *twice, lines[-1]])
        assert len(learn_from(path, frozenset())) == 1


def test_the_period_is_the_streams_not_the_detectors(tmp_path: Path) -> None:
    told = history()
    assert (told.fleet, told.start_ms, told.end_ms) == ("f0001", START, END)
    assert told.cases() == [(KB, BRANCH)]
