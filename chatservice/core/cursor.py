"""Where one connection is in what it hears."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from itertools import count, takewhile
from types import MappingProxyType
from typing import NamedTuple, Protocol

from chatservice.core.backlog import is_too_much, size_of
from chatservice.core.drafts import Draft, Entry, later
from chatservice.core.events import LOBBY, Answered, Burst, Closed, PersonalEvent, Skipped
from chatservice.core.log import Batch, Dialect, Log, Rendering, look
from chatservice.core.readable import readable


class Sink(Protocol):
    """One connection, as its cursor needs it."""

    def write(self, data: bytes) -> None:
        """Send, or queue: all of it is taken. May call `Cursor.stall` before it returns."""

    def finish(self) -> None:
        """The last word has been written: close."""

    def pause_reading(self, paused: bool) -> None:
        """Too many answers wait for this connection: read nothing more from it until they don't."""

    def fail(self) -> None:
        """Give up this connection; an exception is being handled that says why."""


class _Nowhere:
    """The sink of a cursor whose connection is gone."""

    def write(self, data: bytes) -> None: ...

    def finish(self) -> None: ...

    def pause_reading(self, paused: bool) -> None: ...

    def fail(self) -> None: ...


NOWHERE = _Nowhere()
_NONE_QUIET: frozenset[str] = frozenset()  # one object for all: an empty set takes 216 bytes


class Pages(Protocol):
    """What the log no longer holds, if something else does."""

    def load(
        self, position: int, rooms: frozenset[str], then: Callable[[Batch | None, int], None], /
    ) -> None:
        """Call `then` with the batch that holds `position`, or the next one that is kept; None: the
        log holds the next one. And with the number of messages in `rooms` before it that are not
        kept any more."""


class Ignores(Protocol):
    """Whom a person does not hear."""

    def among(self, entries: Sequence[Entry], /) -> frozenset[int]:
        """The indices of what those have said."""


class Listener(Protocol):
    """The person whose connection it is: the rooms that they are in, and since which id; and whom
    they do not hear."""

    @property
    def rooms(self) -> Mapping[str, int]: ...

    @property
    def ignores(self) -> Ignores | None: ...


class Flow(Enum):
    """Whether the connection takes what is written to it."""

    OPEN = "open"
    FULL = "full"  # it takes no more for now
    CLOSING = "closing"  # nothing will follow what waits already
    CLOSING_FULL = "closing, full"
    CLOSED = "closed"  # the last word has been written, or the connection is gone


class Signal(Enum):
    """What changes a `Flow`."""

    FILLED = "filled"
    DRAINED = "drained"
    LAST_WORD = "last word"  # it has been said
    ENDED = "ended"  # it has been written, or the connection is gone


FLOWS: Mapping[tuple[Flow, Signal], Flow] = {
    (Flow.OPEN, Signal.FILLED): Flow.FULL,
    (Flow.OPEN, Signal.DRAINED): Flow.OPEN,
    (Flow.OPEN, Signal.LAST_WORD): Flow.CLOSING,
    (Flow.OPEN, Signal.ENDED): Flow.CLOSED,
    (Flow.FULL, Signal.FILLED): Flow.FULL,
    (Flow.FULL, Signal.DRAINED): Flow.OPEN,
    (Flow.FULL, Signal.LAST_WORD): Flow.CLOSING_FULL,
    (Flow.FULL, Signal.ENDED): Flow.CLOSED,
    (Flow.CLOSING, Signal.FILLED): Flow.CLOSING_FULL,
    (Flow.CLOSING, Signal.DRAINED): Flow.CLOSING,
    (Flow.CLOSING, Signal.ENDED): Flow.CLOSED,
    (Flow.CLOSING_FULL, Signal.FILLED): Flow.CLOSING_FULL,
    (Flow.CLOSING_FULL, Signal.DRAINED): Flow.CLOSING,
    (Flow.CLOSING_FULL, Signal.ENDED): Flow.CLOSED,
    (Flow.CLOSED, Signal.FILLED): Flow.CLOSED,
    (Flow.CLOSED, Signal.DRAINED): Flow.CLOSED,
    (Flow.CLOSED, Signal.ENDED): Flow.CLOSED,
}
_TAKING = (Flow.OPEN, Flow.CLOSING)


