"""The bet: θ by hand, and a harmless patch can't make anybody rich."""

import math
from random import Random

import pytest

from streams.detection.margins import FLOOR, Table
from streams.detection.members import Place
from streams.detection.tree import CLASSES, MAX_SIGNATURES, UPPER, weight
from streams.detection.wealth import (
    CONTROL_AGES,
    EXPOSED_AGES,
    RATES,
    WINDOW_WEIGHTS,
    Wealth,
    sides,
)

SIG = "sig:scm/7031/clussvc"
ANY = 0.08
"""Its prior, as docs/detection.md has it."""


ONE = ("hyperv",)
TWO = ("hyperv", "sql")
FOUR = ("hyperv", "sql", "web", "dc")


def place(age: int, role: str = "hyperv") -> Place:
    return Place(role, "0", "fra", "c1", age)


def by_hand(bets: list[tuple[int, list[int]]], share: float, roles: int | None = None) -> float:
    """E from the formulas of docs/detection.md, for one level at the floor of ρ and ψ = 1."""
    total = 0.0
    for window in range(3):
        for rate in RATES:
            product = 1.0
            for age, counts in bets:
                n1 = sum(counts[a] for a in EXPOSED_AGES[window])
                n0 = sum(counts[a] for a in CONTROL_AGES[window])
                takes_part = age in (*EXPOSED_AGES[window], *CONTROL_AGES[window])
                if not takes_part or not n1 or not n0:
                    continue
                theta = FLOOR[window] * n1 / (FLOOR[window] * n1 + n0)
                x = age in EXPOSED_AGES[window]
                product *= (rate if x else 1.0) / (1 + (rate - 1) * theta)
            total += share * WINDOW_WEIGHTS[window] / len(RATES) * (product - 1)
    if roles is None:  # single signatures are not spread over the roles
        return 0.5 * (1 + total) + 0.5
    return 0.5 * (1 + total) + 0.5 * (1 + total / roles)


def test_the_sides_of_a_window_are_the_sums_over_its_ages() -> None:
    counts = [1, 20, 300, 4000]
    assert sides(counts) == tuple(
        (sum(counts[age] for age in exposed), sum(counts[age] for age in control))
        for exposed, control in zip(EXPOSED_AGES, CONTROL_AGES, strict=True)
    )


def test_one_bet_on_two_patched_of_ten_by_hand() -> None:
    # Sub-acute and chronic see n1 = 2, n0 = 8; acute has no exposed node, so it does not bet.
    wealth = Wealth(Table(), roles=ONE)
    assert wealth.bet("any", place(2), [8, 0, 2, 0], psi=1.0)
    theta = 3 / 11  # 1.5 · 2 / (1.5 · 2 + 8)
    won = sum(rate / (1 + (rate - 1) * theta) - 1 for rate in RATES) / len(RATES)
    assert wealth.log_e() == pytest.approx(math.log(1 + ANY * (0.2 + 0.4) * won))


@pytest.mark.parametrize("named", [SIG, "loop:service"])
def test_a_failure_alone_pays_no_price_for_being_one_of_many(named: str) -> None:
    wealth = Wealth(Table(), roles=ONE)
    assert (wealth.leading(), wealth.own(named)) == ("", 0.0)
    bet = (2, [8, 0, 2, 0])
    for level in ("any", "novel", "loop", "any", "any", named, named, "sig:another"):
        wealth.bet(level, place(bet[0]), bet[1], psi=1.0)
    assert wealth.leading() == named, "the others are no one kind of failure, or were bet on less"
    # E is half of it where a level is not spread over the roles: a share of 2 is all.
    assert math.exp(wealth.own(named)) == pytest.approx(by_hand([bet, bet], share=2.0))
    assert wealth.own("sig:another") < wealth.own(named)


@pytest.mark.parametrize("named", [SIG, "loop:service"])
def test_a_failure_whose_bets_lost_all_is_worth_nothing(named: str) -> None:
    """Only unpatched nodes fail, hour after hour, where nearly all are patched."""
    wealth = Wealth(Table(), roles=ONE)
    for _ in range(100):
        wealth.bet(named, place(0), [1, 50, 50, 50], psi=1.0)
    assert wealth.own(named) < -100
    assert wealth.leading() == named


@pytest.mark.parametrize(
    ("age", "counts"), [(1, [6, 2, 1, 1]), (2, [6, 0, 4, 0]), (3, [2, 1, 1, 6]), (0, [5, 3, 1, 1])]
)
def test_each_age_bets_in_its_windows(age: int, counts: list[int]) -> None:
    wealth = Wealth(Table(), roles=TWO)
    wealth.bet("any", place(age), counts, psi=1.0)
    assert math.exp(wealth.log_e()) == pytest.approx(by_hand([(age, counts)], ANY, roles=2))


def test_the_acute_window_has_controls_when_everybody_is_patched() -> None:
    wealth = Wealth(Table(), roles=ONE)
    assert wealth.bet("any", place(1), [0, 1, 0, 9], psi=1.0)
    assert wealth.log_e() > 0


@pytest.mark.parametrize("counts", [[0, 0, 5, 0], [5, 0, 0, 0], [0, 0, 0, 0]])
def test_without_exposed_or_without_controls_the_factor_is_one(counts: list[int]) -> None:
    wealth = Wealth(Table(), roles=ONE)
    age = 2 if counts[2] else 0
    assert not wealth.bet("any", place(age), counts, psi=1.0)
    assert wealth.log_e() == 0.0


def test_rho_and_psi_make_the_same_failure_testify_less() -> None:
    def gain(rho: float, psi: float) -> float:
        wealth = Wealth(Table({"any": (rho, rho, rho)}), roles=ONE)
        wealth.bet("any", place(2), [8, 0, 2, 0], psi)
        return wealth.log_e()

    assert gain(6.0, 1.0) == pytest.approx(gain(2.0, 3.0))
    assert gain(6.0, 1.0) < gain(2.0, 1.0)


