"""What may be asked of lists; what the gate is asked: gate.py."""

from msgspec import Struct

from dashboards.noc.model import NodeState
from schemas.verdicts import State


class CasesAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which cases."""

    fleet: str = ""
    state: State | None = None


class NodesAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which nodes. ``case`` (``KB5062557@17763``) needs ``fleet``; then ``state`` is the case's."""

    fleet: str = ""
    case: str = ""
    site: str | None = None
    cluster: str | None = None
    ring: str | None = None
    state: NodeState | None = None
