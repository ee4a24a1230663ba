"""Bytes ↔ contracts: encode with orjson, typed decode with msgspec.

Encoding is canonical (sorted keys), so equal values are equal bytes. Decoding checks size, types
and major version before anybody sees a value; unknown fields are ignored, so that an older reader
survives a newer writer.
"""

from functools import cache
from typing import Any, TypeVar

import msgspec
import orjson

MAX_MESSAGE_BYTES = 512 * 1024
MAJOR_VERSION = 1

_OPTIONS = orjson.OPT_SORT_KEYS

T = TypeVar("T", bound=msgspec.Struct)


class DecodeError(ValueError):
    """A message that is not what its topic promises.

    ``reason`` is one of ``oversized, malformed, version, invalid``; ``detail`` says where, as a
    JSON path such as ``$.records[3].t_ms`` or a byte position.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def encode(message: msgspec.Struct) -> bytes:
    """Encode a contract as canonical JSON.

    Raises DecodeError ``oversized`` when the result would be refused by every reader.
    """
    raw = orjson.dumps(msgspec.to_builtins(message, str_keys=True), option=_OPTIONS)
    if len(raw) > MAX_MESSAGE_BYTES:
        raise DecodeError("oversized", f"{len(raw)} bytes, at most {MAX_MESSAGE_BYTES}")
    return raw


def decode(raw: bytes, kind: type[T]) -> T:
    """Decode ``raw`` as ``kind``, or raise DecodeError."""
    if len(raw) > MAX_MESSAGE_BYTES:
        raise DecodeError("oversized", f"{len(raw)} bytes, at most {MAX_MESSAGE_BYTES}")
    try:
        message: T = _decoder(kind).decode(raw)
    except msgspec.ValidationError as error:
        # A newer major may look invalid; the operator needs to hear "upgrade", not "bad type".
        major = _major(raw)
        if major is not None and major > MAJOR_VERSION:
            raise _newer(major) from None
        raise DecodeError("invalid", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("malformed", str(error)) from None
    major = getattr(message, "v", MAJOR_VERSION)
    if major > MAJOR_VERSION:
        raise _newer(major)
    if major < 1:
        raise DecodeError("version", f"$.v is {major}, versions start at 1")
    return message


class _Head(msgspec.Struct):
    v: int


@cache
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _major(raw: bytes) -> int | None:
    try:
        head: _Head = _decoder(_Head).decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return head.v


def _newer(major: int) -> DecodeError:
    return DecodeError("version", f"$.v is {major}, this reader knows up to {MAJOR_VERSION}")
