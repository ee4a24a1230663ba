"""What the readers of foreign JSON share: values out of objects, with the path of what is wrong."""

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import orjson

from schemas.codec import DecodeError
from schemas.reports import Event
from schemas.windows.event_parts import Values, plain
from schemas.windows.event_xml import event_of
from schemas.windows.system_time import time_ms

MAX_DEPTH = 32
"""Of what is nested in an event; the rendered XML may be as deep."""

_DIGITS = 20  # of the largest 64-bit number
_LEVEL_DIGITS = 3  # providers may define levels up to 255

# Windows renders levels in the language of the system; severities of other systems stand beside.
_LEVELS = {
    1: "critical fatal kritisch critique crítico critico kritiek krytyczny критический 重大 严重 "
    "关键 嚴重 위험 kritisk kritik",
    2: "error err fehler erreur errore erro fout błąd ошибка エラー 错误 錯誤 오류 fel fejl chyba "
    "hata",
    3: "warning warn warnung avertissement advertencia avviso aviso waarschuwing ostrzeżenie "
    "предупреждение 警告 경고 varning upozornění uyarı",
    4: "information info informationen información informazioni informações informatie informacje "
    "сведения 情報 信息 資訊 정보 informace bilgi success successaudit audit_success failureaudit "
    "audit_failure",
    5: "verbose debug trace ausführlich détaillé commentaires detallado dettagliato detalhado "
    "uitgebreid подробности 詳細 详细",
}
_LEVEL_OF = {word: level for level, words in _LEVELS.items() for word in words.split()}


def indexed(values: Iterable[object], path: str) -> Iterator[tuple[str, object]]:
    """``values`` with their paths."""
    return ((f"{path}[{number}]", value) for number, value in enumerate(values))


def table(value: object, path: str) -> dict[str, Any]:
    """``value`` if it is an object, else DecodeError ``invalid``."""
    if not isinstance(value, dict):
        raise DecodeError("invalid", f"{path}: not an object")
    return value


def array(value: object, path: str) -> list[Any]:
    """``value`` if it is an array, else DecodeError ``invalid``."""
    if not isinstance(value, list):
        raise DecodeError("invalid", f"{path}: not an array")
    return value


def text(value: object, path: str) -> str:
    """A value as text: numbers and booleans as JSON writes them, objects as JSON, null empty."""
    if isinstance(value, str):
        return plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        try:
            return orjson.dumps(value).decode()
        except orjson.JSONEncodeError as error:
            raise DecodeError("invalid", f"{path}: {error}") from None
    return str(value)


def required(item: Mapping[str, Any], name: str, path: str) -> str:
    """The text at ``name``; DecodeError ``invalid`` when there is none."""
    found = text(item.get(name), f"{path}.{name}").strip()
    if not found:
        raise DecodeError("invalid", f"{path}.{name}: missing")
    return found


def count(value: object, path: str, default: int | None = None) -> int:
    """A whole number from a number or its decimal text; DecodeError ``invalid`` for others.

    Null and empty text give ``default``, if there is one.
    """
    if default is not None and (value is None or value == ""):
        return default
    if isinstance(value, float) and value.is_integer():  # scripts in shippers make floats
        value = int(value)
    if isinstance(value, str):
        digits = value.strip()
        if digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS:
            value = int(digits)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DecodeError("invalid", f"{path}: not a number")
    return value


def moment(value: object, path: str) -> int:
    """A textual time as Unix milliseconds; without a zone it is UTC. DecodeError ``invalid``."""
    if not isinstance(value, str):
        raise DecodeError("invalid", f"{path}: not a time")
    try:
        # "2025-07-15 03:12:44 +0200": the blank before the offset is not ISO 8601.
        return time_ms(value.strip().replace(" +", "+").replace(" -", "-"))
    except ValueError as error:
        raise DecodeError("invalid", f"{path}: {error}") from None


def level_of(value: object) -> int:
    """A level from its number or from its word in some languages; 0 when nobody knows it."""
    word = str(value).strip().casefold() if isinstance(value, str | int) else ""
    if word.isascii() and word.isdigit() and len(word) <= _LEVEL_DIGITS:
        return int(word)
    return _LEVEL_OF.get(word, 0)


def put_all(values: Values, fields: object, path: str, without: Set[str] = frozenset()) -> str:
    """Put an object's fields into ``values``; returns the one named ``Binary`` (any case)."""
    binary = ""
    for name, value in table(fields, path).items():
        if name.casefold() == "binary":
            binary = text(value, f"{path}.{name}").strip()
        elif name not in without:
            values.put(name, text(value, f"{path}.{name}"))
    return binary


def add_all(values: Values, inserts: object, path: str) -> None:
    """Add an array of data without names to ``values``."""
    for where, value in indexed(array(inserts, path), path):
        values.add(text(value, where))


def from_xml(value: object) -> Event | None:
    """The event in XML that a shipper kept whole; None when there is none, or it is broken."""
    if not isinstance(value, str) or not value.lstrip("\ufeff \r\n\t").startswith("<"):
        return None
    try:
        return event_of(value.strip("\ufeff \r\n\t"))
    except DecodeError:
        return None
