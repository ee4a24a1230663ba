"""Whatever comes in, a reader of foreign events gives sound events or DecodeError."""

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import DecodeError
from schemas.formats import FORMATS
from tests.fuzz.readers import READERS, check, read

FIXTURES = Path(__file__).parents[1] / "fixtures"
SEEDS = sorted(path for path in (FIXTURES / "fuzz").iterdir() if path.suffix != ".md")
XML = [path.read_bytes() for path in sorted((FIXTURES / "shippers").glob("*.xml"))]
XML_READERS = range(len(FORMATS), len(READERS))
SHAPES = [
    ("winlogbeat", "02_winlogbeat8_ecs.json"),
    ("otlp-json", "03a_otlp_json_map.json"),
    ("otlp-json", "03b_otlp_json_array.json"),
    ("fluentbit", "04a_fluentbit_winevtlog.json"),
    ("nxlog", "05_nxlog_to_json.json"),
    ("vector", "06_vector_windows_event_log.json"),
    ("evtx-dump", "07_evtx_dump_json.json"),
]
SAMPLES = [
    (name, orjson.loads((FIXTURES / "shippers" / file).read_bytes())) for name, file in SHAPES
]

TRICKS = [
    *["", " ", "0", "-1", "9" * 30, "1e9", "٣", "7031", "x" * 300, "\r\n", "\0", "\u202e", "Error"],
    *["2025-07-15T03:12:44.1287341Z", "9999-12-31T23:59:59+00:01", "0001-01-01T00:00:00+23:59"],
    *[XML[0].decode(), XML[0].decode()[:300], "<!DOCTYPE a><Event/>", "<Event/>"],
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(TRICKS)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def accept(name: str, value: bytes) -> None:
    try:
        items = tuple(FORMATS[name](value))
    except DecodeError:
        return
    check(items)


def places(value: object) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    if isinstance(value, dict):
        keys: Any = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    else:
        return []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@given(number=st.integers(0, len(READERS) - 1), raw=st.binary(max_size=400))
@ANY
def test_arbitrary_bytes(number: int, raw: bytes) -> None:
    read(bytes([number]) + raw)


@given(value=JSON)
@ANY
def test_arbitrary_json(value: object) -> None:
    for name in FORMATS:
        accept(name, orjson.dumps(value))


@pytest.mark.parametrize("number", range(len(SAMPLES)))
@given(data=st.data())
@ANY
def test_samples_with_other_values_in_them(number: int, data: st.DataObject) -> None:
    name, sample = SAMPLES[number]
    shape = copy.deepcopy(sample)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(shape)))
        match data.draw(st.sampled_from(["replace", "remove", "rename"])):
            case "replace":
                container[key] = data.draw(JSON)
            case "rename" if isinstance(container, dict):
                container[data.draw(TEXTS)] = container.pop(key)
            case _:
                del container[key]
        if not places(shape):
            break
    accept(name, orjson.dumps(shape))


@given(data=st.data())
@ANY
def test_xml_cut_and_mended(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(XML)))
    pieces = st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [b"<", b">", b"&", b"</Event>", b"<a>", b"<a/>", b"&#1;", b"&lt;", b"\xff"]
        ),
        st.sampled_from([b"<!DOCTYPE e>", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"xmlns:", b"\0"]),
        TEXTS.map(str.encode),
    )
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        end = min(len(raw), start + data.draw(st.integers(0, 30)))
        raw[start:end] = data.draw(pieces)
    for number in XML_READERS:
        read(bytes([number]) + bytes(raw))


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_what_fuzzing_once_found(path: Path) -> None:
    read(path.read_bytes())
