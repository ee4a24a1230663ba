"""What the API answers, beside what the page gets anyway (model.py)."""

from msgspec import Struct

from dashboards.noc.model import CaseCard, GateAnswer, HaltCard, NodeState, Tick


class CaseDetail(Struct, frozen=True):
    """One case whole: the card, every node's name in its steps, and its halt."""

    card: CaseCard
    halt: HaltCard | None


class CaseList(Struct, frozen=True):
    """The open cases, worst first, and how fresh that is."""

    tick: Tick
    cases: tuple[CaseCard, ...]


class HaltList(Struct, frozen=True):
    """All halts, the newest change first, and how fresh that is."""

    tick: Tick
    halts: tuple[HaltCard, ...]


class NodeRow(Struct, frozen=True):
    """One node. ``state`` is the wall's, or the case's that was asked for."""

    fleet: str
    node: str
    site: str
    cluster: str
    ring: str
    role: str
    branch: str
    build: str
    state: NodeState
    last_seen_ms: int
    cases: tuple[str, ...]
    """Ids of the open cases whose KB is in effect on it."""


class NodeList(Struct, frozen=True):
    """Nodes by fleet and name, and how fresh that is."""

    tick: Tick
    nodes: tuple[NodeRow, ...]


class Gate(Struct, frozen=True):
    """The gate's answer: ``go`` only where the evidence for it is there."""

    answer: GateAnswer
    kb: str
    branch: str
    fleet: str
    ring: str
    cluster: str
    reasons: tuple[str, ...]
    """Why, most weighty first; of a go what it rests on."""
    observed: int
    """Distinct nodes, of the waiting kind that has fewest, on which the KB has been in effect for
    24 h and that are not among the victims of its case."""
    needed: int
    p_5pct: float
    """The probability that a failure of 5 % of nodes would have shown on them."""
    rate_95: float
    """The failure rate that would have shown with probability .95."""
    cases: tuple[str, ...]
    """Ids of the cases that were looked at."""
    asof_ms: int
    """Newest evidence of the branch."""
    server_ms: int


class Problem(Struct, frozen=True):
    """Why there is no answer."""

    error: str
    """What is wrong and what to do, for a person."""
