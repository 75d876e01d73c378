"""Comings and goings: told at once while they are few, together when they are a crowd."""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from chatservice.core.drafts import Arrival, Arrive, Depart, Draft
from chatservice.core.log import Clock, DelayedCall, Now

if TYPE_CHECKING:
    from chatservice.core.users import User

# Comings and goings within this many seconds make a crowd: short enough to look immediate, long
# enough to make a few lines of a thousand arrivals.
GATHER_SECONDS = 0.2
# So many in that time are told at once, one by one, before they are gathered: as many lines as a
# person still reads.
MAX_SINGLE = 10
# And this many are told together: each of those who arrive together hears another part of the
# notice, so that it costs the square of their number (30 ms for these).
MAX_GATHERED = 1000


class Move(Enum):
    """How people come and go; in the order in which it is told."""

    LEFT = "left"
    LOST = "lost"
    JOINED = "joined"


class Gathering:
    """Submits comings and goings. `now` is the time of day."""

    def __init__(self, clock: Clock, now: Now, submit: Callable[[Draft], None]) -> None:
        self._clock = clock
        self._now = now
        self._submit = submit
        self._arrivals: dict[tuple[str, ...], list[Arrival]] = {}
        self._departures: dict[tuple[Move, tuple[str, ...]], list[User]] = {}
        self._count = 0
        self._due: DelayedCall | None = None
        self._since = clock.seconds() - GATHER_SECONDS  # when the window began
        self._in_window = 0

    def arrive(self, arrival: Arrival) -> None:
        """Somebody comes in."""
        self._arrivals.setdefault(arrival.rooms, []).append(arrival)
        self._gather()

    def depart(self, user: "User", rooms: tuple[str, ...], *, lost: bool) -> None:
        """Somebody in these `rooms` goes; `lost`: without a goodbye."""
        move = Move.LOST if lost else Move.LEFT
        self._departures.setdefault((move, rooms), []).append(user)
        self._gather()

    def clear(self) -> None:
        """What has gathered is told to nobody."""
        self._arrivals.clear()
        self._departures.clear()

    def flush(self) -> None:
        """Submit what has gathered: whoever has gone makes room for whoever comes."""
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None
        self._count = 0
        departures, self._departures = self._departures, {}
        arrivals, self._arrivals = self._arrivals, {}
        at = self._now()
        for (move, _), people in sorted(departures.items(), key=lambda item: _order(item[0][0])):
            self._submit(Depart(at, people, lost=move is Move.LOST))
        for together in arrivals.values():
            if together:
                draft = Arrive(at, together)
                for arrival in together:
                    arrival.connection.submitted = draft
                self._submit(draft)

    def _gather(self) -> None:
        self._count += 1
        if self._due is None and self._clock.seconds() - self._since >= GATHER_SECONDS:
            self._begin_window(0)
        self._in_window += 1
        if (self._due is None and self._in_window <= MAX_SINGLE) or self._count >= MAX_GATHERED:
            self.flush()
        elif self._due is None:
            self._due = self._clock.callLater(GATHER_SECONDS, self._end_window)

    def _begin_window(self, already: int) -> None:
        self._since = self._clock.seconds()
        self._in_window = already

    def _end_window(self) -> None:
        """A crowd goes on in the next window; if few have gathered in this one, it is over."""
        self._begin_window(self._count)
        self.flush()


def _order(move: Move) -> int:
    return list(Move).index(move)
