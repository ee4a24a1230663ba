"""The macro expander does what the documentation of the ClickHouse data source says."""

import re

import pytest

from dashboards.macros import ALL, Window, expand, variables_of
from schemas.errors import KbwatchError

# The time range of the documentation's examples.
WINDOW = Window(1_415_792_726_123, 1_447_328_726_456, interval_s=20)


@pytest.mark.parametrize(
    ("macro", "expanded"),
    [
        (
            "$__dateFilter(date)",
            "date >= toDate('2014-11-12') AND date <= toDate('2015-11-12')",
        ),
        (
            "$__timeFilter(time)",
            "time >= toDateTime(1415792726) AND time <= toDateTime(1447328726)",
        ),
        (
            "$__timeFilter_ms(time)",
            "time >= fromUnixTimestamp64Milli(1415792726123) AND "
            "time <= fromUnixTimestamp64Milli(1447328726456)",
        ),
        (
            "$__dateTimeFilter(date, time)",
            "(date >= toDate('2014-11-12') AND date <= toDate('2015-11-12')) AND "
            "(time >= toDateTime(1415792726) AND time <= toDateTime(1447328726))",
        ),
        ("$__fromTime", "toDateTime(1415792726)"),
        ("$__toTime", "toDateTime(1447328726)"),
        ("$__fromTime_ms", "fromUnixTimestamp64Milli(1415792726123)"),
        ("$__toTime_ms", "fromUnixTimestamp64Milli(1447328726456)"),
        ("$__interval_s", "20"),
        (
            "$__timeInterval(column)",
            "toStartOfInterval(toDateTime(column), INTERVAL 20 second)",
        ),
        (
            "$__timeInterval_ms(column)",
            "toStartOfInterval(toDateTime64(column, 3), INTERVAL 20000 millisecond)",
        ),
    ],
)
def test_each_macro_becomes_what_the_documentation_shows(macro: str, expanded: str) -> None:
    assert expand(macro, WINDOW, {}) == expanded


def test_the_short_name_is_the_same_macro() -> None:
    assert expand("$__dt(d, t)", WINDOW, {}) == expand("$__dateTimeFilter(d, t)", WINDOW, {})


def test_an_interval_is_never_shorter_than_a_second() -> None:
    assert expand("$__interval_s", Window(0, 1, 0), {}) == "1"


def test_an_argument_may_have_parentheses_commas_and_quotes_of_its_own() -> None:
    sql = "WHERE $__timeFilter(if(a = ')', b, c)) LIMIT 1"

    assert expand(sql, Window(0, 1000), {}) == (
        "WHERE if(a = ')', b, c) >= toDateTime(0) AND if(a = ')', b, c) <= toDateTime(1) LIMIT 1"
    )


def test_a_variable_is_put_in_as_it_is_or_quoted() -> None:
    variables = {"node": "hv'01", "site": ["ams", "fra"]}

    assert expand("${site:singlequote}", WINDOW, variables) == "'ams','fra'"
    assert expand("${node:singlequote}", WINDOW, variables) == "'hv\\'01'"
    assert expand("$site and ${site}", WINDOW, variables) == "ams,fra and ams,fra"


def test_a_condition_falls_away_where_all_is_chosen() -> None:
    sql = "$__conditionalAll(site IN (${site:singlequote}), $site)"

    assert expand(sql, WINDOW, {"site": ALL}) == "1=1"
    assert expand(sql, WINDOW, {"site": [ALL]}) == "1=1"
    assert expand(sql, WINDOW, {"site": ["ams", "fra"]}) == "site IN ('ams','fra')"


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("$__timefilter(t)", "no macro $__timefilter"),
        ("$__timeFilter", "takes 1 arguments, not 0"),
        ("$__timeFilter(a, b)", "takes 1 arguments, not 2"),
        ("$__timeFilter(a", "not closed"),
        ("${sight:singlequote}", "no variable"),
        ("${site:regex}", "not for queries"),
        ("$__conditionalAll(a, $sight)", "no variable"),
    ],
)
def test_what_grafana_would_not_understand_is_an_error(sql: str, complaint: str) -> None:
    with pytest.raises(KbwatchError, match=re.escape(complaint)):
        expand(sql, WINDOW, {"site": "ams"})


def test_the_variables_of_a_text_are_told_without_grafanas_own() -> None:
    link = "/d/x?${fleet:queryparam}&var-kb=${__data.fields.kb}&${__url_time_range} $site"

    assert variables_of(link) == {"fleet", "site"}
