"""Which records of kbw-verdicts are acted on."""

import pytest

from schemas.codec import DecodeError, encode
from schemas.topics import key
from schemas.verdicts import Verdict
from streams.halts.agents import admit
from streams.halts.outbox import home_of
from tests.fixtures.halts import a_verdict

_VERDICT = a_verdict()
_KEY = key(_VERDICT.fleet, _VERDICT.case)
_HOME = home_of(_VERDICT.fleet, _VERDICT.case)


def test_a_verdict_under_its_key_on_its_partition_is_taken() -> None:
    assert admit(encode(_VERDICT), _KEY, _HOME) == _VERDICT


@pytest.mark.parametrize(
    ("raw", "record_key", "partition", "reason"),
    [
        (b"{", _KEY, _HOME, "malformed"),
        (b"{}", _KEY, _HOME, "invalid"),
        (encode(a_verdict(v=2)), _KEY, _HOME, "version"),
        (encode(_VERDICT), b"default|KB1@1", _HOME, "key"),
        (encode(_VERDICT), None, _HOME, "key"),
        (encode(_VERDICT), _KEY, _HOME + 1, "partition"),
        (encode(a_verdict(halt=None)), _KEY, _HOME, "invalid"),
    ],
)
def test_anything_else_is_refused_with_a_reason(
    raw: bytes, record_key: bytes | None, partition: int, reason: str
) -> None:
    with pytest.raises(DecodeError) as error:
        admit(raw, record_key, partition)
    assert error.value.reason == reason


def test_a_quiet_verdict_needs_no_crossing() -> None:
    quiet: Verdict = a_verdict(state="quiet", halt=None)
    assert admit(encode(quiet), _KEY, _HOME) == quiet
