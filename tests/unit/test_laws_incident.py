"""Detection's laws on a real case, cut up in every way: not a digit of the verdict changes."""

from random import Random

import pytest

from schemas.codec import encode
from schemas.reports import Heartbeat
from streams.detection.history import HistoryArm, Worth
from tests.fixtures.outcomes import Sent, collected, outcome
from tests.fixtures.stories import CASE, DAY, HOUR, MINUTE, T0, fleet_of, verdicts_of


def incident() -> list[Sent]:
    sent = []
    for i, cluster in enumerate(fleet_of(8, 2, ("fra", "ams", "dub", "par"))):
        for j, node in enumerate(cluster):
            node.lives(until=36 * DAY)
            if i % 2 == j % 2:
                node.patched(at=35 * DAY).crashes("ClusSvc", 35 * DAY + (20 + i) * MINUTE, times=4)
            told = node.records
            sent += [(r.t_ms, node.report(r)) for r in told if not isinstance(r, Heartbeat)]
            beats = [r for r in told if isinstance(r, Heartbeat)]
            sent.append((beats[-1].t_ms, node.report(*beats)))
    return sent


def test_the_founding_incident_in_any_order_gives_the_same_verdict() -> None:
    sent = incident()
    expected = outcome(sent)
    assert CASE in verdicts_of(collected(sent))
    for seed in range(4):
        shuffled = [*sent, *Random(seed).sample(sent, 50)]
        Random(seed).shuffle(shuffled)
        assert outcome(shuffled) == expected


def test_a_late_crash_folds_from_its_instant_as_if_it_had_come_in_time() -> None:
    sent = incident()
    crash = next(i for i, (_, r) in enumerate(sent) if r.records[0].t_ms > T0 + 35 * DAY)
    late = [*sent[:crash], *sent[crash + 1 :], sent[crash]]
    without = [*sent[:crash], *sent[crash + 1 :]]
    assert outcome(late) == outcome(sent) != outcome(without)


def test_where_the_past_speaks_order_changes_nothing_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service that was never heard of dies on each of the few patched nodes."""
    said: list[float] = []
    value = HistoryArm.value

    def spied(arm: HistoryArm, t_ms: int, psi: float) -> Worth:
        worth = value(arm, t_ms, psi)
        said.append(worth.agreed)
        return worth

    monkeypatch.setattr(HistoryArm, "value", spied)
    sent = []
    for i, cluster in enumerate(fleet_of(12, 3, ("fra", "ams", "dub", "par"))):
        for j, node in enumerate(cluster):
            node.lives(until=40 * DAY)
            if j == 0 and i < 6:
                node.patched(at=35 * DAY).crashes("ClusSvc", (36 * 24 + 5 * i) * HOUR, times=4)
            told = node.records
            sent += [(r.t_ms, node.report(r)) for r in told if not isinstance(r, Heartbeat)]
            beats = [r for r in told if isinstance(r, Heartbeat)]
            sent.append((beats[-1].t_ms, node.report(*beats)))
    expected = outcome(sent)
    assert max(said) > 1
    assert verdicts_of(collected(sent))[CASE].state == "halt"
    for seed in range(3):
        shuffled = [*sent, *Random(seed).sample(sent, 50)]
        Random(seed).shuffle(shuffled)
        assert outcome(shuffled) == expected
        parts = collected(shuffled)
        Random(seed).shuffle(parts)
        assert [encode(v) for v in verdicts_of(parts).values()] == expected[1]
