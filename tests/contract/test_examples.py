"""The golden messages: each decodes as its topic's type, and nothing of it is lost."""

from pathlib import Path

import orjson
import pytest

import schemas
from schemas.codec import DecodeError, decode, encode
from schemas.topics import all_topics
from schemas.verdicts import Verdict

EXAMPLES = sorted((Path(schemas.__file__).parent / "examples").glob("*.json"))


def topic_of(path: Path) -> str:
    """``kbw-verdicts.halt.json`` is a message of ``kbw-verdicts``."""
    return path.name.partition(".")[0]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_decodes_as_its_topics_type_and_encodes_to_the_same_message(path: Path) -> None:
    kind = all_topics()[topic_of(path)].message_type()
    assert kind is not None
    raw = path.read_bytes()
    canonical = orjson.dumps(orjson.loads(raw), option=orjson.OPT_SORT_KEYS)
    assert encode(decode(raw, kind)) == canonical


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_older_reader_survives_new_fields_and_refuses_a_new_major(path: Path) -> None:
    kind = all_topics()[topic_of(path)].message_type()
    assert kind is not None
    message = orjson.loads(path.read_bytes())
    newer = orjson.dumps({**message, "field_of_the_future": [1, {"a": None}]})
    assert decode(newer, kind) == decode(path.read_bytes(), kind)
    with pytest.raises(DecodeError, match=r"^version: \$\.v is 2"):
        decode(orjson.dumps({**message, "v": 2}), kind)


@pytest.mark.parametrize("state", ["halt", "quiet"])
def test_a_verdict_from_before_its_arms_were_told_is_read(state: str) -> None:
    """A worker that is upgraded first must not dead-letter the others' halts."""
    path = next(path for path in EXAMPLES if path.stem == f"kbw-verdicts.{state}")
    message = orjson.loads(path.read_bytes())
    older = {name: message[name] for name in message if name not in ("log_c", "log_h")}
    del older["log_e_warn"]
    verdict = decode(orjson.dumps(older), Verdict)
    assert (verdict.log_c, verdict.log_h, verdict.log_e_warn) == (0.0, 0.0, verdict.log_e)


def test_every_topic_with_messages_has_an_example() -> None:
    with_messages = {name for name, topic in all_topics().items() if topic.schema}
    assert {topic_of(path) for path in EXAMPLES} == with_messages


def test_the_reports_show_every_record_type() -> None:
    reports = [orjson.loads(p.read_bytes()) for p in EXAMPLES if "node-reports" in p.name]
    shown = {record["type"] for report in reports for record in report["records"]}
    assert shown == {"event", "patch", "boot", "facts", "heartbeat"}
