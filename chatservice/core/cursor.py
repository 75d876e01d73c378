"""Where one connection is in what it hears."""

from collections.abc import Callable
from typing import Protocol

from chatservice.core.events import Answered, Parted, PersonalEvent, Skipped
from chatservice.core.log import Batch, Dialect, Log

# Answers and private messages that may wait for a connection that takes nothing.
ASIDES = 64


class Outlet(Protocol):
    """One connection, as its cursor needs it."""

    def write(self, data: bytes) -> None:
        """Send, or queue: all of it is taken. May call `Cursor.stall` before it returns."""

    def finish(self) -> None:
        """The last word has been written: close."""

    def crowd(self, crowded: bool) -> None:
        """Too many answers wait for this connection: read nothing more from it until they don't."""

    def fail(self) -> None:
        """Give up this connection; an exception is being handled that says why."""


class Cursor:
    """Where one connection is in what it hears: a room's log, and what is addressed to it alone.

    What is addressed to it (an aside) keeps its place among what the room says: it waits, with
    the id that the room was at, until the cursor has read that far.
    """

    __slots__ = (
        "_asides",
        "_behind",
        "_heard",
        "_held",
        "_log",
        "_outlet",
        "_over",
        "_owed",
        "_parted",
        "_taken",
        "dialect",
        "position",
        "said",
        "stalled",
        "told",
    )

    def __init__(self, dialect: Dialect, outlet: Outlet) -> None:
        self.position = 0
        self.said = 0  # messages that this cursor's owner said and does not hear
        self.told = 0  # how much of what was addressed to it has been sent
        self.stalled = False  # the connection takes no more for now, or for good
        self.dialect = dialect
        self._outlet = outlet
        self._log: Log | None = None
        self._asides: list[tuple[int, PersonalEvent]] = []
        self._parted = False  # the last word has been said: nothing may follow it
        self._over = False  # and written
        self._behind = False
        self._heard = 0  # messages of others before `position`; true while behind
        self._held = False  # what the room says waits until we are told of the past
        self._owed: int | None = None  # the past that we have not been told begins there
        self._taken: list[Callable[[], None]] = []

    def enter(self, log: Log) -> None:
        """Read `log` from here on."""
        self._log = log
        self.position = log.next_id
        self._heard = log.messages

    def tell(self, event: PersonalEvent) -> None:
        """Send `event` after everything that this connection was to hear until now.

        `Parted` is the last word: the connection is closed after it.
        """
        if self._parted:
            return
        answer = event.event if isinstance(event, Answered) else event
        self._parted = isinstance(answer, Parted)
        self._asides.append((self._now(), event))
        self._read_on()

    def hold(self) -> None:
        """What the room says waits until `release`; what is told meanwhile comes before it."""
        self._held = True

    def go_to(self, position: int) -> None:
        """While held: what is told now stands there, among what the room has said; and what was
        told before stands before it."""
        self._asides = [(min(place, position), event) for place, event in self._asides]
        self.position = position

    def owe(self, position: int | None) -> None:
        """They are still to be told of the past from there on; or of nothing."""
        self._owed = position

    @property
    def heard_to(self) -> int:
        """Who ends here has heard, or said, all below this id."""
        comes_first = self._parted and not self.stalled  # what is due, before the last word
        if self._owed is not None:
            return self.position if comes_first and self._held else self._owed
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
    def parted(self) -> bool:
        """Whether the last word has been said."""
        return self._parted

    def release(self, position: int) -> None:
        """Read on, from there."""
        self._held = False
        self.position = max(self.position, position)
        if self._behind:
            self._heard = self._others_before(self.position)
        self._read_on()

    def when_taken(self, call: Callable[[], None]) -> None:
        """Call that once: when all that was told has been sent and the connection takes more, or
        is gone."""
        self._taken.append(call)
        if self._parted:
            self._tell_taken()
        else:
            self._read_on()

    @property
    def crowded(self) -> bool:
        """Whether this connection takes so little that nothing more should be addressed to it."""
        return self.stalled and len(self._asides) >= ASIDES

    def deliver(self, batch: Batch) -> None:
        """A batch has been committed: the newest there is."""
        if self.stalled:
            return
        if self._held or self.position != batch.start or self._asides:
            self._read_on()
            return
        self.position = batch.end
        if data := batch.bytes_for(self, self.dialect):
            self._outlet.write(data)

    def hint(self, data: bytes) -> None:
        """Send `data` if this connection takes it, before what is due; it is not worth keeping."""
        if self.stalled:
            return
        self._outlet.write(data)

    def fail(self) -> None:
        """Give up this connection; an exception is being handled that says why."""
        self._outlet.fail()

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
        self._parted = self._over = self.stalled = True
        self._asides.clear()
        del self._outlet
        self._tell_taken()

    def _read_on(self) -> None:
        """Send all that is due, until the connection takes no more."""
        waiting = len(self._asides)
        try:
            while not self.stalled and self._read_batch():
                pass
            self._behind = self.stalled
            if len(self._asides) >= ASIDES:
                self._outlet.crowd(True)
            elif waiting >= ASIDES and not self._over:
                self._outlet.crowd(False)
            if not self.stalled and not self._asides:
                self._tell_taken()
        except Exception:
            self._outlet.fail()

    def _tell_taken(self) -> None:
        taken, self._taken = self._taken, []
        for call in taken:
            call()

    def _now(self) -> int:
        """The place among what the room says that what we are told now has."""
        if self._log is None:
            return 0
        return self.position if self._held else self._log.next_id

    def _read_batch(self) -> bool:
        """Send one batch and the asides around it. False: there was none, we are up to date."""
        batch = self._log.batch_from(self.position) if self._log is not None else None
        if batch is None or self._held:
            # Who has just come in stands behind what is not committed so far.
            safe = self._log.end if self._log is not None else 0
            self._write(self._due_asides(min(self.position, safe)))
            return False
        if batch.start > self.position:
            self._write(self._due_asides(self.position))
            if self.stalled:
                return False
            self._skip(batch.start)
        if self._asides or self.position > batch.start:
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
        """`batch` from our position on, with the asides in their places."""
        woven: list[bytes] = []
        parts = batch.parts_for(self, self.dialect)
        for entry, part in zip(batch.entries, parts, strict=True):
            if entry.event.id >= self.position:
                woven += self._due_asides(entry.event.id)
                if self._over:
                    return woven
                woven.append(part)
        return woven + self._due_asides(batch.end)

    def _due_asides(self, position: int) -> list[bytes]:
        """Take out the asides that stand before `position`, rendered."""
        due = 0
        while due < len(self._asides) and self._asides[due][0] <= position:
            due += 1
        asides = [event for _, event in self._asides[:due]]
        del self._asides[:due]
        self.told += due
        self._over = self._parted and not self._asides
        return [self.dialect.render(event) for event in asides]

    def _write(self, parts: list[bytes]) -> None:
        data = b"".join(parts)
        if data:
            self._outlet.write(data)
        if self._over:
            self.stalled = True  # for good
            self._outlet.finish()

    def _skip(self, position: int) -> None:
        """The log has moved past us: say how much we missed, and go on from `position`."""
        heard = self._others_before(position)
        missed, self._heard = heard - self._heard, heard
        if missed:
            skipped = Skipped(missed, self.position - 1, position)
            self._asides.insert(0, (0, skipped))
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
