"""The Windows service: the steps that install and remove it, as commands of Windows.

The service runs as a virtual account (``NT SERVICE\\kbwatch-collector``): it has no password, no
other rights than those given here, and is gone with the service. All names of groups are SIDs, as
their names are localised.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PureWindowsPath

from msgspec import Struct

from schemas.errors import KbwatchError

SERVICE = "kbwatch-collector"
ACCOUNT = rf"NT SERVICE\{SERVICE}"
KEPT = (
    "spool",
    "log",
    "lock",
    "cluster",
    "bookmarks.json",
    "bookmarks.json.previous",
    "bookmarks.json.new",
    "status.json",
    "status.json.part",
)
"""What a collector has in its data_dir."""
_DISPLAY = "kbwatch collector"
_ABOUT = "Ships what this node logs about patches, boots and failures to kbwatch."
_EVENT_LOG_READERS = "S-1-5-32-573"
_SYSTEM = "*S-1-5-18"
_ADMINISTRATORS = "*S-1-5-32-544"
_ADMINISTRATOR_CHECK = (
    "([Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent())"
    ".IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)"
)
# Restart after 5 s, 1 min, 5 min; a day without failure begins anew.
_RECOVERY = "restart/5000/restart/60000/restart/300000"
_NOT_THERE = 1060  # ERROR_SERVICE_DOES_NOT_EXIST
_NOT_RUNNING = 1062  # ERROR_SERVICE_NOT_ACTIVE
_EXISTS = 1073  # ERROR_SERVICE_EXISTS

Run = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a command: its exit status and what it said."""


class Step(Struct, frozen=True):
    """One command of Windows."""

    does: str
    """In words, for who reads what will be done."""
    command: tuple[str, ...]
    may_fail: tuple[int, ...] = ()
    """Exit statuses that say that the step was not needed."""


def install_steps(
    program: Sequence[str], config: str, data_dir: str, secrets: Sequence[str]
) -> tuple[Step, ...]:
    """Make or renew the service, and give its account what it needs and no more.

    ``program`` runs ``kbwatch-collector``; ``secrets`` are the files with passwords and keys.
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
        Step("let it write there, and nobody else", _acl(data_dir, "(OI)(CI)M", "(OI)(CI)F")),
        Step("let it read its settings", _acl(config, "R", "F")),
    ]
    steps += [Step("let it read a secret", _acl(path, "R", "F")) for path in secrets]
    return (*steps, Step("start it", _sc("start"), (1056,)))


def uninstall_steps(data_dir: str) -> tuple[Step, ...]:
    """Stop and remove the service, its membership and its folder; what is not there is no error."""
    return (
        Step("stop the service", _powershell(_stop()), ()),
        Step("take it out of the readers of event logs", _powershell(_leave_group())),
        Step("remove the service", _sc("delete"), (_NOT_THERE,)),
        Step("remove its folder", _powershell(_remove_folder(data_dir))),
    )


def carry_out(steps: Sequence[Step], run: Run, say: Callable[[str], None]) -> None:
    """Run the steps in order; each may be run again. Raises KbwatchError when one fails."""
    for step in steps:
        say(step.does)
        status, said = run(step.command)
        if status and status not in step.may_fail:
            shown = subprocess.list2cmdline(step.command)
            raise KbwatchError(
                f"{step.does}: {shown} ended with {status}: {' '.join(said.split())}"
            )


def need_administrator(run: Run) -> None:
    """Raises KbwatchError unless this is Windows and an elevated prompt."""
    if sys.platform != "win32":
        raise KbwatchError(
            "a Windows service can be installed on Windows only; --dry-run shows what would be "
            "done, and on Linux replay-evtx reads recorded logs"
        )
    if "True" not in run(_powershell(_ADMINISTRATOR_CHECK))[1]:
        raise KbwatchError("run this in an elevated prompt (Run as administrator)")


def run_command(command: Sequence[str]) -> tuple[int, str]:
    """Run a command of Windows. Raises KbwatchError when it can't be started."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KbwatchError(f"{command[0]}: {error}") from None
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def own_folder(path: Path) -> str:
    """``path`` if it may become the collector's: its rights are changed, its files removed.

    Raises KbwatchError for a folder that is not the collector's alone.
    """
    absolute(path, "data_dir")
    foreign = [p.name for p in path.iterdir() if p.name not in KEPT] if path.is_dir() else []
    if path.parent == path or foreign:
        held = f" ({foreign[0]} is in it)" if foreign else ""
        raise KbwatchError(f"data_dir {path}: name a folder for the collector alone{held}")
    return str(path)


def absolute(path: Path, option: str) -> str:
    """``path`` if it is absolute: a service starts in System32. Raises KbwatchError."""
    if not path.is_absolute():
        raise KbwatchError(f"{option} {path}: a service needs an absolute path")
    return str(path)


def _sc(verb: str, *words: str) -> tuple[str, ...]:
    return ("sc.exe", verb, SERVICE, *words)


def _powershell(script: str) -> tuple[str, ...]:
    return ("powershell.exe", "-NoProfile", "-NonInteractive", "-Command", script)


def _acl(path: str, service: str, owners: str) -> tuple[str, ...]:
    return (
        *("icacls.exe", path, "/inheritance:r", "/grant:r"),
        *(f"{_SYSTEM}:{owners}", f"{_ADMINISTRATORS}:{owners}", f"{ACCOUNT}:{service}"),
    )


def _join_group() -> str:
    # A domain controller has no groups of its own: changing the domain's is not ours to do.
    return (
        "$ErrorActionPreference = 'Stop'; "
        "if ((Get-CimInstance Win32_ComputerSystem).DomainRole -ge 4) "
        "{ throw 'a domain controller has no local groups: forward its events instead' }; "
        f"if ((Get-LocalGroupMember -SID {_EVENT_LOG_READERS}).Name -notcontains '{ACCOUNT}') "
        f"{{ Add-LocalGroupMember -SID {_EVENT_LOG_READERS} -Member '{ACCOUNT}' }}"
    )


def _leave_group() -> str:
    return (
        f"if (Get-Service {SERVICE} -ErrorAction SilentlyContinue) "
        f"{{ Remove-LocalGroupMember -SID {_EVENT_LOG_READERS} -Member '{ACCOUNT}' "
        "-ErrorAction SilentlyContinue }; exit 0"
    )


def _stop() -> str:
    # Waits until it has stopped: its files are in use before.
    return f"Stop-Service {SERVICE} -ErrorAction SilentlyContinue; exit 0"


def _make_folder(path: str) -> str:
    return f"New-Item -ItemType Directory -Force -Path {_quoted(path)} | Out-Null"


def _remove_folder(path: str) -> str:
    # Only what a collector has made, and the folder if nothing else is in it.
    names = ", ".join(_quoted(str(PureWindowsPath(path) / name)) for name in KEPT)
    where = _quoted(path)
    return (
        f"Remove-Item -Recurse -Force -ErrorAction SilentlyContinue -LiteralPath {names}; "
        f"if ((Test-Path -LiteralPath {where}) -and -not (Get-ChildItem -LiteralPath {where})) "
        f"{{ Remove-Item -LiteralPath {where} }}; exit 0"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
