"""The commands of ``kbwatch-collector``."""

from typing import Annotated

import typer

from collectors import version
from collectors.command import install_commands, replay_command, run_commands

_EXAMPLES = "\n\n".join(
    f"\b\n{paragraph}"  # the backspace keeps typer from filling the lines
    for paragraph in (
        "Examples:\n"
        "  kbwatch-collector check --config collector.toml    what would be read and shipped?\n"
        "  kbwatch-collector once --config collector.toml     read, ship, and end\n"
        "  kbwatch-collector run --config collector.toml      until Ctrl-C\n"
        "  kbwatch-collector status --config collector.toml   how is the one that runs?\n"
        "  kbwatch-collector install --config C:\\ProgramData\\kbwatch\\collector.toml",
        "Recorded logs, on any system:\n"
        "  kbwatch-collector replay-evtx System.evtx --out - | head -n 1\n"
        "  kbwatch-collector replay-evtx System.evtx --bootstrap broker:9092\n"
        "  kbwatch-collector replay-evtx System.evtx --config collector.toml --send",
        "Settings: --config FILE (or KBW_COLLECTOR_CONFIG), over it KBW_COLLECTOR_* variables,\n"
        "over both --set. --print-config shows what holds. docs/collector.md explains them.",
    )
)

app = typer.Typer(
    name="kbwatch-collector",
    help="Ship what Windows nodes log to kbwatch.",
    epilog=_EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: the rich one takes half a second to load
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kbwatch-collector {version()}")
        raise typer.Exit


@app.callback()
def _collector(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    return


app.command("run")(run_commands.run)
app.command("check")(run_commands.check_command)
app.command("once")(run_commands.once)
app.command("status")(run_commands.status_command)
app.command("install")(install_commands.install_command)
app.command("uninstall")(install_commands.uninstall_command)
app.command("replay-evtx")(replay_command.replay_evtx)
