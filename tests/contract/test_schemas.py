"""The published JSON Schemas are those of the code."""

from pathlib import Path

import orjson
import pytest

from schemas import json_schema
from schemas.topics import all_topics


def test_the_files_are_up_to_date() -> None:
    assert json_schema.drift() == [], "run: python -m schemas.json_schema write"


def test_each_topic_with_messages_has_one() -> None:
    with_messages = {name for name, topic in all_topics().items() if topic.schema}
    assert set(json_schema.generate()) == {f"{name}.schema.json" for name in with_messages}


def test_records_are_told_apart_by_type_and_limits_are_in_it() -> None:
    schema = orjson.loads(json_schema.generate()["kbw-node-reports.schema.json"])
    report = schema["$defs"]["NodeReport"]["properties"]
    assert report["records"]["items"]["discriminator"]["propertyName"] == "type"
    assert report["records"]["maxItems"] == 10_000
    assert report["node"]["maxLength"] == 256


def test_a_stale_a_missing_and_a_left_over_file_are_named(tmp_path: Path) -> None:
    json_schema.write(tmp_path)
    assert json_schema.drift(tmp_path) == []
    (tmp_path / "kbw-halts.schema.json").write_text("{}")
    (tmp_path / "kbw-health.schema.json").unlink()
    (tmp_path / "kbw-gone.schema.json").write_text("{}")
    names = ["kbw-gone.schema.json", "kbw-halts.schema.json", "kbw-health.schema.json"]
    assert json_schema.drift(tmp_path) == names
    json_schema.write(tmp_path)
    assert json_schema.drift(tmp_path) == []


def test_check_is_silent_when_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert json_schema.main(["check"]) == 0
    assert capsys.readouterr().out == ""
    assert json_schema.main(["chek"]) == 2
    assert "write|check" in capsys.readouterr().err
