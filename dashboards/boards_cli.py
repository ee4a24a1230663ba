"""``kbwatch dashboards``: Grafana's boards and alert rules, from code to files and to Grafana."""

from typing import Annotated

import typer

from schemas.cli_options import AsJson, DryRun, print_json, with_settings
from schemas.settings import Settings

app = typer.Typer(
    help="Grafana's boards and alert rules.", no_args_is_help=True, add_completion=False
)


@app.command()
def build() -> None:
    """Write the generated files anew; for who changes a board."""
    from dashboards import build as builder  # the SDK loads only when it is used

    changed = builder.write()
    typer.echo("\n".join(changed) if changed else "nothing to do")


@app.command()
def check() -> None:
    """See that the generated files are those of the code and that every board is whole.

    Exits 1 with a line for each thing that is wrong.
    """
    from dashboards.check import complaints

    found = complaints()
    if found:
        typer.echo("\n".join(found), err=True)
        raise typer.Exit(1)
    typer.echo("ok")


@app.command()
@with_settings
def diff(settings: Settings) -> None:
    """Show how the boards and rules in Grafana differ from the code's. Exits 1 if they do."""
    from dashboards.client import Grafana
    from dashboards.push import differences

    different = False
    for line in differences(Grafana(settings.grafana), settings):
        different = True
        typer.echo(line)
    if different:
        raise typer.Exit(1)
    typer.echo("no difference")


@app.command()
@with_settings
def push(
    settings: Settings,
    dry_run: DryRun = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what changes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put folder, data source, boards and alert rules into Grafana; a second push changes nothing.

    The data source is left out while the store is embedded: Grafana can only ask a server.

    \b
        kbwatch dashboards push --set grafana.url=https://grafana.example/ \\
            --set grafana.token_env=GRAFANA_TOKEN --dry-run
    """
    from dashboards.client import Grafana
    from dashboards.push import push as pushed

    changes = []
    for change in pushed(Grafana(settings.grafana), settings, dry_run):
        changes.append(change)
        if not as_json and not (quiet and change.action == "same"):
            typer.echo(str(change))
    if as_json:
        print_json(changes)
        return
    done = sum(change.action != "same" for change in changes)
    verb = "would change" if dry_run else "changed"
    typer.echo(f"{verb} {done}" if done else "nothing to change")
