"""Which roll-outs are learned from, what they amount to, and what is missing."""

from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.calibration import ENOUGH
from schemas.errors import KbwatchError
from schemas.settings import DetectorSettings
from streams.calibration.learning import Learned, Word, calibration, learn, too_few
from streams.calibration.outcome import rule_of
from streams.calibration.past import Past
from streams.calibration.source import pasts
from streams.detection.margins import default_margins
from tests.fixtures.past_streams import DAY, START, case_names, written

RULE = rule_of(default_margins(), DetectorSettings())


def a_past(folder: Path, **options: float | str) -> list[Past]:
    return pasts([str(written(folder / "past.jsonl.zst", **options))], lambda: None)


def reasons(learned: Learned) -> Counter[tuple[bool, str]]:
    return Counter((r.harmless, r.why.split()[0]) for r in learned.rollouts)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> list[Past]:
    """24 harmless roll-outs, all closed."""
    return a_past(tmp_path_factory.mktemp("calm"))


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> list[Past]:
    """24 harmless roll-outs in a fleet where three reboots in ten break something new."""
    folder = tmp_path_factory.mktemp("heavy")
    return a_past(folder, reboot_breaks=0.3, breaks="scm/7031/boot{month}")


def test_closed_without_a_halt_is_harmless(calm: list[Past]) -> None:
    learned = learn("own", calm, Word(), RULE)
    assert reasons(learned) == {(True, "closed"): 24}
    assert learned.missing == 0


def test_a_case_that_is_open_is_not_learned_from_unless_a_person_clears_it(tmp_path: Path) -> None:
    short = a_past(tmp_path, days=200)
    assert reasons(learn("own", short, Word(), RULE)) == {(True, "closed"): 20, (False, "open"): 4}
    cleared = learn("own", short, Word(harmless=frozenset(case_names()[-4:])), RULE)
    assert reasons(cleared) == {(True, "closed"): 20, (True, "cleared"): 4}


def test_what_was_halted_is_not_learned_from_unless_a_person_clears_it(heavy: list[Past]) -> None:
    assert reasons(learn("own", heavy, Word(), RULE))[False, "halted"] > 12
    cleared = learn("own", heavy, Word(harmless=frozenset(case_names())), RULE)
    assert reasons(cleared) == {(True, "cleared"): 24}


def test_what_a_person_calls_harmful_is_not_learned_from(calm: list[Past]) -> None:
    word = Word(harmful=frozenset(case_names()[:3]))
    assert reasons(learn("own", calm, word, RULE)) == {(True, "closed"): 21, (False, "harmful"): 3}


def test_without_a_month_before_it_there_is_no_rate_to_compare_with(calm: list[Past]) -> None:
    late = START + 15 * DAY
    young = [
        replace(
            past,
            evidence=tuple(
                replace(part, nodes=tuple(replace(node, since_ms=late) for node in part.nodes))
                for part in past.evidence
            ),
        )
        for past in calm
    ]
    found = learn("own", young, Word(), RULE)
    assert reasons(found) == {(True, "closed"): 20, (False, "25"): 4}
    assert found.rollouts[0].why == "25 days of history before it, 30 are needed"


def test_a_fleet_whose_reboots_break_things_learns_so(calm: list[Past], heavy: list[Past]) -> None:
    everything = Word(harmless=frozenset(case_names()))
    quiet, loud = (learn("own", past, everything, RULE).margins.impact for past in (calm, heavy))
    assert quiet.of("any")[0] < 5 < 50 < loud.of("any")[0]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            Word(harmless=frozenset(["KB1@1"])),
            "KB1@1: no such roll-out in this past; there are: KB",
        ),
        (Word(frozenset(["KB1@1"]), frozenset(["KB1@1"])), "KB1@1: is given as --harmless and as"),
    ],
)
def test_a_word_on_a_case_that_is_nowhere_is_refused(
    calm: list[Past], word: Word, said: str
) -> None:
    with pytest.raises(KbwatchError, match=f"^{said}"):
        learn("own", calm, word, RULE)


def test_what_is_learned_is_a_calibration_from_24_roll_outs_on(calm: list[Past]) -> None:
    learned = learn("own", calm, Word(), RULE)
    made = calibration(learned, "f0001", 7)
    assert (made.fleet, made.name, made.valid_from_ms, made.rollouts) == ("f0001", "own", 7, ENOUGH)
    assert made.learned_from[0] == "KB9000000@14393 2024-11-13"
    assert made.impact.rho == learned.margins.impact.rho != {}
    fewer = learn("own", calm, Word(harmful=frozenset(case_names()[:3])), RULE)
    with pytest.raises(
        KbwatchError, match=r"^21 of 24 roll-outs are harmless, 24 are needed: 3 are"
    ):
        calibration(fewer, "f0001", 7)


def test_a_name_that_can_be_no_part_of_a_key_is_refused(calm: list[Past]) -> None:
    learned = learn("own|2025", calm, Word(), RULE)
    with pytest.raises(KbwatchError, match=r"^--name own\|2025, --fleet f0001: .*\$\.name"):
        calibration(learned, "f0001", 7)


def test_a_past_without_a_roll_out_says_so() -> None:
    found = learn("own", [], Word(), RULE)
    assert found.missing == ENOUGH
    assert too_few(found).startswith("0 of 0 roll-outs are harmless, 24 are needed")
