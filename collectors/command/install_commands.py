"""The commands that make the collector a Windows service, and remove it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from collectors.command import install, steps
from collectors.command.install import Files
from collectors.command.steps import Step
from collectors.pipeline.redact import Redactor
from collectors.settings import KafkaSettings, Settings, data_dir_of, load
from collectors.shipping.kafka_client import check_security
from schemas.cli_options import CollectorConfig
from schemas.config import COLLECTOR_PREFIX
from schemas.errors import KbwatchError

_SECRETS = ("key_file", "password_file", "token_file")
_PUBLIC = ("ca_file", "cert_file")

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the commands of Windows that would run, on any system."),
]


def install_command(config: CollectorConfig = None, dry_run: DryRun = False) -> None:
    """Make this a Windows service with least privilege.

    \b
    kbwatch-collector install --config C:\\ProgramData\\kbwatch\\collector.toml
    kbwatch-collector install --config C:\\ProgramData\\kbwatch\\collector.toml --dry-run

    An older one is brought up to date. The service runs as a virtual account that may read event
    logs, its settings and secrets, and write its data_dir. Needs an elevated prompt, and a Python
    that is no virtual environment.
    """
    path, settings = _config_of_a_service(config)
    check_security(settings.kafka)
    Redactor(settings.redact)
    data_dir = install.own_folder(settings.data_dir)
    files = _files(settings.kafka)
    if sys.platform == "win32":
        _need_files(files)
    installing = install.install_steps(_program(dry_run), path, data_dir, files)
    if dry_run:
        _print((*install.requirements(), *installing))
        return
    steps.need_administrator()
    # Before anything is changed: what a service of an earlier try leaves behind is hard to see.
    steps.carry_out(install.requirements(), steps.run_command, typer.echo)
    steps.carry_out(installing, steps.run_command, typer.echo, undo=install.remove_steps())


def uninstall_command(config: CollectorConfig = None, dry_run: DryRun = False) -> None:
    """Remove the service and what it has; settings stay.

    Its membership in Event Log Readers and what it has in data_dir go; what was not sent yet too:
    `kbwatch-collector status` says how much.
    Settings that are broken or gone hold up nothing: what could not be removed is said at the end.
    """
    removing = install.remove_steps()
    folder, unknown = _folder_of_a_service(config)
    if dry_run:
        _print(removing)
        if folder:
            typer.echo(f"# remove from {folder}\n{' '.join(steps.KEPT)}")
        for why in unknown:
            typer.echo(f"# data_dir stays: {why}")
        return
    steps.need_administrator()
    left = [*steps.attempt(removing, steps.run_command, typer.echo), *unknown]
    if folder:
        typer.echo("remove its folder")
        left += steps.remove_data(Path(folder))
    if left:
        raise KbwatchError(f"not everything is removed: {'; '.join(left)}")


def _print(commands: tuple[Step, ...]) -> None:
    for step in commands:
        typer.echo(f"# {step.does}\n{subprocess.list2cmdline(step.command)}")


def _files(kafka: KafkaSettings) -> Files:
    # Without a key_file the certificate's file holds the key as well.
    secrets = (*_SECRETS, "cert_file") if not kafka.key_file else _SECRETS

    def named(names: tuple[str, ...]) -> tuple[str, ...]:
        paths = [(name, getattr(kafka, name)) for name in names]
        return tuple(install.absolute(path, f"kafka.{name}") for name, path in paths if path)

    return Files(named(secrets), named(tuple(name for name in _PUBLIC if name not in secrets)))


def _need_files(files: Files) -> None:
    for path in (*files.secret, *files.public):
        if not Path(path).is_file():
            raise KbwatchError(f"{path}: is not there; put it there first, nothing is changed yet")


def _folder_of_a_service(config: str | None) -> tuple[str, list[str]]:
    """The folder to clean, empty if there is none to be sure of, and why."""
    try:
        data_dir, _ = data_dir_of(_named(config), environ={})
        return install.alone(data_dir), []
    except KbwatchError as error:
        return "", [str(error)]


def _config_of_a_service(config: str | None) -> tuple[str, Settings]:
    # A service has neither this prompt's environment nor its command line: only the file counts.
    path = install.absolute(_named(config), "--config")
    return path, load(path, environ={})


def _named(config: str | None) -> str:
    path = config or os.environ.get(f"{COLLECTOR_PREFIX}CONFIG")
    if not path:
        raise KbwatchError("name the service's settings file: --config FILE")
    return path


def _program(dry_run: bool) -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable]
    if sys.prefix != sys.base_prefix and not dry_run:
        raise KbwatchError(
            "a service can't run from a virtual environment: use the packaged collector or a "
            "Python of its own (deploy/windows/README.md)"
        )
    return [sys.executable, "-m", "collectors.cli"]
