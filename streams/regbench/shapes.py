"""Real Windows records, stripped of time and computer (``shapes.jsonl``; README.md says whence)."""

from collections import defaultdict
from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

from schemas.reports import Event

NODE = "{node}"
"""Stands for the computer's own name in a shape's data."""


class Shape(Struct, frozen=True):
    """One real record without its time: what a simulated event of its kind looks like."""

    src: str
    licence: str
    channel: str
    provider: str
    id: int
    version: int
    level: int
    data: dict[str, str]
    binary: str

    def event(self, t_ms: int, data: dict[str, str] | None = None, binary: str = "") -> Event:
        """This record at ``t_ms``, with ``data`` laid over its own and ``binary`` if given."""
        return Event(
            t_ms=t_ms,
            channel=self.channel,
            provider=self.provider,
            id=self.id,
            version=self.version,
            level=self.level,
            data={**self.data, **data} if data else self.data,
            binary=binary or self.binary,
        )

    def on(self, t_ms: int, computer: str) -> Event:
        """This record as logged on ``computer``, its name filled in."""
        named = {k: v.replace(NODE, computer) for k, v in self.data.items() if NODE in v}
        return self.event(t_ms, named)


@cache
def shapes() -> dict[tuple[str, int], tuple[Shape, ...]]:
    """All shapes by (provider, event id)."""
    lines = resources.files("streams.regbench").joinpath("shapes.jsonl").read_bytes().splitlines()
    found: dict[tuple[str, int], list[Shape]] = defaultdict(list)
    for line in lines:
        shape = msgspec.json.decode(line, type=Shape)
        found[shape.provider, shape.id].append(shape)
    return {kind: tuple(of_kind) for kind, of_kind in found.items()}
