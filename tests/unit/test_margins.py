"""ρ: what reboots do while patches are harmless."""

import math

import pytest

from schemas.windows.taxonomy import classify
from streams.detection.margins import FLOOR, Control, Table, default_margins, learn
from tests.fixtures.stories import died


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


def test_a_kinds_margin_holds_for_its_known_signatures_only() -> None:
    table = Table({"sig:scm/7023": (9.0, 9.0, 9.0)})
    assert table.of("sig:scm/7023/wuauserv") == FLOOR
    assert table.on(frozenset({"scm/7023/wuauserv"})).of("sig:scm/7023/wuauserv") == (9, 9, 9)


def test_a_signatures_own_margin_outranks_its_kinds() -> None:
    table = Table({"sig:scm/7023": (9.0, 9.0, 9.0), "sig:scm/7023/a": (3.0, 3.0, 3.0)})
    assert table.on(frozenset({"scm/7023/a"})).of("sig:scm/7023/a") == (3, 3, 3)


def test_the_shipped_table_is_never_below_the_floor_and_names_kinds_that_exist() -> None:
    shipped = default_margins()
    assert shipped.name == "default"
    for table in (shipped.impact, shipped.symptoms):
        assert all(
            m >= f for level in table.rho for m, f in zip(table.of(level), FLOOR, strict=True)
        )
    symptom = classify(died("ClusSvc", 0))
    assert symptom is not None
    assert "/".join(symptom.signature.split("/")[:2]) == "scm/7031"
    assert "sig:scm/7031" in shipped.impact.rho
