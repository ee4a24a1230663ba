"""A broker that a test may stop or kill, and a collector that ships to it."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import kafka
from schemas.settings import Settings
from tests.chaos.collecting import Collecting
from tests.integration.conftest import bare_settings, kafka_settings, namespace, settings

__all__ = ["bare_settings", "kafka_settings", "namespace", "settings"]


class Faulty:
    """The broker of these tests: its address stays, whatever happens to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self) -> kafka.Broker:
        """Start it, or see that it runs."""
        return kafka.start(self._folder)

    def stop(self) -> None:
        """End it as an administrator does."""
        assert kafka.stop(self._folder)

    def kill(self) -> None:
        """End it as a power cut does."""
        broker = kafka.status(self._folder)
        assert broker is not None
        os.kill(broker.pid, signal.SIGKILL)
        while kafka.status(self._folder) is not None:
            time.sleep(0.01)


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    """One broker for all these tests, stopped by its pid at the end."""
    folder = tmp_path_factory.mktemp("faulty-kafka")
    try:
        yield Faulty(folder)
    finally:
        kafka.stop(folder)


@pytest.fixture
def broker(faulty: Faulty) -> kafka.Broker:
    """It runs when a test begins."""
    return faulty.start()


@pytest.fixture
def collecting(settings: Settings, tmp_path: Path) -> Iterator[Collecting]:
    """A collector that is not started yet, in which nothing is limited."""
    collecting = Collecting(settings.kafka, tmp_path)
    yield collecting
    collecting.close()
