"""A rendered Windows event (XML) → ``reports.Event``: pure, fast, and safe on hostile input.

The schema is Microsoft's http://schemas.microsoft.com/win/2004/08/events/event; prefixes and
namespaces don't matter here, only local names. Expat calls back per element: as fast as building a
tree (30 µs for an event of 1.3 kB), without the tree, and documents with a DOCTYPE, hence with
entities, stop at once.
"""

import re
from xml.parsers import expat

from schemas.codec import DecodeError
from schemas.reports import Event
from schemas.windows.event_parts import Values, checked, plain
from schemas.windows.system_time import time_ms

MAX_XML_BYTES = 512 * 1024
MAX_DEPTH = 32
MAX_ELEMENTS = 10_000

_SYSTEM = "$.Event.System"
_ROOT_DEPTH, _SECTION_DEPTH, _USER_DEPTH = 1, 2, 3
# Windows renders control characters of the data as they are, which XML forbids.
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_REPLACEMENT = "\ufffd".encode()


def event_of(xml: str | bytes) -> Event:
    """One rendered event as an Event.

    ``xml`` is text, or bytes in UTF-8 or in UTF-16 with a byte order mark. Data without names
    become ``param1``, ``param2`` …; repeated names ``name_1`` …; UserData lose the name of their
    one element, nested elements give their innermost; RenderingInfo is left out, but for a provider
    that System does not name; lines end in LF; what XML forbids becomes U+FFFD; times are rounded
    down to milliseconds.

    Raises DecodeError ``malformed`` (no XML, a DOCTYPE, deeper than 32, more than 10,000
    elements), ``oversized`` (over 512 KiB), or ``invalid`` with the path of what is wrong.
    """
    raw = _utf8(xml)
    if len(raw) > MAX_XML_BYTES:
        raise DecodeError("oversized", f"$: {len(raw)} bytes of XML, at most {MAX_XML_BYTES}")
    try:
        reader = _read(raw)
    except expat.ExpatError as error:
        if not _FORBIDDEN.search(raw):
            raise _malformed(error) from None
        try:
            reader = _read(_FORBIDDEN.sub(_REPLACEMENT, raw))
        except expat.ExpatError as second:
            raise _malformed(second) from None
    return reader.event()


def _utf8(xml: str | bytes) -> bytes:
    if isinstance(xml, bytes):
        if not xml.startswith((b"\xff\xfe", b"\xfe\xff")):
            return xml
        try:
            xml = xml.decode("utf-16")
        except UnicodeDecodeError as error:
            raise DecodeError("malformed", f"$: {error}") from None
    return xml.encode("utf-8", "replace")


def _malformed(error: expat.ExpatError) -> DecodeError:
    return DecodeError("malformed", f"$: {error}")


def _read(raw: bytes) -> "_Reader":
    reader = _Reader()
    # With an encoding given, what the document declares is not looked at.
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.Parse(raw, True)
    return reader


def _refuse_doctype(*declaration: object) -> None:
    raise DecodeError("malformed", "$: has a DOCTYPE")


class _Reader:
    """Follows one document; only elements without children carry values."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._attributes: dict[str, str] = {}
        self._texts: list[str] = []
        self._leaf = False
        self._elements = 0
        self._system: dict[str, tuple[str, dict[str, str]]] = {}
        self._event_data = Values()
        self._user_data = Values()
        self._user_elements = Values()
        self._errors = Values()
        self._binary = ""
        self._rendered_provider = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if ":" in name:
            name = name.rpartition(":")[2]
        names = self._names
        if not names and name != "Event":
            raise DecodeError("invalid", "$: not an Event")
        names.append(name)
        self._elements += 1
        if len(names) > MAX_DEPTH:
            raise DecodeError("malformed", f"$: deeper than {MAX_DEPTH} elements")
        if self._elements > MAX_ELEMENTS:
            raise DecodeError("malformed", f"$: more than {MAX_ELEMENTS} elements")
        self._attributes = attributes
        self._texts.clear()
        self._leaf = True

    def text(self, text: str) -> None:
        self._texts.append(text)

    def end(self, _: str) -> None:
        names = self._names
        name = names.pop()
        if not self._leaf:
            return
        self._leaf = False
        depth = len(names)
        if depth < _SECTION_DEPTH:
            if depth == _ROOT_DEPTH and name == "BinaryEventData":
                self._binary = "".join(self._texts).strip()
            return
        text = plain("".join(self._texts))
        match names[1]:
            case "System":
                self._system[name] = (text.strip(), self._attributes)
            case "EventData":
                self._value(self._event_data, name, text)
            case "UserData":
                if depth >= _USER_DEPTH:
                    self._value(self._user_data, name, text)
                elif text or not self._attributes:
                    self._user_elements.put(name, text)
            case "ProcessingErrorData":
                self._value(self._errors, name, text)
            case "RenderingInfo" if name == "Provider":
                self._rendered_provider = text.strip()

    def event(self) -> Event:
        data = (
            self._event_data.data()
            or self._user_data.data()
            or self._user_elements.data()
            or self._errors.data()
        )
        fields = {
            "t_ms": self._t_ms(),
            "channel": self._text_of("Channel"),
            "provider": self._provider(),
            "id": self._count("EventID"),
            "version": self._count("Version", 0),
            "level": self._count("Level", 0),
            "record_id": self._count("EventRecordID"),
            "data": data,
            "binary": self._binary,
            "computer": self._text_of("Computer"),
        }
        return checked(fields, "$.Event")

    def _value(self, values: Values, name: str, text: str) -> None:
        if name == "Binary":
            self._binary = text.strip()
            return
        if name in ("Data", "ComplexData"):
            given = self._attributes.get("Name")
            if given is None and name == "Data":
                values.add(text)
                return
            name = given or name
        values.put(name, text)

    def _text_of(self, name: str) -> str:
        return self._system.get(name, ("", {}))[0]

    def _provider(self) -> str:
        attributes = self._system.get("Provider", ("", {}))[1]
        name = attributes.get("Name") or attributes.get("EventSourceName")
        if not (name or self._rendered_provider):
            raise DecodeError("invalid", f"{_SYSTEM}.Provider: no name")
        return name or self._rendered_provider

    def _t_ms(self) -> int:
        attributes = self._system.get("TimeCreated", ("", {}))[1]
        try:
            return time_ms(attributes.get("SystemTime", ""))
        except ValueError as error:
            raise DecodeError("invalid", f"{_SYSTEM}.TimeCreated.SystemTime: {error}") from None

    def _count(self, name: str, default: int | None = None) -> int:
        text = self._text_of(name)
        if not text and default is not None:
            return default
        if not (text.isascii() and text.isdigit()) or len(text) > 20:
            raise DecodeError("invalid", f"{_SYSTEM}.{name}: not a number")
        return int(text)
