"""Brings a Kafka cluster to what ``topics.toml`` says: creates and alters, never deletes."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaError
from msgspec import Struct

from schemas.errors import KbwatchError
from schemas.settings import Settings
from schemas.topics import Topic, all_topics
from streams.kafka_io import addresses

_REACH_TIMEOUT_S = 5.0
_REQUEST_TIMEOUT_S = 15.0


class Change(Struct, frozen=True):
    """One difference between the cluster and ``topics.toml``."""

    topic: str
    """Full name, with the namespace."""
    action: Literal["create", "alter", "manual"]
    """manual: something that kbwatch does not do by itself."""
    name: str
    """The setting: partitions, or one of Kafka's own."""
    found: str | None
    """None: there is no such topic yet."""
    wanted: str

    def __str__(self) -> str:
        """The change for a person."""
        if self.action == "create":
            return f"{self.topic}: create with {self.wanted} {self.name}"
        if self.action == "alter":
            return f"{self.topic}: {self.name} {self.found} -> {self.wanted}"
        return (
            f"{self.topic}: has {self.found} {self.name}, topics.toml says {self.wanted}; keys"
            " would move, so kbwatch does not change it: empty and re-create the topic, or use"
            " another kafka.namespace"
        )


class Found(Struct, frozen=True):
    """What the cluster has of one topic."""

    topic: str
    partitions: int
    config: dict[str, str]


def apply_topics(settings: Settings, dry_run: bool = False) -> list[Change]:
    """Create the missing topics and alter settings that differ; returns every difference found.

    With ``dry_run`` nothing is changed. A different number of partitions is reported as
    ``manual``. Raises KbwatchError if the broker cannot be reached or refuses.
    """
    wanted = _wanted(settings)
    with _admin(settings) as admin:
        found = _describe(admin, list(wanted))
        changes = [
            change for name, topic in wanted.items() for change in _compare(name, topic, found)
        ]
        if not dry_run:
            _create(admin, {name: wanted[name] for name in wanted if name not in found})
            _alter(admin, wanted, [change for change in changes if change.action == "alter"])
    return changes


def list_topics(settings: Settings) -> list[Found]:
    """What the cluster has of kbwatch's topics, in the order of ``topics.toml``.

    Raises KbwatchError if the broker cannot be reached.
    """
    with _admin(settings) as admin:
        return list(_describe(admin, list(_wanted(settings))).values())


def _wanted(settings: Settings) -> dict[str, Topic]:
    return {settings.kafka.topic(name): topic for name, topic in all_topics().items()}


@contextmanager
def _admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    where = settings.kafka.bootstrap
    # kafka-python's client keeps its sockets and its thread when it fails to bootstrap, so it is
    # made only where something listens.
    _require_listener(where)
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=where.split(","),
            client_id="kbwatch-topics",
            bootstrap_timeout_ms=int(_REACH_TIMEOUT_S * 1000),
            request_timeout_ms=int(_REQUEST_TIMEOUT_S * 1000),
        )
    except KafkaError as error:
        raise _unreachable(where, str(error)) from None
    try:
        yield admin
    except KafkaError as error:
        raise KbwatchError(f"Kafka at {where}: {error}") from None
    finally:
        admin.close()


def _require_listener(bootstrap: str) -> None:
    reasons = []
    servers = addresses(bootstrap)
    for address in servers:
        try:
            socket.create_connection(address, timeout=_REACH_TIMEOUT_S / len(servers)).close()
        except OSError as error:
            reasons.append(error.strerror or str(error))
        else:
            return
    raise _unreachable(bootstrap, reasons[0])


def _unreachable(bootstrap: str, reason: str) -> KbwatchError:
    return KbwatchError(
        f"no Kafka broker answers at {bootstrap} ({reason}): start one (make up), or set"
        " kafka.bootstrap"
    )


def _describe(admin: KafkaAdminClient, names: list[str]) -> dict[str, Found]:
    present = set(admin.list_topics())
    there = [name for name in names if name in present]
    if not there:
        return {}
    partitions = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(there)}
    described: dict[str, dict[str, dict[str, Any]]] = admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name) for name in there], config_filter="all"
    )["topic"]
    return {
        name: Found(
            topic=name,
            partitions=partitions[name],
            config={key: entry["value"] for key, entry in described[name].items()},
        )
        for name in there
    }


def _compare(name: str, topic: Topic, found: dict[str, Found]) -> Iterator[Change]:
    if name not in found:
        yield Change(name, "create", "partitions", None, str(topic.partitions))
        return
    is_there = found[name]
    if is_there.partitions != topic.partitions:
        yield Change(name, "manual", "partitions", str(is_there.partitions), str(topic.partitions))
    for key, value in topic.config.items():
        if is_there.config.get(key) != value:
            yield Change(name, "alter", key, is_there.config.get(key), value)


def _create(admin: KafkaAdminClient, topics: dict[str, Topic]) -> None:
    if not topics:
        return
    admin.create_topics(
        {
            # The replication factor is the cluster's own default (-1).
            name: {"num_partitions": topic.partitions, "configs": topic.config}
            for name, topic in topics.items()
        },
        wait_for_metadata=True,
    )
    # A leader that metadata names may not yet know of its office; this call retries until each
    # does, so that whoever reads or writes next meets no NotLeaderForPartitionError.
    admin.list_partition_offsets(
        {
            TopicPartition(name, partition): OffsetSpec.LATEST
            for name, topic in topics.items()
            for partition in range(topic.partitions)
        }
    )


def _alter(admin: KafkaAdminClient, wanted: dict[str, Topic], changes: list[Change]) -> None:
    by_topic: dict[str, dict[str, str]] = {}
    for change in changes:
        by_topic.setdefault(change.topic, {})[change.name] = change.wanted
    if not by_topic:
        return
    results: dict[str, str] = admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, *item) for item in by_topic.items()]
    )["topic"]
    for name, result in results.items():
        if result != "OK":
            raise KbwatchError(f"Kafka did not alter {name}: {result}")
    # The controller has it, the broker that is asked next may hear of it a moment later.
    deadline = time.monotonic() + _REQUEST_TIMEOUT_S
    while _differ(admin, {name: wanted[name] for name in by_topic}):
        if time.monotonic() > deadline:
            raise KbwatchError(f"Kafka altered {', '.join(by_topic)}, but does not show it")
        time.sleep(0.05)


def _differ(admin: KafkaAdminClient, wanted: dict[str, Topic]) -> bool:
    found = _describe(admin, list(wanted))
    return any(
        change.action == "alter"
        for name, topic in wanted.items()
        for change in _compare(name, topic, found)
    )
