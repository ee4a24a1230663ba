"""Faust's Kafka transport, with a seek that also covers what nobody has committed yet."""

from collections.abc import Mapping
from typing import ClassVar

from faust.transport.drivers import aiokafka
from faust.types import TP
from faust.types.transports import ConsumerT


class _Consumer(aiokafka.Consumer):
    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek each partition to what is committed, or to its beginning; the committed offsets.

        aiokafka leaves a partition without a commit where it is. While a rebalance completes,
        Faust throws away what a poll that was still open brings in, and counts on this seek to
        bring it again. Changelogs are never committed; a Table's recovery seeks them itself.
        """
        committed: Mapping[TP, int] = await super().seek_to_committed()
        untouched = [
            tp for tp, offset in committed.items() if not offset and not self._is_changelog_tp(tp)
        ]
        if untouched:
            await self._thread.seek_to_beginning(*untouched)
        return committed


class Transport(aiokafka.Transport):
    """What ``faust_app.make_app`` reads and writes Kafka with."""

    Consumer: ClassVar[type[ConsumerT]] = _Consumer
