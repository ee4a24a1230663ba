"""The open cases: verdict, history and map of each, and the card made of them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator

from msgspec.structs import replace

from dashboards.noc.answers import Gate
from dashboards.noc.cards import case_card, case_id, halt_card, urgency
from dashboards.noc.casemap import CaseMap
from dashboards.noc.fleet import Branch, Fleet
from dashboards.noc.gate import Known, Question
from dashboards.noc.history import History
from dashboards.noc.model import NAMES_KEPT, CaseCard, GateView, HaltCard, NextStep
from dashboards.noc.sightings import Node
from dashboards.noc.steps import leaked, leaks, next_steps, shortened
from schemas.halts import Delivery, Halt
from schemas.verdicts import Verdict

_ON_THE_WALL = ("halt", "warn", "notice")


class Case:
    """One open case."""

    def __init__(self, verdict: Verdict, received_ms: int) -> None:
        self.id = case_id(verdict.fleet, verdict.case)
        self.branch = (verdict.fleet, verdict.branch)
        self.verdict = verdict
        self.received_ms = received_ms
        self.history = History()
        self.map = CaseMap(verdict)
        self.late: frozenset[str] = frozenset()
        """On which nodes the KB took effect after the crossing, as of the newest card."""
        self.looked = 0
        """Which sweep looked last at what the gate says of it."""

    @property
    def on_the_wall(self) -> bool:
        """Whether the wall shows its nodes' states: a quiet case would paint all of them."""
        return self.verdict.state in _ON_THE_WALL


class Cases:
    """The open cases by id. Cards are made when asked for, and kept until something changes."""

    def __init__(self, fleet: Fleet, gate: Callable[[Question], Gate]) -> None:
        """``gate`` answers as of now what a card says of its case."""
        self._fleet = fleet
        self._gate = gate
        self._cases: dict[str, Case] = {}
        self._branches: dict[Branch, dict[str, Case]] = defaultdict(dict)
        self._cards: dict[str, CaseCard] = {}
        self.halts: dict[str, tuple[Halt, int]] = {}
        """By case id, with Kafka's time."""
        self.deliveries: dict[str, Delivery] = {}
        """By webhook id, without their bodies."""
        self.unreadable: dict[Branch, set[str]] = defaultdict(set)
        """Records that the gate would need and nobody here can read, until a newer one comes."""
        self._ended: dict[str, Verdict] = {}

    def halt_card(self, name: str) -> HaltCard | None:
        """The card of a case's halt, if it has one."""
        held = self.halts.get(name)
        if held is None:
            return None
        about = (d for d in self.deliveries.values() if case_id(d.fleet, d.case) == name)
        return halt_card(*held, about)

    def __iter__(self) -> Iterator[Case]:
        return iter(self._cases.values())

    def __len__(self) -> int:
        return len(self._cases)

    def get(self, name: str) -> Case | None:
        """The case with an id, if it is open."""
        return self._cases.get(name)

    def open(self, verdict: Verdict, received_ms: int) -> Case:
        """A new case."""
        case = Case(verdict, received_ms)
        self._cases[case.id] = self._branches[case.branch][case.id] = case
        self._ended.pop(case.id, None)
        return case

    def close(self, name: str) -> Case | None:
        """Forget a case, but not that it was closed at WARN or HALT."""
        self._cards.pop(name, None)
        case = self._cases.pop(name, None)
        if case is not None:
            self._branches[case.branch].pop(name)
            if case.verdict.state in ("warn", "halt"):
                self._ended[name] = case.verdict
        return case

    def of_branch(self, branch: Branch) -> Collection[Case]:
        """The open cases of a branch."""
        return self._branches.get(branch, {}).values()

    def changed(self, name: str) -> None:
        """Something on a case's card is no longer true."""
        self._cards.pop(name, None)

    def card(self, case: Case) -> CaseCard:
        """A case's card, with its lists of names cut."""
        card = self._cards.get(case.id)
        if card is None:
            case.late = frozenset(self._late(case))
            steps = shortened(self.steps(case), NAMES_KEPT)
            card = self._cards[case.id] = self._made(case, steps)
        return card

    def gate_moved(self, case: Case) -> bool:
        """Whether a case's card has an answer of the gate that the gate does not give any more."""
        card = self._cards.get(case.id)
        return card is not None and card.gate != self._gate_view(case)

    def late_moved(self, case: Case, name: str, node: Node | None) -> bool:
        """Whether a node (None: it is gone, or on another branch) has come to leak through the halt
        of a case since the case's card was made, or does so no more.
        """
        held = self.halts.get(case.id)
        late = held is not None and node is not None and leaks(held[0], node)
        return case.id in self._cards and late != (name in case.late)

    def whole(self, case: Case) -> CaseCard:
        """A case's card with every name."""
        return replace(self.card(case), steps=self.steps(case))

    def cards(self) -> tuple[CaseCard, ...]:
        """All cards, worst first."""
        return tuple(sorted(map(self.card, self), key=urgency))

    def steps(self, case: Case) -> tuple[NextStep, ...]:
        """What to do about a case."""
        fleet, nodes, late = case.branch[0], self._fleet.nodes, self._late(case)
        return next_steps(case.verdict, case.map, lambda name: nodes.get((fleet, name)), late)

    def known(self, fleet: str, branch: str, evidence_ms: int, cluster: str = "") -> Known:
        """What the gate needs to know of a branch, and of a cluster if one is asked about."""
        mine = (fleet, branch)
        return Known(
            verdicts=[case.verdict for case in self.of_branch(mine)],
            halts=[h for h, _ in self.halts.values() if (h.fleet, h.branch) == mine],
            nodes=self._fleet.of_branch(mine),
            silent=frozenset(self._silent(fleet)),
            asof_ms=self._fleet.time_ms(mine),
            evidence_ms=evidence_ms,
            ended=[v for v in self._ended.values() if (v.fleet, v.branch) == mine],
            unreadable=frozenset(self.unreadable.get(mine, ())),
            mates=self._mates(fleet, cluster) if cluster else (),
        )

    def _mates(self, fleet: str, cluster: str) -> list[Node]:
        every = self._fleet.nodes.items()
        return [node for (of, _), node in every if of == fleet and node.cluster == cluster]

    def _late(self, case: Case) -> list[str]:
        held = self.halts.get(case.id)
        return leaked(held[0], self._fleet.of_branch(case.branch)) if held else []

    def _gate_view(self, case: Case) -> GateView:
        verdict = case.verdict
        gate = self._gate(Question(kb=verdict.kb, branch=verdict.branch, fleet=verdict.fleet))
        return GateView(gate.answer, gate.reasons)

    def _made(self, case: Case, steps: tuple[NextStep, ...]) -> CaseCard:
        halt = self.halts.get(case.id)
        return case_card(
            case.verdict,
            received_ms=case.received_ms,
            history=case.history.points(),
            rings=case.map.rings(),
            steps=steps,
            gate=self._gate_view(case),
            halt=halt[0] if halt else None,
        )

    def _silent(self, fleet: str) -> Iterable[str]:
        return (name for of, name in self._fleet.silent if of == fleet)
