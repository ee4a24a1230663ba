"""Who a node is, by the operator's word (topic ``kbw-inventory``, key ``fleet|node``)."""

from typing import Annotated

from msgspec import Meta, Struct

from schemas.reports import Branch, Label, Name


class InventoryNode(Struct, frozen=True, omit_defaults=True):
    """One node of the operator's list; it outranks what the node says of itself.

    ``node`` and ``aliases`` are written as ``schemas.windows.names.node_name`` writes names.
    """

    v: int
    fleet: Name
    node: Name
    domain: Name
    """The failover cluster, else the node itself."""
    site: Name
    ring: Label = ""
    role: Label = ""
    os: Label = ""
    branch: Branch = ""
    """For example ``17763``: until a boot was seen there is no other way to know."""
    virtual: bool | None = None
    collector: bool = False
    """The node has a collector of its own: what shippers say of it is left out."""
    aliases: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()
    """Other names of the computer, earlier or later: what it logs under them is this node's."""
    covariates: Annotated[dict[Label, bool | Label], Meta(max_length=64)] = {}
