"""``kbwatch dashboards`` as a person calls it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.fixtures.fake_grafana import TOKEN, State, running


@pytest.fixture
def grafana() -> Iterator[State]:
    with running() as state:
        yield state


def dashboards(*words: str, grafana: State | None = None) -> subprocess.CompletedProcess[str]:
    to = [] if grafana is None else ["--set", f"grafana.url={grafana.url}"]
    token = [] if grafana is None else ["--set", "grafana.token_env=TOKEN_OF_TEST"]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("KBW_")}
    return subprocess.run(
        [sys.executable, "-m", "schemas", "dashboards", *words, *to, *token],
        capture_output=True,
        text=True,
        check=False,
        env=environ | {"TOKEN_OF_TEST": TOKEN},
        timeout=60,
    )


def test_what_is_committed_is_clean() -> None:
    done = dashboards("check")

    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_push_says_what_it_does_and_then_that_there_is_nothing_to_do(grafana: State) -> None:
    first = dashboards("push", grafana=grafana)
    assert first.returncode == 0, first.stderr
    assert "create  board kbwatch-fleet" in first.stdout
    assert first.stdout.endswith("changed 15\n")

    second = dashboards("push", "--quiet", grafana=grafana)
    assert second.stdout == "nothing to change\n"


def test_a_dry_run_for_a_program(grafana: State) -> None:
    done = dashboards("push", "--dry-run", "--json", grafana=grafana)

    changes = json.loads(done.stdout)
    assert {"action": "create", "what": "folder", "name": "kbwatch"} in changes
    assert grafana.writes() == []


def test_diff_exits_1_while_there_is_one(grafana: State) -> None:
    assert dashboards("diff", grafana=grafana).returncode == 1
    dashboards("push", grafana=grafana)
    done = dashboards("diff", grafana=grafana)
    assert (done.returncode, done.stdout) == (0, "no difference\n")


def test_a_wrong_token_is_one_line_and_exit_2(grafana: State) -> None:
    grafana.fail_with = (401, '{"message": "Invalid API key"}')
    done = dashboards("push", grafana=grafana)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "token" in done.stderr
    assert TOKEN not in done.stderr + done.stdout


def test_without_an_address_it_says_so() -> None:
    done = dashboards("push")

    assert done.returncode == 2
    assert done.stderr == "kbwatch: grafana.url is not set: where is Grafana?\n"
