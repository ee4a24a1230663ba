"""The benchmark's roll-outs: families as specified, and a truth that the stream bears out."""

from collections import Counter, defaultdict
from itertools import pairwise
from random import Random
from statistics import mean

import pytest

from schemas.errors import KbwatchError
from streams.regbench.bench.chance import HOUR_MS, MINUTE_MS
from streams.regbench.bench.effects import holds
from streams.regbench.bench.families import FAMILIES, Request, order, variants_of
from streams.regbench.bench.fleet import Shape, build_fleet
from streams.regbench.bench.incidents import INCIDENTS
from streams.regbench.bench.rollout import END_MS, ROLLOUT_MS, START_MS, rollout
from streams.regbench.bench.stream import (
    End,
    Event,
    Fleet,
    Heartbeat,
    Install,
    Line,
    Node,
    Uninstall,
)
from streams.regbench.bench.truth import KbTruth


class Made:
    """A roll-out, sorted by kind of line."""

    def __init__(self, request: Request, index: int = 0) -> None:
        made = rollout(order(request, index), request.seed, index)
        self.lines: list[Line] = list(made.lines)
        self.truths = made.truths
        self.nodes = {x.node: x for x in self.lines if isinstance(x, Node)}
        self.installs = [x for x in self.lines if isinstance(x, Install)]
        self.events = [x for x in self.lines if isinstance(x, Event)]
        self.beats = [x for x in self.lines if isinstance(x, Heartbeat)]
        self.installed = {(x.node, x.kb): x.t_ms for x in self.installs}

    @property
    def harmful(self) -> list[KbTruth]:
        return [truth for truth in self.truths if truth.harmful]


def made(
    family: str, nodes: int | None = 1_000, seed: int = 3, index: int = 0, **more: object
) -> Made:
    return Made(Request(family, nodes, seed, **more), index)  # type: ignore[arg-type]


ALL = [
    pytest.param(family, index, id=f"{family}-{variant}")
    for family in FAMILIES
    for index, variant in enumerate(variants_of(Request(family)))
]


@pytest.mark.parametrize(("family", "index"), ALL)
def test_every_variant_is_a_stream_whose_truth_it_bears_out(family: str, index: int) -> None:
    one = made(family, nodes=300, index=index)
    head, *_, last = one.lines
    assert head == Fleet(1, f"f{index:04d}", START_MS, END_MS)
    assert last == End(END_MS)
    assert len(one.nodes) == 300
    assert all(START_MS <= x.t_ms <= END_MS for x in one.lines if not isinstance(x, Fleet))
    told = Counter((truth.kb, branch) for truth in one.truths for branch in truth.branches)
    cases = {(x.kb, one.nodes[x.node].branch) for x in one.installs}
    assert set(told) >= cases
    assert set(told.values()) == {1}
    events = {(x.node, x.t_ms) for x in one.events}
    failures = {(x.node, x.signature) for x in one.events}
    for truth in one.truths:
        assert truth.harmful or not truth.caused
        assert list(truth.caused) == sorted(truth.caused, key=lambda victim: victim[1])
        for node, t_ms in truth.caused:
            assert holds(truth.rule, one.nodes[node])
            assert one.nodes[node].branch in truth.branches
            assert one.installed[node, truth.kb] < t_ms
            if truth.signature != "silence":
                assert (node, t_ms) in events
                assert (node, truth.signature) in failures or END_MS - t_ms < HOUR_MS


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.startswith("N")])
def test_null_families_harm_nobody(family: str) -> None:
    for index in range(len(variants_of(Request(family)))):
        assert made(family, nodes=300, index=index).harmful == []


def test_the_same_request_gives_the_same_roll_out_and_another_seed_another() -> None:
    assert made("A2").lines == made("A2").lines
    assert made("A2").truths == made("A2").truths
    assert made("A2").lines != made("A2", seed=4).lines
    assert made("A2").lines != made("A2", variant="N2-shocks", index=1).lines


