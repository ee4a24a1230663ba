"""What one node has said, kept so that order, repetition and batching of records do not matter.

Everything here is a set, a minimum, a maximum or a gap-clustered run, so adding a record twice or
late gives the same state. Clock skew, planned restarts and effective times are worked out when
evidence is made (``node_evidence``), from all that is known by then.
"""

from collections.abc import Mapping

from msgspec import Struct, field

from schemas.reports import Boot, Event, Facts, Heartbeat, NodeReport, PatchState, Record
from schemas.windows.builds import parse_build
from schemas.windows.taxonomy import about_node, classify, planned_restart
from streams.detection.chains import DAY_MS, HOUR_MS, Chain, insert, single

ONSET_GAP_MS = DAY_MS
KEEP_MS = 26 * 7 * DAY_MS
"""26 weeks: what noise classes and baselines look back on."""
SEEN_FLOOR_MS = 600_000
SKEW_MS = 300_000
"""Clock differences up to this are left alone."""

# Bounds on what a hostile or broken node can make us keep; ordinary nodes stay far below.
MAX_SIGNATURES = 128
MAX_RUNS = 200
"""More than fit into 26 weeks at one a day, so that late events find their neighbours."""
MAX_INTERVALS = 500
MAX_BOOTS = 500
MAX_KBS = 256
MAX_PARTS = 128
"""Drivers, agents and firmware: twice what one report of facts can name."""
MAX_VERSIONS = 32
MAX_NODES = 256
"""A failover cluster has at most 64 nodes; others may be named once they were replaced."""
RUNNING_BUILD = "registry/ubr"
"""Source of the patch states that the running build shows; the others are what Windows says."""
SIGHTED = {"effective": "sighted", "rolled_back": "sighted_gone"}
_SILENT_GRACE_S = 24 * 3600
_GRACE_EXTRA_S = 20 * 60


class Runs(Struct):
    """The runs of one signature on one node."""

    cls: str
    impact: str
    before_boot: bool
    chains: tuple[Chain, ...] = ()


