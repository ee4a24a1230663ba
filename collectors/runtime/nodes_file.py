"""The operator's list of nodes (``logs.nodes``) while the collector runs."""

import time
from collections.abc import Callable
from pathlib import Path

from collectors.log import Log
from collectors.pipeline.node_list import NodeList
from schemas.errors import KbwatchError
from schemas.inventory import InventoryNode
from schemas.inventory_csv import read_nodes

_LOOK_EVERY_S = 10.0
_TELL_EVERY_S = 600.0
_MAX_STRANGERS = 4_096

_Stamp = tuple[int, int] | None

_log = Log("nodes")


class NodesFile:
    """``Nodes`` of a file that may change: a changed list holds within ten seconds, a broken one
    changes nothing and is said in the log. So are nodes that are not in it, with their number.
    """

    def __init__(self, path: Path, fleet: str, now_s: Callable[[], float] = time.monotonic) -> None:
        """Read the file. Raises KbwatchError."""
        self._path = path
        self._fleet = fleet
        self._now_s = now_s
        # Looked at before it is read: a change in between is seen at the first look.
        self._stamp = self._stamp_now()
        self._list = self._read()
        self._next_look_s = now_s() + _LOOK_EVERY_S
        self._strangers: set[str] = set()
        self._told = 0
        self._next_tell_s = now_s()

    def find(self, name: str) -> InventoryNode | None:
        """The node that bears the name, by the newest list that could be read."""
        if self._now_s() >= self._next_look_s:
            self._look()
        found = self._list.find(name)
        if found is None and len(self._strangers) < _MAX_STRANGERS:
            self._strangers.add(name)
            self._tell(name)
        return found

    def _tell(self, name: str) -> None:
        if len(self._strangers) == self._told or self._now_s() < self._next_tell_s:
            return
        self._told = len(self._strangers)
        self._next_tell_s = self._now_s() + _TELL_EVERY_S
        _log.warning(
            "nodes forward that the list does not know: each is a failure domain of its own",
            nodes=self._told,
            such_as=name,
            file=self._path,
        )

    def _look(self) -> None:
        self._next_look_s = self._now_s() + _LOOK_EVERY_S
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._list = self._read()
        except KbwatchError as error:
            _log.warning("the changed list is refused, the old one holds", error=error)
            return
        self._strangers.clear()
        self._told = 0
        _log.info("new list of nodes", file=self._path)

    def _read(self) -> NodeList:
        try:
            return NodeList(read_nodes(self._path, "the list is not used"), self._fleet)
        except KbwatchError as error:
            raise KbwatchError(f"logs.nodes: {error}") from None

    def _stamp_now(self) -> _Stamp:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