@pytest.mark.parametrize("share", [5, 100])
def test_an_effect_only_adds_to_the_noise(share: int) -> None:
    still = made("N1", variant="same")
    harmed = made("A1", share=share, fails=1.0, kind="novel")
    added = Counter(harmed.events) - Counter(still.events)
    assert Counter(still.events) - Counter(harmed.events) == Counter()
    assert {x.signature for x in added} == {harmed.harmful[0].signature}
    assert harmed.installs == still.installs
    assert harmed.nodes == still.nodes


def test_another_rule_changes_only_whose_lot_counts() -> None:
    everybody = {victim for truth in made("A1", share=100).harmful for victim in truth.caused}
    some = {victim for truth in made("A1", share=5).harmful for victim in truth.caused}
    assert some
    assert some < everybody


@pytest.mark.parametrize(
    ("share", "rule", "percent"),
    [
        (1, ("clustered", "bitlocker", "branch=17763"), 1.28),
        (5, ("role=hyperv", "branch=17763"), 5.2),
        (100, (), 100.0),
    ],
)
def test_shares_are_those_of_their_rules(share: int, rule: tuple[str, ...], percent: float) -> None:
    fleets = [build_fleet(Random(seed), 20_000, 0, Shape(), {}) for seed in range(3)]
    hit = mean(holds(rule, member.node) for fleet in fleets for member in fleet)
    assert 100 * hit == pytest.approx(percent, rel=0.2)
    one = made("A1", share=share, fails=1.0, onset_h=0.01)
    assert all(truth.rule == rule for truth in one.harmful)
    victims = {victim[0] for truth in one.harmful for victim in truth.caused}
    assert victims == {name for name, node in one.nodes.items() if holds(rule, node)}


@pytest.mark.parametrize("fails", [0.05, 0.2])
def test_that_share_of_the_patched_nodes_fails(fails: float) -> None:
    one = made("A1", nodes=5_000, share=100, fails=fails)
    victims = sum(len(truth.caused) for truth in one.harmful)
    assert victims / 5_000 == pytest.approx(fails, rel=0.2)


def test_a_spared_branch_is_a_harmless_case_of_the_same_kb() -> None:
    harmful, harmless = made("A1").truths
    assert (harmful.kb, harmful.branches) == (harmless.kb, ("17763",))
    assert (harmless.harmful, harmless.branches) == (False, ("14393", "20348"))
    (whole,) = made("A1", share=100).truths
    assert whole.branches == ("14393", "17763", "20348")


def test_victims_crash_twenty_times() -> None:
    one = made("A1", kind="novel", share=100)
    (truth,) = one.harmful
    crashes = Counter(x.node for x in one.events if x.signature == truth.signature)
    early = [node for node, t_ms in truth.caused if t_ms < END_MS - 12 * HOUR_MS]
    assert len(early) > 100
    assert {crashes[node] for node in early} == {20}


@pytest.mark.parametrize("kind", ["rare", "novel", "common", "boot"])
def test_the_kind_says_how_usual_the_signature_is(kind: str) -> None:
    usual = Counter(x.signature for index in range(5) for x in made("N1", index=index).events)
    most = usual.most_common(1)[0][1]
    seen = [usual[made("A1", kind=kind, index=index).harmful[0].signature] for index in range(5)]
    if kind == "novel":
        assert seen == [0] * 5
    if kind == "rare":
        assert max(seen) < most / 20
    if kind == "common":
        assert min(seen) > most / 20


def test_the_onset_is_as_asked() -> None:
    for onset_h in (0.25, 8):
        one = made("A1", share=100, fails=1.0, onset_h=onset_h)
        (truth,) = one.harmful
        delays = [(t_ms - one.installed[node, truth.kb]) / HOUR_MS for node, t_ms in truth.caused]
        assert mean(delays) == pytest.approx(onset_h, rel=0.15)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.9, 1.0])
def test_the_second_kb_goes_along_on_a_share_of_the_nodes(overlap: float) -> None:
    one = made("C1", overlap=overlap)
    (guilty,) = {truth.kb for truth in one.harmful}
    (innocent,) = {truth.kb for truth in one.truths} - {guilty}
    together = [one.installed[n, guilty] == one.installed[n, innocent] for n in one.nodes]
    assert mean(together) == pytest.approx(overlap, abs=0.04)


