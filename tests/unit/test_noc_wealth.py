"""What a card says of the evidence: E decides a HALT, E_w a WARN."""

from dashboards.noc.model import CaseCard
from dashboards.report_plots import wealth_plot
from tests.fixtures.noc import CASE, MINUTE_MS, NOW_MS, book_of, says, verdict


def near_a_warning() -> CaseCard:
    """A branch that was patched at once: only its past tells, and E hardly hears it."""
    before = verdict(asof_ms=NOW_MS - 9 * MINUTE_MS, log_e=0.1, log_e_warn=2.0)
    now = verdict(state="warn", log_e=1.5, log_c=1.9, log_h=0.0, log_e_warn=4.7)
    book = book_of(says(before), says(now))
    case = book.cases.get(f"default/{CASE}")
    assert case is not None
    return book.cases.card(case)


def test_a_card_has_each_wealth_and_what_it_must_reach() -> None:
    card = near_a_warning()

    assert (card.log_e, card.log_threshold) == (1.5, 5.298317)
    assert (card.log_e_warn, card.log_warn) == (4.7, 4.60517)


def test_its_history_has_both() -> None:
    assert [(p.log_e, p.log_e_warn) for p in near_a_warning().history] == [(0.1, 2.0), (1.5, 4.7)]


def test_a_reports_plot_shows_what_was_crossed_and_what_was_not() -> None:
    plot = wealth_plot(near_a_warning())
    assert plot is not None
    warn, halt = plot.levels
    last = {line.kind: float(line.points.split(",")[-1]) for line in plot.lines}

    assert (warn.text, halt.text) == ("WARN", "HALT")
    assert last["w"] < warn.at, "beyond its line is above it"
    assert last["e"] > warn.at > halt.at
