"""``kbwatch report``: one page that needs nothing else, and tells what the verdict says."""

import re
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from dashboards.report import page, report
from dashboards.report_plots import minutes_to_halt, shares, wealth_plot
from schemas.halts import Transition
from schemas.verdicts import Incident
from tests.fixtures.noc import (
    CASE,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    Record,
    book_of,
    crossing,
    evidence,
    halt,
    halts,
    node,
    patched,
    says,
    verdict,
)
from tests.fixtures.noc_july import july

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></pre></svg><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}",
    "\x1b[2J\u202eevil",
    "&lt;b&gt;",
)


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))


def made(*records: Record, case: str = f"default/{CASE}") -> str:
    book = book_of(*records)
    found = book.cases.get(case)
    assert found is not None
    return page(report(book, found, NOW_MS))


def test_it_says_what_the_verdict_says() -> None:
    text = Page(made(*july())).text

    for said in (
        f"{CASE} halt",
        "8 of 30 patched nodes show scm/7031/clussvc",
        "12 of 47 patched nodes; 121 nodes are not patched",
        "2025-07-03 00:34:00Z, E = 353, 8 victims in 6 domains at 3 sites",
        "First victim to halt34 min",
        "proposed, mode approve, scope: all nodes of branch 17763",
        "clustered and csv_bitlocker",
        "28 such nodes do not have it yet, 5 of them only need their reboot",
        "KB5062557 (85 %), change:driver:mpio=2.1 (15 %)",
        "E_w is 10^3.0, and a warning begins at 100. A halt needs E ≥ 200, corroborated",
        "at most 0.005",
        "Calibration: default. Reports are open.",
        "Hold the reboot",
        "c01-n1",
        "8002",
    ):
        assert said in text


def test_it_needs_nothing_else() -> None:
    """A ticket system keeps it for years, and opens it without a network."""
    read = Page(made(*july()))

    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(read.tags)
    links = [(n, v) for n, v in read.attributes if n in ("src", "href", "action", "data", "style")]
    assert links == []
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in read.attributes


@pytest.mark.parametrize("evil", EVIL)
def test_what_a_node_said_stays_text(evil: str) -> None:
    harmless = Page(made(*_named("harmless")))
    read = Page(made(*_named(evil)))

    assert read.tags == harmless.tags
    assert [name for name, _ in read.attributes] == [name for name, _ in harmless.attributes]
    assert read.text.count(evil.replace("\x1b", "�").replace("\u202e", "�")) >= 8


def _named(name: str) -> list[Record]:
    said = verdict(
        state="halt",
        sentence=name,
        signature=name,
        rule=(name,),
        reasons=(name,),
        suspects={name: 1.0},
        halt=crossing(5, 6.0, 8, 30, 60),
        victim_nodes=(name,),
        incidents=(Incident(name, name, name, name, NOW_MS, 1),),
    )
    step = Transition("active", NOW_MS, name, name)
    at = patched(node(name, site=name, ring=name, role=name), NOW_MS - HOUR_MS)
    return [says(said), halts(halt(said, step)), evidence(f"of {name}".replace("|", ""), at)]


def test_a_case_with_nothing_against_it_is_a_page_as_well() -> None:
    text = Page(made(*july(), case="default/KB5063878@26100")).text

    assert "there is no course to draw" in text
    assert "Nothing: the case is neither at WARN nor at HALT." in text
    assert "12 patched nodes were observed for 24 h" in text


def test_the_curves_end_where_the_verdict_is() -> None:
    book = book_of(*july())
    case = book.cases.get(f"default/{CASE}")
    assert case is not None
    card = book.cases.card(case)
    plot = wealth_plot(card)
    assert plot is not None
    halt_y = plot.levels[-1].at
    curve = next(line for line in plot.lines if line.kind == "e")
    last_x, last_y = map(float, curve.points.split()[-1].split(","))

    assert last_x == plot.right
    assert last_y < halt_y, "beyond the threshold is above it"
    assert all(plot.left <= tick.at <= plot.right for tick in (*plot.xs, *plot.crossings))
    assert all(plot.top <= tick.at <= plot.bottom for tick in plot.ys)


@pytest.mark.parametrize("hours", [0.01, 0.5, 5, 50, 800])
def test_the_time_axis_has_a_few_marks_however_long_it_took(hours: float) -> None:
    start_ms = NOW_MS - int(hours * HOUR_MS)
    book = book_of(says(verdict(asof_ms=start_ms)), says(verdict(asof_ms=NOW_MS, log_e=700.0)))
    case = book.cases.get(f"default/{CASE}")
    assert case is not None
    plot = wealth_plot(book.cases.card(case))

    assert plot is not None
    assert len(plot.xs) <= 7
    assert 1 <= len(plot.ys) <= 7


def test_the_names_of_who_took_a_halted_kb_are_in_it() -> None:
    said = verdict(state="halt", halt=crossing(60, 6.0, 8, 30, 60))
    late = evidence("c", patched(node("took-it-late"), NOW_MS - MINUTE_MS))
    stopped = halt(said, Transition("active", NOW_MS - HOUR_MS, "policy", "mode auto"))
    text = Page(made(says(said), halts(stopped), late)).text

    assert "Took effect after the crossing: 1 Names took-it-late" in text


def test_shares_are_those_at_the_newest_crossing() -> None:
    book = book_of(*july())
    case = book.cases.get(f"default/{CASE}")
    assert case is not None
    card = book.cases.card(case)

    assert [(s.name, s.failed, s.nodes) for s in shares(card)] == [
        ("patched", 8, 30),
        ("not patched", 0, 130),
    ]
    assert minutes_to_halt(card) == 34
    earlier = replace(card, first_victim_ms=NOW_MS - 20 * MINUTE_MS)
    assert minutes_to_halt(earlier) == 0


def test_its_gate_does_not_say_go_on_evidence_that_is_too_old() -> None:
    book = book_of(*july())
    case = book.cases.get("default/KB5062572@20348")
    assert case is not None

    assert report(book, case, NOW_MS).card.gate.answer == "go"
    assert report(book, case, NOW_MS + HOUR_MS).card.gate.answer == "inconclusive"
