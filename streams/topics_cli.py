"""``kbwatch topics``: the topics of topics.toml on a Kafka cluster."""

from typing import Annotated

import msgspec
import typer

from schemas.cli_options import AsJson, Config, PrintConfig, Set, settings_from

app = typer.Typer(
    help="Create and compare kbwatch's Kafka topics.", no_args_is_help=True, add_completion=False
)


@app.command()
def apply(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the difference, change nothing.")
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
    overrides: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Create missing topics and alter settings that differ from topics.toml; never deletes.

    Exits 1 if something is left that only a person can change.
    """
    settings = settings_from(config, overrides, print_config)
    from streams.topics_admin import apply_topics  # kafka-python loads only when it is used

    changes = apply_topics(settings, dry_run)
    if as_json:
        typer.echo(msgspec.json.encode(changes).decode())
    else:
        for change in changes:
            typer.echo(str(change))
        done = sum(change.action != "manual" for change in changes)
        verb = "would change" if dry_run else "changed"
        typer.echo(f"{verb} {done}" if changes else "nothing to change")
    if any(change.action == "manual" for change in changes):
        raise typer.Exit(1)


@app.command("list")
def list_(
    as_json: AsJson = False,
    config: Config = None,
    overrides: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """List kbwatch's topics on the cluster: partitions and what is kept."""
    settings = settings_from(config, overrides, print_config)
    from streams.topics_admin import list_topics  # kafka-python loads only when it is used

    topics = list_topics(settings)
    if as_json:
        typer.echo(msgspec.json.encode(topics).decode())
        return
    for topic in topics:
        kept = topic.config["cleanup.policy"]
        if kept == "delete":
            kept += f" after {int(topic.config['retention.ms']) // 86_400_000} d"
        typer.echo(f"{topic.topic}  {topic.partitions} partitions  {kept}")
    if not topics:
        typer.echo("none yet: kbwatch topics apply")
