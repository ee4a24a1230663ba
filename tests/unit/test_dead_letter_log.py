"""The log of dead letters: the first of a kind at once, then their number every 30 s."""

from streams.dlq import Quiet


def test_the_first_of_each_topic_and_reason_is_logged_at_once() -> None:
    quiet = Quiet()
    assert quiet.is_first("t", "invalid", 0.0)
    assert quiet.is_first("t", "malformed", 0.0)
    assert quiet.is_first("u", "invalid", 0.0)
    assert not any(quiet.is_first("t", "invalid", 1.0) for _ in range(1_000))


def test_the_others_are_counted_every_thirty_seconds() -> None:
    quiet = Quiet()
    for _ in range(100):
        quiet.is_first("t", "invalid", 0.0)
    assert quiet.due(29.9) == []
    assert quiet.due(30.0) == [("t", "invalid", 99)]
    assert not quiet.is_first("t", "invalid", 31.0)
    assert quiet.due(59.9) == []
    assert quiet.due(60.0) == [("t", "invalid", 1)]


def test_after_thirty_quiet_seconds_the_next_is_a_first_again() -> None:
    quiet = Quiet()
    quiet.is_first("t", "invalid", 0.0)
    assert quiet.due(30.0) == []
    assert quiet.is_first("t", "invalid", 31.0)
