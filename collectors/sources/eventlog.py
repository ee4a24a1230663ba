"""The event log of this node, and on a WEC server the logs that other nodes forward to it.

Pull subscriptions (Microsoft Learn, "Subscribing to Events"), one for each channel, all with one
signal. The signal is taken back before the subscriptions are drained: taken back afterwards it
could swallow the news of an event that came in between (vectordotdev/vector#25194).
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from collectors.log import Log
from collectors.settings import LogSettings
from collectors.sources.record_ids import Mark
from collectors.sources.selection import Subscription
from collectors.sources.source import Item
from collectors.sources.subscription import Clocks, PullSubscription, Reading, State
from collectors.windows.api import EventLogApi, Fault, Handle, WindowsApiError
from schemas.errors import KbwatchError
from schemas.reports import ChannelHealth
from schemas.windows.names import node_name

_DAY_MS = 86_400_000
_READ_S = 0.9
_WAIT_S = 0.5
_THROTTLED_S = 0.1
_POSITION_S = 60.0
_Marks = dict[str, Mark]

_log = Log("eventlog")


class EventLogSource:
    """All channels of one computer as one source; see ``Source`` for its laws.

    A read's last item bears the position: the marks of all channels. While a channel's history is
    read for the first time it is throttled, what comes live in others is not.
    """

    name = "eventlog"

    def __init__(
        self,
        api: EventLogApi,
        subscriptions: Sequence[Subscription],
        settings: LogSettings,
        node: str,
        clocks: Clocks,
    ) -> None:
        """``node``: this computer's name; events that it forwarded to itself are its own."""
        self._api = api
        self._wanted = tuple(subscriptions)
        self._settings = settings
        self._node = node_name(node)
        self._clocks = clocks
        self._channels: list[PullSubscription] = []
        self._next = 0
        self._signal: Handle = None
        self._throttle = _Throttle(settings.history_events_per_s, clocks.now_s)
        self._said: _Marks = {}
        self._kept: _Marks = {}
        self._said_s = 0.0
        self._note = ""

    @property
    def trouble(self) -> str:
        """Every channel that can't be read, and why; and what is wrong with all of them."""
        troubles = [self._note, *(channel.trouble for channel in self._channels)]
        return "; ".join(trouble for trouble in troubles if trouble)

    @property
    def delivers(self) -> bool:
        """Whether one channel at least can be read."""
        readable = any(c.fault is None for c in self._channels)
        return not self._note and readable

    @property
    def misses(self) -> bool:
        """Whether a channel that every machine has, or that settings name, can't be read."""
        return bool(self._note) or any(channel.misses for channel in self._channels)

    def open(self, position: str | None) -> None:
        """Begin behind ``position``; a channel that it doesn't know begins with its history.

        Raises KbwatchError when Windows refuses an XPath of the settings.
        """
        self.close()
        marks = self._marks(position)
        since_ms = self._clocks.now_ms() - self._settings.history_days * _DAY_MS
        self._channels = [
            PullSubscription(
                self._api,
                wanted.channel,
                wanted.query,
                wanted.optional,
                marks.pop(wanted.channel, None),
                max(since_ms, 0),
                self._clocks,
            )
            for wanted in self._wanted
        ]
        # A channel that is taken out of the settings and put back goes on where it was.
        self._kept = marks
        self._said = {channel.channel: channel.mark for channel in self._channels}
        self._said_s = self._clocks.now_s()
        if not self._renewed():
            return
        for channel in self._channels:
            channel.ready(self._signal)
            if channel.fault is Fault.INVALID_QUERY and self._is_own(channel.channel):
                self.close()
                raise KbwatchError(f"logs.xpath of {channel.channel!r}: {channel.reason}")

    def read(self, limit: int) -> Sequence[Item]:
        """Up to ``limit`` items; waits for the signal, half a second, when nothing is there."""
        if self._signal is None and not self._renewed():
            return []
        until_s = self._clocks.now_s() + _READ_S
        try:
            items = self._drained(limit, until_s)
            if (
                not items
                and not any(self._may_read(channel) for channel in self._channels)
                and self._api.wait(self._signal, self._wait_ms())
            ):
                items = self._drained(limit, until_s)
        except WindowsApiError as error:
            # Only the signal can be meant: channels keep their errors to themselves.
            self._note = f"signal: {error}"
            self._close_handles()
            return []
        return self._positioned(items)

    def channels(self) -> Mapping[str, ChannelHealth]:
        """How far each channel was read; without those that are not there."""
        found = {channel.channel: channel.health() for channel in self._channels}
        return {name: health for name, health in found.items() if health is not None}

    def close(self) -> None:
        """Let go of all handles."""
        self._close_handles()
        self._channels = []

    def _marks(self, position: str | None) -> _Marks:
        if not position:
            return {}
        try:
            return msgspec.json.decode(position, type=_Marks)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # Reading everything again is safe: what comes twice counts once.
            _log.warning("bookmark can't be read, begun with the history", error=str(error))
            return {}

    def _is_own(self, channel: str) -> bool:
        return channel.casefold() in {name.casefold() for name in self._settings.xpath}

    def _renewed(self) -> bool:
        try:
            self._signal = self._api.new_signal()
        except WindowsApiError as error:
            self._note = f"signal: {error}"
            return False
        self._note = ""
        return True

    def _close_handles(self) -> None:
        for channel in self._channels:
            channel.abandon()
        if self._signal is not None:
            self._api.close(self._signal)
            self._signal = None

    def _drained(self, limit: int, until_s: float) -> list[Item]:
        if self._api.wait(self._signal, 0):
            self._api.reset(self._signal)
            for channel in self._channels:
                channel.signalled()
        items: list[Item] = []
        progress = True
        while progress:
            progress = False
            for channel in self._turn():
                room = limit - len(items)
                left_s = until_s - self._clocks.now_s()
                if room <= 0 or left_s <= 0:
                    return items
                if not channel.ready(self._signal):
                    continue
                history = channel.mark.history
                allowed = min(room, self._share()) if history else room
                if allowed:
                    readings = channel.read(allowed, int(left_s * 1000))
                    items += [self._item(channel, reading) for reading in readings]
                    self._throttle.spend(channel.took if history else 0)
                    progress = progress or channel.took > 0
        return items

    def _share(self) -> int:
        """What one channel may read of its history now: no log may keep another one waiting."""
        tokens = self._throttle.tokens()
        reading = sum(c.mark.history and c.state is State.READING for c in self._channels)
        return max(tokens // max(reading, 1), 1) if tokens > 0 else 0

    def _turn(self) -> list[PullSubscription]:
        """Every channel, another one first each time: a busy one must not keep others waiting."""
        first, self._next = self._next, (self._next + 1) % max(len(self._channels), 1)
        return self._channels[first:] + self._channels[:first]

    def _may_read(self, channel: PullSubscription) -> bool:
        if channel.state is State.READING:
            return not channel.mark.history or self._throttle.tokens() > 0
        return channel.state is State.OPENING

    def _wait_ms(self) -> int:
        throttled = any(channel.state is State.READING for channel in self._channels)
        return int((_THROTTLED_S if throttled else _WAIT_S) * 1000)

    def _item(self, subscription: PullSubscription, reading: Reading) -> Item:
        event, channel = reading.event, subscription.channel
        if event is None:
            return Item((), channel, lost=reading.lost)
        if subscription.is_local(event):
            return Item((event,), channel, lost=reading.lost)
        origin = node_name(event.computer)
        if not origin:
            return Item((), channel, lost=reading.lost + 1)  # nobody can say whose it is
        return Item((event,), channel, "" if origin == self._node else origin, lost=reading.lost)

    def _positioned(self, items: list[Item]) -> list[Item]:
        marks = {channel.channel: channel.mark for channel in self._channels}
        if not items and not self._worth_saying(marks):
            return []
        self._said, self._said_s = marks, self._clocks.now_s()
        position = msgspec.json.encode({**self._kept, **marks}).decode()
        if not items:
            return [Item((), position=position)]
        items[-1] = replace(items[-1], position=position)
        return items

    def _worth_saying(self, marks: _Marks) -> bool:
        """Whether the marks have moved enough without an item.

        What was examined is remembered now and then, lest after a restart records that no query
        wants are taken for lost; progress in the history at once, since there is more to come.
        """
        if marks == self._said:
            return False
        history = any(mark.history for mark in (*marks.values(), *self._said.values()))
        return history or self._clocks.now_s() - self._said_s >= _POSITION_S


class _Throttle:
    """A token bucket of one second's worth."""

    def __init__(self, per_s: int, now_s: Callable[[], float]) -> None:
        self._per_s = per_s
        self._now_s = now_s
        self._tokens = float(per_s)
        self._at_s = now_s()

    def tokens(self) -> int:
        now_s = self._now_s()
        self._tokens = min(self._tokens + (now_s - self._at_s) * self._per_s, self._per_s)
        self._at_s = now_s
        return int(self._tokens)

    def spend(self, count: int) -> None:
        self._tokens -= count
