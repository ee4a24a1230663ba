"""All that the page knows, record by record; no Kafka, no web, no clock."""

from collections.abc import Callable, Iterable, Sequence

import structlog
from msgspec.structs import replace

from dashboards.noc.answers import Gate
from dashboards.noc.cards import case_id
from dashboards.noc.casemap import CaseMap, worst
from dashboards.noc.cases import Case, Cases
from dashboards.noc.fleet import Branch, Fleet, NodeKey
from dashboards.noc.gate import Question, Terms, answer
from dashboards.noc.heard import Heard
from dashboards.noc.model import (
    HEALTH_KEPT,
    LETTERS,
    FleetLayout,
    Gone,
    HaltCard,
    HealthNote,
    SourceAge,
    WealthPoint,
)
from dashboards.noc.news import Change, News
from dashboards.noc.sightings import Node, contribution
from dashboards.noc.wall import Wall
from schemas.codec import DecodeError, decode
from schemas.halts import Delivery, Halt
from schemas.health import Health
from schemas.inventory import InventoryNode
from schemas.topics import EVIDENCE, HALT_DELIVERIES, HALTS, HEALTH, INVENTORY, VERDICTS, key
from schemas.verdicts import Verdict

TOPICS = (VERDICTS, HALTS, HALT_DELIVERIES, EVIDENCE, INVENTORY, HEALTH)
"""What the page is made of, short names."""

_JUDGED_BY = {VERDICTS: "the verdict on", HALTS: "the halt of", EVIDENCE: "the evidence of"}
"""Without these the gate can't judge; what a record of each is called."""

_SWEEPS_TO_ALL = 6
"""Within so many sweeps, 30 s, the gate line of every card is compared with the gate."""
_GATES_AT_ONCE = 10
"""So many at least, and no more than needed: each reads every node of a branch, and meanwhile
nobody is answered.
"""

_log = structlog.get_logger(__name__)


