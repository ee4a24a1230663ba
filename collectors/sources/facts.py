"""What this node is: one read-only PowerShell script, and what its JSON means.

The script is facts.ps1. Sources of its meanings: Microsoft Learn, "Win32_ComputerSystem class"
(DomainRole), "Win32_ServerFeature class" (ids), "GetProtectionStatus method of the
Win32_EncryptableVolume class", "MSCluster_ClusterSharedVolume class", "S2DEnabled".

Only what a node *is* becomes a covariate. What happens to it (a node is down, quarantined, its
volume redirected) is an outcome: stratifying by it would hide the very effect that is looked for.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from collectors.log import Log
from collectors.sources.source import Item
from collectors.sources.subscription import Clocks
from collectors.windows.api import PowerShell, WindowsApiError
from schemas.codec import DecodeError, encode
from schemas.reports import ChannelHealth, Facts
from schemas.windows.names import node_name
from schemas.windows.system_time import time_ms

_DAY_S = 86_400
_MAX_ENTRIES = 64
_LENGTH = 200
_DC_ROLES = (4, 5)
_RDS, _FILE_SERVER, _PRINT = 18, 255, 7
_ESCROWED = 845
_VIRTUAL = ("virtual", "vmware", "kvm", "qemu", "xen", "hvm domu", "openstack", "bochs")
# The first that fits; a node's other roles are covariates.
_ROLES = {
    "dc": ("ntds",),
    "sql": ("mssqlserver", "mssql"),
    "hyperv": ("vmms",),
    "dhcp": ("dhcpserver",),
    "rds": ("tsgateway", "tssdis"),
    "ca": ("certsvc",),
    "nps": ("ias",),
    "web": ("w3svc",),
    "dns": ("dns",),
    "cluster": ("clussvc",),
}

T = TypeVar("T")

_log = Log("facts")


# Which queries a covariate or change (up to its colon) comes from.
_FROM = {
    "csv_bitlocker": {"cluster", "csv", "volumes"},
    "s2d": {"cluster"},
    "bitlocker_os": {"volumes"},
    "recovery_key_escrow": {"escrow", "escrow_events"},
    "secure_boot": {"secure_boot"},
    "domain_joined": {"computer"},
    "server_core": {"os"},
    "role": {"services", "features", "shares"},
    "kir": {"rollbacks"},
    "firmware": {"firmware"},
    "driver": {"drivers"},
    "agent": {"agents", "defender"},
}


class Gathered(Struct, frozen=True):
    """What the script found."""

    facts: Facts
    silent: frozenset[str]
    """Queries that gave nothing, which doesn't mean that there is nothing."""
    problems: tuple[str, ...]
    """Queries that failed or were slow."""


def parse(output: str, now_ms: int) -> Gathered:
    """The script's output as Facts.

    Every query is optional: what is missing, or is not what it should be, is left out. Raises
    DecodeError when the output as a whole is none of the script's.
    """
    try:
        found = msgspec.json.decode(output.removeprefix("\ufeff"))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DecodeError("malformed", f"facts.ps1: {error}") from None
    if not isinstance(found, dict) or found.get("v") != 1:
        raise DecodeError("invalid", "facts.ps1: not what the script writes")
    system, computer = _table(found, "os"), _table(found, "computer")
    build = str(system.get("build", ""))
    cluster = node_name(_text(_table(found, "cluster").get("name")))
    model = f"{_text(computer.get('manufacturer'))} {_text(computer.get('model'))}".casefold()
    roles = _roles(found)
    return Gathered(
        Facts(
            t_ms=now_ms,
            role=roles[0] if roles else "server",
            os=_text(system.get("name")),
            branch=build if build.isascii() and build.isdigit() and len(build) <= 7 else "",
            cluster=cluster,
            virtual=any(word in model for word in _VIRTUAL) if model.strip() else None,
            covariates=_limited(_covariates(found, roles[1:])),
            changes=_limited(_changes(found)),
            backup_ms=_backup_ms(found, now_ms),
        ),
        frozenset(_silent(found)),
        tuple(_problems(found)),
    )


