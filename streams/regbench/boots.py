"""A restart as the System log tells it, with the errors that restarts bring along anyway."""

from random import Random
from typing import Literal

from msgspec import Struct

from schemas.reports import Boot, Event
from streams.regbench.clock import MINUTE_MS, SECOND_MS, moment, systemtime
from streams.regbench.fleet import Node
from streams.regbench.kinds import SGRM_BROKER, Service, service_event
from streams.regbench.patching import JULY
from streams.regbench.shapes import Shape, shapes

BENIGN_BRANCH = "20348"
"""The branch whose July update makes SgrmBroker log one error at every boot, and no harm."""
CHATTER_SHARE = 0.3
"""Restarts after which some service is late or fails once, whatever was installed."""
_CHATTY = (
    Service("gupdate", "Google Update Service (gupdate)"),
    Service("HealthService", "Microsoft Monitoring Agent"),
    Service("MapsBroker", "Downloaded Maps Manager"),
    Service("sppsvc", "Software Protection"),
    Service("SNMP", "SNMP Service"),
    Service("TBS", "TPM Base Services"),
    Service("WbioSrvc", "Windows Biometric Service"),
    Service("WinRM", "Windows Remote Management (WS-Management)"),
    Service("wlidsvc", "Microsoft Account Sign-in Assistant"),
    Service("CDPSvc", "Connected Devices Platform Service"),
)


class Reboot(Struct, frozen=True):
    """One restart: down at ``down_ms``, the next boot's StartTime is ``boot_ms``."""

    down_ms: int
    boot_ms: int
    kind: Literal["patch", "planned", "unexpected"]
    build: str
    """The build that boots."""


def reboot_records(node: Node, reboot: Reboot, rng: Random) -> list[Event | Boot]:
    """What the System log holds about a restart, from the announcement to the last straggler."""
    clean = reboot.kind != "unexpected"
    found: list[Event | Boot] = list(_shutdown(node, reboot)) if clean else []
    found.append(Boot(t_ms=reboot.boot_ms, build=reboot.build, clean=clean))
    found += _start(node, reboot)
    if node.branch == BENIGN_BRANCH and reboot.build == JULY[BENIGN_BRANCH].build:
        at = reboot.boot_ms + rng.randint(60, 150) * SECOND_MS
        found.append(service_event(7023, SGRM_BROKER, at, error="%%3489660935"))
    if rng.random() < CHATTER_SHARE:
        found.append(_chatter(reboot.boot_ms + rng.randint(MINUTE_MS, 30 * MINUTE_MS), rng))
    return found


def _shutdown(node: Node, reboot: Reboot) -> list[Event]:
    down = reboot.down_ms
    planned = shapes()["User32", 1074]
    by_update = next(shape for shape in planned if shape.data["param4"] == "0x80020010")
    by_hand = next(shape for shape in planned if shape.data["param4"] == "0x80020003")
    announced = by_update if reboot.kind == "patch" else by_hand
    stop = moment(down).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return [
        announced.on(down - 6_000, node.short),
        _one("EventLog", 6006).event(down - 2_000),
        _one("Microsoft-Windows-Kernel-Power", 109).event(down - 1_500),
        _one("Microsoft-Windows-Kernel-General", 13).event(down, {"StopTime": stop}),
    ]


def _start(node: Node, reboot: Reboot) -> list[Event]:
    boot = reboot.boot_ms
    logged = boot + 9 * SECOND_MS
    found = [
        _one("Microsoft-Windows-Kernel-Boot", 20).event(
            boot + 200, {"LastShutdownGood": str(reboot.kind != "unexpected").lower()}
        ),
        _one("Microsoft-Windows-Kernel-Boot", 27).event(boot + 210),
        _one("Microsoft-Windows-Kernel-Boot", 32).event(boot + 220),
        _one("Microsoft-Windows-Ntfs", 98).event(boot + 900),
    ]
    if reboot.kind == "unexpected":
        found.append(
            _one("Microsoft-Windows-Kernel-Power", 41).event(boot + 700, {"BugcheckCode": "0"})
        )
    found.append(_one("EventLog", 6009).event(logged, {"param2": node.branch}))
    if reboot.kind == "unexpected":
        found.append(_unexpected(reboot.down_ms, logged))
    found.append(
        _one("EventLog", 6005).event(logged, binary=systemtime(logged) + "0000000000000000")
    )
    return found


def _unexpected(down_ms: int, logged_ms: int) -> Event:
    down = moment(down_ms)
    shape = _one("EventLog", 6008)
    # The real record's tail (counters behind the two SYSTEMTIMEs) says nothing that we know of.
    binary = 2 * systemtime(down_ms) + shape.binary[64:]
    mark = "\u200e"
    said = {
        "param1": f"{down:%I:%M:%S %p}".lstrip("0"),
        "param2": f"{mark}{down.month}/{mark}{down.day}/{mark}{down.year}",
    }
    return shape.event(logged_ms, said, binary)


def _chatter(t_ms: int, rng: Random) -> Event:
    event_id = rng.choice((7000, 7009, 7011, 7023))
    if event_id in (7000, 7023) and rng.random() < 0.3:
        return rng.choice(shapes()["Service Control Manager", event_id]).event(t_ms)
    return service_event(event_id, rng.choice(_CHATTY), t_ms, error="%%1053")


def _one(provider: str, event_id: int) -> Shape:
    return shapes()[provider, event_id][0]
