"""Which calibration a case is judged with, and that none of it is lost on the way."""

from itertools import permutations

import msgspec
import pytest

from schemas.calibration import Calibration, MarginTable
from schemas.codec import DecodeError, decode, encode
from streams.detection.margins import Margins, Table, default_margins
from streams.detection.pinned import Calibrations, margins_of, tables_of
from tests.fixtures.calibrations import a_calibration

JUNE, JULY, AUGUST = 1_000, 2_000, 3_000


def test_without_any_the_shipped_default_holds() -> None:
    assert Calibrations().at("default", JULY) == default_margins()


@pytest.mark.parametrize(
    ("started_ms", "name"),
    [(JUNE, "default"), (JUNE + 1, "june"), (JULY, "june"), (JULY + 1, "july"), (AUGUST, "july")],
)
def test_the_newest_that_was_valid_before_the_first_install(started_ms: int, name: str) -> None:
    known = [a_calibration("june", JUNE), a_calibration("july", JULY)]
    for order in permutations(known):
        assert Calibrations(order).at("default", started_ms).name == name


def test_of_two_with_one_instant_the_order_does_not_decide() -> None:
    known = [a_calibration("a", JUNE), a_calibration("b", JUNE)]
    found = {Calibrations(order).at("default", JULY).name for order in permutations(known)}
    assert len(found) == 1


def test_another_fleets_calibration_is_not_ours() -> None:
    known = Calibrations([a_calibration("theirs", JUNE, fleet="other")])
    assert known.at("default", JULY).name == "default"
    assert known.at("other", JULY).name == "theirs"


def test_the_contract_carries_everything_that_a_learned_table_holds() -> None:
    carried = {field.name for field in msgspec.structs.fields(MarginTable)}
    assert {field.name for field in msgspec.structs.fields(Table)} - {"logged"} == carried
    impact, symptoms = Table({"any": (4.0, 3.0, 2.0)}), Table({"class:vm": (9.0, 1.5, 1.5)})
    margins = Margins("own", impact, symptoms)
    one, other = tables_of(margins)
    calibration = msgspec.structs.replace(a_calibration("own", JUNE), impact=one, symptoms=other)
    assert margins_of(decode(encode(calibration), Calibration)) == margins


def test_too_few_roll_outs_are_no_calibration() -> None:
    few = msgspec.structs.replace(a_calibration("own", JUNE), rollouts=23)
    with pytest.raises(DecodeError, match=r"\$\.rollouts"):
        decode(encode(few), Calibration)
