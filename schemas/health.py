"""Trouble of the pipeline itself (topic ``kbw-health``, key = the app). Never part of a verdict."""

from typing import Literal

from msgspec import Struct


class Health(Struct, frozen=True, omit_defaults=True):
    """One thing an operator of kbwatch should know now. ``at_ms`` is wall-clock Unix ms."""

    v: int
    app: str
    kind: Literal["dead_letters", "unknown_nodes", "stalled"]
    severity: Literal["info", "warning", "critical"]
    message: str
    at_ms: int
    topic: str = ""
    share: float | None = None
