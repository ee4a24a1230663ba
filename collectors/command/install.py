"""The Windows service: the steps that install and remove it, as commands of Windows.

The service runs as a virtual account (``NT SERVICE\\kbwatch-collector``): it has no password, no
other rights than those given here, and is gone with the service. All names of groups are SIDs, as
their names are localised. Programs of Windows are named by their full path: an elevated prompt may
stand in a folder where somebody else has put a ``sc.exe``.
"""

import hashlib
import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePath, PureWindowsPath

from msgspec import Struct

from collectors.command.steps import KEPT, Step
from schemas.errors import KbwatchError

SERVICE = "kbwatch-collector"
ACCOUNT = rf"NT SERVICE\{SERVICE}"
_DISPLAY = "kbwatch collector"
_ABOUT = "Ships what this node logs about patches, boots and failures to kbwatch."
_EVENT_LOG_READERS = "S-1-5-32-573"
_SYSTEM = "*S-1-5-18"
_ADMINISTRATORS = "*S-1-5-32-544"
# Restart after 5 s, 1 min, 5 min; a day without failure begins anew.
_RECOVERY = "restart/5000/restart/60000/restart/300000"
_RUNNING = 1056  # ERROR_SERVICE_ALREADY_RUNNING
_NOT_THERE = 1060  # ERROR_SERVICE_DOES_NOT_EXIST
_MARKED = 1072  # ERROR_SERVICE_MARKED_FOR_DELETE: gone when the last handle to it is closed
_EXISTS = 1073  # ERROR_SERVICE_EXISTS
_STRICT = "$ErrorActionPreference = 'Stop'; "
_START_S = 30


class Files(Struct, frozen=True):
    """The files that the service reads, by what is done to their rights."""

    secret: tuple[str, ...] = ()
    """Narrowed to SYSTEM, administrators and the service."""
    public: tuple[str, ...] = ()
    """The service may read them too; others' rights stay."""


def requirements() -> tuple[Step, ...]:
    """What must hold before anything is changed."""
    return (Step("see that this is no domain controller", _powershell(_no_domain_controller())),)


def install_steps(
    program: Sequence[str], config: str, data_dir: str, files: Files
) -> tuple[Step, ...]:
    """Make or renew the service, and give its account what it needs and no more.

    ``program`` runs ``kbwatch-collector``. The first step makes the service: where it was not there
    before, ``remove_steps`` undo all the others.
    """
    command = subprocess.list2cmdline([*program, "service", "--config", config])
    service = ("binPath=", command, "start=", "delayed-auto", "obj=", ACCOUNT)
    steps = [
        Step("make the service", _sc("create", *service, "DisplayName=", _DISPLAY), (_EXISTS,)),
        Step("bring an older one up to date", _sc("config", *service)),
        Step("say what it is", _sc("description", _ABOUT)),
        Step("give it an identity of its own", _sc("sidtype", "unrestricted")),
        # Everything else that a service may hold is taken away.
        Step("leave it one privilege", _sc("privs", "SeChangeNotifyPrivilege")),
        Step(
            "restart it when it fails",
            _sc("failure", "reset=", "86400", "actions=", _RECOVERY),
        ),
        Step("also when it ends with an error", _sc("failureflag", "1")),
        Step("let it read event logs", _powershell(_join_group())),
        Step("make its folder", _powershell(_make_folder(data_dir))),
        *_narrowed("let it write there, and nobody else", data_dir, "(OI)(CI)M", "(OI)(CI)F"),
        *_narrowed("let it read its settings", config, "R", "F"),
    ]
    for path in files.secret:
        steps += _narrowed("let it read a secret", path, "R", "F")
    for path in files.public:
        grant = (_system("icacls.exe"), path, "/grant", f"{ACCOUNT}:R")
        steps.append(Step("let it read a certificate", grant))
    return (
        *steps,
        Step("start it", _sc("start"), (_RUNNING,)),
        Step("see that it runs", _powershell(_runs(data_dir))),
    )


def remove_steps() -> tuple[Step, ...]:
    """Stop and remove the service and its membership; what is not there is no error."""
    return (
        Step("stop the service", _powershell(_stop())),
        Step("take it out of the readers of event logs", _powershell(_leave_group())),
        Step("remove the service", _sc("delete"), (_NOT_THERE, _MARKED)),
        Step("see that it is gone", _powershell(_gone())),
    )


def own_folder(folder: str) -> str:
    """``folder`` if it may become the collector's: its rights are changed.

    Raises KbwatchError for a folder that is not the collector's alone.
    """
    alone(folder)
    path = Path(folder)
    foreign = [p.name for p in path.iterdir() if p.name not in KEPT] if path.is_dir() else []
    if foreign:
        raise KbwatchError(
            f"data_dir {folder}: name a folder for the collector alone ({foreign[0]} is in it)"
        )
    return folder


