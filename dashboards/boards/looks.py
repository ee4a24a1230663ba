"""How things look on every board: names of columns, units, colours of states, thresholds."""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from msgspec import Struct

GOOD, CALM, NOTE, WARN, BAD = "green", "text", "blue", "orange", "red"

_STATES = {
    BAD: ("halt", "active", "quarantined", "gone", "no canary", "failed", "leak"),
    WARN: ("warn", "proposed", "silent", "paused", "pending", "not told"),
    NOTE: ("notice",),
    GOOD: ("quiet", "up", "yes", "delivered", "lifted"),
    CALM: ("inconclusive", "denied", "no", "no event"),
}
_FLAGS = {"silent": ("no", "silent", WARN), "victim": ("no", "failed", BAD)}

_NAMES = {
    "asof_ms": "evidence until", "at_ms": "since", "created_ms": "made", "csv_bitlocker":
    "BitLocker on CSV", "delivered_ms": "arrived", "effective_ms": "in effect since",
    "bitlocker_csv": "nodes with BitLocker on CSV", "dead_letters": "dead letters",
    "first_ring_of_it": "its first ring", "from_ms": "from", "heard_ms": "last heard of",
    "hold_out": "not patched yet", "lag_s": "lag", "last_error": "last error",
    "last_status": "last status", "minutes_after": "after its boot", "newest_leak_ms":
    "newest leak", "newest_ms": "newest", "newest_record_id": "newest record", "not_known":
    "not known", "not_told": "not told", "age_s": "age", "backup_ms": "newest backup",
    "last_day": "last 24 h", "last_week": "last 7 days", "oldest_s": "oldest",
    "record_id": "record", "silent_s": "silent for", "since_ms": "runs it since",
    "spool_depth": "waiting on disk", "t_ms": "time", "until_ms": "until",
}  # fmt: skip
_UNITS = {
    "share": "percentunit", "probability": "percentunit", "lag_s": "s", "silent_s": "s",
    "age_s": "s", "oldest_s": "s", "minutes_after": "m",
}  # fmt: skip
# Colour, width, whether dashed.
_CURVES = {
    "E, for a HALT": (BAD, 3, False),
    "HALT": (BAD, 1, True),
    "E_w, for a WARN": (WARN, 2, False),
    "WARN": (WARN, 1, True),
    "patched against unpatched": (NOTE, 1, False),
    "patched against their past": ("purple", 1, False),
}


class Board(Struct, frozen=True):
    """Where a link leads: a board, and which column becomes which of its variables."""

    uid: str
    variables: Mapping[str, str]

    @property
    def url(self) -> str:
        """The link as a cell has it, with the time range and the fleet it was clicked in."""
        given = "".join(
            f"&var-{name}=${{__data.fields.{column}}}" for name, column in self.variables.items()
        )
        return f"/d/{self.uid}?${{fleet:queryparam}}{given}&${{__url_time_range}}"


CASE = Board("kbwatch-case", {"branch": "branch", "kb": "kb"})
NODE = Board("kbwatch-node", {"node": "node"})
CLUSTER = Board("kbwatch-cluster", {"cluster": "cluster"})
_LINKS = {"kb": CASE, "node": NODE, "cluster": CLUSTER}


def steps(*bounds: tuple[float | None, str]) -> ThresholdsConfig:
    """Thresholds from (from which value on, colour); the first begins at None."""
    found = [Threshold(value=value, color=color) for value, color in bounds]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def curve(name: str) -> list[DynamicConfigValue]:
    """How a plot draws the series ``name``; nothing: as Grafana likes."""
    if name not in _CURVES:
        return []
    color, width, dashed = _CURVES[name]
    found: list[tuple[str, object]] = [
        ("custom.lineWidth", width),
        ("color", {"mode": "fixed", "fixedColor": color}),
    ]
    if dashed:
        found.append(("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}))
    return [DynamicConfigValue(id_val=key, value=value) for key, value in found]


def states() -> list[ValueMapping]:
    """The colours of all words that name a state."""
    options = {
        word: ValueMappingResult(color=color, index=index)
        for index, (word, color) in enumerate(
            (word, color) for color, words in _STATES.items() for word in words
        )
    }
    return [ValueMap(options=options)]


def column(name: str, columns: Sequence[str]) -> list[DynamicConfigValue]:
    """How a table shows one of its ``columns``: name, unit, colour, where a click leads."""
    found: list[tuple[str, object]] = []
    if name in _NAMES:
        found.append(("displayName", _NAMES[name]))
    if name in _UNITS:
        found.append(("unit", _UNITS[name]))
    if name in ("state", "covered", "escrow", *_FLAGS):
        found.append(("custom.cellOptions", {"type": "color-background", "mode": "basic"}))
        found.append(("mappings", [*states(), *_flag(name)]))
    if name == "share":
        found.append(("custom.cellOptions", {"type": "gauge", "mode": "basic"}))
        found += [("min", 0), ("max", 1)]
    if name in ("sentence", "why", "example", "detail", "next", "said"):
        found.append(("custom.minWidth", 320))
    link = _LINKS.get(name)
    if link is not None and set(link.variables.values()) <= set(columns):
        found.append(("links", [{"title": "Look closer", "url": link.url, "targetBlank": False}]))
    return [DynamicConfigValue(id_val=key, value=value) for key, value in found]


def _flag(name: str) -> list[ValueMapping]:
    if name not in _FLAGS:
        return []
    no, yes, color = _FLAGS[name]
    words = {"0": (no, CALM), "1": (yes, color), "false": (no, CALM), "true": (yes, color)}
    return [
        ValueMap(
            options={
                value: ValueMappingResult(text=text, color=shade, index=100 + index)
                for index, (value, (text, shade)) in enumerate(words.items())
            }
        )
    ]