def test_a_margin_below_the_floor_counts_as_the_floor() -> None:
    assert Table({"any": (1.0, 0.5, 9.0)}).of("any") == (2.0, 1.5, 9.0)


def test_the_prior_is_spent_once() -> None:
    levels = [*UPPER, *(f"sig:{i}" for i in range(MAX_SIGNATURES))]
    assert len(set(levels)) == len(levels)
    assert math.fsum(map(weight, levels)) == pytest.approx(1.0)
    assert math.fsum(map(weight, levels)) <= 1 + 1e-12, "more would break the guarantee"


@pytest.mark.parametrize(
    ("levels", "share"),
    [
        (["any"], 0.08),
        ([f"class:{c}" for c in CLASSES], 0.20),
        (["novel", "rare"], 0.20),
        (["novel:reboot", "rare:reboot"], 0.04),
        (["loop"], 0.10),
        ([f"loop:{c}" for c in CLASSES], 0.16),
        ([f"sig:{i}" for i in range(MAX_SIGNATURES)], 0.22),
    ],
)
def test_each_kind_of_level_has_its_share(levels: list[str], share: float) -> None:
    assert math.fsum(map(weight, levels)) == pytest.approx(share)
    assert len({weight(level) for level in levels}) == 1


def test_loops_have_an_account_per_role_and_spend_no_signatures_prior() -> None:
    wealth = Wealth(Table(), roles=TWO)
    bets = [(2, [9, 0, 1, 0])]
    for cls in CLASSES:
        assert wealth.bet(f"loop:{cls}", place(2), bets[0][1], 1.0)
    for i in range(MAX_SIGNATURES):
        assert wealth.bet(f"sig:{i}", place(0), bets[0][1], 1.0)
    alone = Wealth(Table(), roles=TWO)
    alone.bet("loop", place(2), bets[0][1], 1.0)
    assert math.exp(alone.log_e()) == pytest.approx(by_hand(bets, 0.10, roles=2))


def test_signatures_beyond_the_prior_count_at_the_upper_levels_only() -> None:
    wealth = Wealth(Table(), roles=ONE)
    for i in range(MAX_SIGNATURES):
        assert wealth.bet(f"sig:{i}", place(2), [8, 0, 2, 0], 1.0)
    before = wealth.log_e()
    assert not wealth.bet("sig:one too many", place(2), [8, 0, 2, 0], 1.0)
    assert wealth.log_e() == before
    assert wealth.bet("sig:0", place(2), [8, 0, 2, 0], 1.0), "known ones go on"
    assert wealth.bet("any", place(2), [8, 0, 2, 0], 1.0)


def test_bets_that_could_not_be_placed_do_not_spend_the_prior() -> None:
    wealth = Wealth(Table(), roles=ONE)
    for i in range(2 * MAX_SIGNATURES):
        assert not wealth.bet(f"sig:{i % 3}", place(0), [8, 0, 0, 0], 1.0)
    assert wealth.bet(SIG, place(2), [8, 0, 2, 0], 1.0)


def test_each_of_the_roles_weighs_the_same_and_all_together_weigh_one() -> None:
    bets = [(2, [9, 0, 1, 0])] * 3
    wealth = Wealth(Table(), roles=FOUR)
    for role in ("hyperv", "sql"):
        for age, counts in bets:
            wealth.bet("any", place(age, role), counts, 1.0)
    pooled = 2 * (by_hand(bets * 2, ANY) - 1)
    of_a_role = 2 * (by_hand(bets, ANY) - 1)
    expected = 0.5 * (1 + pooled) + 0.5 * (1 + of_a_role / 4 + of_a_role / 4)
    assert math.exp(wealth.log_e()) == pytest.approx(expected)


def test_wealth_stays_finite_however_clear_the_case() -> None:
    wealth = Wealth(Table(), roles=ONE)
    for _ in range(2_000):
        wealth.bet("any", place(2), [9_999, 0, 1, 0], 1.0)
    assert 500 < wealth.log_e() < 700


def test_while_the_patch_is_harmless_wealth_does_not_grow_on_average() -> None:
    """Null at the boundary: the failing node is patched with exactly the share θ that is allowed.

    E is a non-negative martingale then: its mean stays 1, and by Ville's inequality at most one
    case in 200 ever reaches 200, however often one looks.
    """
    random, cases, crossed, total = Random(1), 2_500, 0, 0.0
    for _ in range(cases):
        wealth = Wealth(Table(), roles=ONE)
        best = 0.0
        for step in range(12):
            patched = 1 + step // 2
            counts = [10 - patched, 0, 0, patched]
            theta = 1.5 * patched / (1.5 * patched + 10 - patched)
            age = 3 if random.random() < theta else 0
            for level in ("any", "class:service", SIG):
                wealth.bet(level, place(age), counts, 1.0)
            best = max(best, wealth.log_e())
        total += math.exp(wealth.log_e())
        crossed += best >= math.log(200)
    assert total / cases < 1.05
    assert crossed / cases <= 1 / 200


def test_roles_that_nobody_had_at_the_start_have_no_account() -> None:
    """Or one domain that makes up roles would spend more than there is, and sink the judge."""
    wealth = Wealth(Table(), roles=ONE)
    for role in map(str, range(60)):
        wealth.bet("any", place(0, role), [1, 0, 99, 0], psi=1.0)
    pooled_alone = 0.5 * (1 + math.fsum([-0.08])) + 0.5
    assert pooled_alone <= math.exp(wealth.log_e()) < 1