class Reading(Enum):
    """How a cursor reads the log."""

    OUTSIDE = "outside"  # not at all: nobody has come in
    REPLAYING = "replaying"  # the past is shown first
    BEHIND = "behind"  # it reads on from its position
    PAGING = "paging"  # it waits for a page of what the log no longer holds
    LIVE = "live"  # it has heard everything


READINGS: Mapping[Reading, frozenset[Reading]] = {
    Reading.OUTSIDE: frozenset({Reading.BEHIND}),
    Reading.REPLAYING: frozenset({Reading.BEHIND}),
    Reading.BEHIND: frozenset({Reading.LIVE, Reading.PAGING, Reading.REPLAYING}),
    Reading.PAGING: frozenset({Reading.BEHIND}),
    Reading.LIVE: frozenset({Reading.BEHIND, Reading.REPLAYING}),
}


class _Personal(NamedTuple):
    """An event for this connection only: it comes after everything below `position`, and after
    `draft`."""

    event: PersonalEvent
    position: int
    draft: Draft | None

    def is_due(self, position: int) -> bool:
        """Whether it is, where everything below `position` has been heard."""
        if self.draft is None:
            return self.position <= position
        return self.draft.settled and max(self.position, self.draft.position) <= position


class _Tally:
    """What a cursor that is not up to date needs in order to say how much it has missed: messages
    that it had heard, for each room (or its person had said); and messages of its own that it has
    not passed by yet."""

    __slots__ = ("heard", "said")

    def __init__(self, heard: Mapping[str, int]) -> None:
        self.heard = Counter(heard)
        self.said: Counter[str] = Counter()


NO_ROOMS: Mapping[str, int] = MappingProxyType({})
_numbers = count(1)


