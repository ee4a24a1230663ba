"""Who this node is, as its reports say it; the operator's inventory outranks it."""

from pathlib import Path

from msgspec import Struct

from collectors.durable import replace_file
from collectors.settings import NodeSettings
from collectors.windows import api as windows_api
from schemas.errors import KbwatchError
from schemas.windows.names import node_name

_HIVE = "Cluster"
_SERVICE = r"SYSTEM\CurrentControlSet\Services\ClusSvc"
_DISABLED = 4
_REMEMBERED = "cluster"


class Node(Struct, frozen=True):
    """The header of this node's reports."""

    fleet: str
    name: str
    domain: str
    """The failure domain: what settings say, else the failover cluster, else the node itself."""
    site: str


def this_node(
    settings: NodeSettings, data_dir: Path, registry: windows_api.RegistryApi | None = None
) -> Node:
    """Settings, and what the computer knows of itself; ``data_dir`` is only read.

    Raises KbwatchError when the computer has no name that can be used and settings give none.
    """
    name = node_name(settings.name or windows_api.computer_name())
    if not name:
        raise KbwatchError("this computer has no usable name: set node.name")
    domain = settings.domain or cluster_name(data_dir, registry or windows_api.registry()) or name
    return Node(settings.fleet, name, node_name(domain) or name, settings.site)


def remember_cluster(data_dir: Path, registry: windows_api.RegistryApi | None = None) -> None:
    """Note the cluster that this node is in, for a time when its service is down.

    Raises OSError when ``data_dir`` can't be written.
    """
    cluster = cluster_name(data_dir, registry or windows_api.registry())
    path = data_dir / _REMEMBERED
    if not cluster:
        path.unlink(missing_ok=True)
    elif _remembered(path) != cluster:
        replace_file(path, cluster.encode())


def cluster_name(data_dir: Path, registry: windows_api.RegistryApi) -> str:
    """The failover cluster of this computer; empty: it is in none.

    The cluster's part of the registry is there only while the cluster service runs. When that has
    died, which is when it matters, the name is the remembered one; a node that has left its cluster
    has the service disabled.
    """
    try:
        found = str(registry.values(_HIVE).get("ClusterName", ""))
    except windows_api.WindowsApiError:
        found = ""
    if found:
        return found
    try:
        member = registry.values(_SERVICE).get("Start", _DISABLED) != _DISABLED
    except windows_api.WindowsApiError as error:
        member = error.fault is not windows_api.Fault.NOT_FOUND
    return _remembered(data_dir / _REMEMBERED) if member else ""


def _remembered(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
