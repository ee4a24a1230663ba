"""Known-issue rollbacks: one build, two populations. From a node's registry to a case's members."""

from pathlib import Path

from collectors.sources.facts import parse
from schemas.reports import Facts
from streams.detection.members import Case, members
from tests.fixtures.stories import (
    BRANCH,
    BUILD,
    DAY,
    KB,
    OLD_BUILD,
    T0,
    NodeStory,
    a_node,
    evidence_of,
)

SAMPLE = Path(__file__).parents[1] / "fixtures" / "facts" / "hyperv-csv-bitlocker.json"


def gathered() -> Facts:
    """The facts that a collector makes of what PowerShell printed."""
    return parse(SAMPLE.read_text("utf-8"), T0).facts


def covariates(node: NodeStory) -> dict[str, bool | str]:
    (member,) = members(Case("default", BRANCH, KB, BUILD), evidence_of([node]))
    return {name: v for name, v in member.node.covariates.items() if name.startswith("kir:")}


def test_what_the_collector_reads_a_case_knows() -> None:
    node = a_node().boots(OLD_BUILD, 0).says(gathered()).patched(at=DAY)
    assert covariates(node) == {"kir:4193921674": "1", "kir:99887766": "0"}


def test_the_newest_state_holds_however_the_reports_come() -> None:
    on = Facts(t_ms=T0 + DAY, covariates={"kir:4193921674": "2"})
    off = Facts(t_ms=T0 + 2 * DAY, covariates={"kir:4193921674": "1"})
    for told in ((on, off), (off, on)):
        assert covariates(a_node().boots(OLD_BUILD, 0).says(*told)) == {"kir:4193921674": "1"}


def test_a_rollback_that_was_taken_away_is_gone() -> None:
    on = Facts(t_ms=T0 + DAY, covariates={"kir:4193921674": "2"})
    none = Facts(t_ms=T0 + 2 * DAY)
    assert covariates(a_node().boots(OLD_BUILD, 0).says(on, none)) == {}
