"""What a healthy server logs anyway: uptime, service changes, mounted volumes, warnings."""

from collections.abc import Sequence
from random import Random

from schemas.reports import Event
from streams.regbench.clock import DAY_MS, HOUR_MS, SECOND_MS
from streams.regbench.fleet import Node
from streams.regbench.kinds import positional
from streams.regbench.noise import Maker, fixed
from streams.regbench.shapes import shapes

_WARNINGS: tuple[tuple[float, Maker], ...] = (
    (
        0.3,
        fixed(
            "Microsoft-Windows-DistributedCOM",
            10016,
            3,
            positional(
                "application-specific",
                "Local",
                "Activation",
                "{2593F8B9-4EAF-457C-B68A-50F6B8EA6B54}",
                "{15C20B67-12E7-4BB6-92BB-7AFF07997402}",
                "NT AUTHORITY",
                "SYSTEM",
                "S-1-5-18",
                "LocalHost (Using LRPC)",
            ),
        ),
    ),
    (
        0.15,
        fixed(
            "Microsoft-Windows-DNS-Client",
            1014,
            3,
            {"QueryName": "wpad.corp.example", "AddressLength": "128"},
        ),
    ),
    (
        0.05,
        fixed("Microsoft-Windows-Time-Service", 36, 3, {"TimeDifferenceSeconds": "86400"}),
    ),
)
"""Warnings, each with its rate per day."""


def routine(
    node: Node, boots: Sequence[int], start_ms: int, end_ms: int, rng: Random
) -> list[Event]:
    """Routine records between two times: uptime at noon, service changes, warnings.

    ``boots`` are the node's boot times, ascending: event 6013 tells the uptime.
    """
    found: list[Event] = []
    uptime = shapes()["EventLog", 6013][0]
    noon = start_ms - start_ms % DAY_MS + 12 * HOUR_MS
    for at in range(noon if noon >= start_ms else noon + DAY_MS, end_ms, DAY_MS):
        since = max((boot for boot in boots if boot <= at), default=start_ms - 5 * DAY_MS)
        found.append(uptime.event(at, {"param5": str((at - since) // SECOND_MS)}))
    changes = shapes()["Service Control Manager", 7036] + shapes()["Service Control Manager", 7040]
    for at in _times(1.0, start_ms, end_ms, rng):
        found += [rng.choice(changes).event(at + 120 * step) for step in range(rng.randint(1, 4))]
    drivers = shapes()["Service Control Manager", 7045]
    found += [rng.choice(drivers).event(at) for at in _times(0.02, start_ms, end_ms, rng)]
    volumes = shapes()["Microsoft-Windows-Ntfs", 98]
    found += [rng.choice(volumes).event(at) for at in _times(0.1, start_ms, end_ms, rng)]
    for rate, warning in _WARNINGS:
        found += [warning(at, node, 1) for at in _times(rate, start_ms, end_ms, rng)]
    return found


def _times(per_day: float, start_ms: int, end_ms: int, rng: Random) -> list[int]:
    rate = per_day / DAY_MS
    found: list[int] = []
    at = start_ms + rng.expovariate(rate)
    while at < end_ms:
        found.append(int(at))
        at += rng.expovariate(rate)
    return found
