"""What the operator's list says of a node, as facts for its reports. Pure."""

from schemas.inventory import InventoryNode
from schemas.reports import Facts

_DAY_MS = 86_400_000


class InventoryFacts:
    """When to send a node's facts: at first sight, when the list changed, and daily.

    It is forgotten at a restart, and facts are sent anew: twice is as good as once.
    """

    def __init__(self) -> None:
        """Nothing was sent yet."""
        self._t_ms: int | None = None
        self._told: InventoryNode | None = None

    def due(self, entry: InventoryNode, newest_ms: int, branch: str) -> Facts | None:
        """The facts, if they are to be sent now; they then count as sent.

        ``newest_ms``: the node's newest event; ``branch``: that of its newest boot, empty if none
        was seen.
        """
        last = self._t_ms
        if last is not None and self._told == entry and newest_ms < last + _DAY_MS:
            return None
        # The newest facts hold, so those of a changed entry must be newer than the ones before.
        t_ms = newest_ms if last is None else max(newest_ms, last + 1)
        self._t_ms, self._told = t_ms, entry
        return Facts(
            t_ms=t_ms,
            role=entry.role or "server",
            os=entry.os,
            branch=branch or entry.branch,
            cluster=entry.domain if entry.domain != entry.node else "",
            ring=entry.ring,
            virtual=entry.virtual,
            covariates=entry.covariates,
        )
