"""Where each node stands for one case, and how far each ring is."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from dashboards.noc.model import LETTERS, RingProgress
from dashboards.noc.sightings import Node, build_order
from schemas.verdicts import Verdict

WORST = "vxseu"
"""Letters from the one that matters most on the wall to the least."""

_NO_BUILD = (0, 0)
_VICTIM, _SILENT = LETTERS["victim"], LETTERS["silent"]
_EXPOSED, _STAGED, _UNTOUCHED = LETTERS["exposed"], LETTERS["staged"], LETTERS["untouched"]


class CaseMap:
    """The nodes of one case. Law: a node's letter is a function of the node, the verdict and
    whether it is silent, so the order of changes does not matter.
    """

    def __init__(self, verdict: Verdict) -> None:
        self._kb, self._order = verdict.kb, build_order(verdict.build)
        self._victims = frozenset(verdict.victim_nodes)
        self._letters: dict[str, str] = {}
        self._rings: dict[str, str] = {}
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)

    def judge(self, verdict: Verdict) -> frozenset[str]:
        """Take a newer verdict; the nodes to place anew."""
        victims = frozenset(verdict.victim_nodes)
        changed = victims ^ self._victims
        order = build_order(verdict.build)
        if order != self._order:
            changed |= self._letters.keys()
        self._victims, self._order = victims, order
        return changed

    def place(self, name: str, node: Node | None, silent: bool) -> str | None:
        """Place a node (None: it is gone, or on another branch); its letter when that changed,
        empty when it has none any more, else None.
        """
        letter = self._letter(node, silent) if node is not None else ""
        ring = node.ring if node is not None else ""
        known, known_ring = self._letters.get(name, ""), self._rings.get(name, "")
        if letter == known and ring == known_ring:
            return None
        if known:
            self._counts[known_ring][known] -= 1
        if letter:
            self._counts[ring][letter] += 1
            self._letters[name], self._rings[name] = letter, ring
        else:
            self._letters.pop(name, None)
            self._rings.pop(name, None)
        return letter if letter != known else None

    def letter(self, name: str) -> str:
        """The letter of a node, empty when it has no part in the case."""
        return self._letters.get(name, "")

    def letters(self) -> dict[str, str]:
        """Every node's letter, by name."""
        return dict(sorted(self._letters.items()))

    def names(self) -> dict[str, list[str]]:
        """The nodes of each letter, by name."""
        found: dict[str, list[str]] = {letter: [] for letter in WORST}
        for name, letter in self._letters.items():
            found[letter].append(name)
        for names in found.values():
            names.sort()
        return found

    def rings(self) -> tuple[RingProgress, ...]:
        """How far each ring is, by its name; nodes without a ring come last."""
        out = []
        for ring, counts in sorted(self._counts.items(), key=lambda item: (not item[0], item[0])):
            nodes = counts.total()
            if nodes:
                out.append(
                    RingProgress(
                        ring=ring,
                        nodes=nodes,
                        untouched=counts[_UNTOUCHED],
                        staged=counts[_STAGED],
                        exposed=counts[_EXPOSED],
                        victims=counts[_VICTIM],
                        silent=counts[_SILENT],
                    )
                )
        return tuple(out)

    def _letter(self, node: Node, silent: bool) -> str:
        patch = node.patches.get(self._kb)
        if patch is None and already_there(self._order, node):
            return ""
        if node.node in self._victims:
            return _VICTIM
        if silent:
            return _SILENT
        if patch is None:
            return _UNTOUCHED
        if patch.in_effect:
            return _EXPOSED
        return _STAGED if patch.state == "staged" else _UNTOUCHED


def already_there(order: tuple[int, int], node: Node) -> bool:
    """Whether a node has run a case's build, as numbers, since before its log begins."""
    return order > _NO_BUILD and node.order >= order


def worst(letters: Sequence[str]) -> str:
    """The letter that matters most; empty when there is none."""
    return next((letter for letter in WORST if letter in letters), "")
