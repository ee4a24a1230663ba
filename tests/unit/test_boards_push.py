"""What a push compares, and the data source that it makes of the settings."""

from pathlib import Path

import pytest

from dashboards.boards.source import UID
from dashboards.push import data_source, holds, wanted_boards
from schemas.errors import KbwatchError
from schemas.secret import read_secret
from schemas.settings import load


def test_what_grafana_adds_is_no_difference() -> None:
    wanted = {"title": "a", "panels": [{"id": 1, "steps": [{"value": None}]}]}
    there = {"title": "a", "id": 7, "panels": [{"id": 1, "steps": [{}], "x": 0}]}

    assert holds(there, wanted)


@pytest.mark.parametrize(
    "there",
    [{"title": "b", "panels": [1, 2]}, {"title": "a", "panels": [1]}, {"title": "a"}, None],
)
def test_what_differs_or_is_missing_is_one(there: object) -> None:
    assert not holds(there, {"title": "a", "panels": [1, 2]})


def test_an_embedded_store_has_no_data_source() -> None:
    assert data_source(load(environ={})) is None


def test_the_data_source_asks_the_stores_server_as_a_reader(tmp_path: Path) -> None:
    secret = tmp_path / "reader"
    secret.write_text("s3cret\n")
    settings = load(
        overrides=[
            "store.host=ch.example",
            "store.database=kbwatch",
            f"grafana.store_password_file={secret}",
        ],
        environ={},
    )

    source = data_source(settings)

    assert source is not None
    assert source["uid"] == UID
    assert source["jsonData"] == {
        "host": "ch.example",
        "port": 9440,
        "protocol": "native",
        "secure": True,
        "tlsAuthWithCACert": False,
        "username": "grafana",
        "defaultDatabase": "kbwatch",
    }
    assert source["secureJsonData"] == {"password": "s3cret"}


def test_the_data_source_trusts_who_the_store_trusts(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----\n")
    server = ["store.host=ch.example"]
    settings = load(overrides=[*server, f"store.ca_file={authority}"], environ={})

    source = data_source(settings)

    assert source is not None
    assert source["jsonData"]["tlsAuthWithCACert"] is True
    assert source["secureJsonData"] == {"tlsCACert": "-----BEGIN CERTIFICATE-----\n"}
    with pytest.raises(KbwatchError, match=r"store\.ca_file absent: No such file"):
        data_source(load(overrides=[*server, "store.ca_file=absent"], environ={}))


def test_every_board_gets_the_address_of_the_noc_page() -> None:
    settings = load(overrides=["grafana.noc_url=https://noc.example/"], environ={})

    for board in wanted_boards(settings):
        (noc,) = (one for one in board["templating"]["list"] if one["name"] == "noc")
        assert noc["query"] == "https://noc.example"


def test_a_secret_is_read_from_its_file_or_its_variable(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n# made in November\n")

    assert read_secret("grafana.token", str(file), "") == "abc"
    assert read_secret("grafana.token", "", "TOKEN", {"TOKEN": "def"}) == "def"
    assert read_secret("grafana.token", "", "") == ""


@pytest.mark.parametrize(
    ("file", "variable", "complaint"),
    [
        ("gone", "", "grafana.token_file gone: No such file"),
        ("", "GONE", "grafana.token_env: there is no environment variable GONE"),
        ("a", "B", "set one of them"),
    ],
)
def test_a_secret_that_is_not_there_is_told_by_its_setting(
    file: str, variable: str, complaint: str
) -> None:
    with pytest.raises(KbwatchError, match=complaint):
        read_secret("grafana.token", file, variable, {})
