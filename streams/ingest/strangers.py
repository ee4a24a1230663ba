"""Says which nodes report that the inventory does not know: seldom, and each once. No I/O."""

from collections.abc import Iterable

from schemas.health import Health

EVERY_S = 300.0
_NAMED = 20
_MAX_SAID = 20_000


class Strangers:
    """Makes health messages of unknown and of forgotten nodes; at most one in five minutes."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()
        self._next_s = 0.0
        self._forgotten = 0

    def forgot(self, nodes: int) -> None:
        """Count nodes that are held no more because there were too many."""
        self._forgotten += nodes

    def due(self, now_s: float) -> bool:
        """Whether five minutes have passed since the last look (``now_s``: any clock, seconds)."""
        return now_s >= self._next_s

    def message(
        self, unknown: Iterable[tuple[str, str]], now_s: float, at_ms: int
    ) -> Health | None:
        """What to say of the (fleet, node) that are unknown now; None when all have been named
        and none was forgotten."""
        self._next_s = now_s + EVERY_S
        now_unknown = set(unknown)
        new = sorted(now_unknown - self._said)
        if len(self._said) > _MAX_SAID:  # somebody invents names: say it again rather than grow
            self._said.clear()
        self._said |= now_unknown
        forgotten, self._forgotten = self._forgotten, 0
        if not (new or forgotten):
            return None
        return Health(
            v=1,
            app="ingest",
            kind="unknown_nodes",
            severity="warning",
            message=_words(len(now_unknown), new, forgotten),
            at_ms=at_ms,
        )


def _words(unknown: int, new: list[tuple[str, str]], forgotten: int) -> str:
    names = ", ".join(f"{fleet}|{node}" for fleet, node in new[:_NAMED])
    more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
    evicted = (
        f"; {forgotten} times a node was forgotten because more than ingest.max_strangers or "
        "ingest.max_nodes were heard of"
    )
    return (
        f"{unknown} nodes are not in the inventory{', new: ' * bool(new)}{names}{more}; each "
        "counts as a failure domain of its own, on site unknown, without a role: add them to "
        f"the file of `kbwatch inventory load`{evicted if forgotten else ''}"
    )