def remembered(gathered: Gathered, before: Facts) -> Facts:
    """What was found, and what was known before of what could not be asked.

    A node whose cluster service has died is still a cluster's node, and its volumes are still
    encrypted: what it is must not change because it fails. And a backup was made, although the log
    that says so has turned over.
    """
    now, silent = gathered.facts, gathered.silent
    return replace(
        now,
        role=before.role if "services" in silent else now.role,
        os=now.os or before.os,
        branch=now.branch or before.branch,
        cluster=before.cluster if "cluster" in silent else now.cluster,
        virtual=before.virtual if now.virtual is None else now.virtual,
        covariates=_limited(
            (now.covariates | _known(before.covariates, silent, now.covariates)).items()
        ),
        changes=_limited((now.changes | _known(before.changes, silent, now.changes)).items()),
        backup_ms=before.backup_ms if now.backup_ms is None else now.backup_ms,
    )


class FactsSource:
    """Gathers every ``every_s``; sends at start, on change, and daily."""

    name = "facts"

    def __init__(self, powershell: PowerShell, every_s: int, clocks: Clocks) -> None:
        self._powershell = powershell
        self._every_s = every_s
        self._clocks = clocks
        self._trouble = ""
        self._problems: tuple[str, ...] = ()
        self._before: Facts | None = None
        self._sent_s: float | None = None
        self._due_s = 0.0

    @property
    def trouble(self) -> str:
        """Why nothing can be said; queries that fail each for itself are none."""
        return self._trouble

    @property
    def delivers(self) -> bool:
        """Whether the script answers."""
        return not self._trouble

    @property
    def misses(self) -> bool:
        """Never: verdicts know how to do without facts."""
        return False

    def open(self, position: str | None) -> None:
        """Begin anew, remembering what was sent last: facts are sent at each start."""
        self._before = None
        self._sent_s = None
        self._due_s = 0.0
        if position:
            try:
                self._before = msgspec.json.decode(position, type=Facts)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                _log.warning("bookmark can't be read", error=str(error))

    def read(self, limit: int) -> Sequence[Item]:
        """The facts, when there is something to say; takes as long as the script when it is due."""
        now_s = self._clocks.now_s()
        if now_s < self._due_s or limit < 1:
            return []
        self._due_s = now_s + self._every_s
        try:
            gathered = parse(self._powershell(_script()), self._clocks.now_ms())
        except (WindowsApiError, DecodeError) as error:
            self._trouble = str(error)
            return []
        self._trouble = ""
        if gathered.problems != self._problems:
            self._problems = gathered.problems
            _log.info("some queries gave nothing", problems="; ".join(gathered.problems))
        facts = gathered.facts
        if self._before is not None:
            facts = remembered(gathered, self._before)
            unchanged = replace(self._before, t_ms=facts.t_ms) == facts
            if unchanged and self._sent_s is not None and now_s - self._sent_s < _DAY_S:
                return []
        self._before, self._sent_s = facts, now_s
        return [Item((facts,), position=encode(facts).decode())]

    def channels(self) -> Mapping[str, ChannelHealth]:
        """None: it reads no event channel."""
        return {}

    def close(self) -> None:
        """Nothing is held open."""


def _script() -> str:
    return resources.files("collectors.sources").joinpath("facts.ps1").read_text(encoding="ascii")


def _roles(found: dict[str, Any]) -> list[str]:
    # Instances count as one service: MSSQL$PROD gives mssql.
    names = {_text(name).casefold().partition("$")[0] for name in _list(found, "services")}
    roles = [role for role, services in _ROLES.items() if names.intersection(services)]
    if "dc" not in roles and _table(found, "computer").get("domain_role") in _DC_ROLES:
        roles.insert(0, "dc")
    features = set(map(str, _list(found, "features")))
    if str(_RDS) in features and "rds" not in roles:
        roles.append("rds")
    shares = found.get("shares")
    if str(_FILE_SERVER) in features and isinstance(shares, int) and shares > 0:
        roles.append("file")
    if str(_PRINT) in features:
        roles.append("print")
    return roles


