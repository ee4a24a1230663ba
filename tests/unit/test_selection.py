"""Which events are read: what Windows makes of the queries."""

import re
import xml.etree.ElementTree as ET

import pytest

from collectors.settings import LogSettings
from collectors.sources.selection import (
    FORWARDED,
    MAX_COMPARISONS,
    Clause,
    Selection,
    patch_or_boot,
    xpaths,
)
from schemas.errors import KbwatchError
from schemas.reports import Event
from schemas.windows.taxonomy import classify

KERNEL, UPDATE = "Microsoft-Windows-Kernel-General", "Microsoft-Windows-WindowsUpdateClient"
SERVICING = "Microsoft-Windows-Servicing"
SCM = "Service Control Manager"
CLUSTER = "Microsoft-Windows-FailoverClustering"
VMS = "Microsoft-Windows-Hyper-V-High-Availability"
DEFAULT = Selection(LogSettings())


def event(channel: str, provider: str, number: int, level: int) -> Event:
    return Event(t_ms=0, channel=channel, provider=provider, id=number, level=level)


TABLE = [
    event(channel, provider, number, level)
    for channel in ("System", "Setup", "Application", "Security", "DNS Server")
    for provider in (KERNEL, UPDATE, SERVICING, SCM, "EventLog", "User32", "USER32", "Other")
    for number in (1, 2, 4, 5, 12, 13, 14, 19, 24, 25, 43, 44, 1074, 6005, 6008, 6009, 7036)
    for level in range(6)
]


def selects(selection: Selection, channel: str) -> list[str]:
    (query,) = [s.query for s in selection.subscriptions if s.channel == channel]
    (only,) = ET.fromstring(query)  # noqa: S314 - of our own making
    assert {select.get("Path") for select in only} == {channel} == {only.get("Path")}
    return [select.text or "" for select in only]


def says(xpath: str, one: Event) -> bool:
    """What Windows makes of an XPath that this project writes."""
    inner = re.fullmatch(r"\*\[System\[(.*)\]\]", xpath)
    assert inner is not None
    body = inner[1].replace("Provider[", "(").replace("]", ")")
    for name, value in (("@Name", one.provider), ("Level", one.level), ("EventID", one.id)):
        body = re.sub(rf"{name}=('[^']*'|\d+)", lambda m, v=value: str(repr(v) == m[1]), body)
    assert re.fullmatch(r"(?:True|False|and|or|[() ])+", body)
    return bool(eval(body))  # noqa: S307 - words of Python's, as the line above has made sure


def wanted(selection: Selection, one: Event, channel: str = "") -> bool:
    """Whether the queries select the event in its own channel, or in ``channel``."""
    read = {s.channel.casefold(): s.channel for s in selection.subscriptions}
    name = read.get((channel or one.channel).casefold())
    return name is not None and any(says(path, one) for path in selects(selection, name))


@pytest.mark.parametrize("max_level", range(6))
def test_everything_up_to_the_level_is_read_and_else_only_patches_and_boots(
    max_level: int,
) -> None:
    selection = Selection(LogSettings(max_level=max_level))
    for one in TABLE:
        if one.channel == "Security":
            assert not wanted(selection, one)
        elif 1 <= one.level <= max_level:
            assert wanted(selection, one), one
        elif one.level > max_level and not patch_or_boot(one):
            assert not wanted(selection, one), one


def test_what_a_node_would_read_of_its_own_is_read_where_it_is_forwarded_to() -> None:
    selection = Selection(LogSettings(forwarded=True))
    for one in TABLE:
        assert wanted(selection, one, FORWARDED) or not wanted(selection, one), one


@pytest.mark.parametrize(
    ("channel", "provider", "number", "level"),
    [
        ("System", KERNEL, 12, 4),
        ("System", KERNEL, 13, 4),
        ("System", "EventLog", 6005, 4),
        ("System", "EventLog", 6006, 4),
        ("System", "EventLog", 6008, 2),
        ("System", "USER32", 1074, 4),
        ("System", "User32", 1074, 4),
        ("System", "Microsoft-Windows-Kernel-Power", 41, 1),
        *(("System", UPDATE, number, 4) for number in (19, 20, 21, 22, 23, 24, 43, 44)),
        *(("Setup", SERVICING, number, 0) for number in (1, 2, 3, 4)),
        ("System", SCM, 7031, 2),
        ("Microsoft-Windows-FailoverClustering/Operational", "Anything", 1, 3),
        ("Microsoft-Windows-Hyper-V-VMMS-Admin", "Microsoft-Windows-Hyper-V-VMMS", 16300, 2),
    ],
)
def test_patches_boots_and_failures_are_read(
    channel: str, provider: str, number: int, level: int
) -> None:
    assert wanted(DEFAULT, event(channel, provider, number, level))


