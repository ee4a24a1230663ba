"""topics.toml: every topic has an owner, a dead-letter pair and a retention."""

import msgspec
import pytest

from schemas import topics
from schemas.codec import MAX_MESSAGE_BYTES
from schemas.topics import Topic, all_topics, dlq_of, key

ALL = sorted(all_topics().values(), key=lambda t: t.name)
OWN = [t for t in ALL if not t.name.endswith("-dlq")]
by_name = pytest.mark.parametrize("topic", ALL, ids=lambda t: t.name)
own_by_name = pytest.mark.parametrize("topic", OWN, ids=lambda t: t.name)

PARTS = ("collectors", "operator", "detector", "halts", "ingest", "noc", "sink", "streams")


@by_name
def test_has_an_owner_readers_and_a_description(topic: Topic) -> None:
    assert topic.owner in PARTS
    assert topic.consumers
    assert set(topic.consumers) <= set(PARTS)
    assert topic.description
    assert topic.key


@by_name
def test_is_kept_for_a_time_or_compacted(topic: Topic) -> None:
    if topic.cleanup == "compact":
        assert topic.retention_s == -1
        assert "retention.ms" not in topic.config
    else:
        assert topic.retention_s >= 7 * 86_400
        assert topic.config["retention.ms"] == str(topic.retention_s * 1000)


@by_name
def test_takes_its_time_from_the_broker(topic: Topic) -> None:
    """Replayed history would be deleted at once if retention looked at when things happened."""
    assert topic.config["message.timestamp.type"] == "LogAppendTime"


@by_name
def test_takes_messages_that_readers_refuse(topic: Topic) -> None:
    """What is too large for us must reach the dead letters, with a reason."""
    assert int(topic.config["max.message.bytes"]) > MAX_MESSAGE_BYTES


@own_by_name
def test_has_a_dead_letter_pair(topic: Topic) -> None:
    pair = all_topics()[dlq_of(topic.name)]
    assert (pair.cleanup, pair.schema, pair.owner) == ("delete", "", topic.owner)
    assert pair.consumers == ("sink",)


@own_by_name
def test_its_message_type_is_a_contract_with_a_version(topic: Topic) -> None:
    kind = topic.message_type()
    if kind is None:
        assert topic.name.endswith("-changelog")
        return
    names = {field.name for field in msgspec.structs.fields(kind)}
    assert "v" in names
    # A key's parts are fields of the message, so that a reader can check one against the other.
    assert set(topic.key.split("|")) <= names


def test_the_names_in_the_code_are_the_names_in_the_file() -> None:
    in_code = {v for k, v in vars(topics).items() if k.isupper() and str(v).startswith("kbw-")}
    assert in_code == {topic.name for topic in OWN}


def test_topics_that_are_joined_have_as_many_partitions() -> None:
    reports, states = topics.NODE_REPORTS, topics.DOMAINS_CHANGELOG
    assert all_topics()[reports].partitions == all_topics()[states].partitions
    assert all_topics()[reports].key == all_topics()[states].key


def test_a_key_is_its_parts() -> None:
    assert key("default", "KB5062557@17763") == b"default|KB5062557@17763"