def _covariates(found: dict[str, Any], roles: Iterable[str]) -> Iterator[tuple[str, bool | str]]:
    """The best known first: what is beyond 64 is left out."""
    shared = _csv_bitlocker(found)
    if shared is not None:
        yield "csv_bitlocker", shared
    if "s2d" in _table(found, "cluster"):
        yield "s2d", _table(found, "cluster")["s2d"] is True
    volumes = list(_tables(found, "volumes"))
    if "volumes" in found:
        yield "bitlocker_os", any(v.get("type") == 0 and _protected(v) for v in volumes)
    if "escrow" in found or "escrow_events" in found:
        yield "recovery_key_escrow", _escrowed(found)
    if isinstance(found.get("secure_boot"), bool):
        yield "secure_boot", found["secure_boot"]
    if isinstance(_table(found, "computer").get("domain_joined"), bool):
        yield "domain_joined", _table(found, "computer")["domain_joined"]
    if _text(_table(found, "os").get("installation")):
        yield "server_core", _table(found, "os")["installation"] == "Server Core"
    for role in roles:
        yield f"role:{role}", True
    for rollback in _tables(found, "rollbacks"):
        if _text(rollback.get("id")):
            yield f"kir:{_text(rollback['id'])}", str(rollback.get("state", ""))[:16]


def _silent(found: dict[str, Any]) -> Iterator[str]:
    for error in _tables(found, "errors"):
        yield _text(error.get("query"))
    services = {_text(name).casefold() for name in _list(found, "services")}
    if "cluster" not in found and "clussvc" in services:
        yield from ("cluster", "csv")
    if _csv_bitlocker(found) is None and "cluster" in found:
        yield "csv"


def _known(before: Mapping[str, T], silent: frozenset[str], now: Mapping[str, T]) -> dict[str, T]:
    return {
        name: value
        for name, value in before.items()
        if name not in now and not silent.isdisjoint(_FROM.get(name.partition(":")[0], ()))
    }


def _csv_bitlocker(found: dict[str, Any]) -> bool | None:
    """Whether a cluster shared volume is encrypted; None when this node can't tell.

    BitLocker knows a shared volume only on the node that coordinates it.
    """
    shared = {_text(volume.get("volume")).casefold() for volume in _tables(found, "csv")} - {""}
    known = {_text(v.get("device")).casefold(): _protected(v) for v in _tables(found, "volumes")}
    seen = [known[volume] for volume in shared if volume in known]
    if any(seen):
        return True
    return False if shared and len(seen) == len(shared) else None


def _protected(volume: dict[str, Any]) -> bool:
    return volume.get("protection") in (1, 2)  # 2: it is locked, so that nobody can tell


def _escrowed(found: dict[str, Any]) -> bool:
    if any(event.get("id") == _ESCROWED for event in _tables(found, "escrow_events")):
        return True
    return _table(found, "escrow").get("os_backup") is True


def _backup_ms(found: dict[str, Any], now_ms: int) -> int | None:
    try:
        backup_ms = time_ms(_text(found.get("backup")))
    except ValueError:
        return None
    return backup_ms if 0 < backup_ms <= now_ms else None


def _changes(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    firmware = _table(found, "firmware")
    if _text(firmware.get("version")):
        yield "firmware", f"{_text(firmware.get('vendor'))} {_text(firmware['version'])}".strip()
    defender = _table(found, "defender")
    if _text(defender.get("product")):
        yield "agent:Microsoft Defender", _text(defender["product"])
    for kind, name in (("driver", "drivers"), ("agent", "agents")):
        rows = {_text(row.get("name")): _text(row.get("version")) for row in _tables(found, name)}
        for label, version in sorted(rows.items()):
            if label and version:
                yield f"{kind}:{label}", version


def _problems(found: dict[str, Any]) -> Iterator[str]:
    for error in _tables(found, "errors"):
        yield f"{_text(error.get('query'))}: {_text(error.get('message'))}"
    for slow in _tables(found, "slow"):
        yield f"{_text(slow.get('query'))}: took {_text(str(slow.get('seconds')))} s"


def _table(found: dict[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _list(found: dict[str, Any], name: str) -> list[Any]:
    """PowerShell makes of a list of one its one entry."""
    value = found.get(name)
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _tables(found: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    return (row for row in _list(found, name) if isinstance(row, dict))


def _text(value: object) -> str:
    """Text on one line, cut; empty for anything else."""
    if not isinstance(value, str):
        return ""
    head = value[: 2 * _LENGTH]
    return "".join(c if c.isprintable() else " " for c in head).strip()[:_LENGTH]


def _limited(pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    out: dict[str, T] = {}
    for name, value in pairs:
        if len(out) < _MAX_ENTRIES:
            out.setdefault(name, value)
    return out
