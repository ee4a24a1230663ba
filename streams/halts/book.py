"""What this worker knows of the halts and deliveries of its partitions: in memory, from Kafka."""

from collections.abc import Collection, Iterable
from itertools import chain

from msgspec import Struct, field

from schemas.halts import Delivery, Halt


class _Page(Struct):
    halts: dict[tuple[str, str], Halt] = field(default_factory=dict)
    deliveries: dict[str, Delivery] = field(default_factory=dict)


class Book:
    """Halts and deliveries by partition.

    Laws: it holds nothing that the broker has not confirmed; a partition is in it only between its
    assignment and its revocation; ``generation`` changes whenever partitions are lost, so work that
    began before can see that it must not write any more.
    """

    def __init__(self) -> None:
        self._pages: dict[int, _Page] = {}
        self.generation = 0

    def open(self, partition: int, halts: Iterable[Halt], deliveries: Iterable[Delivery]) -> None:
        """Take a partition over, with the newest state of everything in it."""
        page = _Page()
        for halt in halts:
            page.halts[halt.fleet, halt.case] = halt
        for delivery in deliveries:
            page.deliveries[delivery.webhook_id] = delivery
        self._pages[partition] = page

    def close(self) -> None:
        """Forget every partition: they may be somebody else's by now."""
        self._pages.clear()
        self.generation += 1

    def has(self, partition: int) -> bool:
        """Whether the partition is ours and its history is read."""
        return partition in self._pages

    def put(self, partition: int, record: Halt | Delivery) -> None:
        """Note what the broker has confirmed."""
        page = self._pages[partition]
        if isinstance(record, Halt):
            page.halts[record.fleet, record.case] = record
        else:
            page.deliveries[record.webhook_id] = record

    def halt(self, partition: int, fleet: str, case: str) -> Halt | None:
        """The halt of a case, if there is one."""
        return self._pages[partition].halts.get((fleet, case))

    def halts(self, partition: int) -> tuple[Halt, ...]:
        """Every halt of a partition."""
        return tuple(self._pages[partition].halts.values())

    def webhook_ids(self, partition: int) -> Collection[str]:
        """The ids of all deliveries of a partition, settled or not."""
        return self._pages[partition].deliveries.keys()

    def pending(self) -> list[Delivery]:
        """What still has to be delivered, the earliest first."""
        deliveries = chain.from_iterable(p.deliveries.values() for p in self._pages.values())
        waiting = (delivery for delivery in deliveries if delivery.state == "pending")
        return sorted(waiting, key=lambda delivery: (delivery.next_attempt_ms, delivery.webhook_id))
