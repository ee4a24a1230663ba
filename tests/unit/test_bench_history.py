"""A stream in memory: what happened on which node, and what nodes say alike kept once."""

from msgspec.structs import replace

from streams.regbench.bench.history import History, gather
from streams.regbench.bench.stream import Event, Heartbeat, Install, Line, Uninstall
from tests.fixtures.bench_streams import DAY, KB, T0, head, node

FIRST, SECOND = node(0).node, node(1).node
DISK = ("storage/153", "storage", "degraded")
CRASH = ("crash/41", "crash", "outage")


def logged(t_ms: int, kind: tuple[str, str, str], on: str, about: str = "") -> Event:
    signature, cls, impact = kind
    return Event(t_ms, on, cls, signature, impact, about)  # type: ignore[arg-type]


def history(*lines: Line) -> History:
    return gather([*head(3), *lines])


def test_events_are_told_by_kind_whatever_came_between() -> None:
    found = history(
        logged(T0 + 2, DISK, FIRST),
        logged(T0, CRASH, FIRST),
        logged(T0 + 1, DISK, SECOND),
        logged(T0 + 1, DISK, FIRST),
    )
    assert found.events(FIRST) == {DISK: [T0 + 2, T0 + 1], CRASH: [T0]}
    assert found.events(SECOND) == {DISK: [T0 + 1]}
    assert found.events(node(2).node) == {}


def test_an_event_about_another_node_is_that_one_s() -> None:
    found = history(logged(T0, CRASH, FIRST, about=SECOND))
    assert (found.events(FIRST), found.events(SECOND)) == ({}, {CRASH: [T0]})


def test_of_installs_and_removals_the_first_counts() -> None:
    found = history(
        Install(T0 + DAY, FIRST, KB),
        Install(T0, FIRST, KB),
        Uninstall(T0 + 3 * DAY, FIRST, KB),
        Uninstall(T0 + 2 * DAY, FIRST, KB),
    )
    assert (found.installs, found.removals) == ({KB: {FIRST: T0}}, {KB: {FIRST: T0 + 2 * DAY}})
    assert found.cases() == [(KB, node(0).branch)]


def test_only_nodes_with_heartbeats_have_any() -> None:
    found = history(Heartbeat(T0 + 1, FIRST), Heartbeat(T0, FIRST))
    assert {name: list(times) for name, times in found.beats.items()} == {FIRST: [T0 + 1, T0]}


def test_what_nodes_say_alike_is_one_object() -> None:
    said = {"virtual": True, "bitlocker": False}
    nodes = [
        replace(node(i), role="".join(("sq", "l")), covariates=dict(items))
        for i, items in enumerate((said.items(), reversed(said.items())))
    ]
    one, other = gather([head(0)[0], *nodes]).nodes.values()
    assert (one.role, one.covariates) == ("sql", said)
    assert one.role is other.role
    assert one.covariates is other.covariates
    assert list(one.covariates) == ["bitlocker", "virtual"], "in the order of names"
