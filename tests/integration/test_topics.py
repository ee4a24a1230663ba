"""kbwatch topics: the difference between topics.toml and a real broker."""

import json
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec

from schemas.errors import KbwatchError
from schemas.settings import KafkaSettings, Settings
from schemas.topics import NODE_REPORTS, VERDICTS, all_topics
from streams.topics_admin import Change, apply_topics, list_topics


def kbwatch(*words: str, settings: Settings) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemas", *words),
            *("--set", f"kafka.bootstrap={settings.kafka.bootstrap}"),
            *("--set", f"kafka.namespace={settings.kafka.namespace}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def eventually(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_dry_run_shows_every_topic_and_creates_none(bare_settings: Settings) -> None:
    changes = apply_topics(bare_settings, dry_run=True)
    assert [change.topic for change in changes] == [
        bare_settings.kafka.topic(name) for name in all_topics()
    ]
    assert {change.action for change in changes} == {"create"}
    assert list_topics(bare_settings) == []


def test_what_was_applied_once_needs_no_change(bare_settings: Settings) -> None:
    assert len(apply_topics(bare_settings)) == len(all_topics())
    assert apply_topics(bare_settings) == []
    for found, wanted in zip(list_topics(bare_settings), all_topics().values(), strict=True):
        assert found.partitions == wanted.partitions
        assert wanted.config.items() <= found.config.items()


def test_new_topics_can_be_read_at_once(settings: Settings) -> None:
    partitions = [
        TopicPartition(settings.kafka.topic(name), number)
        for name, topic in all_topics().items()
        for number in range(topic.partitions)
    ]
    with KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap) as admin:
        ends = admin.list_partition_offsets(
            dict.fromkeys(partitions, OffsetSpec.LATEST), timeout_ms=1
        )
    assert {end.offset for end in ends.values()} == {0}


def test_a_setting_that_differs_is_shown_and_put_right(settings: Settings) -> None:
    topic = settings.kafka.topic(VERDICTS)
    with KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap) as admin:
        wrong = {"cleanup.policy": "delete"}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, wrong)])
    expected = [Change(topic, "alter", "cleanup.policy", "delete", "compact")]
    eventually(lambda: bool(apply_topics(settings, dry_run=True)))
    assert apply_topics(settings, dry_run=True) == expected
    assert apply_topics(settings) == expected
    assert apply_topics(settings) == []


def test_another_number_of_partitions_is_left_to_a_person(bare_settings: Settings) -> None:
    topic = bare_settings.kafka.topic(NODE_REPORTS)
    wanted = all_topics()[NODE_REPORTS]
    with KafkaAdminClient(bootstrap_servers=bare_settings.kafka.bootstrap) as admin:
        admin.create_topics(
            {topic: {"num_partitions": 2, "replication_factor": 1, "configs": wanted.config}},
            wait_for_metadata=True,
        )
    apply_topics(bare_settings)
    expected = [Change(topic, "manual", "partitions", "2", str(wanted.partitions))]
    assert apply_topics(bare_settings) == expected
    done = kbwatch("topics", "apply", settings=bare_settings)
    assert done.returncode == 1
    assert "keys would move" in done.stdout


def test_the_command_prints_json_for_programs(bare_settings: Settings) -> None:
    shown = json.loads(kbwatch("topics", "apply", "--json", settings=bare_settings).stdout)
    assert len(shown) == len(all_topics())
    listed = json.loads(kbwatch("topics", "list", "--json", settings=bare_settings).stdout)
    assert [topic["topic"] for topic in listed] == [change["topic"] for change in shown]


def test_an_unreachable_broker_is_one_line() -> None:
    nobody = Settings(kafka=KafkaSettings(bootstrap="127.0.0.1:1"))
    with pytest.raises(KbwatchError, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        apply_topics(nobody)
    done = kbwatch("topics", "apply", settings=nobody)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("kbwatch: no Kafka broker answers")
    assert done.stderr.count("\n") == 1


def test_a_malformed_address_is_told() -> None:
    with pytest.raises(KbwatchError, match=r"kafka\.bootstrap: 'broker' is not host:port"):
        apply_topics(Settings(kafka=KafkaSettings(bootstrap="broker")))
