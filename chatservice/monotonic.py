"""Timers that do not move when somebody sets the clock."""

import time
from typing import Any


def use_monotonic_clock(reactor: Any) -> None:
    """Have `reactor` time its delayed calls by the monotonic clock, including those that wait.

    Twisted's reactors read the wall clock: when it is set back by an hour, a call that is due in
    five seconds comes an hour late; when it is set forward, at once. This rests on three things
    that are true of Twisted 26.10 and all its reactors for POSIX: a reactor asks its own `seconds`
    (`IReactorTime`) for the time, both when it schedules a call and when it looks for those that
    are due; a delayed call asks the `seconds` that it was made with when it is reset; and
    `callLater` takes a delay, never a time of day.

    From then on `reactor.seconds()` is good for differences only; the time of day is `time.time`.
    (twisted.web's access log would take the one for the other.)
    """
    waiting = [(call, call.getTime() - reactor.seconds()) for call in reactor.getDelayedCalls()]
    reactor.seconds = time.monotonic
    for call, left in waiting:
        call.seconds = time.monotonic
        call.reset(max(left, 0))