@pytest.mark.parametrize(
    ("channel", "provider", "number", "level"),
    [
        ("System", SCM, 7031, 2),
        ("System", SCM, 7024, 2),
        ("System", CLUSTER, 1135, 1),
        ("System", CLUSTER, 1672, 1),
        ("System", CLUSTER, 1675, 3),
        ("System", CLUSTER, 1676, 2),
        ("System", CLUSTER, 5120, 3),
        ("System", CLUSTER, 5142, 2),
        ("System", CLUSTER, 5150, 2),
        *((f"{VMS}-Admin", VMS, number, 2) for number in (21107, 21128, 21129, 21130)),
    ],
)
def test_the_founding_incident_is_read_and_is_one(
    channel: str, provider: str, number: int, level: int
) -> None:
    """KB5062557 on Server 2019: the cluster service dies, nodes are quarantined, VMs restart."""
    one = event(channel, provider, number, level)
    assert wanted(DEFAULT, one)
    assert classify(one) is not None


def test_a_node_that_is_back_in_its_cluster_is_neither_read_nor_an_incident() -> None:
    joined = event("Microsoft-Windows-FailoverClustering/Operational", CLUSTER, 1062, 4)
    assert not wanted(DEFAULT, joined)
    assert classify(joined) is None


@pytest.mark.parametrize(
    ("channel", "provider", "number", "level"),
    [
        ("System", SCM, 7036, 4),
        ("Setup", SERVICING, 7, 0),
        ("Application", KERNEL, 12, 4),
        ("Security", "Microsoft-Windows-Security-Auditing", 4625, 0),
        ("Security", "Microsoft-Windows-Eventlog", 1108, 2),
    ],
)
def test_chatter_and_other_channels_are_not(
    channel: str, provider: str, number: int, level: int
) -> None:
    assert not wanted(DEFAULT, event(channel, provider, number, level))


def test_names_are_compared_whatever_their_casing() -> None:
    assert patch_or_boot(event("x", "user32", 1074, 4))
    assert not patch_or_boot(event("x", "user32", 1075, 4))


def test_many_ids_become_several_selects_windows_can_take() -> None:
    clause = Clause(providers=("A", "B"), ids=tuple(range(50)))
    paths = list(xpaths(clause))
    assert len(paths) == 3
    assert all(path.count("=") <= MAX_COMPARISONS for path in paths)
    for number in range(60):
        one = event("System", "B", number, 4)
        assert any(says(path, one) for path in paths) == (number < 50)


def test_no_select_of_the_default_is_too_long() -> None:
    for subscription in Selection(LogSettings(forwarded=True, max_level=5)).subscriptions:
        for path in selects(Selection(LogSettings(forwarded=True)), subscription.channel):
            assert path.count("=") <= MAX_COMPARISONS


def test_only_what_every_windows_has_must_be_there() -> None:
    needed = [s.channel for s in DEFAULT.subscriptions if not s.optional]
    assert needed == ["System", "Setup", "Application"]


def test_channels_of_ones_own_replace_the_default_and_must_be_there() -> None:
    selection = Selection(LogSettings(channels=("setup", "My/Channel")))
    assert [(s.channel, s.optional) for s in selection.subscriptions] == [
        ("setup", False),
        ("My/Channel", False),
    ]
    assert wanted(selection, event("Setup", SERVICING, 2, 0))
    assert not wanted(selection, event("System", SCM, 7031, 2))


def test_nothing_is_asked_of_a_channel_that_nothing_is_wanted_of() -> None:
    selection = Selection(LogSettings(max_level=0))
    assert [s.channel for s in selection.subscriptions] == [
        "System",
        "Setup",
        "Microsoft-Windows-WindowsUpdateClient/Operational",
    ]


def test_an_xpath_of_ones_own_stands_in_place_of_the_default() -> None:
    own = '*[System[Provider[@Name="O\'Neill & Co"] and (Level<=2)]]'
    selection = Selection(LogSettings(xpath={"system": own, "Mine": "*"}))
    assert selects(selection, "System") == [own]
    assert selects(selection, "Mine") == ["*"]
    assert not wanted(selection, event("Setup", SERVICING, 7, 0))


@pytest.mark.parametrize(
    ("xpath", "wrong"),
    [
        ("*[System[Level=2]", "']' is missing"),
        ("*[System[(Level=2]]", "']' is too much"),
        ("*[System[Level=2]]]", "']' is too much"),
        ("*[System[Provider[@Name='x]]]", "not closed"),
        ("<QueryList/>", "begin with *"),
        ("", "begin with *"),
    ],
)
def test_an_xpath_that_can_never_work_is_refused(xpath: str, wrong: str) -> None:
    with pytest.raises(KbwatchError, match=re.escape(wrong)) as refused:
        Selection(LogSettings(xpath={"System": xpath}))
    assert "'System'" in str(refused.value)


def test_brackets_in_quotes_are_text() -> None:
    Selection(LogSettings(xpath={"System": "*[EventData[Data='a[b(']]"}))