def test_the_harmful_kb_of_two_may_have_either_number() -> None:
    guilty = [made("C1", nodes=100, index=i).truths[0].kb for i in range(12)]
    assert {int(kb[2:]) % 2 for kb in guilty} == {0, 1}
    assert guilty[0] in ("KB9000001", "KB9000002")


def test_rules_have_their_depth() -> None:
    depths = [len(made("G1", index=index).harmful[0].rule) for index in range(8)]
    assert depths == [0, 1, 2, 3, 0, 1, 2, 3]


def test_n10_logs_a_harmless_line_per_boot_of_every_patched_node() -> None:
    one = made("N10")
    (truth,) = one.truths
    assert (truth.harmful, truth.caused) == (False, ())
    lines = [x for x in one.events if x.signature == truth.signature]
    assert {(x.cls, x.impact) for x in lines} == {("service", "none")}
    first: dict[str, int] = {}
    for line in lines:
        first.setdefault(line.node, line.t_ms)
    assert set(first) == set(one.nodes)
    assert all(0 < t_ms - one.installed[n, truth.kb] < HOUR_MS for n, t_ms in first.items())
    assert 1.1 < len(lines) / len(first) < 2.5


def test_the_clean_twin_of_n8_differs_by_duplicates_and_order_only() -> None:
    told, clean = made("N8", nodes=300), made("N8", nodes=300, clean=True)
    said, meant = Counter(map(repr, told.lines)), Counter(map(repr, clean.lines))
    assert set(said) == set(meant)
    twice = (said.total() - meant.total()) / meant.total()
    assert twice == pytest.approx(0.05, rel=0.05)
    times = [x.t_ms for x in clean.lines if isinstance(x, Event | Install | Heartbeat)]
    assert times == sorted(times)


def test_one_line_in_ten_of_n8_is_late_by_up_to_an_hour() -> None:
    newest_ms = late = 0
    lines = [x for x in made("N8", nodes=300).lines if isinstance(x, Heartbeat)]
    for line in lines:
        assert newest_ms - line.t_ms <= HOUR_MS
        late += line.t_ms < newest_ms
        newest_ms = max(newest_ms, line.t_ms)
    assert late / len(lines) == pytest.approx(0.10, abs=0.01)


def test_clocks_of_n8_are_up_to_five_minutes_wrong() -> None:
    told, meant = made("N8", clean=True), made("N1", variant="same")
    off = [told.installed[key] - meant.installed[key] for key in meant.installed]
    assert max(map(abs, off)) <= 5 * MINUTE_MS
    assert mean(map(abs, off)) == pytest.approx(2.5 * MINUTE_MS, rel=0.1)


def test_a_third_of_the_controls_of_n8_is_silent_for_two_hours() -> None:
    one = made("N8", clean=True)
    beats: dict[str, list[int]] = defaultdict(list)
    for beat in one.beats:
        beats[beat.node].append(beat.t_ms)
    assert set(beats) == set(one.nodes)
    gaps = {
        node: max((later - earlier, earlier) for earlier, later in pairwise(ts))
        for node, ts in beats.items()
    }
    silent = {node: at_ms for node, (gap_ms, at_ms) in gaps.items() if gap_ms >= 2 * HOUR_MS}
    assert all(gap_ms <= 150 * MINUTE_MS for gap_ms, _ in gaps.values())
    begin_ms = max(silent.values())
    assert begin_ms - min(silent.values()) <= 45 * MINUTE_MS
    controls = [x.node for x in one.installs if x.t_ms > begin_ms + 2 * HOUR_MS]
    assert set(silent) <= set(controls)
    assert len(silent) / len(controls) == pytest.approx(1 / 3, abs=0.05)
    quiet = [x for x in one.events if x.node in silent]
    middle_ms = begin_ms + HOUR_MS
    assert not [x for x in quiet if abs(x.t_ms - middle_ms) < 10 * MINUTE_MS]


def test_only_families_that_test_silence_have_heartbeats() -> None:
    for family in FAMILIES:
        assert bool(made(family, nodes=300).beats) == (family == "N8")


