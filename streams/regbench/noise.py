"""Severe incidents that no patch has caused.

Rates are KB-RegBench's: .01 severe incidents per node and day with a daily cycle of ±50 %, nodes
that differ by a gamma(½) frailty, signatures by Zipf's law (exponent 1.1), 5 % crash loops of 30.
"""

import math
from collections.abc import Callable
from itertools import accumulate
from random import Random

from msgspec import Struct

from schemas.reports import Event
from streams.regbench.clock import DAY_MS, MINUTE_MS
from streams.regbench.fleet import Node
from streams.regbench.kinds import Service, cluster_event, plain, positional, service_event
from streams.regbench.shapes import shapes

INCIDENTS_PER_DAY = 0.01
LOOP_SHARE = 0.05
LOOP_EVENTS = 30
ZIPF = 1.1
UNEXPECTED_REBOOT = "unexpected reboot"

Maker = Callable[[int, Node, int], Event]
"""Makes an event of a kind from its time, the node and the run's count so far."""


class Kind(Struct, frozen=True):
    """A signature that severe incidents can have."""

    name: str
    roles: tuple[str, ...]
    """Roles that can show it; empty: all."""
    clustered: bool
    make: Maker | None
    """None for the unexpected reboot, which is no single event."""


class Incident(Struct, frozen=True):
    """One severe incident: a single event, or a crash loop."""

    t_ms: int
    kind: Kind
    loop: bool


_ANY: tuple[str, ...] = ()
_SERVICES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Spooler", "Print Spooler", _ANY),
    ("BITS", "Background Intelligent Transfer Service", _ANY),
    ("wuauserv", "Windows Update", _ANY),
    ("WinRM", "Windows Remote Management (WS-Management)", _ANY),
    ("TermService", "Remote Desktop Services", _ANY),
    ("Winmgmt", "Windows Management Instrumentation", _ANY),
    ("HealthService", "Microsoft Monitoring Agent", _ANY),
    ("W3SVC", "World Wide Web Publishing Service", ("web",)),
    ("AppHostSvc", "Application Host Helper Service", ("web",)),
    ("AcmeOrders", "Acme Order Processing", ("app",)),
    ("MSMQ", "Message Queuing", ("app",)),
    ("MSSQLSERVER", "SQL Server (MSSQLSERVER)", ("sql",)),
    ("SQLSERVERAGENT", "SQL Server Agent (MSSQLSERVER)", ("sql",)),
    ("vmms", "Hyper-V Virtual Machine Management", ("hyperv",)),
    ("DNS", "DNS Server", ("dc",)),
    ("DFSR", "DFS Replication", ("dc", "file")),
    ("LanmanServer", "Server", ("file",)),
)
_APPS = (
    ("w3wp.exe", "clr.dll", "0xe0434352", ("web",)),
    ("AcmeOrders.exe", "ntdll.dll", "0xc0000374", ("app",)),
    ("sqlservr.exe", "KERNELBASE.dll", "0xe06d7363", ("sql",)),
    ("MonitoringHost.exe", "ntdll.dll", "0xc0000005", _ANY),
    ("WmiPrvSE.exe", "ntdll.dll", "0xc0000409", _ANY),
)


def _service(event_id: int, service: Service) -> Maker:
    def make(t_ms: int, node: Node, count: int) -> Event:
        return service_event(event_id, service, t_ms, count=count)

    return make


def fixed(provider: str, event_id: int, level: int, data: dict[str, str]) -> Maker:
    """A maker of events of one kind whose data are always the same."""

    def make(t_ms: int, node: Node, count: int) -> Event:
        return plain(provider, event_id, level, t_ms, data)

    return make


def _application_error(app: str, module: str, code: str) -> Maker:
    versions = ("10.0.17763.1", "5f5e1000")
    data = positional(app, *versions, module, *versions, code, "000000000000a1b2", "0x1a2c")

    def make(t_ms: int, node: Node, count: int) -> Event:
        return plain("Application Error", 1000, 2, t_ms, data, channel="Application")

    return make