def alone(folder: str) -> str:
    """``folder`` if it may be one's own: absolute, and no drive. Raises KbwatchError."""
    absolute(folder, "data_dir")
    if any(kind(folder).parent == kind(folder) for kind in (PurePath, PureWindowsPath)):
        raise KbwatchError(f"data_dir {folder}: name a folder for the collector alone")
    return folder


def absolute(path: str, option: str) -> str:
    """``path`` if it is absolute, here or on Windows: a service starts in System32.

    Raises KbwatchError.
    """
    if not PurePath(path).is_absolute() and not PureWindowsPath(path).is_absolute():
        raise KbwatchError(f"{option} {path}: a service needs an absolute path")
    return path


def service_sid() -> str:
    """The SID of the service's account, which Windows derives from its name alone.

    Also a service that is gone can so be taken out of a group. Microsoft Learn, "Service SIDs":
    S-1-5-80 and the SHA-1 of the name in upper case, UTF-16.
    """
    digest = hashlib.sha1(SERVICE.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    return "-".join(["S-1-5-80", *(str(part) for part in struct.unpack("<5I", digest))])


def _system(program: str) -> str:
    root = PureWindowsPath(os.environ.get("SYSTEMROOT", r"C:\Windows"))
    return str(root / "System32" / program)


def _sc(verb: str, *words: str) -> tuple[str, ...]:
    return (_system("sc.exe"), verb, SERVICE, *words)


def _powershell(script: str) -> tuple[str, ...]:
    program = _system(r"WindowsPowerShell\v1.0\powershell.exe")
    return (program, "-NoProfile", "-NonInteractive", "-Command", script)


def _narrowed(does: str, path: str, service: str, owners: str) -> list[Step]:
    """Steps that leave ``path`` to SYSTEM, administrators and the service.

    ``/grant:r`` alone would leave the rights that somebody had given himself, and the owner could
    give them again.
    """
    icacls = _system("icacls.exe")
    rights = (f"{_SYSTEM}:{owners}", f"{_ADMINISTRATORS}:{owners}", f"{ACCOUNT}:{service}")
    return [
        Step(f"own {path}", (icacls, path, "/setowner", _ADMINISTRATORS)),
        Step(f"forget who had rights to {path}", (icacls, path, "/reset")),
        Step(does, (icacls, path, "/inheritance:r", "/grant:r", *rights)),
    ]


def _no_domain_controller() -> str:
    # It has no groups of its own: changing the domain's is not ours to do.
    return (
        f"{_STRICT}if ((Get-CimInstance Win32_ComputerSystem).DomainRole -ge 4) "
        "{ throw 'a domain controller has no local groups: forward its events instead' }"
    )


def _join_group() -> str:
    return (
        f"try {{ Add-LocalGroupMember -SID {_EVENT_LOG_READERS} -Member '{ACCOUNT}' "
        "-ErrorAction Stop } catch "
        "{ if ($_.FullyQualifiedErrorId -notlike 'MemberExists*') { throw } }"
    )


def _leave_group() -> str:
    return (
        f"try {{ Remove-LocalGroupMember -SID {_EVENT_LOG_READERS} -Member '{service_sid()}' "
        "-ErrorAction Stop } catch "
        "{ if ($_.FullyQualifiedErrorId -notlike 'MemberNotFound*') { throw } }"
    )


def _stop() -> str:
    # Waits until it has stopped: its files are in use before.
    return f"{_STRICT}if ({_service()}) {{ Stop-Service {SERVICE} }}"


def _gone() -> str:
    return (
        f"{_STRICT}if ({_service()}) {{ throw 'the service is still there: close what shows it "
        "(services.msc, Task Manager) and it goes' }"
    )


def _runs(data_dir: str) -> str:
    log = PureWindowsPath(data_dir) / "log" / "collector.log"
    is_up = f"(Get-Service {SERVICE}).Status -eq 'Running'"
    return (
        f"{_STRICT}for ($i = 0; $i -lt {_START_S} -and -not ({is_up}); $i++) "
        "{ Start-Sleep -Seconds 1 }; Start-Sleep -Seconds 3; "
        f"if (-not ({is_up})) {{ throw ('it does not run: see ' + {_quoted(str(log))} + "
        "' and the log Application') }"
    )


def _service() -> str:
    return f"Get-Service {SERVICE} -ErrorAction SilentlyContinue"


def _make_folder(path: str) -> str:
    # One that somebody else has made, or that leads elsewhere, may hold what we would trust.
    where = _quoted(path)
    return (
        f"{_STRICT}if (Test-Path -LiteralPath {where}) "
        f"{{ if ([string](Get-Item -Force -LiteralPath {where}).Attributes -match 'ReparsePoint') "
        "{ throw 'is a link: name a folder' }; "
        f"if ((Get-Acl -LiteralPath {where}).Sddl -notmatch '^O:(SY|BA|LA|DA)') "
        "{ throw 'was not made by an administrator: look at it, and remove it' } } "
        f"else {{ New-Item -ItemType Directory -Path {where} | Out-Null }}"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