class NodeState(Struct):
    """One node of a failure domain."""

    site: str = ""
    heartbeat_s: int = 0
    sent_ms: int = 0
    """Newest ``sent_ms`` of a header."""
    since_ms: int | None = None
    newest_ms: int = 0
    """Newest record, floored to ten minutes."""
    facts: Facts | None = None
    facts_ms: int | None = None
    """Earliest facts: what they name was there before."""
    versions: dict[str, dict[str, int]] = field(default_factory=dict)
    """Driver, agent or firmware → version → when facts named it first."""
    boots: dict[int, str] = field(default_factory=dict)
    """Start of boot → build."""
    patches: dict[str, dict[str, int]] = field(default_factory=dict)
    """KB → state → earliest time; for what the running build showed also under ``SIGHTED``."""
    restarts: tuple[Chain, ...] = ()
    """Planned restarts; runs of ten minutes, because one is announced several times."""
    alive: dict[int, tuple[Chain, ...]] = field(default_factory=dict)
    """Promised interval → runs of the heartbeats that were sent at it."""
    runs: dict[str, Runs] = field(default_factory=dict)
    skew_ms: dict[int, int] = field(default_factory=dict)
    """Start of boot → the node's clock minus the broker's, in whole minutes, largest seen."""

    @property
    def grace_s(self) -> int:
        """How long after a sighting the node still counts as alive."""
        return grace_s(self.heartbeat_s)

    def header(self, report: NodeReport, append_ms: int) -> bool:
        """Take over what the header says; True when evidence may change.

        Site and heartbeat interval are settings: those sent last hold.
        """
        changed = self._clock(report.boot_ms, report.sent_ms - append_ms)
        sent = (report.sent_ms, report.site, report.heartbeat_s)
        if sent >= (self.sent_ms, self.site, self.heartbeat_s):
            self.sent_ms = report.sent_ms
            changed |= (report.site, report.heartbeat_s) != (self.site, self.heartbeat_s)
            self.site, self.heartbeat_s = report.site, report.heartbeat_s
        return changed

    def _clock(self, boot_ms: int, difference_ms: int) -> bool:
        # A report arrives after it was sent, so the largest difference is the nearest to the truth.
        skew = (difference_ms + 30_000) // 60_000 * 60_000
        known = self.skew_ms.get(boot_ms)
        if not boot_ms or (known is not None and known >= skew):
            return False
        self.skew_ms[boot_ms] = skew
        if len(self.skew_ms) > MAX_BOOTS:
            del self.skew_ms[min(self.skew_ms)]
        return abs(skew) > SKEW_MS or abs(known or 0) > SKEW_MS

    def seen(self, t_ms: int) -> bool:
        """Count any record as history; True when evidence may change."""
        changed = False
        if self.since_ms is None or t_ms < self.since_ms:
            self.since_ms = t_ms
            changed = True
        floored = t_ms // SEEN_FLOOR_MS * SEEN_FLOOR_MS
        if floored > self.newest_ms:
            self.newest_ms = floored
            changed = changed or not self.alive
        return changed

    def boot(self, record: Boot) -> bool:
        """Add a boot; of two builds at one instant the higher stays."""
        known = self.boots.get(record.t_ms)
        if known is not None and parse_build(known) >= parse_build(record.build):
            return False
        self.boots[record.t_ms] = record.build
        if len(self.boots) > MAX_BOOTS:
            del self.boots[min(self.boots)]
        return True

    def patch(self, record: PatchState) -> bool:
        """Add a step of a KB: the earliest time of each state counts."""
        states = self.patches.setdefault(record.kb, {})
        changed = _earlier(states, record.state, record.t_ms)
        sighted = SIGHTED.get(record.state) if record.source == RUNNING_BUILD else None
        if sighted is not None:
            changed |= _earlier(states, sighted, record.t_ms)
        if len(self.patches) > MAX_KBS:
            del self.patches[min(self.patches, key=lambda kb: (len(kb), kb))]
        return changed

    def set_facts(self, record: Facts) -> bool:
        """Keep the newest facts, and since when each version is there; True when they differ in
        more than their time.
        """
        old = self.facts
        changed = self._versions(record)
        if old is not None and _facts_order(record) <= _facts_order(old):
            return changed
        self.facts = record
        return changed or old is None or _content(old) != _content(record)

    def _versions(self, record: Facts) -> bool:
        changed = False
        if self.facts_ms is None or record.t_ms < self.facts_ms:
            self.facts_ms = record.t_ms
            changed = bool(self.versions)
        for name, version in record.changes.items():
            known = self.versions.setdefault(name, {})
            if version not in known or record.t_ms < known[version]:
                known[version] = record.t_ms
                changed = True
            if len(known) > MAX_VERSIONS:
                del known[min(known)]
        while len(self.versions) > MAX_PARTS:
            del self.versions[min(self.versions)]
        return changed

    def heartbeat(self, record: Heartbeat, heartbeat_s: int) -> bool:
        """Add a sighting of a node that promised one every ``heartbeat_s``."""
        new = Chain(record.t_ms, record.t_ms // SEEN_FLOOR_MS * SEEN_FLOOR_MS)
        old = self.alive.get(heartbeat_s, ())
        alive = insert(old, new, grace_s(heartbeat_s) * 1000)
        if alive is old:
            return False
        self.alive[heartbeat_s] = alive[-MAX_INTERVALS:]
        return True

    def failure(self, record: Event) -> bool:
        """Add an event that counts on this node, if the taxonomy calls it a symptom."""
        symptom = classify(record)
        if symptom is None:
            return False
        signature = symptom.signature
        if signature not in self.runs and len(self.runs) >= MAX_SIGNATURES:
            signature = f"overflow/{symptom.cls}/{symptom.impact}"
        runs = self.runs.get(signature)
        if runs is None:
            runs = Runs(symptom.cls, symptom.impact, symptom.before_boot)
            self.runs[signature] = runs
        new = single(record.t_ms, HOUR_MS, record.record_id)
        chains = insert(runs.chains, new, ONSET_GAP_MS)
        if chains is runs.chains:
            return False
        runs.chains = chains[-MAX_RUNS:]
        return True

    def restart(self, record: Event) -> bool:
        """Add the announcement of a planned restart."""
        restarts = insert(self.restarts, single(record.t_ms, 60_000), 600_000)
        changed = restarts is not self.restarts
        self.restarts = restarts[-MAX_RUNS:]
        return changed

    def forget(self, before_ms: int) -> None:
        """Drop what ended before ``before_ms``, but for the build that was running then."""
        running = max((t for t in self.boots if t < before_ms), default=0)
        self.boots = {t: b for t, b in self.boots.items() if t >= running}
        self.restarts = tuple(c for c in self.restarts if c.last_ms >= before_ms)
        for interval, alive in list(self.alive.items()):
            self.alive[interval] = tuple(c for c in alive if c.last_ms >= before_ms)
            if not self.alive[interval]:
                del self.alive[interval]
        for signature, runs in list(self.runs.items()):
            runs.chains = tuple(c for c in runs.chains if c.last_ms >= before_ms)
            if not runs.chains:
                del self.runs[signature]


def _earlier(states: dict[str, int], state: str, t_ms: int) -> bool:
    known = states.get(state)
    if known is not None and known <= t_ms:
        return False
    states[state] = t_ms
    return True


def grace_s(heartbeat_s: int) -> int:
    """How long after a sighting a node that promised ``heartbeat_s`` still counts as alive."""
    return 3 * heartbeat_s + _GRACE_EXTRA_S if heartbeat_s else _SILENT_GRACE_S


def apply(nodes: dict[str, NodeState], writer: str, record: Record, heartbeat_s: int) -> bool:
    """Put one record of ``writer`` where it belongs; True when evidence may change.

    A cluster event about another node counts on the node that it names, whoever reported it.
    """
    node = nodes[writer]
    changed = node.seen(record.t_ms)
    if isinstance(record, Event):
        if planned_restart(record):
            return node.restart(record) or changed
        named = record.about or about_node(record)
        if named and named != writer:
            if named not in nodes and len(nodes) >= MAX_NODES:
                return changed
            node = nodes.setdefault(named, NodeState())
        return node.failure(record) or changed
    if isinstance(record, Boot):
        return node.boot(record) or changed
    if isinstance(record, PatchState):
        return node.patch(record) or changed
    if isinstance(record, Facts):
        return node.set_facts(record) or changed
    return node.heartbeat(record, heartbeat_s) or changed


def _facts_order(facts: Facts) -> tuple[int, str]:
    return facts.t_ms, repr(_content(facts))


def _content(facts: Facts) -> tuple[object, ...]:
    return (
        facts.role,
        facts.os,
        facts.branch,
        facts.cluster,
        facts.ring,
        facts.virtual,
        _sorted(facts.covariates),
        _sorted(facts.changes),
    )


def _sorted(mapping: Mapping[str, object]) -> list[tuple[str, object]]:
    return sorted(mapping.items())