class Cursor:
    """Where one connection is in what it hears: the log, and what is addressed to it only.

    A connection that is up to date (LIVE) has no position of its own. What is addressed to it (a
    personal event) comes after what it has submitted before, and waits for nothing else.

    `number` is its own for as long as the process lives: what is kept of its entries has that.
    `current`: the room in which it speaks. `hears_all`: it hears all rooms of its person; otherwise
    the lobby only. `quiet`: rooms whose comings and goings are left out.
    """

    __slots__ = (
        "_current",
        "_flow",
        "_log",
        "_owed",
        "_pages",
        "_paused",
        "_personal",
        "_personal_size",
        "_position",
        "_quiet",
        "_reading",
        "_replayed_from",
        "_sink",
        "_taken",
        "_tally",
        "dialect",
        "events_sent",
        "heard_to",
        "hears_all",
        "live",
        "look",
        "number",
        "start",
        "submitted",
        "unheard_from",
        "user",
        "write",
    )

    def __init__(self, dialect: Dialect, sink: Sink) -> None:
        self.number = next(_numbers)
        self.events_sent = 0  # how many personal events have been sent
        self.live = False  # up to date, and nothing waits: whatever comes next can be written
        self.hears_all = True
        self.submitted: Draft | None = None  # the last one of this connection
        self.user: Listener | None = None
        self.write = NOWHERE.write  # once it has come in: what a `live` connection hears next
        self._sink: Sink = sink
        self._log: Log | None = None
        self._pages: Pages | None = None
        self._flow = Flow.OPEN
        self._reading = Reading.OUTSIDE
        self._position = 0
        self._owed: int | None = None  # from there on, what was not shown that should have been
        self.unheard_from: int | None = None  # from there on, what may not have arrived
        self._replayed_from = 0  # from there on, what of the past may not have arrived
        self.heard_to = 0  # while it is live: of what it has made, all before this id
        self.start = 0  # the id since which it hears what happens
        self._personal: tuple[_Personal, ...] = ()  # few, and mostly none
        self._personal_size = 0  # in bytes
        self._paused = False  # nothing is read from it, since too many events wait for it
        self._tally: _Tally | None = None  # while it reads on from its position
        self._taken: tuple[Callable[[], None], ...] = ()
        self._current = LOBBY
        self._quiet: frozenset[str] = _NONE_QUIET
        self.set_dialect(dialect)

    def set_dialect(self, dialect: Dialect) -> None:
        """Hear in `dialect` from now on."""
        self.dialect = dialect
        self.look = look(dialect.shared, self._current, self._quiet)

    @property
    def current(self) -> str:
        """The room in which its person speaks here."""
        return self._current

    @current.setter
    def current(self, room: str) -> None:
        self._current = room
        self.set_dialect(self.dialect)

    @property
    def quiet(self) -> frozenset[str]:
        """Rooms whose comings and goings are left out."""
        return self._quiet

    @quiet.setter
    def quiet(self, rooms: frozenset[str]) -> None:
        self._quiet = rooms
        self.set_dialect(self.dialect)

    @property
    def rooms(self) -> Mapping[str, int]:
        """The rooms that it hears, and since which id."""
        if self.user is None:
            return NO_ROOMS
        rooms = self.user.rooms
        if self.hears_all:
            return rooms
        return {LOBBY: rooms[LOBBY]} if LOBBY in rooms else NO_ROOMS

    @property
    def stalled(self) -> bool:
        """Whether the connection takes no more for now, or for good."""
        return self._flow not in _TAKING

    @property
    def closing(self) -> bool:
        """Whether the last word has been said."""
        return self._flow not in (Flow.OPEN, Flow.FULL)

    @property
    def backlogged(self) -> bool:
        """Whether this connection takes so little that nothing more should be addressed to it."""
        return self.stalled and self._has_too_much

    @property
    def position(self) -> int:
        """Read position: everything below it was heard, or said."""
        if self.unheard_from is not None:
            return min(self.unheard_from, self._written_to)
        return self._written_to

    @property
    def _written_to(self) -> int:
        """Everything below it was written."""
        if self._owed is not None:
            return self._owed
        if self._reading is Reading.LIVE and self._log is not None:
            return self._log.end
        return self._position

    def doubt(self, unacknowledged: int) -> None:
        """The peer has not acknowledged the last so many bytes that were written."""
        if not unacknowledged or self._log is None:
            self.unheard_from = None
            self._replayed_from = self._position
        elif self._reading is Reading.REPLAYING:  # we do not know how long that is
            self.unheard_from = self._replayed_from
        elif self.unheard_from is None or self.unheard_from >= self._log.first_id:
            reached = self._log.position_short_of(
                self._written_to,
                unacknowledged,
                self.look,
                frozenset(self.rooms),
                self.number,
                self._left_out,
            )
            self.unheard_from = max(reached, self.unheard_from or 0)

    def doubt_since(self, position: int) -> None:
        """Nobody knows whether the peer has heard what was written since then."""
        if self.unheard_from is None and position < self._written_to:
            self.unheard_from = max(position, self.start)

    def enter(self, log: Log, user: Listener, position: int, pages: Pages | None = None) -> None:
        """Read `log` from `position` on, as `user`."""
        self.user = user
        self.write = self._sink.write
        self._log = log
        self._pages = pages
        self.start = position
        self._fall_behind(position)

    def send(self, event: PersonalEvent, after: Draft | None = None) -> None:
        """Send `event` after everything that this connection has heard and submitted until now,
        and after the draft `after`.

        `Closed` is the last word: the connection is closed after it.
        """
        if self.closing:
            return
        answer = event.event if isinstance(event, Answered) else event
        if isinstance(answer, Closed):
            if self._log is not None and self._reading is not Reading.OUTSIDE:
                after = later(after, self._log.newest)
            self._change(Signal.LAST_WORD)
        draft = later(self.submitted, after)
        if draft is not None and draft.connection is not self and not draft.heard:
            draft.when_heard(self._read_on)  # it may bring nothing that we hear
        position = self._end
        if draft is not None and draft.settled:
            position, draft = max(position, draft.position_for(self)), None
        if self._reading in (Reading.OUTSIDE, Reading.REPLAYING):
            position, draft = 0, None
        self._personal = (*self._personal, _Personal(event, position, draft))
        self._personal_size += size_of(event)
        self._read_on()

    def send_at_once(self, event: PersonalEvent) -> None:
        """Send `event` before all that is due: it waits for nothing that was submitted."""
        if self.closing:
            return
        self._personal = (_Personal(event, 0, None), *self._personal)
        self._personal_size += size_of(event)
        self._read_on()

    def begin_replay(self, position: int) -> None:
        """What happens waits until `end_replay`. What is sent meanwhile comes before it; everything
        below `position` was heard."""
        self._move(Reading.REPLAYING)
        self._position = self._replayed_from = position
        self._personal = tuple(_Personal(each.event, 0, None) for each in self._personal)
        self._read_on()

    def end_replay(self, position: int, *, interrupted: bool = False) -> None:
        """Read on from there; `interrupted`: what was to be shown before it was not."""
        if self._reading is Reading.REPLAYING:
            if interrupted:
                self._owed = self._position
            self._fall_behind(self._position if self._flow is Flow.CLOSED else position)
            self._read_on()

    def owe(self, position: int) -> None:
        """Everything from `position` on was not shown, and is not going to be."""
        self._owed = position

    def replayed_to(self, position: int) -> None:
        """While replaying: everything below it has been taken."""
        if self._reading is Reading.REPLAYING:
            self._position = position

    def when_taken(self, call: Callable[[], None]) -> None:
        """Call that once: when all that was sent has been written and the connection takes more, or
        is gone."""
        self._taken = (*self._taken, call)
        if self.closing:
            self._call_taken()
        else:
            self._read_on()

    def deliver(self, batch: Batch) -> None:
        """A batch has been committed: the newest there is."""
        if self._flow not in _TAKING:
            return
        if self._reading is Reading.LIVE:
            self._position = max(batch.start, self.start)
            self.heard_to = batch.end
            self._write(self._woven(batch))
            self._look_around()
        else:
            self._read_on()

    def settled(self, batch: Batch) -> None:
        """A draft of this connection is settled in `batch`: it hears what becomes of it, in
        whatever room that was."""
        is_ours = self.number in batch.authors
        if self._reading is Reading.LIVE and is_ours and self.heard_to < batch.end:
            self.deliver(batch)
        elif self._personal:
            self._read_on()

    def send_ephemeral(self, data: bytes) -> None:
        """Send `data` if this connection takes it, before what is due; it is not worth keeping."""
        if self._flow is Flow.OPEN:
            self._sink.write(data)

    def said(self, room: str, messages: int) -> None:
        """This connection's person said something here that it does not hear."""
        if self._tally is not None:
            self._tally.said[room] += messages

    def fail(self) -> None:
        """Give up this connection; an exception is being handled that says why."""
        self._sink.fail()

    def stall(self) -> None:
        """The connection takes no more for now."""
        self._change(Signal.FILLED)
        if self._reading is Reading.LIVE:
            self._fall_behind(self._end)

    def resume(self) -> None:
        """The connection has drained."""
        self._change(Signal.DRAINED)
        self._read_on()

    def close(self) -> None:
        """The connection is gone, or takes nothing any more. The log may know this cursor, as an
        author, for longer: it must not keep the connection."""
        if self._reading is Reading.LIVE:
            self._fall_behind(self._end)
        self._change(Signal.ENDED)
        self._personal = ()
        self._personal_size = 0
        self._sink = NOWHERE
        self.write = NOWHERE.write
        self._call_taken()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone: nothing is heard any more."""
        return self._sink is NOWHERE

    @property
    def _end(self) -> int:
        return self._log.end if self._log is not None else 0

    def _change(self, signal: Signal) -> None:
        self._flow = FLOWS[self._flow, signal]
        self._update_live()

    def _move(self, reading: Reading) -> None:
        if reading is not self._reading:
            if reading not in READINGS[self._reading]:
                raise RuntimeError(f"a cursor cannot go from {self._reading} to {reading}.")
            self._reading = reading
        self._update_live()

    def _update_live(self) -> None:
        self.live = self._reading is Reading.LIVE and self._flow is Flow.OPEN and not self._personal

    def _fall_behind(self, position: int) -> None:
        self._position = position
        log = self._log
        if log is None:
            heard = {}
        elif position < log.end:
            heard = {room: log.messages_before(position, room) for room in self.rooms}
        else:
            heard = {room: log.messages[room] for room in self.rooms}
        self._tally = _Tally(heard)
        self._move(Reading.BEHIND)

    def _read_on(self) -> None:
        """Send all that is due, until the connection takes no more."""
        try:
            while self._flow in _TAKING and self._read_batch():
                pass
            if self._flow in _TAKING:
                self._write(self._due(self._position_of_reading()))
            self._look_around()
        except Exception:
            self._sink.fail()

    def _look_around(self) -> None:
        """Tell those who wait for this connection to take something."""
        self._update_live()
        if self._flow is not Flow.CLOSED and self._has_too_much is not self._paused:
            self._paused = self._has_too_much
            self._sink.pause_reading(self._paused)
        if self._taken and self._flow in _TAKING and not self._personal:
            self._call_taken()

    @property
    def _has_too_much(self) -> bool:
        return is_too_much(len(self._personal), self._personal_size)

    def _call_taken(self) -> None:
        taken, self._taken = self._taken, ()
        for call in taken:
            call()

    def _position_of_reading(self) -> int:
        """Personal events that stand before it are due."""
        return self._end if self._reading is Reading.LIVE else self._position

    def _read_batch(self) -> bool:
        """Read one batch, with the personal events in it. False: for now, that is all."""
        log = self._log
        if log is None or self._reading is not Reading.BEHIND:
            return False
        batch = log.batch_from(self._position)
        start = log.first_id if batch is None else batch.start
        if start > self._position and log.dropped_since(self._position, self.rooms):
            self._write(self._due(self._position))
            if self._flow not in _TAKING:
                return False
            if self._pages is not None:
                self._move(Reading.PAGING)
                self._pages.load(self._position, frozenset(self.rooms), self._paged)
                return self._reading is Reading.BEHIND
            self._skip(start, self._missed(start))
        if batch is None:
            self._tally = None
            self._move(Reading.LIVE)
            return False
        self._read(batch)
        return True

    def _paged(self, batch: Batch | None, gone: int) -> None:
        """What the log no longer holds."""
        if self._reading is not Reading.PAGING:
            return
        self._move(Reading.BEHIND)
        if self._log is None:
            return
        if gone:
            self._skip(self._log.first_id if batch is None else batch.start, gone)
        if batch is None:
            self._position = max(self._position, self._log.first_id)
        elif self._flow in _TAKING:
            self._read(batch)
        self._read_on()

    def _read(self, batch: Batch) -> None:
        woven = self._woven(batch)
        if (tally := self._tally) is not None:
            for entry in batch.entries:
                if entry.messages and entry.end > self._position:
                    room = entry.rooms[0]
                    tally.heard[room] += entry.messages
                    if self.number in entry.connections and not entry.echo:
                        tally.said[room] -= entry.messages
        self._position = batch.end
        self._write(woven)

    def _woven(self, batch: Batch) -> list[bytes]:
        """`batch` from our position on, with the personal events in their places."""
        rooms = self.rooms
        heard = batch.rooms.intersection(rooms)
        left_out = self._left_out(batch.entries)
        shared: Rendering | None = None
        if self.number not in batch.apart and all(rooms[room] <= batch.start for room in heard):
            shared = batch.rendering(self.look, heard)
            if not self._personal and not left_out and self._position <= batch.start:
                if self.number in batch.authors:
                    return [batch.bytes_for_author(self.look, heard, self.number)]
                return [shared.data]
        woven: list[bytes] = []
        for index, entry in enumerate(batch.entries):
            id_ = entry.event.id
            if id_ < self._position:
                is_begun = entry.end > self._position and index not in left_out
                if is_begun and isinstance(entry.event, Burst) and heard:
                    woven.append(self._rest_of(entry.event))
                continue
            woven += self._due(id_)
            if self._flow is Flow.CLOSED:
                return woven
            if index in left_out:
                continue
            heard_in = tuple(r for r in entry.rooms if r in rooms and rooms[r] <= id_)
            if self.number in entry.connections:
                woven.append(batch.own_part(self.look, index, heard_in, self.number))
            elif shared is not None:
                woven.append(shared.part(index))
            elif heard_in:
                woven.append(batch.part(self.look, index, heard_in))
        return woven + self._due(batch.end)

    def _left_out(self, entries: Sequence[Entry]) -> frozenset[int]:
        """The indices of those that our person does not hear, since they ignore who said them."""
        ignores = None if self.user is None else self.user.ignores
        return frozenset() if ignores is None else ignores.among(entries)

    def _rest_of(self, burst: Burst) -> bytes:
        """The messages of `burst` from our position on, which a program has named."""
        if burst.room not in self.rooms or self.rooms[burst.room] > self._position:
            return b""
        texts = burst.texts[self._position - burst.id :]
        return self.dialect.render(replace(burst, id=self._position, texts=texts))

    def _due(self, position: int) -> list[bytes]:
        """Take out the personal events that stand before `position`, rendered."""
        due = [each.event for each in takewhile(lambda e: e.is_due(position), self._personal)]
        self._personal = self._personal[len(due) :]
        self._personal_size -= sum(map(size_of, due))
        self.events_sent += len(due)
        if self.closing and not self._personal and self._flow is not Flow.CLOSED:
            self._flow = FLOWS[self._flow, Signal.ENDED]
        if self.user is not None and self._log is not None:
            due = [readable(event, self.user.rooms, self._log.erased) for event in due]
        return [self.dialect.render_personal(event) for event in due]

    def _write(self, parts: list[bytes]) -> None:
        ended = self._flow is Flow.CLOSED
        data = b"".join(parts)
        if data:
            self._sink.write(data)
        if ended:
            self._sink.finish()

    def _missed(self, before: int) -> int:
        """How many messages of others, in our rooms, stand before that id and were not heard."""
        log, tally = self._log, self._tally
        if log is None or tally is None:
            return 0
        own_held = Counter[str]()
        for entry in log.entries_of(self.number, before):
            own_held[entry.rooms[0]] += entry.messages
        missed = 0
        for room in self.rooms:
            there = log.messages_before(before, room) - tally.heard[room]
            missed += max(there - max(tally.said[room] - own_held[room], 0), 0)
            tally.heard[room] = log.messages_before(before, room)
        for room, said in own_held.items():
            tally.said[room] = said
        return missed

    def _skip(self, position: int, missed: int) -> None:
        """What we have not heard is held no longer: say how much, and go on from `position`."""
        if missed:
            skipped = Skipped(missed, max(self._position - 1, 0), position)
            self._personal = (_Personal(skipped, 0, None), *self._personal)
            self._personal_size += size_of(skipped)
        self._position = position