def test_victims_of_a_silent_boot_are_not_heard_of_again() -> None:
    one = made("R1", variant="silent-boot", nodes=600)
    (truth,) = one.harmful
    dead = dict(truth.caused)
    assert len(dead) == pytest.approx(30, abs=20)
    last: dict[str, int] = {}
    for line in one.lines:
        if isinstance(line, Event | Heartbeat):
            last[line.node] = max(line.t_ms, last.get(line.node, 0))
    assert all(last[node] < t_ms for node, t_ms in dead.items())
    assert all(END_MS - t_ms < HOUR_MS for node, t_ms in last.items() if node not in dead)


def test_the_founding_incident_is_told_as_it_was() -> None:
    one = made("R1", nodes=3_000, variant="R01")
    (truth,) = one.harmful
    assert (truth.kb, truth.branches) == ("KB5062557", ("17763",))
    assert truth.rule == ("branch=17763", "clustered", "bitlocker")
    victims = dict(truth.caused)
    assert victims
    shot = [x for x in one.events if x.signature == "failoverclustering/1135"]
    assert {x.about for x in shot} <= set(victims)
    assert all(one.nodes[x.node].domain == one.nodes[x.about].domain for x in shot)
    assert all(x.node != x.about for x in shot)


def test_an_install_failure_is_rolled_back() -> None:
    one = made("R1", variant="R38")
    (truth,) = one.harmful
    back = {x.node: x for x in one.lines if isinstance(x, Uninstall)}
    assert {x.kb for x in back.values()} == {"KB5063878"}
    assert set(back) <= {node for node, _ in truth.caused}
    assert all(back[n].t_ms > one.installed[n, truth.kb] for n in back)


def test_every_incident_says_what_it_says_it_does() -> None:
    for name in INCIDENTS:
        script = INCIDENTS[name]()
        one = made("R1", variant=name, nodes=1_000)
        acted = [truth for truth in one.truths if truth.signature]
        assert {truth.signature for truth in acted} == {script.signature}, name
        assert {truth.harmful for truth in acted} == {script.harmful}, name
        if script.harmful:
            assert sum(len(truth.caused) for truth in acted) >= 3, name
        if script.kbs:
            assert {truth.kb for truth in acted} == set(script.kbs.values()), name


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request("N11"), "--family N11: there are N0"),
        (Request("N7", variant="slow"), "--variant slow: N7 has fast, bang"),
        (Request("A2", under="A1"), "--under A1"),
        (Request("N2", under="N3"), "--under goes with"),
        (Request("A1", share=50), "--share 50"),
        (Request("A1", fails=1.5), "--fails 1.5"),
        (Request("A1", onset_h=0), "--onset-h 0"),
        (Request("A1", onset_sd=-1), "--onset-sd -1"),
        (Request("A1", kind="odd"), "--kind odd"),
        (Request("C1", overlap=2), "--overlap 2"),
        (Request("G1", share=5), "--share does not go with G1"),
        (Request("R1", onset_h=1), "--onset-h does not go with R1"),
        (Request("N2", nodes=10), "--nodes 10"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(request_: Request, reason: str) -> None:
    with pytest.raises(KbwatchError, match=reason):
        order(request_, 0)


def test_power_under_stress_goes_through_the_nulls() -> None:
    names = variants_of(Request("A2"))
    assert {name.partition("-")[0] for name in names} == {"N2", "N3", "N4", "N5", "N6", "N7", "N9"}
    assert variants_of(Request("A1", under="N7")) == ["N7-fast", "N7-bang"]
    assert order(Request("A2", variant="N9-300"), 0).recipe.nodes == 300
    assert order(Request("R1", under="N2", variant="R02"), 0).recipe.shocks


def test_roll_outs_start_ninety_days_after_the_stream() -> None:
    one = made("N0")
    assert min(x.t_ms for x in one.installs) >= ROLLOUT_MS
    assert min(x.t_ms for x in one.events) < START_MS + 24 * HOUR_MS
    assert (ROLLOUT_MS - START_MS, END_MS - ROLLOUT_MS) == (90 * 24 * HOUR_MS, 10 * 24 * HOUR_MS)
