"""Which KB brings which build."""

import pytest

from schemas.windows import builds


def test_the_founding_kb_and_its_fix() -> None:
    assert builds.build_of("KB5062557", "17763") == "17763.7558"
    assert builds.build_of("KB5063877", "17763") == "17763.7678"


def test_a_kb_has_a_build_only_on_its_branches() -> None:
    assert builds.build_of("KB5062557", "14393") is None
    assert builds.build_of("KB0000001", "17763") is None


def test_one_kb_may_serve_two_branches() -> None:
    assert builds.builds_of("KB5062554") == ("19044.6093", "19045.6093")


def test_cumulative_updates_are_os_updates_others_are_not() -> None:
    assert builds.is_os_update("KB4338819")
    assert not builds.is_os_update("KB890830")
    assert not builds.is_os_update("KB4287903")  # Flash: takes effect without a build


def test_a_boot_on_a_newer_build_brings_every_kb_between() -> None:
    assert builds.kbs_between("17134.137", "17134.165") == (("KB4338819", "17134.165"),)
    skipped = builds.kbs_between("17763.7434", "17763.7678")
    assert skipped[-1] == ("KB5063877", "17763.7678")
    assert ("KB5062557", "17763.7558") in skipped
    ubrs = [builds.parse_build(build) for _, build in skipped]
    assert ubrs == sorted(ubrs)
    assert all((17763, 7434) < ubr <= (17763, 7678) for ubr in ubrs)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("17763.7558", "17763.7558"),
        ("17763.7558", "17763.7434"),
        ("14393.1", "17763.7558"),
        ("99999.1", "99999.2"),
    ],
)
def test_nothing_new_gives_no_kb(old: str, new: str) -> None:
    assert builds.kbs_between(old, new) == ()


def test_ubrs_compare_as_numbers() -> None:
    assert builds.parse_build("17763.999") < builds.parse_build("17763.1000")
    assert builds.branch_of("17763.7558") == "17763"


@pytest.mark.parametrize("text", ["", "17763", "17763.", ".1", "a.b", "1.2.3", "-1.2", "1.-2"])
def test_what_is_no_build_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a build"):
        builds.parse_build(text)


def test_numbers_that_are_reused_for_ever_are_no_cases() -> None:
    assert {"KB2267602", "KB890830"} == builds.NEVER_CASES
    assert not any(builds.is_os_update(kb) for kb in builds.NEVER_CASES)
