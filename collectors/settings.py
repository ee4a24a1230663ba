"""What can be set on a node. How settings are read: schemas/config.py (``KBW_COLLECTOR_*``)."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from schemas import config as loader
from schemas.config import COLLECTOR_PREFIX
from schemas.errors import KbwatchError
from schemas.reports import Name

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class NodeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Who this node is. The operator's inventory outranks it."""

    fleet: Name = "default"
    name: str = ""
    """Empty: the computer's name."""
    domain: str = ""
    """The failure domain; empty: the failover cluster, else the node itself."""
    site: Name = "unknown"


class KafkaSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where reports go, and how the connection is secured."""

    bootstrap: str = "127.0.0.1:9092"
    namespace: str = ""
    timeout_s: Seconds = 30.0
    """How long one answer may take."""
    in_flight_bytes: Positive = 4 * 1024 * 1024
    """What may wait for an answer: the client itself knows no bound."""
    tls: bool = False
    ca_file: str = ""
    """PEM of the authorities to trust; empty: the system's."""
    cert_file: str = ""
    """PEM of this node's certificate, for mutual TLS."""
    key_file: str = ""
    sasl: Literal["", "plain", "scram-sha-256", "scram-sha-512", "oauthbearer", "gssapi"] = ""
    username: str = ""
    password_file: str = ""
    """File with the password; secrets are never settings."""
    token_file: str = ""
    """File with the OAuth bearer token; read anew at each connection."""


class LogSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events are read."""

    channels: tuple[str, ...] = ()
    """Empty: the default channels (collectors/sources/selection.py)."""
    max_level: Annotated[int, Meta(ge=0, le=5)] = 3
    """Events up to this level (1 critical, 2 error, 3 warning) beside the patch and boot kinds."""
    xpath: dict[str, str] = {}
    """Channel → an XPath of one's own in place of the default selection."""
    forwarded: bool = False
    """Read ForwardedEvents: this is a WEC server, and reports go out for each origin."""
    nodes: str = ""
    """On a WEC server: the nodes.csv that ``kbwatch inventory load`` takes; who they are."""
    history_days: Annotated[int, Meta(ge=0, le=120)] = 120
    """How far the first start reads back."""
    history_events_per_s: Positive = 500


class LimitSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How much of a storm is shipped, per channel and origin."""

    events_per_s: Seconds = 20.0
    burst: Positive = 2_000


class RedactSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What never leaves this node."""

    users: bool = True
    sids: bool = True
    addresses: bool = True
    command_lines: bool = True
    patterns: tuple[str, ...] = ()
    """Regular expressions of one's own; what they match becomes ``[redacted]``."""


class SpoolSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The disk spool: everything goes through it."""

    max_bytes: Annotated[int, Meta(ge=4 * 1024 * 1024)] = 256 * 1024 * 1024
    segment_bytes: Annotated[int, Meta(ge=64 * 1024)] = 1024 * 1024
    fsync_s: Annotated[float, Meta(ge=0)] = 1.0
    """Appended reports are fsynced at least this often; 0: at each append."""


class ScheduleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How often things are looked at and said."""

    report_s: Seconds = 1.0
    """No record waits longer than this for its report."""
    heartbeat_s: Annotated[int, Meta(ge=10, le=86_400)] = 60
    patch_state_s: Annotated[int, Meta(ge=60)] = 900
    facts_s: Annotated[int, Meta(ge=300)] = 3_600
    """Facts are gathered this often, sent on change and daily."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set on a node."""

    data_dir: str = ".kbwatch/collector"
    """Spool, bookmarks and lock."""
    http_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """/metrics and /healthz on this loopback port; 0: none."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    node: NodeSettings = field(default_factory=NodeSettings)
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    logs: LogSettings = field(default_factory=LogSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    redact: RedactSettings = field(default_factory=RedactSettings)
    spool: SpoolSettings = field(default_factory=SpoolSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)


def load(
    config: str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of ``kbwatch-collector``: file < ``KBW_COLLECTOR_*`` < ``overrides``.

    Raises KbwatchError that names the source, the setting and what would be right.
    """
    return loader.load(Settings, COLLECTOR_PREFIX, config, overrides, environ)


def data_dir_of(
    config: str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """``data_dir``, also of a settings file that is broken, and what is wrong with the file.

    Raises KbwatchError when the file can't be read, or something else than the file is wrong.
    """
    environ = os.environ if environ is None else environ
    try:
        return load(config, overrides, environ).data_dir, ""
    except KbwatchError as error:
        named = f"{COLLECTOR_PREFIX}CONFIG"
        path = config or environ.get(named)
        if not path:
            raise
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            raise error from None
        rest = {name: value for name, value in environ.items() if name != named}
        of_file = _own_line(lines)
        if of_file:
            rest.setdefault(f"{COLLECTOR_PREFIX}DATA_DIR", of_file)
        return load(None, overrides, rest).data_dir, str(error)


def _own_line(lines: Sequence[str]) -> str:
    for line in lines:
        if line.lstrip().startswith("["):
            break
        try:
            found = tomllib.loads(line).get("data_dir")
        except tomllib.TOMLDecodeError:
            continue
        if isinstance(found, str):
            return found
    return ""
