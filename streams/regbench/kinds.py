"""Kinds of events of which no public record exists, made from their field tables.

Ids, levels and fields: the providers' manifests and Microsoft's documentation. Names of
FailoverClustering and Hyper-V data are not published; those that are not certain are positional.
"""

from typing import NamedTuple

from schemas.reports import Event

SYSTEM = "System"
SCM = "Service Control Manager"
CLUSTERING = "Microsoft-Windows-FailoverClustering"
VM_CHANNEL = "Microsoft-Windows-Hyper-V-High-Availability-Admin"
VM_PROVIDER = "Microsoft-Windows-Hyper-V-High-Availability"
_CLUSTER_LEVELS = {
    1069: 2, 1135: 1, 1177: 1, 1230: 2, 1553: 1, 1672: 1, 1675: 3, 1676: 2, 5120: 3, 5142: 2,
}  # fmt: skip
_VM_LEVELS = {21107: 2, 21119: 4}


class Service(NamedTuple):
    """A Windows service: the locale-independent key, and the name that people see."""

    key: str
    display: str


CLUSTER_SERVICE = Service("ClusSvc", "Cluster Service")
SGRM_BROKER = Service("SgrmBroker", "System Guard Runtime Monitor Broker")


def service_event(
    event_id: int, service: Service, t_ms: int, *, count: int = 1, error: str = "%%1067"
) -> Event:
    """A Service Control Manager error: 7000, 7009, 7011, 7022, 7023, 7024, 7031 or 7034."""
    binary = (service.key + "\0").encode("utf-16-le").hex().upper()
    match event_id:
        case 7009:
            data = {"param1": "30000", "param2": service.display}
        case 7011:
            data, binary = {"param1": "30000", "param2": service.key}, ""
        case 7022:
            data = {"param1": service.display}
        case 7031:
            data = {
                "param1": service.display,
                "param2": str(count),
                "param3": "60000",
                "param4": "1",
                "param5": "Restart the service",
            }
        case 7034:
            data = {"param1": service.display, "param2": str(count)}
        case _:
            data = {"param1": service.display, "param2": error}
    return plain(SCM, event_id, 2, t_ms, data, binary=binary)


def cluster_event(
    event_id: int, t_ms: int, data: dict[str, str], about: str | None = None
) -> Event:
    """A FailoverClustering event; ``about`` names the node when it is not the writer."""
    return Event(
        t_ms=t_ms,
        channel=SYSTEM,
        provider=CLUSTERING,
        id=event_id,
        level=_CLUSTER_LEVELS[event_id],
        data=data,
        about=about,
    )


def vm_event(event_id: int, t_ms: int, vm: str) -> Event:
    """A Hyper-V High-Availability event: 21107 a VM failed to start, 21119 it was started."""
    return Event(
        t_ms=t_ms,
        channel=VM_CHANNEL,
        provider=VM_PROVIDER,
        id=event_id,
        level=_VM_LEVELS[event_id],
        data={"param1": f"Virtual Machine {vm}"},
    )


def plain(
    provider: str,
    event_id: int,
    level: int,
    t_ms: int,
    data: dict[str, str],
    *,
    channel: str = SYSTEM,
    binary: str = "",
) -> Event:
    """An event of any other kind."""
    return Event(
        t_ms=t_ms,
        channel=channel,
        provider=provider,
        id=event_id,
        level=level,
        data=data,
        binary=binary,
    )


def positional(*values: str) -> dict[str, str]:
    """Event data without names: ``param1``, ``param2`` …"""
    return {f"param{index}": value for index, value in enumerate(values, 1)}
