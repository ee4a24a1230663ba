"""Pushing to a Grafana that checks what it is sent: everything arrives, once, and errors speak."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from dashboards.client import Grafana
from dashboards.push import Change, differences, push
from schemas.errors import KbwatchError
from schemas.settings import Settings, load
from tests.fixtures.fake_grafana import TOKEN, State, running

BOARDS, RULES = 7, 7
_SOURCE = ("data source", "kbwatch")


@pytest.fixture
def grafana() -> Iterator[State]:
    with running() as state:
        yield state


@pytest.fixture
def settings(grafana: State, tmp_path: Path) -> Settings:
    token, password = tmp_path / "token", tmp_path / "password"
    token.write_text(TOKEN)
    password.write_text("reader's")
    return load(
        overrides=[
            f"grafana.url={grafana.url}",
            f"grafana.token_file={token}",
            f"grafana.store_password_file={password}",
            "store.host=ch.example",
        ],
        environ={},
    )


def pushed(settings: Settings, dry_run: bool = False) -> list[Change]:
    return list(push(Grafana(settings.grafana), settings, dry_run))


def test_a_new_grafana_gets_everything(grafana: State, settings: Settings) -> None:
    changes = pushed(settings)

    assert {change.action for change in changes} == {"create"}
    assert len(changes) == 1 + 1 + BOARDS + RULES
    assert len(grafana.boards) == BOARDS
    assert len(grafana.rules) == RULES
    assert {board["folderUid"] for board in grafana.boards.values()} == {"kbwatch"}


def updated(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.what, change.name) for change in changes if change.action == "update"]


def test_a_second_push_changes_nothing_but_sends_the_password_again(
    grafana: State, settings: Settings
) -> None:
    pushed(settings)
    grafana.asked.clear()

    changes = pushed(settings)

    assert {change.action for change in changes} == {"same", "update"}
    assert updated(changes) == [_SOURCE]
    assert len(grafana.writes()) == 1


def test_without_a_password_a_second_push_changes_nothing_at_all(
    grafana: State, settings: Settings
) -> None:
    open_store = replace(settings, grafana=replace(settings.grafana, store_password_file=""))
    pushed(open_store)
    grafana.asked.clear()

    assert {change.action for change in pushed(open_store)} == {"same"}
    assert grafana.writes() == []


def test_a_password_that_was_changed_arrives(
    grafana: State, settings: Settings, tmp_path: Path
) -> None:
    pushed(settings)
    (tmp_path / "password").write_text("rotated")
    pushed(settings)

    assert grafana.secrets["kbwatch-clickhouse"]["password"] == "rotated"


def test_a_dry_run_only_looks(grafana: State, settings: Settings) -> None:
    assert {change.action for change in pushed(settings, dry_run=True)} == {"create"}
    assert grafana.writes() == []


def test_what_somebody_changed_is_set_right_and_nothing_else(
    grafana: State, settings: Settings
) -> None:
    pushed(settings)
    grafana.boards["kbwatch-halts"]["dashboard"]["title"] = "Mine"
    grafana.rules["kbwatch-leak"]["noDataState"] = "NoData"
    grafana.folders["kbwatch"]["title"] = "Sandbox"
    grafana.sources["kbwatch-clickhouse"]["jsonData"]["host"] = "elsewhere"

    changed = [change.name for change in pushed(settings) if change.action == "update"]

    assert changed == ["kbwatch", "kbwatch", "kbwatch-halts", "kbwatch-leak"]
    assert updated(pushed(settings)) == [_SOURCE]


def test_differences_are_shown_until_they_are_pushed(grafana: State, settings: Settings) -> None:
    pushed(settings)
    grafana.boards["kbwatch-halts"]["dashboard"]["title"] = "Mine"
    client = Grafana(settings.grafana)

    lines = [line for line in differences(client, settings) if line[:1] in "+-"]

    assert '-  "title": "Mine",' in lines
    assert '+  "title": "kbwatch · Halts",' in lines
    pushed(settings)
    assert list(differences(client, settings)) == []


def test_the_data_source_stays_out_while_the_store_is_embedded(
    grafana: State, settings: Settings, tmp_path: Path
) -> None:
    embedded = load(
        overrides=[f"grafana.url={grafana.url}", f"grafana.token_file={tmp_path / 'token'}"],
        environ={},
    )
    pushed(embedded)

    assert grafana.sources == {}


def test_who_saves_a_board_at_the_same_time_is_not_overwritten(
    grafana: State, settings: Settings
) -> None:
    pushed(settings)
    board = grafana.boards["kbwatch-fleet"]["dashboard"]
    board["title"] = "Mine"
    grafana.meddler = True

    with pytest.raises(KbwatchError, match=r"kbwatch-fleet: 412 .*changed.*push again"):
        pushed(settings)
    assert board["title"] == "Mine"


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (401, '{"message": "Invalid API key"}', "401 Invalid API key; the token is not accepted"),
        (403, '{"message": "needed: folders:create"}', "403 .*folders:create; .*role Admin"),
        (404, '{"message": "Page not there"}', "404 .*root of Grafana"),
        (412, '{"message": "version mismatch"}', "412 .*push again"),
        (500, '{"message": "Internal server error"}', "500 .*Grafana's log"),
        (502, "<html>Bad Gateway</html>", "502 .*Grafana's log"),
        (503, "<html>no message for you</html>", "not Grafana's"),
        (200, "<html>Please log in</html>", "not Grafana's"),
    ],
)
def test_every_refusal_says_what_to_do(
    grafana: State, settings: Settings, status: int, body: str, complaint: str
) -> None:
    grafana.fail_with = (status, body)

    with pytest.raises(KbwatchError, match=complaint) as raised:
        pushed(settings)
    assert TOKEN not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nobody_at_the_address(settings: Settings, tmp_path: Path) -> None:
    nobody = load(
        overrides=["grafana.url=http://127.0.0.1:9", f"grafana.token_file={tmp_path / 'token'}"],
        environ={},
    )
    with pytest.raises(KbwatchError, match="no answer"):
        pushed(nobody)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("grafana.url=", "grafana.url is not set"),
        ("grafana.url=grafana.example", "write it as https://"),
        ("grafana.url=http://grafana.example", "https only"),
        ("grafana.url=https://eve:hunter2@grafana.example", "leave out the user name"),
        ("grafana.url=eve:hunter2@grafana.example", "leave out the user name"),
        ("grafana.token_file=", "no token"),
    ],
)
def test_what_is_not_set_right_is_told_before_anything_is_sent(
    grafana: State, settings: Settings, tmp_path: Path, override: str, complaint: str
) -> None:
    wrong = load(
        overrides=[
            f"grafana.url={grafana.url}",
            f"grafana.token_file={tmp_path / 'token'}",
            override,
        ],
        environ={},
    )
    with pytest.raises(KbwatchError, match=complaint) as raised:
        pushed(wrong)
    assert grafana.asked == []
    assert "hunter2" not in str(raised.value)
