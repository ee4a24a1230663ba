"""``kbwatch topics``: the topics of topics.toml on a Kafka cluster."""

import typer

from schemas.cli_options import AsJson, DryRun, print_json, with_settings
from schemas.settings import Settings

app = typer.Typer(
    help="Create and compare kbwatch's Kafka topics.", no_args_is_help=True, add_completion=False
)


@app.command()
@with_settings
def apply(settings: Settings, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Create missing topics and alter settings that differ from topics.toml; never deletes.

    Exits 1 if something is left that only a person can change.
    """
    from streams.topics_admin import apply_topics  # kafka-python loads only when it is used

    changes = apply_topics(settings, dry_run)
    if as_json:
        print_json(changes)
    else:
        for change in changes:
            typer.echo(str(change))
        done = sum(change.action != "manual" for change in changes)
        verb = "would change" if dry_run else "changed"
        typer.echo(f"{verb} {done}" if changes else "nothing to change")
    if any(change.action == "manual" for change in changes):
        raise typer.Exit(1)


@app.command("list")
@with_settings
def list_(settings: Settings, as_json: AsJson = False) -> None:
    """List kbwatch's topics on the cluster: partitions and what is kept."""
    from streams.topics_admin import list_topics  # kafka-python loads only when it is used

    topics = list_topics(settings)
    if as_json:
        print_json(topics)
        return
    for topic in topics:
        kept = topic.config["cleanup.policy"]
        if kept == "delete":
            kept += f" after {int(topic.config['retention.ms']) // 86_400_000} d"
        typer.echo(f"{topic.topic}  {topic.partitions} partitions  {kept}")
    if not topics:
        typer.echo("none yet: kbwatch topics apply")
