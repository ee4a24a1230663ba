"""``taxonomy.toml`` and ``services.toml``, checked and indexed for look-ups."""

import tomllib
from functools import cache
from importlib import resources
from typing import Literal

import msgspec
from msgspec import Struct, field

Class = Literal["service", "cluster", "crash", "vm", "storage", "identity", "install", "other"]
Impact = Literal["outage", "degraded", "none"]


class Kind(Struct, frozen=True, forbid_unknown_fields=True):
    """What some ids of a provider mean; the fields are explained in ``taxonomy.toml``."""

    ids: tuple[int, ...]
    cls: Class | None = field(default=None, name="class")
    impact: Impact = "none"
    benign: bool = False
    channel: str = ""
    discriminator: Literal["", "service", "bugcheck", "application", "process", "lsass_restart"] = (
        ""
    )
    fields: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    before_boot: bool = False
    stops: bool = False


class _Provider(Struct, frozen=True, forbid_unknown_fields=True):
    names: tuple[str, ...]
    cls: Class = field(default="other", name="class")
    benign: bool = False
    kinds: tuple[Kind, ...] = ()


class _Process(Struct, frozen=True, forbid_unknown_fields=True):
    cls: Class = field(name="class")
    impact: Impact


class _Events(Struct, frozen=True, forbid_unknown_fields=True):
    providers: dict[str, _Provider]


class _Services(Struct, frozen=True, forbid_unknown_fields=True):
    critical_services: dict[str, tuple[str, ...]]
    process_services: dict[str, str]
    processes: dict[str, _Process]
    display_names: dict[str, str]


class Taxonomy:
    """Both files, indexed. Immutable after construction."""

    def __init__(self, events: _Events, services: _Services) -> None:
        """Index the files for look-ups by provider and id."""
        self.providers = events.providers
        self.services = services
        self.short: dict[str, str] = {}
        self.kinds: dict[tuple[str, str, int], Kind] = {}
        self.stops: set[str] = set()
        for short, provider in events.providers.items():
            self.short.update(dict.fromkeys(provider.names, short))
            for kind in provider.kinds:
                self.kinds.update(dict.fromkeys(((kind.channel, short, i) for i in kind.ids), kind))
                if kind.stops:
                    self.stops.update(f"{short}/{i}" for i in kind.ids)
        critical = services.critical_services
        self.critical = {role: frozenset(keys) for role, keys in critical.items()}


@cache
def taxonomy() -> Taxonomy:
    """The taxonomy that ships with kbwatch."""
    events = msgspec.convert(_toml("taxonomy.toml"), _Events)
    return Taxonomy(events, msgspec.convert(_toml("services.toml"), _Services))


def _toml(name: str) -> dict[str, object]:
    return tomllib.loads(resources.files("schemas.windows").joinpath(name).read_text("utf-8"))
