"""Foreign shapes of Windows events → ``reports.Event``. One file a shape, pure."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from schemas.formats.evtx import events_of as _evtx
from schemas.formats.fluentbit import events_of as _fluentbit
from schemas.formats.items import Item
from schemas.formats.nxlog import events_of as _nxlog
from schemas.formats.otel import events_of as _otel
from schemas.formats.vector import events_of as _vector
from schemas.formats.winlogbeat import events_of as _winlogbeat

FORMATS: Mapping[str, Callable[[bytes], Iterator[Item]]] = MappingProxyType(
    {
        "winlogbeat": _winlogbeat,
        "otlp-json": _otel,
        "vector": _vector,
        "fluentbit": _fluentbit,
        "nxlog": _nxlog,
        "evtx-dump": _evtx,
    }
)
"""By name: the value of one Kafka record → its events, each with an error of its own; DecodeError
when the value can't be read at all.
"""
