"""A campaign's results: kept line by line, told apart by version, reported between two markers."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.errors import KbwatchError
from streams.regbench.bench.decisions import Decision
from streams.regbench.bench.score_variants import identical, score_variants
from streams.regbench.bench.truth import KbTruth
from streams.regbench.campaign.cost import Cost
from streams.regbench.campaign.figure import BLUE, themed
from streams.regbench.campaign.outcome import Outcome
from streams.regbench.campaign.plan import Cell, plan
from streams.regbench.campaign.rank import ranked
from streams.regbench.campaign.report import BEGIN, END, write
from streams.regbench.campaign.results import NOT_RUN, results_of
from streams.regbench.campaign.run import Asked, left_of
from streams.regbench.campaign.store import Store, versions
from streams.regbench.campaign.version import essence, version_of

CELLS = {cell.name: cell for cell in plan()}
NULL, HARM = CELLS["N2-10000"], CELLS["100x20-10000"]
DETECTORS = ("kbwatch", "count", "poisson")
VICTIMS = tuple((f"n{i}", 1_000 * i) for i in range(20))


def decided(index: int, kind: str, t_ms: int, kb: str = "KB1") -> Decision:
    file = f"rollout-{index:04}.jsonl.zst"
    return Decision(file, kind, t_ms, kb, "17763", 6.0)  # type: ignore[arg-type]


def outcome(index: int, harmful: bool, **halts_ms: int) -> Outcome:
    """One roll-out; each detector that is named halts at its time."""
    truth = KbTruth("KB1", harmful, ("17763",), "s", (), VICTIMS if harmful else ())
    decisions = {
        name: [decided(index, "halt", halts_ms[name])] if name in halts_ms else []
        for name in DETECTORS
    }
    return Outcome(index, "plain", 100, [truth], decisions, 1.0, dict.fromkeys(DETECTORS, 1.0))


def filled(folder: Path) -> Path:
    """Results in which count halts every case, and kbwatch the harmful ones at the third victim."""
    store = Store(folder / "12345678-abcdef01")
    for cell, harmful in ((NULL, False), (HARM, True)):
        store.prepare(cell)
        for index in range(4):
            halts = {"kbwatch": 2_500, "count": 500} if harmful else {"count": 500}
            store.add(cell, outcome(index, harmful, **halts))
    store.keep_costs([Cost(10_000, 50_000, 0.25, 80 << 20, 20 << 20)])
    return store.folder


class TestStore:
    def test_what_was_added_is_there_again(self, tmp_path: Path) -> None:
        store = Store(filled(tmp_path))
        assert list(store.outcomes(NULL)) == [0, 1, 2, 3]
        assert list(versions(tmp_path)) == ["12345678-abcdef01"]

    def test_a_line_that_was_cut_off_was_not_done(self, tmp_path: Path) -> None:
        store = Store(filled(tmp_path))
        path = store.folder / f"{NULL.name}.jsonl"
        path.write_bytes(path.read_bytes()[:-20])
        assert list(store.outcomes(NULL)) == [0, 1, 2]
        store.prepare(NULL)
        store.add(NULL, outcome(3, False))
        assert list(store.outcomes(NULL)) == [0, 1, 2, 3]

    def test_results_of_another_request_are_none(self, tmp_path: Path) -> None:
        store = Store(filled(tmp_path))
        other = replace(NULL, request=replace(NULL.request, seed=1))
        assert store.outcomes(other) == {}

    def test_what_is_no_result_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / f"{NULL.name}.jsonl").write_text("what\n")
        with pytest.raises(KbwatchError, match=r"N2-10000.jsonl: no results .*delete it"):
            Store(tmp_path).outcomes(NULL)


class TestWhatIsLeft:
    def asked(self, *cells: Cell) -> Asked:
        return Asked(cells, True, 1, None, None, False)

    def test_what_was_done_is_not_done_again(self, tmp_path: Path) -> None:
        left = left_of(self.asked(HARM), Store(filled(tmp_path)))
        assert [index for _, index in left.tasks] == list(range(4, 40))
        assert left.seconds(2) == pytest.approx(36 * 4 / 2), "four seconds each, on two cores"

    def test_all_cells_advance_by_tenths(self, tmp_path: Path) -> None:
        small = replace(HARM, name="small", full=10)
        left = left_of(self.asked(replace(HARM, name="large"), small), Store(tmp_path))
        began = [(cell.name, index) for cell, index in left.tasks[:6]]
        large = [("large", index) for index in range(5)]
        assert began == [*large[:4], ("small", 0), large[4]]


class TestVersion:
    def test_comments_docstrings_and_layout_are_no_change(self) -> None:
        one = '"""What."""\nX = 1\n\n\ndef f():\n    """Says."""\n    return X\n'
        other = "X = 1  # one\ndef f():\n    return (X)\n"
        assert essence(one) == essence(other)
        assert essence(one) != essence(one.replace("X = 1", "X = 2"))

    def test_another_calibration_is_another_version(self, tmp_path: Path) -> None:
        calibration = tmp_path / "cal.json"
        calibration.write_text("{}")
        shipped, learned = version_of(None).split("-"), version_of(calibration).split("-")
        assert shipped[0] == learned[0]
        assert shipped[1] != learned[1]
        with pytest.raises(KbwatchError, match=r"gone.json: No such file"):
            version_of(tmp_path / "gone.json")


class TestReport:
    def test_only_detectors_that_hardly_cry_wolf_are_ranked(self, tmp_path: Path) -> None:
        ranks = {rank.detector: rank for rank in ranked(results_of(filled(tmp_path)).cells)}
        assert (ranks["kbwatch"].place, ranks["kbwatch"].p95) == (1, 3)
        assert (ranks["count"].place, ranks["count"].worst_per_200) == (None, 200.0)
        assert ranks["poisson"].place is None, "it halted nobody"

    def test_the_figures_are_put_between_the_markers(self, tmp_path: Path) -> None:
        page = tmp_path / "page.md"
        page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
        write(results_of(filled(tmp_path)), page)
        text = page.read_text()
        assert text.startswith(f"before\n{BEGIN}\n")
        assert text.endswith(f"{END}\nafter\n")
        assert "old" not in text
        cells = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines()]
        bars = {row[0]: row for row in cells if len(row) == 7}
        assert bars["100 % × 20 %: victims"][3] == "3/3 (–/–)"
        assert bars["100 % × 20 %: victims"][5] == "4 of 40"
        assert bars["5 % × 5 %: victims"][6] == NOT_RUN
        assert bars["`judge`, 10,000 nodes: records a second"][6] == "met"

    def test_a_page_without_markers_is_left_alone(self, tmp_path: Path) -> None:
        page = tmp_path / "page.md"
        page.write_text("mine")
        with pytest.raises(KbwatchError, match="has no place for the figures"):
            write(results_of(filled(tmp_path)), page)
        assert page.read_text() == "mine"

    def test_a_picture_has_colours_for_a_dark_page(self) -> None:
        svg = themed(f'<svg><defs></defs><path style="fill: {BLUE}"/></svg>')
        assert "prefers-color-scheme: dark" in svg
        assert f", {BLUE})" in svg, "viewers without variables show the light colour"


class TestVariants:
    def test_each_is_scored_apart(self) -> None:
        truths = {f"truth-{i:04}.json": [KbTruth("KB1", False, ("17763",))] for i in range(4)}
        variant_of = dict(zip(truths, ("even", "odd", "even", "odd"), strict=True))
        apart = score_variants([decided(1, "halt", 5)], truths, variant_of)
        assert {name: (s.rollouts, s.null.halts.hits) for name, s in apart.items()} == {
            "even": (2, 0),
            "odd": (2, 1),
        }

    def test_identical_is_every_field_in_any_order(self) -> None:
        one, other = decided(0, "halt", 5), decided(1, "halt", 5)
        assert identical([one, other], [other, one])
        assert not identical([one], [one, other])
        assert not identical([one], [decided(0, "halt", 6)])
        assert not identical([one], [replace(one, log_e=6.1)])


def test_twins_are_compared_decision_by_decision(tmp_path: Path) -> None:
    store = Store(tmp_path)
    disturbed, clean = CELLS["N8-100x20-1000"], CELLS["N8-100x20-1000-clean"]
    for cell, other_ms in ((disturbed, 500), (clean, 501)):
        store.prepare(cell)
        store.add(cell, outcome(0, True, kbwatch=2_500, count=other_ms))
    told = results_of(tmp_path).twins
    assert told == {disturbed.name: {"kbwatch": True, "count": False, "poisson": None}}
