"""A past as the judge of one case in it saw it, and placebos that fit into it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from schemas.codec import encode
from schemas.evidence import DomainEvidence, NodeEvidence, Onset
from schemas.settings import DetectorSettings
from streams.calibration.outcome import rule_of
from streams.calibration.past import Past, as_of, with_installs
from streams.calibration.placebo import HISTORY_MS, KB, WATCH_MS, field_of, placebo, shape_of
from streams.calibration.source import pasts
from streams.detection.margins import default_margins
from streams.detection.members import EXPOSED_MS
from tests.fixtures.past_streams import DAY, EVERY_DAYS, FIRST_DAY, LASTS_DAYS, START, kb, written
from tests.fixtures.stories import fleet_of

RULE = rule_of(default_margins(), DetectorSettings())


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    """The first branch of three months."""
    file = written(tmp_path_factory.mktemp("past") / "p.jsonl", months=3, days=150)
    return pasts([str(file)], lambda: None)[0]


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> list[list[DomainEvidence]]:
    """The evidence in which each placebo was installed, as placebos are made."""
    seen: list[list[DomainEvidence]] = []

    def spy(
        evidence: Sequence[DomainEvidence], kb: str, installs: Mapping[str, int], without: set[str]
    ) -> list[DomainEvidence]:
        seen.append(with_installs(evidence, kb, installs, without))
        return seen[-1]

    monkeypatch.setattr("streams.calibration.placebo.with_installs", spy)
    return seen


def began(month: int) -> int:
    return START + (FIRST_DAY + EVERY_DAYS * month) * DAY


def with_a_second(node: NodeEvidence) -> NodeEvidence:
    return replace(node, patches=(*node.patches, *(replace(p, kb="KB2") for p in node.patches)))


def test_all_onsets_are_there_however_old(past: Past) -> None:
    oldest = min(o.first_ms for part in past.evidence for o in part.onsets)
    assert oldest < past.end_ms - 100 * DAY, "the live detector keeps 65 days"


def test_a_node_that_fell_silent_is_an_incident_of_the_past(tmp_path: Path) -> None:
    nodes = [node for cluster in fleet_of(3, 2, ("fra", "ams", "dub")) for node in cluster]
    for node in nodes:
        node.lives(until=20 * DAY if node is nodes[0] else 60 * DAY)
    file = tmp_path / "reports.jsonl"
    file.write_bytes(b"".join(encode(node.report()) + b"\n" for node in nodes))
    (found,) = pasts([str(file)], lambda: None)
    onsets = [onset for part in found.evidence for onset in part.onsets]
    assert [o.node for o in onsets if o.signature == "silence"] == [nodes[0].name]


def test_roll_outs_are_in_time_order(past: Past) -> None:
    assert [[span.kb for span in spans] for spans in past.rollouts()] == [[kb(m)] for m in range(3)]


def test_what_came_with_the_same_boots_is_one_roll_out(past: Past) -> None:
    evidence = with_installs(past.evidence, "KB1", past.installs(past.rollouts()[0][0]), set())
    twice = tuple(replace(part, nodes=tuple(map(with_a_second, part.nodes))) for part in evidence)
    found = Past("", past.fleet, past.branch, twice).rollouts()
    assert [[span.kb for span in spans] for spans in found] == [["KB1", "KB2"]]


def test_nothing_is_known_of_later(past: Past) -> None:
    until_ms = began(1) + 2 * DAY
    seen = as_of(past.evidence, kb(1), until_ms)
    nodes = [node for part in seen for node in part.nodes]
    assert max(node.service[-1][1] for node in nodes) == until_ms
    assert max(p.t_ms for node in nodes for p in node.patches) <= until_ms
    assert max(o.first_ms for part in seen for o in part.onsets) <= until_ms
    assert 0 < sum(p.kb == kb(1) for node in nodes for p in node.patches) < len(nodes)


def test_no_node_is_watched_beyond_its_own_exposure(past: Past) -> None:
    until_ms = began(0) + LASTS_DAYS * DAY + EXPOSED_MS
    for part in as_of(past.evidence, kb(0), until_ms):
        for node in part.nodes:
            (patch,) = [p for p in node.patches if p.kb == kb(0)]
            assert node.service[-1][1] == patch.t_ms + EXPOSED_MS


def test_a_placebo_begins_where_half_of_the_history_is_known_and_nothing_was_rolled_out(
    past: Past,
) -> None:
    field = field_of(past)
    assert field.quiet[0][0] == past.start_ms + HISTORY_MS
    for spans in past.rollouts():
        times = sorted(past.installs(spans[0]).values())
        for begin_ms, end_ms in field.quiet:
            assert not any(begin_ms < t < end_ms for t in times)


def test_a_shape_is_the_roll_out_domain_by_domain(past: Past) -> None:
    shape = shape_of(past, past.rollouts()[0][0])
    assert (shape.nodes, {len(times) for times in shape.domains}) == (48, {3})
    assert shape.domains[0][0] == 0
    assert shape.lasts_ms < LASTS_DAYS * DAY


def test_a_placebo_is_staged_over_whole_domains_inside_a_quiet_time(
    past: Past, spied: list[list[DomainEvidence]]
) -> None:
    field = field_of(past)
    for number in range(20):
        ended = placebo(field, Random(number), number, RULE)
        (quiet,) = [q for q in field.quiet if q[0] <= ended.started_ms < q[1]]
        installs: dict[str, list[int]] = defaultdict(list)
        for part in spied[-1]:
            for node in part.nodes:
                assert {p.kb for p in node.patches} <= {KB}
                installs[part.domain] += [p.t_ms for p in node.patches]
        patched = [times for times in installs.values() if times]
        assert {len(times) for times in patched} == {3}
        assert max(map(max, patched)) + WATCH_MS <= ended.until_ms <= quiet[1]


def test_a_placebo_whose_nodes_do_fail_one_after_the_other_is_halted(
    past: Past, spied: list[list[DomainEvidence]]
) -> None:
    """The same seed again, with an outage on every third node ten minutes after its turn."""
    field = field_of(past)
    assert placebo(field, Random(1), 1, RULE).halt_ms is None
    harmed = []
    for part, played in zip(past.evidence, spied[-1], strict=True):
        turns = [(n.node, p.t_ms + 600_000) for n in played.nodes for p in n.patches]
        onsets = [Onset(n, "scm/7031/x", "service", "outage", t, t, (t,)) for n, t in turns[::3]]
        harmed.append(replace(part, onsets=(*part.onsets, *onsets)))
    ended = placebo(field_of(replace(past, evidence=tuple(harmed))), Random(1), 1, RULE)
    assert (ended.halt_ms is not None, ended.signature) == (True, "scm/7031/x")


def test_a_straggler_of_a_real_roll_out_takes_no_part(tmp_path: Path) -> None:
    file = written(tmp_path / "p.jsonl", months=1, days=100, nodes=120)
    lines = file.read_text().splitlines()
    late_ms = began(0) + 20 * DAY
    at = next(i for i, line in enumerate(lines) if '"install"' in line and "n0000" in line)
    lines[at] = f'{{"type":"install","t":{late_ms},"node":"n0000","kb":"{kb(0)}"}}'
    file.write_text("\n".join(lines) + "\n")
    past = pasts([str(file)], lambda: None)[0]
    field = field_of(past)
    assert any(a < late_ms < b for a, b in field.quiet), "one node does not end a quiet time"
    times = past.installs(past.rollouts()[0][0]).values()
    found = [placebo(field, Random(number), number, RULE) for number in range(20)]
    for one in found:
        others = sum(one.started_ms - DAY < t_ms < one.until_ms for t_ms in times)
        assert one.nodes == 120 - others
    assert any(one.started_ms < late_ms < one.until_ms for one in found)
