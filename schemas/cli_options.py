"""The options that every command shares, as annotated types for typer.

A command of ``kbwatch`` takes ``config: Config = None, overrides: Set = None, print_config:
PrintConfig = False`` and calls ``settings_from(config, overrides, print_config)`` first; one of
``kbwatch-collector`` takes ``CollectorConfig`` and gives its settings to ``shown``. Only commands
import this module: typer comes with the extras, not with the base install.
"""

from typing import Annotated, TypeVar

import typer
from msgspec import Struct

from schemas import settings as _settings
from schemas.config import as_toml
from schemas.settings import Settings

_PANEL = "Settings"

T = TypeVar("T", bound=Struct)


def _config_option(variable: str) -> object:
    return typer.Option(
        "--config",
        metavar="FILE",
        help=f"TOML file with settings (default: the file that {variable} names).",
        rich_help_panel=_PANEL,
        show_default=False,
    )


Config = Annotated[str | None, _config_option("KBW_CONFIG")]
CollectorConfig = Annotated[str | None, _config_option("KBW_COLLECTOR_CONFIG")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.NAME=VALUE",
        help="One setting, e.g. kafka.bootstrap=broker:9092; repeatable; wins over everything.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
PrintConfig = Annotated[
    bool,
    typer.Option(
        "--print-config",
        help="Print the effective settings as TOML and do nothing else.",
        rich_help_panel=_PANEL,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def settings_from(
    config: str | None = None, overrides: list[str] | None = None, print_config: bool = False
) -> Settings:
    """The settings of this call; with ``print_config`` they are printed and the command ends.

    Raises KbwatchError that names the wrong setting and where it stands.
    """
    return shown(_settings.load(config, overrides or ()), print_config)


def shown(loaded: T, print_config: bool) -> T:
    """Settings as they were loaded; with ``print_config`` they are printed, the command ends."""
    if print_config:
        typer.echo(as_toml(loaded).rstrip())
        raise typer.Exit
    return loaded
