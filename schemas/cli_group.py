"""The command group of ``kbwatch``; only ``schemas.cli`` imports it, and only if typer is there."""

from importlib.metadata import EntryPoint, version
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from schemas.cli import ABOUT, EXAMPLES, commands, extra_of, install_hint
from schemas.errors import KbwatchError

_OF_A_PROGRAM = {"install_completion", "show_completion"}


def run(words: list[str]) -> None:
    """Run the command that ``words`` name; ends by SystemExit with the command's exit code.

    Raises KbwatchError and whatever else a command raises.
    """
    group = get_command(_root())
    if not isinstance(group, TyperGroup):
        raise TypeError("the root command must be a group")
    declared = commands()
    # One command needs one import; help, completion and corrections need them all.
    wanted = {words[0]: declared[words[0]]} if words and words[0] in declared else declared
    for name, point in wanted.items():
        group.add_command(_load(point), name)
    group.main(words, prog_name="kbwatch")


def _root() -> typer.Typer:
    app = typer.Typer(
        name="kbwatch",
        help=ABOUT,
        epilog=_unwrapped(EXAMPLES),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def root(
        version: Annotated[
            bool,
            typer.Option(
                "--version",
                help="Show the version and exit.",
                is_eager=True,
                callback=_show_version,
            ),
        ] = False,
    ) -> None:
        """The option acts in its callback."""

    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kbwatch {version('kbwatch')}")
        raise typer.Exit


def _unwrapped(text: str) -> str:
    """Typer fills paragraphs unless each begins with a backspace character."""
    return "\n\n".join(f"\b\n{paragraph}" for paragraph in text.split("\n\n"))


def _first_sentence(text: str) -> str:
    """What a list of commands says of one: up to the first full stop at the end of a word."""
    words = " ".join(text.split())
    return words.partition(". ")[0].removesuffix(".") + "." if words else ""


def _load(point: EntryPoint) -> TyperCommand | TyperGroup:
    try:
        app = point.load()
    except ImportError as error:
        return _absent(point, error)
    command = get_command(app)
    if not isinstance(command, TyperCommand | TyperGroup):
        raise TypeError(f"{point.value} is no typer command")
    # The help of an app of one command is that of the command; and typer cuts what is long.
    command.short_help = _first_sentence(app.info.help or command.help or "")
    # Typer offers these to every app as if it were a program of its own.
    command.params = [param for param in command.params if param.name not in _OF_A_PROGRAM]
    return command


def _absent(point: EntryPoint, error: ImportError) -> TyperCommand:
    needs = f"needs {install_hint(extra_of(point))}"

    def complain() -> None:
        raise KbwatchError(f"{point.name} {needs} ({error})")

    return TyperCommand(
        point.name,
        callback=complain,
        short_help=needs,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
