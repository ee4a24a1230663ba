"""Which events are read: channels, and their queries for Windows.

An event is wanted for its level (critical to warning, ``logs.max_level``) or for its kind: levels
don't tell of patches and boots, most of which are logged as information, servicing even below that.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from xml.sax.saxutils import escape

from msgspec import Struct

from collectors.settings import LogSettings
from schemas.errors import KbwatchError
from schemas.reports import Event

FORWARDED = "ForwardedEvents"
"""Where a WEC server keeps what other nodes have logged; its events name their own channel."""

MAX_COMPARISONS = 22
"""Windows refuses a Select with more of them."""

_VERBOSE = 4  # Windows' own filters count level 0 ("always") as information


class Clause(Struct, frozen=True):
    """A condition that one or more Selects express; empty fields hold for every event."""

    levels: tuple[int, ...] = ()
    providers: tuple[str, ...] = ()
    """In every casing that Windows versions log: queries tell upper from lower case."""
    ids: tuple[int, ...] = ()


class Subscription(Struct, frozen=True):
    """One channel to subscribe to."""

    channel: str
    query: str
    """A ``QueryList``: for EvtSubscribe and EvtQuery without a path."""
    optional: bool
    """Missing on most machines: no trouble if it is."""


class _Channel(Struct, frozen=True):
    name: str
    optional: bool = True
    kinds: tuple[Clause, ...] = ()


_UPDATE_CLIENT = Clause(
    providers=("Microsoft-Windows-WindowsUpdateClient",), ids=(19, 20, 21, 22, 23, 24, 43, 44)
)
_SYSTEM = (
    Clause(providers=("Microsoft-Windows-Kernel-General",), ids=(12, 13)),
    # 6013, daily: a sign of life from where nothing else happens.
    Clause(providers=("EventLog",), ids=(6005, 6006, 6008, 6013)),
    Clause(providers=("User32", "USER32"), ids=(1074,)),
    Clause(providers=("Microsoft-Windows-Kernel-Power",), ids=(41,)),
    Clause(
        providers=("Microsoft-Windows-WER-SystemErrorReporting", "BugCheck"),
        ids=(1001,),
    ),
    _UPDATE_CLIENT,
)
_SETUP = (Clause(providers=("Microsoft-Windows-Servicing",), ids=(1, 2, 3, 4)),)

# What the taxonomy knows incidents of. Not here for their chatter: NTLM/Operational (audits),
# Storport/Operational (latency histograms), FailoverClustering/Diagnostic (a trace).
_DEFAULT = (
    _Channel("System", optional=False, kinds=_SYSTEM),
    _Channel("Setup", optional=False, kinds=_SETUP),
    _Channel("Application", optional=False),
    _Channel("Microsoft-Windows-WindowsUpdateClient/Operational", kinds=(_UPDATE_CLIENT,)),
    _Channel("Microsoft-Windows-FailoverClustering/Operational"),
    _Channel("Microsoft-Windows-ClusterAwareUpdating/Admin"),
    _Channel("Microsoft-Windows-Hyper-V-VMMS-Admin"),
    _Channel("Microsoft-Windows-Hyper-V-Worker-Admin"),
    _Channel("Microsoft-Windows-Hyper-V-High-Availability-Admin"),
    _Channel("Microsoft-Windows-Hyper-V-Hypervisor-Admin"),
    _Channel("Microsoft-Windows-Hyper-V-Compute-Admin"),
    _Channel("Microsoft-Windows-Hyper-V-VmSwitch-Operational"),
    _Channel("Microsoft-Windows-BitLocker/BitLocker Management"),
    _Channel("Microsoft-Windows-BitLocker/BitLocker Operational"),
    _Channel("Microsoft-Windows-TerminalServices-Gateway/Admin"),
    _Channel("Microsoft-Windows-TerminalServices-Gateway/Operational"),
    _Channel("Directory Service"),
    _Channel("DFS Replication"),
    _Channel("DNS Server"),
)


class Selection:
    """The selection that settings ask for.

    A channel with an XPath of one's own is read besides those listed. Raises KbwatchError for an
    XPath that can't be right.
    """

    def __init__(self, settings: LogSettings) -> None:
        own = {name.casefold(): (name, xpath) for name, xpath in settings.xpath.items()}
        for name, xpath in own.values():
            _check(name, xpath)
        levels = _levels(settings.max_level)
        channels = _channels(settings, [name for name, _ in own.values()])
        subscriptions = []
        for channel in channels:
            clauses = (*levels, *channel.kinds)
            folded = channel.name.casefold()
            if folded in own:
                paths = [own[folded][1]]
            else:
                paths = [path for clause in clauses for path in xpaths(clause)]
            if paths:
                query = _query_list(channel.name, paths)
                subscriptions.append(Subscription(channel.name, query, channel.optional))
        self.subscriptions = tuple(subscriptions)
        """What to subscribe to, in the order in which channels were named; without those of which
        nothing would be selected."""


def patch_or_boot(event: Event) -> bool:
    """Whether an event is one of the kinds that are wanted whatever their level."""
    return event.id in _kinds().get(event.provider[:256].casefold(), ())


@cache
def _kinds() -> dict[str, frozenset[int]]:
    pairs = sorted(
        (provider.casefold(), number)
        for channel in _DEFAULT
        for clause in channel.kinds
        for provider in clause.providers
        for number in clause.ids
    )
    by_provider = groupby(pairs, key=lambda pair: pair[0])
    return {provider: frozenset(number for _, number in group) for provider, group in by_provider}


def _levels(max_level: int) -> tuple[Clause, ...]:
    levels = tuple(range(0 if max_level >= _VERBOSE else 1, max_level + 1))
    return (Clause(levels=levels),) if levels else ()


def _channels(settings: LogSettings, own: list[str]) -> list[_Channel]:
    """Each channel once, whatever the casing of its name."""
    known = {channel.name.casefold(): channel for channel in _DEFAULT}
    found: dict[str, _Channel] = {}
    for name in settings.channels or [channel.name for channel in _DEFAULT]:
        channel = known.get(name.casefold(), _Channel(name))
        # Who names a channel wants to hear that it is not there.
        optional = channel.optional and not settings.channels
        found[name.casefold()] = _Channel(name, optional, channel.kinds)
    for name in own:
        found.setdefault(name.casefold(), _Channel(name, optional=False))
    if settings.forwarded:
        every = tuple(dict.fromkeys(kind for channel in _DEFAULT for kind in channel.kinds))
        found[FORWARDED.casefold()] = _Channel(FORWARDED, optional=False, kinds=every)
    return list(found.values())


def xpaths(clause: Clause) -> Iterator[str]:
    """The clause as XPaths of at most 22 comparisons each; an event is meant if one selects it."""
    room = MAX_COMPARISONS - len(clause.levels) - len(clause.providers)
    for first in range(0, max(len(clause.ids), 1), room):
        parts = []
        if clause.providers:
            names = " or ".join(f"@Name='{name}'" for name in clause.providers)
            parts.append(f"Provider[{names}]")
        if clause.levels:
            parts.append(f"({' or '.join(f'Level={level}' for level in clause.levels)})")
        ids = clause.ids[first : first + room]
        if ids:
            parts.append(f"({' or '.join(f'EventID={number}' for number in ids)})")
        yield f"*[System[{' and '.join(parts)}]]"


def _query_list(channel: str, paths: list[str]) -> str:
    path = escape(channel, {'"': "&quot;"})
    selects = "".join(f'<Select Path="{path}">{escape(xpath)}</Select>' for xpath in paths)
    return f'<QueryList><Query Id="0" Path="{path}">{selects}</Query></QueryList>'


def _check(channel: str, xpath: str) -> None:
    where = f"logs.xpath of {channel!r}"
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", xpath)
    if "'" in bare or '"' in bare:
        raise KbwatchError(f"{where}: a quotation mark is not closed")
    expected: list[str] = []
    for position, char in enumerate(bare):
        if char in "([":
            expected.append({"(": ")", "[": "]"}[char])
        elif char in ")]" and (not expected or expected.pop() != char):
            raise KbwatchError(f"{where}: {char!r} is too much before …{bare[position + 1 :][:20]}")
    if expected:
        raise KbwatchError(f"{where}: {expected[-1]!r} is missing")
    if not bare.startswith("*") and not bare.startswith("Event"):
        raise KbwatchError(
            f"{where}: begin with * or Event, as in *[System[Level=2]]; a QueryList is not needed"
        )
