"""The documentation is that of the code: settings, topics, metrics, examples, links."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.metrics import MetricWrapperBase

from schemas.codec import decode
from schemas.reports import NodeReport
from schemas.settings import Settings
from schemas.topics import all_topics, dlq_of
from streams import metrics
from streams.detection.margins import default_margins
from streams.detection.tree import MAX_SIGNATURES, UPPER, weight

DOCS = Path(__file__).parents[2] / "docs"
_DAY_S = 86_400


def rows(heading: str, page: str = "operations.md") -> list[list[str]]:
    """The cells of the first table below ``heading``, without its head; back-ticks removed."""
    _, found, section = (DOCS / page).read_text().partition(f"\n## {heading}\n")
    assert found, f"docs/{page} has no section {heading}"
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table, f"section {heading} has no table"
    lines = table.group().splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def settings(tree: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from settings(value, f"{before}{name}.")
        else:
            yield before + name, json.dumps(value)


def test_every_setting_is_there_with_its_default() -> None:
    declared = dict(settings(msgspec.to_builtins(Settings())))

    assert {row[0]: row[1] for row in rows("Settings")} == declared


def test_every_topic_is_there_with_its_partitions_and_retention() -> None:
    declared = {
        topic.name: (
            str(topic.partitions),
            "compacted" if topic.cleanup == "compact" else f"{topic.retention_s // _DAY_S} days",
        )
        for topic in all_topics().values()
        if dlq_of(topic.name) in all_topics()
    }

    assert {row[0]: (row[3], row[4]) for row in rows("Topics")} == declared


def test_every_metric_is_there_with_its_type() -> None:
    declared = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            described = next(iter(metric.describe()))
            total = "_total" if described.type == "counter" else ""
            declared[described.name + total] = described.type

    assert {row[0]: row[1] for row in rows("Metrics")} == declared


def test_the_margins_that_are_shown_are_the_shipped_ones() -> None:
    shipped = default_margins()

    def shown(name: str) -> list[str]:
        level = name.replace("signatures of ", "sig:").replace("class ", "class:")
        tables = (shipped.impact, shipped.symptoms)
        return [" / ".join(f"{rho:g}" for rho in table.rho[level]) for table in tables]

    for name, *cells in rows("ρ: reboots break things", "detection.md"):
        assert [" / ".join(f"{float(x):g}" for x in c.split("/")) for c in cells] == shown(name)


def test_the_priors_that_are_shown_are_those_of_the_tree() -> None:
    table = (DOCS / "detection.md").read_text().partition("| levels | how many | π of each |\n")[2]
    lines = table.partition("\n\n")[0].splitlines()[1:]
    declared = Counter(re.sub(":(?!reboot).*", ":…", level) for level in UPPER)
    declared["sig:…"] = MAX_SIGNATURES
    shown = {}
    for name, count, weights in ([c.strip() for c in x.strip("|").split("|")] for x in lines):
        share, _, among = weights.partition(" / ")
        for level in name.removesuffix(" (single signatures)").split(", "):
            shown[level] = int(count) // (name.count(", ") + 1)
            assert weight(level) == pytest.approx(float(share) / int(among or 1)), level
    assert shown == declared


def test_the_report_that_is_shown_is_a_report() -> None:
    shown = re.search(r"```json\n(.*?)```", (DOCS / "formats.md").read_text(), re.DOTALL)
    assert shown

    assert decode(shown.group(1).encode(), NodeReport).node == "hv-c04-n2"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []
