"""ρ: what reboots do while patches are harmless."""

import math

import pytest

from streams.detection.margins import FLOOR, Control, Table, default_margins, learn
from streams.detection.tree import CLASSES, UPPER


def test_with_nothing_learned_the_floor_holds() -> None:
    assert Table().of("any") == FLOOR == (2.0, 1.5, 1.5)
    assert learn([], 2.0) == pytest.approx(max(2.0, 1 * (1 - 1 / 9 + 1.96 / 3) ** 3))


def test_by_hand_without_spread_between_roll_outs() -> None:
    # O = X = 20 each: R = 41/41 = 1, φ = 0; the .975 limit of 40 over 40.
    controls = [Control(20, 20.0), Control(20, 20.0)]
    upper = 41 * (1 - 1 / (9 * 41) + 1.96 / (3 * math.sqrt(41))) ** 3
    assert learn(controls, 1.0) == pytest.approx(upper / 41)


def test_roll_outs_that_differ_widen_the_margin() -> None:
    alike = [Control(20, 20.0), Control(20, 20.0)]
    unlike = [Control(0, 20.0), Control(40, 20.0)]
    assert learn(unlike, 1.0) > 3 * learn(alike, 1.0)


def test_two_incidents_on_one_small_roll_out_are_no_sign_that_roll_outs_differ() -> None:
    few = [Control(2, 0.05), *[Control(0, 0.05)] * 99]
    many = [Control(40, 1.0), *[Control(0, 1.0)] * 99]
    assert learn(few, 1.0) < 3
    assert learn(many, 1.0) > 30


def test_a_signature_has_the_wider_margin_of_its_class_and_its_classs_signatures() -> None:
    rho = {"class:service": (9.0, 3.0, 1.5), "sig:service": (20.0, 1.5, 1.5)}
    table = Table(rho).on({"scm/7023/wuauserv": "service"})
    assert table.of("sig:scm/7023/wuauserv") == (20, 3, 1.5)
    assert table.of("class:service") == (9, 3, 1.5)
    assert table.of("sig:disk/153") == FLOOR


def test_the_shipped_table_is_never_below_the_floor_and_names_no_signature() -> None:
    shipped = default_margins()
    assert shipped.name == "default"
    levels = {*UPPER, *(f"sig:{cls}" for cls in CLASSES)}
    for table in (shipped.impact, shipped.symptoms):
        assert table.rho.keys() <= levels
        assert all(
            m >= f for level in table.rho for m, f in zip(table.of(level), FLOOR, strict=True)
        )


def test_a_class_that_restarts_break_is_one_with_a_wide_acute_margin() -> None:
    shipped = default_margins()
    wide = {level for level, rho in shipped.impact.rho.items() if rho[0] > 10 * FLOOR[0]}
    assert {f"class:{cls}" for cls in shipped.chatter} <= wide
