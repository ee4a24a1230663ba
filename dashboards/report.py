"""``kbwatch report``: one case as one page that needs nothing else, for the incident ticket."""

import math
from collections import defaultdict
from datetime import UTC, datetime

import jinja2
from msgspec import Struct
from msgspec.structs import replace

from dashboards.noc.book import Book
from dashboards.noc.cases import Case
from dashboards.noc.gate import Question
from dashboards.noc.model import LETTERS, CaseCard, GateView, HaltCard, SourceAge
from dashboards.report_plots import minutes_to_halt, shares, wealth_plot

_STATES = {letter: state for state, letter in LETTERS.items()}


def _plain(value: object) -> object:
    # Control characters and those that turn the direction of text could make a page say another.
    if not isinstance(value, str):
        return value
    return "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in value
    )


_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("dashboards", "templates"),
    autoescape=True,
    finalize=_plain,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Cell(Struct, frozen=True):
    """One node in the matrix."""

    node: str
    state: str


class Cells(Struct, frozen=True):
    """The nodes of one cluster at one site; without a cluster the site's lone nodes."""

    site: str
    cluster: str
    cells: tuple[Cell, ...]


class Report(Struct, frozen=True):
    """What a report says."""

    card: CaseCard
    halt: HaltCard | None
    matrix: tuple[Cells, ...]
    sources: tuple[SourceAge, ...]
    made_ms: int


def report(book: Book, case: Case, made_ms: int) -> Report:
    """Gather what is known of a case; ``made_ms`` is the time of the report."""
    places: dict[tuple[str, bool, str], list[Cell]] = defaultdict(list)
    for name, letter in case.map.letters().items():
        node = book.fleet.nodes[case.branch[0], name]
        places[node.site, not node.cluster, node.cluster].append(Cell(name, _STATES[letter]))
    verdict = case.verdict
    asked = Question(kb=verdict.kb, branch=verdict.branch, fleet=verdict.fleet)
    gate = book.gate(asked, made_ms)
    return Report(
        # A card is kept until something changes; how old the evidence is changes by itself.
        card=replace(book.cases.whole(case), gate=GateView(gate.answer, gate.reasons)),
        halt=book.cases.halt_card(case.id),
        matrix=tuple(
            Cells(site, cluster, tuple(cells))
            for (site, _, cluster), cells in sorted(places.items())
        ),
        sources=book.sources(),
        made_ms=made_ms,
    )


def page(made: Report) -> str:
    """The report as HTML. Names, messages and rules come from nodes: all of it is escaped."""
    card = made.card
    return _environment.get_template("report.html.j2").render(
        card=card,
        halt=made.halt,
        matrix=made.matrix,
        sources=made.sources,
        made_ms=made.made_ms,
        plot=wealth_plot(card),
        shares=shares(card),
        minutes_to_halt=minutes_to_halt(card),
        alpha=math.exp(-card.log_threshold),
        e=_e,
        stamp=_stamp,
        states=tuple(LETTERS),
    )


def _e(log_e: float) -> str:
    e = math.exp(min(log_e, 700))
    return f"{e:.3g}" if e < 999.5 else f"10^{log_e / math.log(10):.1f}"


def _stamp(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
