"""What of a message could not be used, as dead letters. No I/O."""

from msgspec import Struct

from schemas.formats.items import Item

_EACH = 20
"""Items of one message that get a letter each: a message of 2 MiB may hold a million of nothing."""


class Letter(Struct, frozen=True):
    """One dead letter of a message."""

    reason: str
    detail: str
    part: bytes | None = None
    """The item of the message that it is about, as JSON; None: all of the message."""


class Refused:
    """Collects what is refused of one message.

    Law: each refused item is in a letter; the first 20 in one each, the others as the elements of
    an array in one.
    """

    def __init__(self) -> None:
        """Begin with nothing refused."""
        self.count = 0
        self._letters: list[Letter] = []
        self._first: Letter | None = None
        self._others = bytearray()

    def add(self, item: Item, reason: str, detail: str) -> None:
        """Refuse an item; ``detail`` names its place."""
        self.count += 1
        if self.count <= _EACH:
            self._letters.append(Letter(reason, detail, None if item.is_whole else item.raw()))
            return
        self._first = self._first or Letter(reason, detail)
        self._others += (b"," if self._others else b"[") + item.raw()

    def all(self, reason: str, detail: str) -> None:
        """Refuse what has not been read of the message, or could not be read at all."""
        self.count += 1
        self._letters.append(Letter(reason, detail))

    def letters(self) -> list[Letter]:
        """The dead letters of the message."""
        if self._first is None:
            return self._letters
        more = f"{self.count - _EACH} items more, the first: {self._first.detail}"
        others = Letter(self._first.reason, more, bytes(self._others) + b"]")
        return [*self._letters, others]
