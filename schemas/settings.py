"""What can be set on the server side. How settings are read: schemas/config.py."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from schemas import config as loader
from schemas.reports import Name

PREFIX = "KBW_"

_NAMESPACE = r"^[a-z0-9.-]*$(?!\n)"
_WORKER_ID = r"^[A-Za-z0-9_.-]+$(?!\n)"
_TOPIC = r"^[A-Za-z0-9_.-]{1,249}$(?!\n)"
_IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$(?!\n)"
_MAYBE_IDENTIFIER = r"^([A-Za-z_][A-Za-z0-9_]{0,127})?$(?!\n)"
_IN_WORDS = {
    _IDENTIFIER: "a name of letters, digits and '_'",
    _MAYBE_IDENTIFIER: "a name of letters, digits and '_', or nothing",
    _TOPIC: "1 to 249 letters, digits, '_', '.' or '-'",
    _NAMESPACE: "lower-case letters, digits, '.' and '-'",
    _WORKER_ID: "one or more letters, digits, '_', '.' or '-'",
}

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Days = Annotated[int, Meta(ge=0, le=36_500)]
Share = Annotated[float, Meta(gt=0)]


class KafkaSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where Kafka is."""

    bootstrap: str = "127.0.0.1:9092"
    namespace: Annotated[str, Meta(pattern=_NAMESPACE)] = ""
    """Put before every topic and consumer group: several kbwatch on one cluster."""
    session_timeout_s: Seconds = 10.0

    def topic(self, name: str) -> str:
        """The full name of a topic of topics.toml."""
        return f"{self.namespace}{name}"


class StoreSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where rows go: a ClickHouse server, or chDB in a folder that the sink owns."""

    path: str = ".kbwatch/store"
    socket: str = ".kbwatch/store.sock"
    """Local socket on which the sink answers named queries."""
    host: str = ""
    """A ClickHouse server; empty: chDB in ``path``."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """Of the native protocol; 0: 9440 with TLS, 9000 without."""
    database: Annotated[str, Meta(pattern=_IDENTIFIER)] = "default"
    """It must exist."""
    user: str = "default"
    password_file: str = ""
    """Holds the password in its first line."""
    password_env: str = ""
    """Or the environment variable that holds it; neither: no password."""
    tls: bool = True
    ca_file: str = ""
    """PEM of the authorities that may sign the server; empty: the system's."""
    cert_file: str = ""
    """PEM of the client's certificate and, unless ``key_file`` is given, its key."""
    key_file: str = ""
    connect_timeout_s: Seconds = 10.0
    timeout_s: Seconds = 300.0
    """How long the server may say nothing within a statement."""
    cluster: Annotated[str, Meta(pattern=_MAYBE_IDENTIFIER)] = ""
    """Name of the server's cluster: tables are made replicated and distributed over it."""


class RetentionSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Days after which rows leave each table, from their arrival in Kafka; 0: never."""

    node_events_days: Days = 180
    patch_states_days: Days = 730
    boots_days: Days = 730
    node_facts_days: Days = 730
    heartbeats_days: Days = 30
    onsets_days: Days = 730
    verdicts_days: Days = 730
    halts_days: Days = 1825
    halt_deliveries_days: Days = 1825
    dead_letters_days: Days = 30

    def days(self, table: str) -> int:
        """Of one table by its name."""
        kept: int = getattr(self, f"{table}_days")
        return kept


class DetectorSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The detector's batches and its promise."""

    batch: Positive = 2_000
    """Reports taken at a time."""
    within_s: Seconds = 0.2
    """How long a batch waits to fill: the latency when traffic is quiet."""
    topic_epoch: Annotated[int, Meta(ge=0)] = 0
    """Add one when kbw-node-reports is re-created: its offsets start anew."""
    false_halts_per_year: Share = 1.0
    cases_per_year: Positive = 200
    """A halt needs wealth 1/α with α = false_halts_per_year / cases_per_year."""


class SinkSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The sink's batches."""

    batch: Positive = 2_000
    """Messages taken at a time."""
    batch_bytes: Positive = 32 * 1024 * 1024
    """Bytes taken at a time; a batch ends with the message that exceeds them."""
    within_s: Seconds = 0.5


class HaltsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the halt policy is."""

    policy: str = ""
    """Path of the policy TOML; empty: observe only."""


class IngestSource(Struct, frozen=True, forbid_unknown_fields=True):
    """One topic that a shipper fills."""

    topic: Annotated[str, Meta(pattern=_TOPIC)]
    """Its full name; kafka.namespace is not put before it."""
    format: str
    """How the shipper writes events: a name in schemas.formats.FORMATS."""
    fleet: Name = "default"


class IngestSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Topics of other shippers, and what is promised for their nodes."""

    sources: tuple[IngestSource, ...] = ()
    batch: Positive = 2_000
    """Messages taken at a time."""
    batch_bytes: Positive = 8 * 1024 * 1024
    """Bytes taken at a time; a batch ends with the message that exceeds them."""
    within_s: Seconds = 0.2
    heartbeat_s: Annotated[int, Meta(ge=0, le=86_400)] = 36_000
    """The interval that heartbeats made of events are taken to keep; 0: none are made. The default
    keeps a server in service that logs nothing but its uptime, once a day.
    """
    max_nodes: Positive = 50_000
    """Nodes whose state is held; those not heard of for longest are forgotten first."""
    max_strangers: Positive = 5_000
    """Of them, nodes that the inventory does not know: anybody may invent such."""


class NocSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The live page, its API and the gate."""

    host: str = "127.0.0.1"
    """Where to listen. Anything but loopback needs ``token_file`` or ``proxy_header``."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8_710
    names: tuple[str, ...] = ()
    """Host names by which browsers may call the server, beside those of loopback and ``host``."""
    token_file: str = ""
    """Path of a file with a token of 32 characters or more that callers must show."""
    proxy_header: str = ""
    """Header in which a reverse proxy names the user that it has let in."""
    proxy_addresses: tuple[str, ...] = ()
    """Addresses or networks from which that header is believed."""
    tls_cert: str = ""
    tls_key: str = ""
    """Paths of PEM files: with both the server speaks HTTPS."""
    streams: Positive = 200
    """Browsers that may be connected at a time."""
    stale_after_s: Seconds = 1_800.0
    """The gate decides nothing on evidence that is older."""
    well_s: Annotated[int, Meta(ge=0)] = 900
    """How long the node of a cluster that was patched last must have been well."""
    history: bool = False
    """Ask the store for the wealth before this server's start, see ``store.socket``."""


class GrafanaSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where `kbwatch dashboards` puts the boards, and what Grafana asks."""

    url: str = ""
    """For example ``https://grafana.example/``; https unless it is on this machine."""
    token_file: str = ""
    """Holds the token of a service account with the role Admin in its first line."""
    token_env: str = ""
    """Or the environment variable that holds it."""
    timeout_s: Seconds = 10.0
    noc_url: str = ""
    """Where readers of the boards find the NOC page; empty: the page's default address."""
    store_user: str = "grafana"
    """As whom Grafana asks the server of ``store.host``: somebody who can only read."""
    store_password_file: str = ""
    store_password_env: str = ""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    data_dir: str = ".kbwatch"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    metrics_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """Prometheus metrics on this loopback port; 0: none."""
    stalled_after_s: Seconds = 60.0
    """A partition with work waiting of which nothing is committed for so long is reported."""
    worker_id: Annotated[str, Meta(pattern=_WORKER_ID)] = "1"
    """Unique per worker of an app: lets a restarted worker resume its partitions at once."""
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    detector: DetectorSettings = field(default_factory=DetectorSettings)
    sink: SinkSettings = field(default_factory=SinkSettings)
    halts: HaltsSettings = field(default_factory=HaltsSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    grafana: GrafanaSettings = field(default_factory=GrafanaSettings)
    noc: NocSettings = field(default_factory=NocSettings)


def load(
    config: str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of ``kbwatch``: file < ``KBW_*`` < ``overrides``.

    Raises KbwatchError that names the source, the setting and what would be right.
    """
    return loader.load(Settings, PREFIX, config, overrides, environ, _IN_WORDS)
