"""The options that commands share, as annotated types for typer, and what is done with them.

A command of ``kbwatch`` that needs settings takes them as its first parameter and is decorated with
``with_settings``, below ``app.command()``; one of ``kbwatch-collector`` takes ``CollectorConfig``
and gives its settings to ``shown``. Only commands import this module: typer comes with the extras,
not with the base install.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import msgspec
import typer
from msgspec import Struct

from schemas import settings as _settings
from schemas.config import as_toml
from schemas.settings import Settings

_PANEL = "Settings"

T = TypeVar("T", bound=Struct)
P = ParamSpec("P")
R = TypeVar("R")


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
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, change nothing.")]
InFleet = Annotated[str, typer.Option("--fleet", metavar="NAME", help="Which fleet.")]


def settings_from(
    config: Config = None, overrides: Set = None, print_config: PrintConfig = False
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


def with_settings(
    command: Callable[Concatenate[Settings, P], R], load: Callable[..., Settings] = settings_from
) -> Callable[..., R]:
    """``command`` with --config, --set and --print-config in the place of its first parameter, the
    settings of the call. KbwatchError names the wrong setting and where it stands.

    ``load`` gives the settings where a command has shorter words for one of them: its parameters
    are the options.
    """

    _, *own = inspect.signature(command).parameters.values()
    options = inspect.signature(load).parameters

    @wraps(command)
    def called(*args: Any, **kwargs: Any) -> R:  # noqa: ANN401 - whatever typer makes of words
        settings = load(**{name: kwargs.pop(name) for name in options})
        return command(settings, *args, **kwargs)

    # Typer looks at the signature, and calls by name.
    added = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in options.values()]
    parameters = [*own, *added]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    return called


def print_json(value: object) -> None:
    """What --json prints: one document on standard output."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
