"""One real Kafka for all integration tests; each test has topics of its own."""

import uuid
from collections.abc import Iterator

import pytest

from deploy.local import kafka
from schemas.settings import KafkaSettings, Settings
from streams.topics_admin import apply_topics


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Broker]:
    """A running broker on free ports, stopped by its pid at the end."""
    directory = tmp_path_factory.mktemp("kafka")
    try:
        yield kafka.start(directory)
    finally:
        kafka.stop(directory)


@pytest.fixture
def namespace() -> str:
    """A prefix for topics and groups that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}-"


@pytest.fixture
def bare_settings(broker: kafka.Broker, namespace: str) -> Settings:
    """Settings for the broker and the namespace, in which there are no topics yet."""
    return Settings(kafka=KafkaSettings(bootstrap=broker.bootstrap, namespace=namespace))


@pytest.fixture
def settings(bare_settings: Settings) -> Settings:
    """Settings with every topic of topics.toml in place."""
    apply_topics(bare_settings)
    return bare_settings


@pytest.fixture
def kafka_settings(settings: Settings) -> KafkaSettings:
    """Where Kafka is, with every topic of topics.toml in place."""
    return settings.kafka
