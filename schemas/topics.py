"""The topics: names, settings and keys, read from ``topics.toml``."""

import tomllib
from functools import cache
from importlib import import_module, resources
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.codec import MAX_MESSAGE_BYTES

NODE_REPORTS = "kbw-node-reports"
INVENTORY = "kbw-inventory"
ONSETS = "kbw-onsets"
EVIDENCE = "kbw-evidence"
DOMAINS_CHANGELOG = "kbw-detector-domains-changelog"
VERDICTS = "kbw-verdicts"
HALT_COMMANDS = "kbw-halt-commands"
HALTS = "kbw-halts"
HALT_DELIVERIES = "kbw-halt-deliveries"
HEALTH = "kbw-health"
CALIBRATION = "kbw-calibration"

# A broker must take what is too large for us, so that it can be dead-lettered with a reason.
BROKER_MAX_BYTES = 4 * MAX_MESSAGE_BYTES


class Topic(Struct, frozen=True):
    """One topic as ``topics.toml`` declares it."""

    name: str
    owner: str
    consumers: tuple[str, ...]
    description: str
    key: str
    partitions: Annotated[int, Meta(ge=1)]
    cleanup: Literal["delete", "compact"]
    retention_s: Annotated[int, Meta(ge=-1)]
    schema: str = ""

    @property
    def config(self) -> dict[str, str]:
        """The topic's settings in Kafka's own words."""
        config = {
            "cleanup.policy": self.cleanup,
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(BROKER_MAX_BYTES),
        }
        if self.cleanup == "delete":
            config["retention.ms"] = str(self.retention_s * 1000)
        return config

    def message_type(self) -> type[Struct] | None:
        """The Struct that the topic carries; None for raw bytes."""
        if not self.schema:
            return None
        module, _, name = self.schema.rpartition(".")
        kind: type[Struct] = getattr(import_module(f"schemas.{module}"), name)
        return kind


class _Dlq(Struct, frozen=True):
    partitions: int
    retention_s: int


class _File(Struct, frozen=True):
    dlq: _Dlq
    topic: dict[str, dict[str, object]]


def dlq_of(topic: str) -> str:
    """The dead-letter pair of a topic."""
    return f"{topic}-dlq"


def key(*parts: str) -> bytes:
    """A record key: its parts joined by '|' (names can't contain one, see reports.Name)."""
    return "|".join(parts).encode()


@cache
def all_topics() -> dict[str, Topic]:
    """Every topic by name, each followed by its dead-letter pair."""
    text = resources.files("schemas").joinpath("topics.toml").read_text()
    file = msgspec.convert(tomllib.loads(text), _File)
    topics: dict[str, Topic] = {}
    for name, fields in file.topic.items():
        topic = msgspec.convert({"name": name, **fields}, Topic)
        topics[name] = topic
        topics[dlq_of(name)] = Topic(
            name=dlq_of(name),
            owner=topic.owner,
            consumers=("sink",),
            description=f"Messages of {name} that could not be used, as raw bytes.",
            key=topic.key,
            partitions=file.dlq.partitions,
            cleanup="delete",
            retention_s=file.dlq.retention_s,
        )
    return topics