class Book:
    """Takes records, tells what changed for those who look.

    Law: what it shows is a function of the newest record of each key (and, for a case's history and
    for what became of a closed case, of the verdicts before it) and of the time of the last sweep,
    so reading a topic again changes nothing.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.fleet = Fleet()
        self.cases = Cases(self.fleet, lambda asked: self.gate(asked, self._now_ms))
        self.wall = Wall()
        self._notes: dict[tuple[str, str, str], HealthNote] = {}
        self._newest_ms = dict.fromkeys(TOPICS, 0)
        self._refused = dict.fromkeys(TOPICS, 0)
        self._heard = Heard(self.fleet, terms)
        self._now_ms = 0
        self._sweeps = 0
        self._news = News(self.cases, self.wall)
        self._branches: dict[NodeKey, Branch] = {}
        # While old records are read a node changes many times, and nobody looks.
        self._unplaced: set[NodeKey] | None = set()
        self._takers: dict[str, Callable[[bytes, bytes | None, int], None]] = {
            VERDICTS: self._verdict,
            HALTS: self._halt,
            HALT_DELIVERIES: self._delivery,
            EVIDENCE: self._evidence,
            INVENTORY: self._listed,
            HEALTH: self._health,
        }

    def take(self, topic: str, name: bytes | None, value: bytes | None, append_ms: int) -> None:
        """One record of a topic (short name); what can't be used is counted and left out, and the
        gate is told that it is missing.
        """
        self._newest_ms[topic] = max(self._newest_ms[topic], append_ms)
        readable = False
        try:
            self._takers[topic](name or b"", value, append_ms)
            readable = True
        except DecodeError as error:
            self._refused[topic] += 1
            _log.warning("record skipped", topic=topic, key=repr(name), error=str(error))
        except Exception:  # a record that breaks us must not stop the others
            self._refused[topic] += 1
            _log.exception("record failed", topic=topic, key=repr(name))
        self._read(topic, name or b"", readable)

    def opened(self, now_ms: int) -> None:
        """All that was there when reading began has been taken: from now on changes are told."""
        unplaced, self._unplaced = self._unplaced or set(), None
        self._touched(unplaced)
        self.sweep(now_ms)
        while self.changes():
            pass

    def sweep(self, now_ms: int) -> None:
        """Look anew who is silent, on which branches the evidence is too old, and of some cases, by
        turns, what the gate says: it changes although no record comes, and with records that
        change nothing else on a card. ``now_ms`` is by Kafka's clock.
        """
        self._touched(self.fleet.sweep())
        self._now_ms = now_ms
        for branch in self._heard.turned(now_ms):
            self._others(branch)
        self._sweeps += 1
        for case in self._in_turn():
            case.looked = self._sweeps
            if self.cases.gate_moved(case):
                self._news.card_later(case.id)

    def changes(self, *, cards: bool = True) -> list[Change]:
        """What changed since the last call, in an order that may be shown as it is. Cards on which
        only numbers of nodes moved are queued when ``cards`` says so, and come a few at a time: a
        halt must not wait for them. Layouts come then as well.
        """
        return self._news.drain(cards=cards)

    def recall(self, name: str, past: Sequence[WealthPoint]) -> None:
        """Put what the store remembers of a case before what is known of it."""
        case = self.cases.get(name)
        if case is not None and past:
            case.history.recall(past)
            self._news.card(name)

    def halts(self) -> tuple[HaltCard, ...]:
        """Every halt, the newest change first."""
        cards = filter(None, map(self.cases.halt_card, self.cases.halts))
        return tuple(sorted(cards, key=lambda card: (-card.received_ms, card.id)))

    def layouts(self) -> tuple[FleetLayout, ...]:
        """The matrix of every fleet."""
        return tuple(map(self.wall.layout, self.wall.fleets()))

    def notes(self) -> tuple[HealthNote, ...]:
        """The newest note of each app, kind and topic, newest first."""
        newest = sorted(self._notes.values(), key=lambda note: -note.at_ms)
        return tuple(newest[:HEALTH_KEPT])

    def sources(self) -> tuple[SourceAge, ...]:
        """How fresh each topic is."""
        held = {
            VERDICTS: len(self.cases),
            HALTS: len(self.cases.halts),
            HALT_DELIVERIES: len(self.cases.deliveries),
            EVIDENCE: self.fleet.parts,
            INVENTORY: self.fleet.listed,
            HEALTH: len(self._notes),
        }
        return tuple(
            SourceAge(topic, self._newest_ms[topic], held[topic], self._refused[topic])
            for topic in TOPICS
        )

    def evidence_ms(self, branch: Branch) -> int:
        """Since when nine tenths of a branch's living domains have had newer evidence, by Kafka's
        time; 0: none is known.
        """
        return self._heard.since_ms(branch)

    def gate(self, asked: Question, now_ms: int) -> Gate:
        """The gate's answer as of ``now_ms``, by Kafka's clock; cards' are as of the last sweep."""
        branch = (asked.fleet, asked.branch)
        known = self.cases.known(*branch, self.evidence_ms(branch), asked.cluster)
        return answer(asked, known, self.terms, now_ms)

    def newest_ms(self) -> int:
        """The newest instant that any verdict speaks of; 0 for none."""
        return max((case.verdict.asof_ms for case in self.cases), default=0)

    def _verdict(self, name: bytes, value: bytes | None, append_ms: int) -> None:
        if value is None:
            self._close(_id(name))
            return
        verdict = decode(value, Verdict)
        _check(name, verdict.fleet, verdict.case)
        known = self.cases.get(_id(name))
        case = known or self.cases.open(verdict, append_ms)
        was_on_wall = known is not None and known.on_the_wall
        accused = (known.verdict.state, known.verdict.suspects) if known is not None else None
        case.verdict, case.received_ms = verdict, append_ms
        case.history.add(verdict)
        moved = case.map.judge(verdict)
        if known is None or was_on_wall != case.on_the_wall:
            moved |= {node.node for node in self.fleet.of_branch(case.branch)}
        self._news.card(case.id)
        if accused != (verdict.state, verdict.suspects):
            self._others(case.branch)
        self._touched({(verdict.fleet, node) for node in moved}, [case])

    def _close(self, name: str) -> None:
        case = self.cases.close(name)
        if case is not None:
            self._news.tell("gone", Gone(name))
            self._others(case.branch)
            self._touched({(n.fleet, n.node) for n in self.fleet.of_branch(case.branch)}, [])

    def _halt(self, name: bytes, value: bytes | None, append_ms: int) -> None:
        if value is None:
            if self.cases.halts.pop(_id(name), None) is not None:
                self._news.tell("halt_gone", Gone(_id(name)))
        else:
            halt = decode(value, Halt)
            _check(name, halt.fleet, halt.case)
            self.cases.halts[_id(name)] = (halt, append_ms)
            self._tell_halt(_id(name))
        self._news.card(_id(name))

    def _delivery(self, name: bytes, value: bytes | None, append_ms: int) -> None:
        webhook_id = name.decode(errors="replace")
        if value is None:
            known = self.cases.deliveries.pop(webhook_id, None)
        else:
            said = decode(value, Delivery)
            _check(name, said.webhook_id)
            # The body is the halt again, as it was sent; nobody looks at it here.
            known = self.cases.deliveries[webhook_id] = replace(said, body="")
        if known is not None:
            self._tell_halt(case_id(known.fleet, known.case))

    def _tell_halt(self, name: str) -> None:
        card = self.cases.halt_card(name)
        if card is not None:
            self._news.tell("halt", card)

    def _evidence(self, name: bytes, value: bytes | None, append_ms: int) -> None:
        part = None
        branch, _ = _place_of(EVIDENCE, name)
        if value is not None:
            part = contribution(value)
            _check(name, part.fleet, part.branch, part.domain)
        self._heard.take(branch, name, part, append_ms)
        self._touched(self.fleet.contribute(name, part))

    def _listed(self, name: bytes, value: bytes | None, append_ms: int) -> None:
        fleet, _, node = name.decode(errors="replace").partition("|")
        listed = decode(value, InventoryNode) if value is not None else None
        if listed is not None:
            _check(name, listed.fleet, listed.node)
        self._touched(self.fleet.enlist((fleet, node), listed))

    def _health(self, name: bytes, value: bytes | None, append_ms: int) -> None:
        if value is None:
            return
        said = decode(value, Health)
        note = HealthNote(said.app, said.kind, said.severity, said.message, said.at_ms, said.topic)
        self._notes[note.app, note.kind, note.topic] = note
        self._news.tell("health", note)

    def _read(self, topic: str, name: bytes, readable: bool) -> None:
        """Remember that the newest record of a key can't be read, or that it can."""
        if topic not in _JUDGED_BY:
            return
        branch, label = _place_of(topic, name)
        missing = self.cases.unreadable[branch]
        if readable == (label in missing):
            missing ^= {label}
            self._others(branch)

    def _in_turn(self) -> list[Case]:
        """The cases whose gate lines were not looked at for longest."""
        share = max(_GATES_AT_ONCE, -(-len(self.cases) // _SWEEPS_TO_ALL))
        return sorted(self.cases, key=lambda case: case.looked)[:share]

    def _others(self, branch: Branch) -> None:
        """What the gate says of the cases of a branch may have changed."""
        for case in self.cases.of_branch(branch):
            self._news.card_later(case.id)

    def _touched(self, keys: set[NodeKey], cases: Sequence[Case] | None = None) -> None:
        """Place nodes anew in ``cases`` (None: all of their branches), then on the wall."""
        if self._unplaced is not None:
            self._unplaced |= keys
            return
        shown: dict[Branch, list[CaseMap]] = {}
        for node_key in keys:
            fleet, name = node_key
            node = self.fleet.nodes.get(node_key)
            silent = node_key in self.fleet.silent
            for case in self._parts(node_key, node) if cases is None else cases:
                self._place(case, name, node, silent)
            branch = (fleet, node.branch if node is not None else "")
            if branch not in shown:
                shown[branch] = [c.map for c in self.cases.of_branch(branch) if c.on_the_wall]
            letter = worst([one.letter(name) for one in shown[branch]])
            if not letter:
                letter = LETTERS["silent" if silent else "untouched"]
            if self.wall.place(node_key, node, letter):
                self._news.cell("", fleet, name, letter)

    def _parts(self, node_key: NodeKey, node: Node | None) -> Iterable[Case]:
        """The cases of the branch that a node is on, and of the one that it was on."""
        before = self._branches.get(node_key)
        after = (node.fleet, node.branch) if node is not None else None
        if after is None:
            self._branches.pop(node_key, None)
        elif before != after:
            self._branches[node_key] = after
        for branch in {before, after}:
            if branch is not None:
                yield from self.cases.of_branch(branch)

    def _place(self, case: Case, name: str, node: Node | None, silent: bool) -> None:
        mine = node if node is not None and node.branch == case.branch[1] else None
        letter = case.map.place(name, mine, silent)
        if letter is not None:
            self._news.cell(case.id, case.branch[0], name, letter)
        if letter is not None or self.cases.late_moved(case, name, mine):
            self._news.card_later(case.id)


def _place_of(topic: str, name: bytes) -> tuple[Branch, str]:
    """The branch that the key of a verdict, a halt or evidence is about, and what to call it."""
    fleet, _, rest = name.decode(errors="replace").partition("|")
    if topic == EVIDENCE:
        branch, _, domain = rest.partition("|")
        return (fleet, branch), f"{_JUDGED_BY[topic]} {domain}"
    return (fleet, rest.partition("@")[2]), f"{_JUDGED_BY[topic]} {rest}"


def _id(name: bytes) -> str:
    fleet, _, case = name.decode(errors="replace").partition("|")
    return case_id(fleet, case)


def _check(name: bytes, *parts: str) -> None:
    if name != key(*parts):
        raise DecodeError("invalid", f"the key {name!r} is not that of its content")
