"""The options that commands share: what a command gets of them, and what its help says."""

import json
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from schemas.cli_options import AsJson, Set, print_json, settings_from, with_settings
from schemas.errors import KbwatchError
from schemas.settings import Settings

app = typer.Typer()


@app.command()
@with_settings
def show(
    settings: Settings,
    what: Annotated[str, typer.Argument(help="What to show.")],
    as_json: AsJson = False,
) -> None:
    """Show where Kafka is."""
    found = {"what": what, "bootstrap": settings.kafka.bootstrap}
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{what}: {settings.kafka.bootstrap}")


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(app, words, env=environment)


def test_a_command_gets_the_settings_of_its_call() -> None:
    assert run("kafka", "--set", "kafka.bootstrap=b:1").output == "kafka: b:1\n"
    assert run("kafka", KBW_KAFKA_BOOTSTRAP="c:2").output == "kafka: c:2\n"
    assert run("kafka").output == f"kafka: {Settings().kafka.bootstrap}\n"


def test_settings_from_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("settings") / "kbwatch.toml"
    file.write_text('[kafka]\nbootstrap = "d:3"\n')
    assert run("kafka", "--config", str(file)).output == "kafka: d:3\n"


def test_with_print_config_the_command_itself_does_nothing() -> None:
    shown = run("kafka", "--print-config", "--set", "kafka.bootstrap=b:1")
    assert shown.exit_code == 0
    assert 'bootstrap = "b:1"' in shown.output
    assert "kafka: " not in shown.output


def test_a_wrong_setting_is_an_error_and_the_command_is_not_called() -> None:
    failed = run("kafka", "--set", "kafka.bootstrp=b:1")
    assert isinstance(failed.exception, KbwatchError)
    assert failed.output == ""


def test_help_has_the_commands_own_options_and_the_three_but_no_settings() -> None:
    shown = run("--help", COLUMNS="200").output
    for option in ("--config", "--set", "--print-config", "--json", "Show where Kafka is."):
        assert option in shown
    assert "--settings" not in shown


def test_json_is_one_document_with_its_line_feed() -> None:
    shown = run("kafka", "--json", "--set", "kafka.bootstrap=b:1").output
    assert json.loads(shown) == {"what": "kafka", "bootstrap": "b:1"}
    assert shown.endswith("}\n")


def test_a_command_may_have_a_shorter_word_for_a_setting() -> None:
    def load(broker: str = "", overrides: Set = None) -> Settings:
        return settings_from(overrides=[*(overrides or ()), f"kafka.bootstrap={broker}"])

    def tell(settings: Settings, times: int = 1) -> None:
        typer.echo(settings.kafka.bootstrap * times)

    short = typer.Typer()
    short.command()(with_settings(tell, load))
    words = ["--times", "2", "--broker", "b:1", "--set", "kafka.bootstrap=c:2"]
    assert CliRunner().invoke(short, words).output == "b:1b:1\n"
    assert CliRunner().invoke(short, ["--print-config", "--broker", "b:1"]).exit_code == 2
