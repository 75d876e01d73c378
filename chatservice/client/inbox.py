"""What a client has to tell, until the program takes it."""

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred

from chatservice.client.events import Heard
from chatservice.core.events import (
    Announced,
    Emoted,
    Joined,
    Left,
    Online,
    Recalled,
    Replayed,
    Reported,
    Said,
    Sent,
    Told,
    Welcomed,
)

# What may wait for a program that does not take it: then nothing more is read, unless an answer is
# due, for which the program may be waiting.
MAX_WAITING, MAX_WAITING_SIZE = 1000, 8 * 1024 * 1024
# The same while an answer is due: then the answer is given up. Some 60 MB.
MAX_BACKLOG, MAX_BACKLOG_SIZE = 100_000, 32 * 1024 * 1024
_EACH = 100  # of the size of an event, beside its text


def size(event: object) -> int:  # noqa: PLR0911 (a case for each kind)
    """What `event` takes in memory, near enough: characters."""
    match event:
        case Said() | Emoted() | Told() | Sent():
            return _EACH + len(event.text)
        case Welcomed(names=names, away=away) | Online(names=names, away=away):
            return _EACH + sum(_EACH + len(name) for name in (*names, *away))
        case Joined(names=texts) | Left(names=texts):
            return _EACH + sum(map(len, texts)) + _EACH * len(texts)
        case Reported(why=why):
            return _EACH + len(why)
        case Announced(lines=texts):
            return _EACH + sum(map(len, texts)) + _EACH * len(texts)
        case Recalled(events=events):
            return _EACH + sum(map(size, events))
        case Replayed(events=replayed):
            return _EACH + sum(map(size, replayed))
        case _:
            return _EACH


class Inbox:
    """Events, in order. `taken` is called after each that is taken."""

    def __init__(self, taken: Callable[[], None]) -> None:
        self._taken = taken
        self._events: deque[tuple[Heard, int]] = deque()
        self._size = 0
        self._closed = False
        self._failure: Exception | None = None
        self._filled: Deferred[None] | None = None  # somebody waits for an event
        self._emptied: Deferred[None] | None = None  # or until there are fewer

    def put(self, event: Heard) -> None:
        added = size(event)
        self._events.append((event, added))
        self._size += added
        self._fire_filled()

    def close(self, failure: Exception | None) -> None:
        """Nothing more will come. Who takes beyond the last event gets `failure`, once; or the end
        of the iteration."""
        self._closed, self._failure = True, failure
        self._fire_filled()

    async def take(self) -> Heard:
        """The next event. Raises what `close` was given, or StopAsyncIteration."""
        while not self._events:
            if self._closed:
                failure, self._failure = self._failure, None
                raise failure or StopAsyncIteration
            self._filled = Deferred()
            await self._filled
        event, its = self._events.popleft()
        self._size -= its
        if self._emptied is not None and not self.is_full:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)
        self._taken()
        return event

    @property
    def is_full(self) -> bool:
        """Whether no more should be put in, if that can be helped."""
        return len(self._events) >= MAX_WAITING or self._size >= MAX_WAITING_SIZE

    @property
    def is_overfull(self) -> bool:
        """Whether no more may be put in at all."""
        return len(self._events) >= MAX_BACKLOG or self._size >= MAX_BACKLOG_SIZE

    async def until_not_full(self) -> None:
        """Comes back when there is room for more."""
        if self.is_full:
            self._emptied = self._emptied or Deferred()
            await self._emptied

    def release(self) -> None:
        """Nobody is to wait for room any longer."""
        emptied, self._emptied = self._emptied, None
        if emptied is not None:
            emptied.callback(None)

    def _fire_filled(self) -> None:
        filled, self._filled = self._filled, None
        if filled is not None:
            filled.callback(None)
