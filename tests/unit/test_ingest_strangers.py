"""Unknown nodes are named: each once, and not more often than every five minutes."""

from streams.ingest.strangers import EVERY_S, Strangers


def nodes(*names: str) -> list[tuple[str, str]]:
    return [("default", name) for name in names]


def test_they_are_counted_and_named() -> None:
    health = Strangers().message(nodes("b", "a"), 0.0, 7)
    assert health is not None
    assert (health.app, health.kind, health.severity, health.at_ms) == (
        "ingest", "unknown_nodes", "warning", 7,
    )  # fmt: skip
    assert health.message.startswith("2 nodes are not in the inventory, new: default|a, default|b;")


def test_nobody_is_named_twice() -> None:
    strangers = Strangers()
    strangers.message(nodes("a"), 0.0, 0)
    assert strangers.message(nodes("a"), EVERY_S, 0) is None
    health = strangers.message(nodes("a", "b"), 2 * EVERY_S, 0)
    assert health is not None
    assert health.message.startswith("2 nodes are not in the inventory, new: default|b;")


def test_five_minutes_pass_between_two_looks() -> None:
    strangers = Strangers()
    assert strangers.due(10.0)
    strangers.message(nodes("a"), 10.0, 0)
    assert not strangers.due(10.0 + EVERY_S - 0.1)
    assert strangers.due(10.0 + EVERY_S)


def test_a_message_stays_short() -> None:
    health = Strangers().message(nodes(*(f"n{n:04}" for n in range(5_000))), 0.0, 0)
    assert health is not None
    assert health.message.startswith("5000 nodes")
    assert "default|n0019 and 4980 more;" in health.message


def test_what_was_forgotten_is_said_once() -> None:
    strangers = Strangers()
    strangers.forgot(3)
    strangers.forgot(4)
    health = strangers.message(nodes("a"), 0.0, 0)
    assert health is not None
    assert "7 times a node was forgotten because more than ingest.max_strangers" in health.message
    assert strangers.message(nodes("a"), EVERY_S, 0) is None
    strangers.forgot(1)
    health = strangers.message(nodes("a"), 2 * EVERY_S, 0)
    assert health is not None
    assert health.message.startswith("1 nodes are not in the inventory; each counts")


def test_everybody_known_is_no_news() -> None:
    assert Strangers().message([], 0.0, 0) is None
