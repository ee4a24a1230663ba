"""The commands that make the collector a Windows service, and remove it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from collectors.command import install
from collectors.command.install import Step
from collectors.settings import Settings, load
from schemas.cli_options import CollectorConfig
from schemas.config import COLLECTOR_PREFIX
from schemas.errors import KbwatchError

_SECRETS = ("key_file", "password_file", "token_file")

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the commands of Windows that would run, on any system."),
]


def install_command(config: CollectorConfig = None, dry_run: DryRun = False) -> None:
    """Make this a Windows service with least privilege, or bring an older one up to date.

    \b
    kbwatch-collector install --config C:\\ProgramData\\kbwatch\\collector.toml
    kbwatch-collector install --config C:\\ProgramData\\kbwatch\\collector.toml --dry-run

    The service runs as a virtual account that may read event logs, its settings and secrets, and
    write its data_dir. Needs an elevated prompt, and a Python that is no virtual environment.
    """
    path, settings = _config_of_a_service(config)
    data_dir = install.own_folder(Path(settings.data_dir))
    files = [(name, getattr(settings.kafka, name)) for name in _SECRETS]
    secrets = [install.absolute(Path(file), f"kafka.{name}") for name, file in files if file]
    steps = install.install_steps(_program(dry_run), path, data_dir, secrets)
    _carry_out(steps, dry_run)


def uninstall_command(config: CollectorConfig = None, dry_run: DryRun = False) -> None:
    """Remove the service, its membership and what it has in data_dir; the settings file stays.

    What was not sent yet is in data_dir, and goes too: `kbwatch-collector status` says how much.
    """
    _, settings = _config_of_a_service(config)
    _carry_out(install.uninstall_steps(install.own_folder(Path(settings.data_dir))), dry_run)


def _carry_out(steps: tuple[Step, ...], dry_run: bool) -> None:
    if dry_run:
        for step in steps:
            typer.echo(f"# {step.does}\n{subprocess.list2cmdline(step.command)}")
        return
    install.need_administrator(install.run_command)
    install.carry_out(steps, install.run_command, typer.echo)


def _config_of_a_service(config: str | None) -> tuple[str, Settings]:
    # A service has neither this prompt's environment nor its command line: only the file counts.
    path = config or os.environ.get(f"{COLLECTOR_PREFIX}CONFIG")
    if not path:
        raise KbwatchError("name the service's settings file: --config FILE")
    return install.absolute(Path(path), "--config"), load(path, environ={})


def _program(dry_run: bool) -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable]
    if sys.prefix != sys.base_prefix and not dry_run:
        raise KbwatchError(
            "a service can't run from a virtual environment: use the packaged collector or a "
            "Python of its own (deploy/windows/README.md)"
        )
    return [sys.executable, "-m", "collectors.cli"]
