"""Scores: what counts as false, as seen, as blamed; and how sure one may be."""

from math import comb
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import KbwatchError
from streams.regbench.bench.bounds import quantile, share
from streams.regbench.bench.decisions import Decision
from streams.regbench.bench.score import Scores, by_branch, read_truths, score
from streams.regbench.bench.stream import End, Line
from streams.regbench.bench.stream_file import write
from streams.regbench.bench.truth import KbTruth, write_truth
from tests.fixtures.bench_streams import END, T0, head

BAD, GOOD = "KB1", "KB2"
CAUSED = tuple((f"n{i:05}", T0 + i * 60_000) for i in range(12))


def rollout(*truths: KbTruth, number: int = 0) -> dict[str, list[KbTruth]]:
    return {f"truth-{number:04}.json": list(truths)}


def harmful(branch: str = "17763", rule: tuple[str, ...] = ()) -> KbTruth:
    return KbTruth(BAD, True, (branch,), "s", rule, CAUSED)


def decided(kind: str, minute: int, kb: str = BAD, **rest: object) -> Decision:
    fields = {"file": "rollout-0000.jsonl.zst", "branch": "17763", "log_e": 6.0, **rest}
    return Decision(type=kind, t_ms=T0 + minute * 60_000, kb=kb, **fields)  # type: ignore[arg-type]


def null(number: int, *branches: str) -> dict[str, list[KbTruth]]:
    return rollout(KbTruth(GOOD, False, branches), number=number)


class TestFalseAlarms:
    def scores(self) -> Scores:
        truths = {k: v for i in range(4) for k, v in null(i, "14393", "17763").items()}
        return score([decided("warn", 1, GOOD), decided("halt", 2, GOOD)], truths)

    def test_a_case_is_a_kb_on_a_branch_and_a_year_has_two_hundred(self) -> None:
        found = self.scores().null
        assert (found.rollouts, found.cases, found.halts.hits) == (4, 8, 1)
        assert found.halts_per_200 == 25.0
        assert found.warns_per_200 == 25.0
        assert found.notices.hits == 0

    def test_the_first_of_a_type_counts_once(self) -> None:
        twice = [decided("halt", 2, GOOD), decided("halt", 5, GOOD)]
        assert score(twice, null(0, "17763")).null.halts.hits == 1

    def test_a_roll_out_with_a_harmful_kb_is_no_null(self) -> None:
        found = score(
            [decided("halt", 1, GOOD)], rollout(harmful(), KbTruth(GOOD, False, ("17763",)))
        )
        assert found.null.cases == 0
        assert found.blame.bystander_halts.hits == 1

    def test_a_symptom_is_to_be_noticed_where_its_kb_is_and_nowhere_else(self) -> None:
        symptom = KbTruth(BAD, False, ("20348",), "scm/7023/sgrmbroker", (), ())
        truths = rollout(symptom, KbTruth(GOOD, False, ("14393", "17763")))
        found = score([decided("notice", 1, branch="20348")], truths).null
        assert (found.symptoms_noticed.hits, found.symptoms_noticed.of) == (1, 1)
        assert (found.notices.hits, found.notices.of) == (1, 3)


class TestPower:
    def test_victims_are_counted_up_to_and_including_the_crossing(self) -> None:
        found = score([decided("halt", 4, signature="s")], rollout(harmful())).halt
        assert found.victims_median.value == 5
        assert found.minutes_median.value == 4
        assert found.signature.share == 1.0
        assert found.never.hits == 0

    def test_never_counts_where_ten_victims_were_possible(self) -> None:
        few = KbTruth(BAD, True, ("20348",), "s", (), CAUSED[:9])
        found = score([], rollout(harmful(), few))
        assert (found.halt.never.hits, found.halt.never.of) == (1, 1)
        assert (found.halt.reached.hits, found.halt.reached.of) == (0, 2)
        assert found.halt.victims_median.value is None

    def test_a_halt_before_the_first_victim_is_chance(self) -> None:
        found = score([decided("halt", -1)], rollout(harmful())).halt
        assert (found.early, found.victims_median.value, found.minutes_median.value) == (1, 0, 0)

    def test_each_branch_is_a_case_where_the_stream_tells_its_nodes(self, tmp_path: Path) -> None:
        lines: list[Line] = [*head(12), End(END)]
        write(tmp_path / "rollout-0000.jsonl", lines)
        both = KbTruth(BAD, True, ("17763", "20348"), "s", (), CAUSED)
        apart = by_branch(rollout(both), tmp_path)
        assert [(t.branches, len(t.caused)) for t in apart["truth-0000.json"]] == [
            (("17763",), 12),
            (("20348",), 0),
        ]
        assert score([], apart).halt.cases == 1, "nobody can be harmed on the other"

    def test_without_the_stream_the_first_halt_of_any_branch_counts(self, tmp_path: Path) -> None:
        both = KbTruth(BAD, True, ("17763", "20348"), "s", (), CAUSED)
        halts = [decided("halt", 6), decided("halt", 3, branch="20348")]
        found = score(halts, by_branch(rollout(both), tmp_path)).halt
        assert (found.joined, found.victims_median.value) == (1, 4)


