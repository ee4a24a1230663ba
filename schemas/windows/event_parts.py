"""What every reader of foreign events needs to build an Event: texts, names, limits."""

from collections.abc import Mapping

import msgspec

from schemas.codec import MAX_MESSAGE_BYTES, DecodeError, encode
from schemas.reports import Event

MAX_EVENT_BYTES = MAX_MESSAGE_BYTES - 8 * 1024
"""Encoded, so that a report of one event with its header still fits into a message."""

_ESCAPED_BYTES = 6  # one character takes at most that in JSON: \u0001


def plain(text: str) -> str:
    """A value as XML would have it: lines end in LF, and indentation alone is nothing.

    Some readers see the log's CR LF, XML readers never do: the same event must be equal.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "" if text.isspace() and "\n" in text else text


class Values:
    """Event data while they are collected: names stay unique, data without names get numbers."""

    def __init__(self) -> None:
        """Start without data."""
        self._data: dict[str, str] = {}
        self._unnamed = 0
        self._repeats: dict[str, int] = {}

    def put(self, name: str, text: str) -> None:
        """Add ``name``; one that is there already becomes ``name_1``, ``name_2`` …"""
        if name in self._data:
            number = self._repeats.get(name, 0) + 1
            while f"{name}_{number}" in self._data:
                number += 1
            self._repeats[name] = number
            name = f"{name}_{number}"
        self._data[name] = text

    def add(self, text: str) -> None:
        """Add data without a name: ``param1``, ``param2`` …"""
        self._unnamed += 1
        self.put(f"param{self._unnamed}", text)

    def data(self) -> dict[str, str]:
        """What was collected; a lone unnamed value that is empty is none."""
        return {} if self._data == {"param1": ""} and self._unnamed == 1 else self._data


def checked(fields: Mapping[str, object], path: str) -> Event:
    """``fields`` as an Event that every reader of reports will take.

    Raises DecodeError ``invalid`` with ``path`` and the field that breaks the contract (a name of
    more than 256 characters, a number out of range), ``oversized`` above ``MAX_EVENT_BYTES``.
    """
    try:
        event = msgspec.convert(fields, Event)
    except msgspec.ValidationError as error:
        raise DecodeError("invalid", f"{path}: {error}") from None
    length = len(event.binary)
    for name, text in event.data.items():
        length += len(name) + len(text)
    if length * _ESCAPED_BYTES + 64 * len(event.data) + 8192 > MAX_EVENT_BYTES:
        _check_size(event, path)
    return event


def _check_size(event: Event, path: str) -> None:
    try:
        size_bytes = len(encode(event))
    except DecodeError as error:
        raise DecodeError(error.reason, f"{path}: {error.detail}") from None
    if size_bytes > MAX_EVENT_BYTES:
        raise DecodeError("oversized", f"{path}: {size_bytes} bytes, at most {MAX_EVENT_BYTES}")
