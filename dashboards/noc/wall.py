"""The nodes matrix: each node with its worst state, by fleet, site and cluster."""

from collections import defaultdict
from collections.abc import Iterable

from dashboards.noc.fleet import NodeKey
from dashboards.noc.model import ClusterCells, FleetLayout, SiteCells
from dashboards.noc.sightings import Node

_Place = tuple[str, bool, str]
"""(site, whether it is a lone node, cluster): what the matrix is ordered by."""


class Wall:
    """Where each node stands on the wall, and with which letter."""

    def __init__(self) -> None:
        self._letters: dict[str, dict[str, str]] = defaultdict(dict)
        self._places: dict[str, dict[str, _Place]] = defaultdict(dict)
        self._ordered: dict[str, list[tuple[_Place, tuple[str, ...]]]] = {}
        self.moved: set[str] = set()
        """Fleets whose layout changed since somebody looked."""

    def place(self, key: NodeKey, node: Node | None, letter: str) -> bool:
        """Put a node in its place (None: take it away); whether its letter changed."""
        fleet, name = key
        places, letters = self._places[fleet], self._letters[fleet]
        if node is None:
            if places.pop(name, None) is not None:
                letters.pop(name)
                self._moved(fleet)
            return False
        place = (node.site, not node.cluster, node.cluster)
        if places.get(name) != place:
            places[name] = place
            self._moved(fleet)
        changed = letters.get(name) != letter
        letters[name] = letter
        return changed

    def letter(self, key: NodeKey) -> str:
        """The letter of a node that is on the wall."""
        return self._letters[key[0]][key[1]]

    def fleets(self) -> list[str]:
        """The fleets with nodes, by name."""
        return sorted(fleet for fleet, names in self._places.items() if names)

    def layout(self, fleet: str) -> FleetLayout:
        """The matrix of a fleet: sites, in them clusters, in them nodes, all by name."""
        letters = self._letters[fleet]
        sites: dict[str, list[ClusterCells]] = defaultdict(list)
        for (site, _, cluster), names in self._order(fleet):
            states = "".join(map(letters.__getitem__, names))
            sites[site].append(ClusterCells(cluster, names, states))
        return FleetLayout(fleet, tuple(SiteCells(s, tuple(cells)) for s, cells in sites.items()))

    def _order(self, fleet: str) -> Iterable[tuple[_Place, tuple[str, ...]]]:
        # Nodes seldom move, their letters change all the time.
        if fleet not in self._ordered:
            found: dict[_Place, list[str]] = defaultdict(list)
            for name, place in self._places[fleet].items():
                found[place].append(name)
            self._ordered[fleet] = [(at, tuple(sorted(found[at]))) for at in sorted(found)]
        return self._ordered[fleet]

    def _moved(self, fleet: str) -> None:
        self.moved.add(fleet)
        self._ordered.pop(fleet, None)
