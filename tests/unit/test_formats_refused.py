"""What no reader of foreign events takes, and that the error names the place."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.codec import DecodeError
from schemas.formats import FORMATS
from schemas.formats.items import MAX_VALUE_BYTES

SHIPPERS = Path(__file__).parents[1] / "fixtures" / "shippers"
VECTOR: dict[str, Any] = orjson.loads((SHIPPERS / "06_vector_windows_event_log.json").read_bytes())


def read(name: str, value: bytes) -> None:
    """Raise the first refusal, of the value or of one of its items."""
    for item in FORMATS[name](value):
        if isinstance(item.event, DecodeError):
            raise item.event


def read_vector(**fields: object) -> None:
    read("vector", orjson.dumps({**VECTOR, **fields}))


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "malformed"),
        (b"\xff", "malformed"),
        (b"{", "malformed"),
        (b"NaN", "malformed"),
        (b"1", r"invalid: \$: not an object"),
        (b"[[]]", r"invalid: \$\[0\]: not an object"),
        (b"{}", "invalid"),
        (b"[" * 2000, "malformed"),
        (b" " * (MAX_VALUE_BYTES + 1), "oversized"),
    ],
)
def test_what_is_no_event(name: str, value: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=f"^{reason}"):
        read(name, value)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"channel": "c" * 257}, r"\$\.channel"),
        ({"provider_name": "p" * 257}, r"\$\.provider"),
        ({"computer": "n" * 257}, r"\$\.computer"),
        ({"record_id": 2**63}, r"\$\.record_id"),
        ({"record_id": True}, r"\$\.record_id: not a number"),
        ({"event_id": "1_0"}, r"\$\.event_id: not a number"),
        ({"event_id": 1.5}, r"\$\.event_id: not a number"),
        ({"timestamp": "2101-01-01T00:00:00Z"}, r"\$\.timestamp"),
        ({"event_data": []}, r"\$\.event_data: not an object"),
        ({"event_data": {}, "string_inserts": "x"}, r"\$\.string_inserts: not an array"),
    ],
)
def test_a_field_out_of_bounds_is_named(fields: dict[str, object], where: str) -> None:
    with pytest.raises(DecodeError, match=f"^invalid: .*{where}"):
        read_vector(**fields)


@pytest.mark.parametrize("characters", [258_500, 300_000])
def test_an_event_that_no_report_could_hold(characters: int) -> None:
    with pytest.raises(DecodeError, match=r"^oversized: \$: "):
        read_vector(event_data={"a": '"' * characters})


@pytest.mark.parametrize("levels", [40, 400, 1_000])
def test_elements_of_an_evtx_record_may_nest_without_end(levels: int) -> None:
    record: dict[str, Any] = orjson.loads((SHIPPERS / "07_evtx_dump_json.json").read_bytes())
    record["Event"]["EventData"] = None
    record["Event"]["UserData"] = "DEEP"
    deep = b'{"a":' * levels + b"1" + b"}" * levels
    (item,) = FORMATS["evtx-dump"](orjson.dumps(record).replace(b'"DEEP"', deep))
    if isinstance(item.event, DecodeError):
        assert levels > 254  # more than JSON is written with
        assert item.event.reason == "invalid"
    else:
        assert item.event.data == {"a": '{"a":' * (levels - 34) + "1" + "}" * (levels - 34)}


def test_a_value_as_deep_as_json_allows() -> None:
    deep = b"[" * 500 + b"]" * 500
    value = orjson.dumps({**VECTOR, "event_data": {"a": "DEEP"}}).replace(b'"DEEP"', deep)
    with pytest.raises(DecodeError, match=r"^invalid: \$\.event_data\.a: "):
        read("vector", value)
