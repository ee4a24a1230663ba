"""Who a node is, by the operator's word (topic ``kbw-inventory``, key ``fleet|node``)."""

from msgspec import Struct

from schemas.reports import Name


class InventoryNode(Struct, frozen=True, omit_defaults=True):
    """One node of the operator's list; it outranks what the node says of itself."""

    v: int
    fleet: Name
    node: Name
    domain: Name
    site: Name
    ring: str = ""
    role: str = ""
    covariates: dict[str, bool | str] = {}
