"""Work on the reactor's own thread, a few milliseconds of it in a turn; askers take turns."""

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed

from chatservice.core.events import Refusal
from chatservice.core.fair_queue import QUESTION_SIZE, FairQueue
from chatservice.core.log import Clock

# How long one turn of the reactor does such work: what waits meanwhile is somebody else's line.
TURN_SECONDS = 0.002


class _Ticket:
    __slots__ = ("asker", "called", "size")

    def __init__(self, asker: str, size: int) -> None:
        self.asker = asker
        self.size = QUESTION_SIZE + size
        self.called: Deferred[None]


class Turns:
    """Whoever wants to do something that takes a millisecond waits for their turn first: a page of
    what is in memory, a step of a search. Without a `clock` it is always theirs. `seconds` tells
    how long they take."""

    def __init__(
        self, clock: Clock | None, seconds: Callable[[], float] = time.perf_counter
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._waiting: FairQueue[_Ticket] = FairQueue()
        self._due: Any = None

    def wait(self, asker: str, size: int = 0) -> "Deferred[None]":
        """Fires when it is the turn of somebody from the network `asker`. `size`: bytes of text
        that are kept for it. Fails with `Refusal` (BUSY)."""
        if self._clock is None:
            return succeed(None)
        ticket = _Ticket(asker, size)
        ticket.called = Deferred(lambda _: self._waiting.remove(ticket))
        try:
            self._waiting.add(ticket)
        except Refusal as refusal:
            ticket.called.errback(refusal)
        else:
            self._go_on(self._clock)
        return ticket.called

    def _go_on(self, clock: Clock) -> None:
        if self._due is None:
            self._due = clock.callLater(0, lambda: self._turn(clock))

    def _turn(self, clock: Clock) -> None:
        self._due = None
        end = self._seconds() + TURN_SECONDS
        while (ticket := self._waiting.next()) is not None:
            ticket.called.callback(None)
            if self._seconds() >= end:
                break
        if len(self._waiting):
            self._go_on(clock)
