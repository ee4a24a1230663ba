"""One loader for every setting: TOML file < ``KBW_*`` environment < command line.

A setting ``kafka.bootstrap`` is ``[kafka] bootstrap = …`` in the file, ``KBW_KAFKA_BOOTSTRAP`` in
the environment and ``--set kafka.bootstrap=…`` on the command line. Unknown names are errors: a
typo that is silently ignored is a setting that silently does not hold.
"""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from schemas.errors import KbwatchError

CONFIG_VARIABLE = "KBW_CONFIG"
_PREFIX = "KBW_"

_NAMESPACE = r"^[a-z0-9.-]*$(?!\n)"
_WORKER_ID = r"^[A-Za-z0-9_.-]+$(?!\n)"
_IN_WORDS = {
    _NAMESPACE: "lower-case letters, digits, '.' and '-'",
    _WORKER_ID: "one or more letters, digits, '_', '.' or '-'",
}

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
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
    """Where rows go: chDB, the embedded ClickHouse, in a folder that the sink owns."""

    path: str = ".kbwatch/store"
    socket: str = ".kbwatch/store.sock"
    """Local socket on which the sink answers named queries."""


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
    within_s: Seconds = 0.5


class HaltsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the halt policy is."""

    policy: str = ""
    """Path of the policy TOML; empty: observe only."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    data_dir: str = ".kbwatch"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    metrics_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """Prometheus metrics on this loopback port; 0: none."""
    worker_id: Annotated[str, Meta(pattern=_WORKER_ID)] = "1"
    """Unique per worker of an app: lets a restarted worker resume its partitions at once."""
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    detector: DetectorSettings = field(default_factory=DetectorSettings)
    sink: SinkSettings = field(default_factory=SinkSettings)
    halts: HaltsSettings = field(default_factory=HaltsSettings)


def load(
    config: str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings; ``overrides`` are ``section.name=value`` strings.

    Raises KbwatchError that names the source, the setting and what would be right.
    """
    environ = os.environ if environ is None else environ
    tree: dict[str, Any] = {}
    path = config or environ.get(CONFIG_VARIABLE)
    if path:
        tree = _read_file(Path(path))
        _convert(tree, path)
    for variable, value in sorted(environ.items()):
        if variable.startswith(_PREFIX) and variable != CONFIG_VARIABLE:
            _put(tree, _names(variable), value)
            _convert(tree, f"environment variable {variable}")
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise KbwatchError(f"--set {override}: write it as section.name=value")
        _put(tree, name.strip().split("."), value.strip())
        _convert(tree, f"--set {override}")
    return _convert(tree, "defaults")


def as_toml(settings: Settings) -> str:
    """The effective settings as a TOML file that would give the same settings again."""
    import tomlkit  # only --print-config needs it

    return tomlkit.dumps(msgspec.to_builtins(settings))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise KbwatchError(f"settings file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KbwatchError(f"settings file {path}: not TOML: {error}") from None


def _names(variable: str) -> list[str]:
    rest = variable.removeprefix(_PREFIX).lower()
    for info in msgspec.structs.fields(Settings):
        nested = isinstance(info.type, type) and issubclass(info.type, Struct)
        if nested and rest.startswith(f"{info.name}_"):
            return [info.name, rest.removeprefix(f"{info.name}_")]
    return [rest]


def _put(tree: dict[str, Any], names: list[str], value: str) -> None:
    for name in names[:-1]:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            return  # _convert will say that this section is not a table
    tree[names[-1]] = value


def _convert(tree: dict[str, Any], source: str) -> Settings:
    try:
        # strict=False: environment and command line give strings, "5" is as good as 5.
        return msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise KbwatchError(f"{source}: {_in_words(str(error))}") from None


def _in_words(error: str) -> str:
    for pattern, words in _IN_WORDS.items():
        error = error.replace(f"`str` matching regex {pattern!r}", words)
    if "unknown field" not in error:
        return error
    within = re.search(r"at `\$\.(\w+)", error)
    section = within.group(1) if within else "the top level"
    infos = msgspec.structs.fields(Settings)
    names = next((msgspec.structs.fields(i.type) for i in infos if i.name == section), infos)
    return f"{error}; {section} has: {', '.join(info.name for info in names)}"