def _resource(event_id: int) -> Maker:
    def make(t_ms: int, node: Node, count: int) -> Event:
        data = {"ResourceName": f"{node.cluster}-disk-2", "ResourceGroup": "Available Storage"}
        return cluster_event(event_id, t_ms, data)

    return make


def _real(provider: str, event_id: int) -> Maker:
    def make(t_ms: int, node: Node, count: int) -> Event:
        return shapes()[provider, event_id][0].on(t_ms, node.short)

    return make


DISK_RETRY = fixed("disk", 153, 3, positional("\\Device\\Harddisk1\\DR1", "0x3f2a8c0", "1"))
DISK_RESET = fixed("storahci", 129, 3, positional("\\Device\\RaidPort0"))
NO_CONTROLLER = fixed(
    "NETLOGON", 5719, 2, positional("CORP", "There are currently no logon servers available.")
)
APP_POOL = fixed("Microsoft-Windows-WAS", 5011, 3, {"AppPoolID": "OrdersPool", "ProcessID": "4711"})


def kinds(seed: int) -> tuple[Kind, ...]:
    """Every signature, the most frequent of this seed first."""
    found = [
        Kind(f"scm/{event_id}/{key}", roles, False, _service(event_id, Service(key, display)))
        for key, display, roles in _SERVICES
        for event_id in (7031, 7034, 7023)
    ]
    found += [
        Kind(f"app/{app}", roles, False, _application_error(app, module, code))
        for app, module, code, roles in _APPS
    ]
    found += [
        Kind(UNEXPECTED_REBOOT, _ANY, False, None),
        Kind("disk/153", _ANY, False, DISK_RETRY),
        Kind("storahci/129", _ANY, False, DISK_RESET),
        Kind("disk/51", _ANY, False, _real("Disk", 51)),
        Kind("netlogon/5719", _ANY, False, NO_CONTROLLER),
        Kind("netlogon/5783", _ANY, False, _real("NETLOGON", 5783)),
        Kind("wuclient/20", _ANY, False, _real("Microsoft-Windows-WindowsUpdateClient", 20)),
        Kind("was/5011", ("web",), False, APP_POOL),
        Kind("cluster/1069", _ANY, True, _resource(1069)),
        Kind("cluster/1230", _ANY, True, _resource(1230)),
    ]
    Random(f"{seed}/kinds").shuffle(found)
    return tuple(found)


def incidents(
    node: Node, of_seed: tuple[Kind, ...], frailty: float, start_ms: int, end_ms: int, rng: Random
) -> list[Incident]:
    """Severe incidents of one node between two times, in order."""
    ranked = [(kind, 1 / rank**ZIPF) for rank, kind in enumerate(of_seed, 1) if _fits(kind, node)]
    weights = list(accumulate(weight for _, weight in ranked))
    able = [kind for kind, _ in ranked]
    found: list[Incident] = []
    # Thinning: candidates at the peak rate, of which the daily cycle keeps its share.
    peak = INCIDENTS_PER_DAY * frailty * 1.5 / DAY_MS
    at = start_ms + rng.expovariate(peak)
    while at < end_ms:
        keep = (1 + 0.5 * math.sin(2 * math.pi * (at % DAY_MS) / DAY_MS)) / 1.5
        if rng.random() < keep:
            kind = rng.choices(able, cum_weights=weights)[0]
            loop = kind.make is not None and rng.random() < LOOP_SHARE
            found.append(Incident(t_ms=int(at), kind=kind, loop=loop))
        at += rng.expovariate(peak)
    return found


def incident_events(node: Node, incident: Incident, rng: Random) -> list[Event]:
    """The events of an incident: one, or thirty some minutes apart; none for a reboot."""
    make, at = incident.kind.make, incident.t_ms
    if make is None:
        return []
    found = []
    for count in range(1, (LOOP_EVENTS if incident.loop else 1) + 1):
        found.append(make(at, node, count))
        at += rng.randint(MINUTE_MS, 8 * MINUTE_MS)
    return found


def _fits(kind: Kind, node: Node) -> bool:
    if kind.clustered:
        return bool(node.cluster)
    return not kind.roles or node.role in kind.roles
