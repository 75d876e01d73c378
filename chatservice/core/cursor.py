"""Where one connection is in what it hears."""

from collections.abc import Callable
from typing import Protocol

from chatservice.core.backlog import is_too_much, size_of
from chatservice.core.events import Answered, Closed, PersonalEvent, Skipped
from chatservice.core.log import Batch, Dialect, Log


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


class Cursor:
    """Where one connection is in what it hears: a room's log, and what is addressed to it alone.

    What is addressed to it (a personal event) keeps its place among what the room says: it waits,
    with the id that the room was at, until the cursor has read that far.
    """

    __slots__ = (
        "_behind",
        "_closing",
        "_heard",
        "_log",
        "_over",
        "_personal",
        "_personal_size",
        "_replay_from",
        "_replaying",
        "_sink",
        "_taken",
        "dialect",
        "events_sent",
        "position",
        "said",
        "stalled",
    )

    def __init__(self, dialect: Dialect, sink: Sink) -> None:
        self.position = 0
        self.said = 0  # messages that this cursor's owner said and does not hear
        self.events_sent = 0  # how much of what was addressed to it has been sent
        self.stalled = False  # the connection takes no more for now, or for good
        self.dialect = dialect
        self._sink = sink
        self._log: Log | None = None
        self._personal: list[tuple[int, PersonalEvent]] = []
        self._personal_size = 0  # in bytes
        self._closing = False  # the last word has been said: nothing may follow it
        self._over = False  # and written
        self._behind = False
        self._heard = 0  # messages of others before `position`; true while behind
        self._replaying = False  # what the room says waits until we are told of the past
        self._replay_from: int | None = None  # the past that we have not been told begins there
        self._taken: list[Callable[[], None]] = []

    def enter(self, log: Log) -> None:
        """Read `log` from here on."""
        self._log = log
        self.position = log.next_id
        self._heard = log.messages

    def send(self, event: PersonalEvent) -> None:
        """Send `event` after everything that this connection was to hear until now.

        `Closed` is the last word: the connection is closed after it.
        """
        if self._closing:
            return
        answer = event.event if isinstance(event, Answered) else event
        self._closing = isinstance(answer, Closed)
        self._personal.append((self._now(), event))
        self._personal_size += size_of(event)
        self._read_on()

    def begin_replay(self) -> None:
        """What the room says waits until `end_replay`; what is told meanwhile comes before it."""
        self._replaying = True

    def seek(self, position: int) -> None:
        """While held: what is told now stands there, among what the room has said; and what was
        told before stands before it."""
        self._personal = [(min(place, position), event) for place, event in self._personal]
        self.position = position

    def set_replay_pending(self, position: int | None) -> None:
        """They are still to be told of the past from there on; or of nothing."""
        self._replay_from = position

    @property
    def read_to(self) -> int:
        """Who ends here has heard, or said, all below this id."""
        comes_first = self._closing and not self.stalled  # what is due, before the last word
        if self._replay_from is not None:
            return self.position if comes_first and self._replaying else self._replay_from
        if self._log is None:
            return self.position
        if comes_first:
            return self._log.next_id
        heard = self.position
        for entry in self._log.entries_from(heard):
            if self not in entry.authors or entry.heard_by_author(self) is not None:
                break
            heard = entry.event.id + (entry.messages or 1)
        return heard

    @property
    def closing(self) -> bool:
        """Whether the last word has been said."""
        return self._closing

    def end_replay(self, position: int) -> None:
        """Read on, from there."""
        self._replaying = False
        self.position = max(self.position, position)
        if self._behind:
            self._heard = self._others_before(self.position)
        self._read_on()

    def when_taken(self, call: Callable[[], None]) -> None:
        """Call that once: when all that was told has been sent and the connection takes more, or
        is gone."""
        self._taken.append(call)
        if self._closing:
            self._call_taken()
        else:
            self._read_on()

    @property
    def backlogged(self) -> bool:
        """Whether this connection takes so little that nothing more should be addressed to it."""
        return self.stalled and self._has_too_much

    def deliver(self, batch: Batch) -> None:
        """A batch has been committed: the newest there is."""
        if self.stalled:
            return
        if self._replaying or self.position != batch.start or self._personal:
            self._read_on()
            return
        self.position = batch.end
        if data := batch.bytes_for(self, self.dialect):
            self._sink.write(data)

    def send_ephemeral(self, data: bytes) -> None:
        """Send `data` if this connection takes it, before what is due; it is not worth keeping."""
        if self.stalled:
            return
        self._sink.write(data)

    def fail(self) -> None:
        """Give up this connection; an exception is being handled that says why."""
        self._sink.fail()

    def stall(self) -> None:
        """The connection takes no more for now."""
        self.stalled = True
        if not self._behind:
            self._behind = True
            self._heard = self._others_before(self.position)

    def resume(self) -> None:
        """The connection has drained."""
        if not self._over:
            self.stalled = False
            self._read_on()

    def close(self) -> None:
        """The connection is gone. The log may know this cursor, as an author, for longer: it must
        not keep the connection."""
        self._closing = self._over = self.stalled = True
        self._personal.clear()
        self._personal_size = 0
        self._sink = NOWHERE
        self._call_taken()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone: nothing is heard any more."""
        return self._sink is NOWHERE

    def _read_on(self) -> None:
        """Send all that is due, until the connection takes no more."""
        had_too_much = self._has_too_much
        try:
            while not self.stalled and self._read_batch():
                pass
            self._behind = self.stalled
            if self._has_too_much:
                self._sink.pause_reading(True)
            elif had_too_much and not self._over:
                self._sink.pause_reading(False)
            if not self.stalled and not self._personal:
                self._call_taken()
        except Exception:
            self._sink.fail()

    @property
    def _has_too_much(self) -> bool:
        return is_too_much(len(self._personal), self._personal_size)

    def _call_taken(self) -> None:
        taken, self._taken = self._taken, []
        for call in taken:
            call()

    def _now(self) -> int:
        """The place among what the room says that what we are told now has."""
        if self._log is None:
            return 0
        return self.position if self._replaying else self._log.next_id

    def _read_batch(self) -> bool:
        """Send one batch and the personal events around it. False: we are up to date."""
        batch = self._log.batch_from(self.position) if self._log is not None else None
        if batch is None or self._replaying:
            # Who has just come in stands behind what is not committed so far.
            safe = self._log.end if self._log is not None else 0
            self._write(self._due_personal(min(self.position, safe)))
            return False
        if batch.start > self.position:
            self._write(self._due_personal(self.position))
            if self.stalled:
                return False
            self._skip(batch.start)
        if self._personal or self.position > batch.start:
            parts = self._woven(batch)
        else:
            parts = [batch.bytes_for(self, self.dialect)]
        if self._behind:
            self._heard += sum(
                entry.messages
                for entry in batch.entries
                if entry.event.id >= self.position and self not in entry.authors
            )
        self.position = batch.end
        self._write(parts)
        return True

    def _woven(self, batch: Batch) -> list[bytes]:
        """`batch` from our position on, with the personal events in their places."""
        woven: list[bytes] = []
        parts = batch.parts_for(self, self.dialect)
        for entry, part in zip(batch.entries, parts, strict=True):
            if entry.event.id >= self.position:
                woven += self._due_personal(entry.event.id)
                if self._over:
                    return woven
                woven.append(part)
        return woven + self._due_personal(batch.end)

    def _due_personal(self, position: int) -> list[bytes]:
        """Take out the personal events that stand before `position`, rendered."""
        due = 0
        while due < len(self._personal) and self._personal[due][0] <= position:
            due += 1
        personal = [event for _, event in self._personal[:due]]
        del self._personal[:due]
        self._personal_size -= sum(map(size_of, personal))
        self.events_sent += due
        self._over = self._closing and not self._personal
        return [self.dialect.render_personal(event) for event in personal]

    def _write(self, parts: list[bytes]) -> None:
        data = b"".join(parts)
        if data:
            self._sink.write(data)
        if self._over:
            self.stalled = True  # for good
            self._sink.finish()

    def _skip(self, position: int) -> None:
        """The log has moved past us: say how much we missed, and go on from `position`."""
        heard = self._others_before(position)
        missed, self._heard = heard - self._heard, heard
        if missed:
            skipped = Skipped(missed, self.position - 1, position)
            self._personal.insert(0, (0, skipped))
            self._personal_size += size_of(skipped)
        self.position = position

    def _others_before(self, position: int) -> int:
        """How many messages of others there have been before `position`."""
        if self._log is None:
            return 0
        others_after = sum(
            entry.messages
            for entry in self._log.entries_from(position)
            if self not in entry.authors
        )
        return self._log.messages - self.said - others_after
