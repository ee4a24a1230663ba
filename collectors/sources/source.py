"""What every source of a collector is."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from schemas.reports import ChannelHealth, Record


class Item(Struct, frozen=True):
    """One thing that a source read, and where the source stands behind it."""

    records: tuple[Record, ...]
    """Events as they were logged (the pipeline makes boots and patch states of them), or other
    records ready to ship."""
    channel: str = ""
    """The event channel it was read from; empty for sources that read none."""
    origin: str = ""
    """The node (``node_name``) that logged it; empty: this node. Others come by forwarding."""
    position: str = ""
    """Opaque: given to ``open`` again, the source goes on behind this item. Empty: unchanged."""
    lost: int = 0
    """Records that the log itself has lost before this item (wrapped or cleared)."""


class Source(Protocol):
    """Something that is read again and again.

    Each source has a thread of its own. Laws: ``read`` returns what is there, oldest first, and
    waits a second at most, or as long as a script it runs may take; what was returned is not
    returned again until ``open``; a source that can't be read now returns nothing, says why in
    ``trouble``, and tries again at later calls. Only ``open`` may raise KbwatchError, for settings
    that can never work.
    """

    @property
    def name(self) -> str:
        """Unique in this collector; the key of the source's bookmark."""

    @property
    def trouble(self) -> str:
        """Why it can't be read just now; empty when all is well."""

    @property
    def delivers(self) -> bool:
        """Whether any of it can be read, whatever ``trouble`` says of the rest."""

    @property
    def misses(self) -> bool:
        """Whether what can't be read is something that nodes are judged by."""

    def open(self, position: str | None) -> None:
        """Begin behind ``position``; None: at the first start, with the history."""

    def read(self, limit: int) -> Sequence[Item]:
        """Up to ``limit`` items."""

    def channels(self) -> Mapping[str, ChannelHealth]:
        """How far each event channel was read."""

    def close(self) -> None:
        """Let go of handles and files."""
