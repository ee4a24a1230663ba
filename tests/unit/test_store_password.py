"""The password of store.user: read as every secret is, and named by its setting where it is not."""

from pathlib import Path

import pytest
from msgspec import convert

from schemas.clickhouse.server_store import ServerStore
from schemas.errors import KbwatchError
from schemas.settings import StoreSettings


def refused(**given: str) -> str:
    with pytest.raises(KbwatchError) as error:
        ServerStore(convert({"host": "clickhouse.example", **given}, StoreSettings))
    return str(error.value)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    gone = str(tmp_path / "gone")
    assert refused(password_file=gone) == f"store.password_file {gone}: No such file or directory"
    assert "/binary: not text" in refused(password_file=str(tmp_path / "binary"))


@pytest.mark.parametrize("text", ["", "\nsecret\n", "  \n"])
def test_a_file_without_a_password_in_its_first_line_is_no_empty_password(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "password"
    file.write_text(text)
    assert (
        refused(password_file=str(file)) == f"store.password_file {file}: its first line is empty"
    )


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_or_empty_is_no_empty_password(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("STORE_PASSWORD", raising=False)
    if value is not None:
        monkeypatch.setenv("STORE_PASSWORD", value)
    said = refused(password_env="STORE_PASSWORD")
    assert said == "store.password_env: there is no environment variable STORE_PASSWORD"


def test_one_place_for_the_password_is_enough() -> None:
    said = refused(password_file="a", password_env="B")
    assert said == "store.password_file and store.password_env: set one of them"
