"""Scores as a person reads them."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from rich.table import Table

from streams.regbench.bench.bounds import Quantile, Share
from streams.regbench.bench.score import ENOUGH, PER_YEAR, Blame, Null, Power, Rule, Scores
from streams.tables import add_columns, console

_Row = tuple[str, str, str, str]
"""What, its figure, its upper 95 % bound, of how many."""


def as_text(scores: Mapping[str, Scores], identical: bool | None) -> str:
    """JSON: the scores alone under the name "", else those of each variant by name. ``identical``,
    unless None, is a field of its own.
    """
    told: dict[str, Any] = msgspec.to_builtins(scores.get("", scores))
    if identical is not None:
        told["identical"] = identical
    return msgspec.json.encode(told).decode()


def show(scores: Mapping[str, Scores], identical: bool | None) -> None:
    """Print a table for each name, and whether decisions are identical unless that is None."""
    out = console()
    for name, its in scores.items():
        out.print(shown(its, name), crop=False)
    if identical is not None:
        out.print(f"identical to the twin's decisions: {'yes' if identical else 'no'}")


def shown(scores: Scores, name: str = "") -> Table:
    """The scores as a table; what the roll-outs could not tell is left out."""
    title = f"{name}: {scores.rollouts} roll-outs" if name else f"{scores.rollouts} roll-outs"
    table = Table(box=None, padding=(0, 2, 0, 0), title=title, title_justify="left")
    rows = [
        *_null(scores.null),
        *_power("halt", scores.halt),
        *_power("WARN", scores.warn),
        *_blame(scores.blame),
        *_rule(scores.rule),
    ]
    add_columns(table, ("score", "figure", "95 % bound", "of"), rows)
    return table


def _null(null: Null) -> Iterator[_Row]:
    for name, part, yearly, upper in (
        ("false halts", null.halts, null.halts_per_200, null.halts_per_200_upper),
        ("false WARNs", null.warns, null.warns_per_200, null.warns_per_200_upper),
    ):
        if yearly is not None and upper is not None:
            what = f"{name} per {PER_YEAR} cases"
            yield what, f"{yearly:.2f}", f"≤ {upper:.2f}", f"{part.hits} in {part.of} cases"
    if null.cases:
        yield _share("notices on harmless KBs", null.notices, "cases")


def _power(kind: str, power: Power) -> Iterator[_Row]:
    if not power.cases:
        return
    cases = "cases" if not power.joined else f"cases, {power.joined} of several branches at once"
    if kind == "halt":
        yield _quantile("victims possible, median", power.possible_median)
    yield _share(f"{kind} reached", power.reached, cases)
    if power.never.of:
        yield _share(f"never a {kind}, ≥ {ENOUGH} victims possible", power.never, cases)
    yield _quantile(f"victims at the {kind}, median", power.victims_median)
    yield _quantile(f"victims at the {kind}, p95", power.victims_p95)
    yield _quantile(f"minutes from the first victim to the {kind}, median", power.minutes_median)
    yield _quantile(f"minutes from the first victim to the {kind}, p95", power.minutes_p95)
    if power.early:
        yield f"{kind} before the first victim", str(power.early), "", f"{power.reached.hits} cases"
    if power.signature.of:
        yield _share(f"{kind} names what fails", power.signature, "cases")


def _blame(blame: Blame) -> Iterator[_Row]:
    if blame.top1.of:
        yield _share("harmful KB suspected most", blame.top1, "halts")
        yield _share("harmful KB in the 95 % set", blame.covered, "halts")
        yield _quantile("size of the 95 % set, median", blame.set_size_median)
    if blame.innocent_alone.of:
        yield _share("innocent KB blamed alone", blame.innocent_alone, "roll-outs")
    if blame.bystander_halts.of:
        yield _share("halts of harmless cases beside", blame.bystander_halts, "cases")


def _rule(rule: Rule) -> Iterator[_Row]:
    if rule.jaccard is not None:
        yield _share("rule exact", rule.exact, "halts")
        yield "rule, mean Jaccard index", f"{rule.jaccard:.3f}", "", f"{rule.exact.of} halts"


def _share(what: str, part: Share, unit: str) -> _Row:
    figure = "–" if part.share is None else f"{part.share:.3f}"
    bound = "–" if part.upper is None else f"{part.lower:.3f} … {part.upper:.3f}"
    return what, figure, bound, f"{part.hits} in {part.of} {unit}"


def _quantile(what: str, part: Quantile) -> _Row:
    figure = "–" if part.value is None else f"{part.value:g}"
    bound = "–" if part.upper is None else f"≤ {part.upper:g}"
    return what, figure, bound, f"{part.of}"
