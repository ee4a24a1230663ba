"""Bytes and contracts: nobody sees a value that is not what its topic promises."""

import orjson
import pytest
from msgspec import Struct

from schemas.codec import MAX_MESSAGE_BYTES, DecodeError, decode, encode
from schemas.evidence import DomainEvidence
from schemas.health import Health
from schemas.reports import NodeReport

HEADER = {"v": 1, "fleet": "f", "node": "n", "domain": "d", "site": "s", "sent_ms": 1}
EVENT = {"type": "event", "t_ms": 1, "channel": "System", "provider": "disk", "id": 7}


def raw(*records: object, **header: object) -> bytes:
    return orjson.dumps({**HEADER, "records": records, **header})


def refused(message: bytes, kind: type[Struct] = NodeReport) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode(message, kind)
    return caught.value


def test_decodes_and_encodes() -> None:
    report = decode(raw(EVENT), NodeReport)
    assert report.records[0].t_ms == 1
    assert decode(encode(report), NodeReport) == report


def test_encoding_is_canonical() -> None:
    shuffled = orjson.dumps(dict(reversed(orjson.loads(raw(EVENT)).items())))
    assert encode(decode(shuffled, NodeReport)) == encode(decode(raw(EVENT), NodeReport))


def test_whole_numbers_are_keys_in_their_own_order_of_text() -> None:
    def evidence(weeks: dict[int, int]) -> DomainEvidence:
        return DomainEvidence(1, "f", "b", "d", 0, 0, baseline={"a": weeks})

    message = encode(evidence({9: 1, 10: 2}))
    assert message == encode(evidence({10: 2, 9: 1}))
    assert decode(message, DomainEvidence).baseline == {"a": {9: 1, 10: 2}}


def test_unknown_fields_are_ignored() -> None:
    newer = raw({**EVENT, "mood": "fine"}, weather={"deep": [1, 2]})
    assert decode(newer, NodeReport) == decode(raw(EVENT), NodeReport)


class TestSize:
    def test_the_largest_message_that_is_read(self) -> None:
        padding = MAX_MESSAGE_BYTES - len(raw(collector=""))
        assert len(decode(raw(collector="x" * padding), NodeReport).collector) == padding
        too_large = refused(raw(collector="x" * (padding + 1)))
        assert (too_large.reason, str(MAX_MESSAGE_BYTES) in too_large.detail) == ("oversized", True)

    def test_nothing_is_written_that_no_reader_takes(self) -> None:
        health = Health(1, "sink", "dead_letters", "info", "x" * MAX_MESSAGE_BYTES, 0)
        with pytest.raises(DecodeError, match=f"^oversized: .*at most {MAX_MESSAGE_BYTES}"):
            encode(health)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"v":1,}',
        raw()[:-1],
        raw() + b"{}",
        raw(site="\xff").decode().encode("latin-1"),
    ],
    ids=["empty", "cut", "no text", "comma", "cut at the end", "two messages", "latin-1"],
)
def test_malformed(message: bytes) -> None:
    assert refused(message).reason == "malformed"


class TestVersion:
    def test_a_newer_major_is_told_even_when_its_shape_is_unknown(self) -> None:
        for message in (raw(v=2), b'{"v":2}', raw({"type": "quantum"}, v=2), raw(v=3, sent_ms="x")):
            error = refused(message)
            assert error.reason == "version"
            assert "this reader knows up to 1" in error.detail

    def test_versions_start_at_one(self) -> None:
        assert refused(raw(v=0)).reason == "version"

    @pytest.mark.parametrize("version", ["1", 1.5, None, [1]])
    def test_what_is_no_version_is_invalid(self, version: object) -> None:
        assert refused(raw(v=version)).reason == "invalid"


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (raw(EVENT, {**EVENT, "t_ms": "now"}), "$.records[1].t_ms"),
        (raw({**EVENT, "data": {"param1": 5}}), "$.records[0].data[...]"),
        (raw({**EVENT, "type": "quantum"}), "$.records[0].type"),
        (raw({**EVENT, "t_ms": -1}), "$.records[0].t_ms"),
        (raw({"type": "boot", "t_ms": 1, "build": "17763"}), "$.records[0].build"),
        (raw({"type": "patch", "t_ms": 1, "kb": "5062557", "state": "staged"}), "$.records[0].kb"),
        (raw(node="a|b"), "$.node"),
        (raw(domain=""), "$.domain"),
        (raw(site="s" * 257), "$.site"),
    ],
)
def test_invalid_says_where(message: bytes, path: str) -> None:
    error = refused(message)
    assert (error.reason, path in error.detail) == ("invalid", True)


def test_a_missing_field_is_named() -> None:
    assert "`fleet`" in refused(b'{"v":1}').detail


@pytest.mark.parametrize(
    "message",
    [
        raw(node="n\n"),
        raw(domain="d\n"),
        raw({"type": "boot", "t_ms": 1, "build": "17763.7558\n"}),
        raw({"type": "patch", "t_ms": 1, "kb": "KB5062557\n", "state": "staged", "source": "s"}),
        raw({"type": "facts", "t_ms": 1, "branch": "17763\n"}),
    ],
)
def test_a_line_feed_at_the_end_of_a_name_is_seen(message: bytes) -> None:
    """Python's ``$`` would let it through."""
    assert refused(message).reason == "invalid"


def test_a_branch_can_not_smuggle_parts_into_a_key() -> None:
    message = raw({"type": "facts", "t_ms": 1, "branch": "17763|other"})
    assert "$.records[0].branch" in refused(message).detail


def test_numbers_that_no_writer_could_pass_on_are_refused() -> None:
    """JSON knows no bounds; orjson and ClickHouse end at 64 bits."""
    message = raw({**EVENT, "record_id": 0}).replace(b'"record_id":0', b'"record_id":%d' % 10**30)
    assert refused(message).reason == "invalid"
    largest = decode(raw({**EVENT, "record_id": 2**63 - 1}), NodeReport)
    assert decode(encode(largest), NodeReport) == largest


def test_nesting_that_would_exhaust_the_stack_is_a_bad_message_and_no_crash() -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    assert refused(b'{"x":' + deep + b"}").reason in ("malformed", "invalid")
    assert refused(b'{"fleet":5,"x":' + deep + b',"v":1}').reason == "invalid"
