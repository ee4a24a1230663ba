"""The operator's list on a WEC server: read anew when it changes, and who is not in it is said."""

import logging
from pathlib import Path

import pytest

from collectors.runtime.nodes_file import NodesFile
from schemas.errors import KbwatchError


class Clock:
    s = 0.0

    def now_s(self) -> float:
        return self.s


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nodes.csv"
    path.write_text("node,fleet,cluster,aliases\nHV02.corp,prod,HV-C01,old2\n")
    return path


def domain(nodes: NodesFile, name: str) -> str:
    found = nodes.find(name)
    return found.domain if found else ""


def test_it_is_the_file_that_inventory_load_takes(file: Path) -> None:
    nodes = NodesFile(file, "prod", Clock().now_s)
    assert (domain(nodes, "hv02"), domain(nodes, "old2"), domain(nodes, "hv03")) == (
        "hv-c01",
        "hv-c01",
        "",
    )


def test_a_changed_file_holds_after_ten_seconds(file: Path) -> None:
    clock = Clock()
    nodes = NodesFile(file, "prod", clock.now_s)
    file.write_text("node,fleet,cluster\nhv02,prod,hv-c02-new\n")
    assert domain(nodes, "hv02") == "hv-c01"
    clock.s += 10
    assert domain(nodes, "hv02") == "hv-c02-new"


def test_a_broken_file_changes_nothing_and_is_said(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    nodes = NodesFile(file, "prod", clock.now_s)
    file.write_text("name\nhv02\n")
    clock.s += 10
    assert domain(nodes, "hv02") == "hv-c01"
    assert "the old one holds" in caplog.text


@pytest.mark.parametrize("text", [None, "name\nhv02\n"])
def test_a_file_that_cannot_be_used_is_refused_at_the_start(file: Path, text: str | None) -> None:
    file.unlink()
    if text:
        file.write_text(text)
    with pytest.raises(KbwatchError, match=r"logs\.nodes: .*nodes\.csv") as refused:
        NodesFile(file, "prod", Clock().now_s)
    assert "written" not in str(refused.value)


def test_who_is_not_in_it_is_said_with_their_number_now_and_then(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> list[object]:
        return [vars(r)["fields"]["nodes"] for r in caplog.records if r.name == "kbwatch.nodes"]

    clock = Clock()
    nodes = NodesFile(file, "prod", clock.now_s)
    with caplog.at_level(logging.WARNING):
        for name in ("hv02", "web01", "web01", "web02", "web03"):
            nodes.find(name)
        assert said() == [1]
        clock.s += 600
        nodes.find("web03")
        assert said() == [1, 3]
        clock.s += 600
        nodes.find("web03")
        assert said() == [1, 3]
