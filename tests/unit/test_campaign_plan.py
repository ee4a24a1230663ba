"""The plan of a campaign: what is run, with which seeds, and what the bars rest on."""

import pytest

from schemas.errors import KbwatchError
from streams.regbench.bench.families import FAMILIES, order, variants_of
from streams.regbench.bench.incidents import INCIDENTS
from streams.regbench.campaign.bars import BARS, METRICS, Check, Measure
from streams.regbench.campaign.estimate import seconds_left, spoken, usual_seconds
from streams.regbench.campaign.plan import CLEAN, REPORT_SEEDS, cases_needed, chosen, plan
from streams.regbench.campaign.results import NOT_MET, NOT_RUN, TOO_FEW, verdict_on

CELLS = {cell.name: cell for cell in plan()}


class TestPlan:
    def test_names_are_unique_and_every_request_makes_sense(self) -> None:
        assert len(CELLS) == len(plan())
        for cell in CELLS.values():
            for index in range(len(variants_of(cell.request))):
                order(cell.request, index)

    def test_design_seeds_are_never_reported(self) -> None:
        assert all(cell.request.seed >= REPORT_SEEDS for cell in CELLS.values())

    def test_each_twin_has_the_other_s_seed(self) -> None:
        twins = [name for name in CELLS if name.endswith(CLEAN)]
        assert twins
        for name in twins:
            clean, disturbed = CELLS[name].request, CELLS[name.removesuffix(CLEAN)].request
            assert (clean.clean, disturbed.clean) == (True, False)
            assert clean.seed == disturbed.seed

    @pytest.mark.parametrize("family", [f for f in FAMILIES if FAMILIES[f].nulls and f != "N5g"])
    def test_every_null_family_has_the_cases_that_are_asked_for(self, family: str) -> None:
        wanted = {"N9": (300, 1_000)}.get(family, (1_000, 10_000))
        for nodes in wanted:
            cell = CELLS[f"{family}-{nodes}"]
            assert cell.group == "null"
            assert 3 * cell.full >= cases_needed(family) >= 600

    def test_an_outage_of_everything_is_no_null(self) -> None:
        assert {c.group for c in CELLS.values() if c.request.family == "N5g"} == {"apart"}

    def test_every_named_incident_is_run(self) -> None:
        assert {f"R1-{name}" for name in INCIDENTS} <= CELLS.keys()

    def test_cells_are_chosen_as_in_a_shell(self) -> None:
        assert {cell.name for cell in chosen(["N2-*"])} == {
            f"N2-{nodes}" for nodes in (300, 1_000, 3_000, 10_000, 100_000)
        }
        with pytest.raises(KbwatchError, match=r"--only N77: no such cell; there are .*N2-1000"):
            chosen(["N77"])


class TestBars:
    def test_each_is_about_a_cell_with_the_forty_runs_that_it_takes(self) -> None:
        for bar in BARS:
            assert CELLS[bar.cell].full >= 40
            assert all(check.metric in METRICS for check in bar.checks)

    def test_attribution_rests_on_three_hundred_roll_outs(self) -> None:
        assert sum(c.full for c in CELLS.values() if c.group == "blame") == 300

    @pytest.mark.parametrize(
        ("value", "done", "verdict"),
        [
            (3.0, 40, "stretch met"),
            (4.0, 40, "met"),
            (6.0, 40, NOT_MET),
            (3.0, 39, TOO_FEW),
            (6.0, 1, NOT_MET),
            (None, 40, NOT_MET),
            (None, 0, NOT_RUN),
        ],
    )
    def test_few_runs_may_miss_a_bar_but_not_meet_it(
        self, value: float | None, done: int, verdict: str
    ) -> None:
        check = Check("victims", "halt_p95", 5, 3)
        assert verdict_on(check, Measure(value, None, done), done, 40) == verdict

    def test_of_some_figures_more_is_better(self) -> None:
        check = Check("rule exact", "rule_exact", 0.9, 0.97, at_least=True)
        measured = [Measure(value, None, 40) for value in (0.89, 0.9, 0.98)]
        verdicts = [verdict_on(check, one, 40, 40) for one in measured]
        assert verdicts == [NOT_MET, "met", "stretch met"]


class TestEstimate:
    def test_it_grows_with_the_fleet_and_with_heartbeats(self) -> None:
        small, large = usual_seconds(CELLS["N2-1000"]), usual_seconds(CELLS["N2-10000"])
        assert small < large < usual_seconds(CELLS["N2-100000"])
        assert usual_seconds(CELLS["N8-10000"]) > 5 * large

    def test_what_was_measured_replaces_what_is_usual_and_tells_the_pace(self) -> None:
        cells = [CELLS["N2-1000"], CELLS["N2-10000"]]
        left = {"N2-1000": 10, "N2-10000": 2}
        twice = {"N2-1000": [2 * usual_seconds(cells[0])] * 3}
        assert seconds_left(left, cells, twice) == pytest.approx(2 * seconds_left(left, cells, {}))

    def test_it_is_said_as_people_say_it(self) -> None:
        assert [spoken(s) for s in (0.2, 40, 720, 11_100)] == [
            "1 s",
            "40 s",
            "12 min",
            "3 h 05 min",
        ]