class TestBlame:
    both = rollout(harmful(), KbTruth(GOOD, False, ("17763",)))

    def test_the_smallest_set_that_holds_95_percent(self) -> None:
        suspects = {BAD: 0.6, GOOD: 0.36, "KB3": 0.04}
        found = score([decided("halt", 3, suspects=suspects)], self.both).blame
        assert (found.top1.share, found.covered.share, found.set_size_median.value) == (1, 1, 2)

    @pytest.mark.parametrize(
        ("halts", "alone"),
        [
            ([decided("halt", 3, GOOD)], 1),
            ([decided("halt", 3, GOOD, suspects={GOOD: 0.97, BAD: 0.03})], 1),
            ([decided("halt", 3, GOOD, suspects={GOOD: 0.6, BAD: 0.4})], 0),
            ([decided("halt", 3, GOOD), decided("halt", 3)], 0),
            ([decided("halt", 3, GOOD), decided("halt", 9)], 1),
            ([decided("halt", 3)], 0),
        ],
    )
    def test_an_innocent_is_alone_when_the_guilty_one_is_not_named_by_then(
        self, halts: list[Decision], alone: int
    ) -> None:
        found = score(halts, self.both).blame.innocent_alone
        assert (found.hits, found.of) == (alone, 1)

    def test_who_names_no_suspects_has_no_score_for_it(self) -> None:
        assert score([decided("halt", 3)], self.both).blame.top1.share is None


class TestRule:
    truth = rollout(harmful(rule=("role=hyperv", "branch=17763")))

    def test_the_branch_may_be_left_out(self) -> None:
        found = score([decided("halt", 3, rule=("role=hyperv",))], self.truth).rule
        assert (found.exact.share, found.jaccard) == (1.0, 1.0)

    def test_jaccard_of_what_was_said(self) -> None:
        found = score([decided("halt", 3, rule=("role=hyperv", "bitlocker"))], self.truth).rule
        assert (found.exact.share, found.jaccard) == (0.0, 0.5)

    def test_who_never_names_a_rule_has_no_score_for_it(self) -> None:
        assert score([decided("halt", 3)], self.truth).rule.jaccard is None


class TestBounds:
    def test_none_among_n_is_the_rule_of_three(self) -> None:
        assert share(0, 600).upper == pytest.approx(1 - 0.05 ** (1 / 600), rel=1e-9)
        assert share(0, 600).upper == pytest.approx(3 / 600, rel=0.01)

    @pytest.mark.parametrize(("hits", "of"), [(1, 9), (5, 20), (17, 600)])
    def test_at_a_bound_what_was_seen_has_probability_five_percent(
        self, hits: int, of: int
    ) -> None:
        def at_most(k: int, p: float) -> float:
            return sum(comb(of, i) * p**i * (1 - p) ** (of - i) for i in range(k + 1))

        found = share(hits, of)
        assert found.upper is not None
        assert found.lower is not None
        assert at_most(hits, found.upper) == pytest.approx(0.05)
        assert 1 - at_most(hits - 1, found.lower) == pytest.approx(0.05)

    def test_all_and_none(self) -> None:
        assert (share(7, 7).upper, share(0, 7).lower) == (1.0, 0.0)
        assert share(0, 0).share is None

    @given(st.integers(1, 60), st.data())
    def test_the_share_lies_between_its_bounds(self, n: int, data: st.DataObject) -> None:
        found = share(data.draw(st.integers(0, n)), n)
        assert found.lower is not None
        assert found.upper is not None
        assert found.share is not None
        assert found.lower <= found.share <= found.upper

    def test_a_quantile_and_its_bound_are_values_that_were_seen(self) -> None:
        """The 37th of 59 is the first with P(Bin(59, ½) ≤ 36) ≥ .95."""
        found = quantile([float(i) for i in range(1, 60)], 0.5)
        assert (found.value, found.of, found.upper) == (30.0, 59, 37.0)

    def test_too_few_values_bound_nothing(self) -> None:
        assert quantile([1.0, 2.0], 0.95).upper is None
        assert quantile([float(i) for i in range(59)], 0.95).upper == 58.0, ".95^59 < .05"


class TestInput:
    def test_a_decision_on_what_the_truth_does_not_know_is_refused(self) -> None:
        with pytest.raises(KbwatchError, match="KB9@17763 is no case"):
            score([decided("halt", 1, "KB9")], rollout(harmful()))

    def test_a_folder_without_truth_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(KbwatchError, match=r"no truth-NNNN\.json"):
            read_truths(tmp_path)

    def test_all_truths_of_a_folder(self, tmp_path: Path) -> None:
        for i in range(2):
            write_truth(tmp_path / f"truth-000{i}.json", [harmful()])
        assert list(read_truths(tmp_path)) == ["truth-0000.json", "truth-0001.json"]
