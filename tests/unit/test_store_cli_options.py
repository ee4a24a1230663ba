"""kbwatch store takes its settings as every command does, and --cluster as a word for one."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from schemas.errors import KbwatchError
from streams.store_cli import app

_COMMANDS = [one.callback for one in app.registered_commands if one.callback]
_ASKS_FOR_SETTINGS = [one for one in _COMMANDS if "overrides" in inspect.signature(one).parameters]


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words, env={"COLUMNS": "200"})


@pytest.mark.parametrize("command", _ASKS_FOR_SETTINGS, ids=lambda one: one.__name__)
def test_a_command_is_given_its_settings(command: Callable[..., Any]) -> None:
    own = inspect.signature(inspect.unwrap(command)).parameters

    assert next(iter(own)) == "settings"
    assert own.keys().isdisjoint({"config", "overrides", "print_config"})


def test_the_commands_that_need_settings_are_four() -> None:
    assert len(_ASKS_FOR_SETTINGS) == 4


@pytest.mark.parametrize("command", ["migrate", "status", "verify"])
def test_cluster_is_a_word_for_its_setting(command: str) -> None:
    short = run(command, "--cluster", "kbw", "--print-config")

    assert 'cluster = "kbw"' in short.output
    assert short.output == run(command, "--set", "store.cluster=kbw", "--print-config").output


def test_cluster_wins_over_the_setting_and_other_settings_stay() -> None:
    words = ["--set", "store.cluster=other", "--set", "store.host=h", "--cluster", "kbw"]
    shown = run("migrate", *words, "--print-config").output

    assert 'cluster = "kbw"' in shown
    assert 'host = "h"' in shown


def test_a_cluster_that_can_be_no_name_is_refused_before_anything_runs() -> None:
    failed = run("migrate", "--print", "--cluster", "kbw' SYNC --")

    assert isinstance(failed.exception, KbwatchError)
    assert "store.cluster" in str(failed.exception)
    assert failed.output == ""
