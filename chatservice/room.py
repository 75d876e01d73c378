"""A room is a log; everyone in it is a cursor.

What happens in a room is appended to its pending entries. At the end of the reactor's turn they
become one batch, which the room hands to `commit`. When that calls back, the batch joins the log
and every cursor that is up to date is sent the same bytes. A cursor whose connection takes no more
has stopped: nothing is kept for it. When its connection has drained it reads on from the log.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum
from itertools import chain
from typing import NamedTuple, Protocol

from chatservice.events import (
    Emoted,
    Event,
    Joined,
    Left,
    Parted,
    PersonalEvent,
    Renamed,
    RoomEvent,
    Said,
    Skipped,
)

# How far a slow reader may fall behind before it loses messages, in characters and in messages.
# Memory is some four times the characters: texts, renderings, and the objects around them.
LOG_SIZE = 4 * 1024 * 1024
LOG_MESSAGES = 20_000
# Characters in a batch (one entry more than this if it is larger). What a connection that stops
# reading is left holding is at most one batch: as much as one read of a socket brings.
BATCH_SIZE = 64 * 1024
# Comings and goings within this many seconds of the last notice are told together: short enough
# to look immediate, long enough to make a few lines of a thousand arrivals.
GATHER_SECONDS = 0.5
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


class DelayedCall(Protocol):
    def cancel(self) -> None: ...

    def active(self) -> bool: ...


class Clock(Protocol):
    """What a room needs of Twisted's reactor (or of `twisted.internet.task.Clock`)."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, f: Callable[[], object], /) -> DelayedCall: ...


class Dialect(Protocol):
    def render(self, event: Event, /) -> bytes: ...


class Entry(NamedTuple):
    """An event, the cursors of its authors (who do not hear it as others do), its messages."""

    event: RoomEvent
    authors: tuple["Cursor", ...]
    messages: int

    @property
    def size(self) -> int:
        """In characters, roughly."""
        match self.event:
            case Said(name=name, texts=texts):
                return sum(map(len, texts)) + len(texts) * len(name)
            case Joined(names=names) | Left(names=names):
                return sum(map(len, names))
            case Emoted(text=text):
                return len(text)
            case Renamed(old=old, new=new):
                return len(old) + len(new)

    def heard_by_author(self, author: "Cursor") -> RoomEvent | None:
        """People do not hear what they said, nor of arrivals before their own."""
        if isinstance(self.event, Joined):
            later = self.event.names[self.authors.index(author) + 1 :]
            return replace(self.event, names=later) if later else None
        return None


class Batch:
    """Consecutive entries that are committed together. Rendered once for each dialect."""

    __slots__ = ("_parts", "_wholes", "authors", "end", "entries", "messages", "size", "start")

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.start = entries[0].event.id
        self.end = entries[-1].event.id + (entries[-1].messages or 1)
        self.messages = sum(entry.messages for entry in entries)
        self.size = sum(entry.size for entry in entries)
        self.authors: dict[Cursor, list[int]] = {}
        for index, entry in enumerate(entries):
            for author in entry.authors:
                self.authors.setdefault(author, []).append(index)
        self._parts: dict[Dialect, list[bytes]] = {}
        self._wholes: dict[Dialect, bytes] = {}

    def parts(self, dialect: Dialect) -> list[bytes]:
        """The rendering of each entry."""
        parts = self._parts.get(dialect)
        if parts is None:
            parts = self._parts[dialect] = [dialect.render(entry.event) for entry in self.entries]
        return parts

    def whole(self, dialect: Dialect) -> bytes:
        """The rendering of all of it: the bytes that everyone who is up to date is sent."""
        whole = self._wholes.get(dialect)
        if whole is None:
            whole = self._wholes[dialect] = b"".join(self.parts(dialect))
        return whole

    def parts_for(self, cursor: "Cursor", dialect: Dialect) -> list[bytes]:
        """The parts as `cursor` hears them: its own cut out."""
        parts = self.parts(dialect)
        if cursor in self.authors:
            parts = parts.copy()
            for index in self.authors[cursor]:
                event = self.entries[index].heard_by_author(cursor)
                parts[index] = dialect.render(event) if event is not None else b""
        return parts


Commit = Callable[[Batch, Callable[[Batch], None]], None]


def commit_at_once(batch: Batch, committed: Callable[[Batch], None]) -> None:
    """The log in memory."""
    committed(batch)


class _Move(Enum):
    """How people come and go; in the order in which it is told."""

    LEFT = "left"
    LOST = "lost"
    JOINED = "joined"


class Room:
    """A log, the cursors in it, and what this turn has brought.

    `commit` is handed each batch with a function to call, in the same order, once it is safe.
    """

    def __init__(self, name: str, clock: Clock, commit: Commit = commit_at_once) -> None:
        self.name = name
        self.next_id = 1
        self.messages = 0
        self._clock = clock
        self._commit = commit
        self._cursors: dict[Cursor, None] = {}
        self._pending: list[Entry] = []
        self._committing: list[Batch] = []
        self._log: list[Batch] = []
        self._log_size = 0
        self._log_messages = 0
        self._moved: dict[_Move, dict[Cursor, str]] = {}
        self._moved_names: set[str] = set()
        self._moves_told: DelayedCall | None = None
        self._last_moves = -GATHER_SECONDS

    def say(self, author: "Cursor", name: str, texts: tuple[str, ...], *, echo: bool) -> None:
        """`name` says `texts`. With `echo` the author hears them too."""
        self._tell_moves_of(name)
        event = Said(self.next_id, self._clock.seconds(), self.name, name, texts)
        if echo:
            self._append(event, (), len(texts))
        else:
            author.said += len(texts)
            self._append(event, (author,), len(texts))

    def emote(self, name: str, text: str) -> None:
        """`name` does `text`; everyone hears it."""
        self._tell_moves_of(name)
        self._append(Emoted(self.next_id, self._clock.seconds(), self.name, name, text), (), 1)

    def rename(self, old: str, new: str) -> None:
        """Everyone hears of it."""
        self._tell_moves_of(old)
        self._tell_moves_of(new)
        self._append(Renamed(self.next_id, self._clock.seconds(), self.name, old, new), (), 0)

    def enter(self, cursor: "Cursor", name: str) -> None:
        """`cursor` hears everything from here on; the others, soon, that `name` has joined."""
        self._move(_Move.JOINED, cursor, name)
        self._cursors[cursor] = None
        cursor.enter(self)

    def leave(self, cursor: "Cursor", name: str, *, lost: bool) -> None:
        """The others hear, soon, that `name` has left. `cursor` reads on until it is dropped."""
        self._move(_Move.LOST if lost else _Move.LEFT, cursor, name)

    def drop(self, cursor: "Cursor") -> None:
        """`cursor` reads no more."""
        self._cursors.pop(cursor, None)

    def batch_from(self, position: int) -> Batch | None:
        """The batch that holds `position`, or the oldest if the log has moved past it."""
        index = bisect_right(self._log, position, key=_end)
        return self._log[index] if index < len(self._log) else None

    def entries_from(self, position: int) -> Iterator[Entry]:
        """What has an id of at least `position`, committed or not."""
        index = bisect_right(self._log, position, key=_end)
        for batch in chain(self._log[index:], self._committing):
            yield from (entry for entry in batch.entries if entry.event.id >= position)
        yield from (entry for entry in self._pending if entry.event.id >= position)

    def _append(self, event: RoomEvent, authors: tuple["Cursor", ...], messages: int) -> None:
        if not self._pending:
            self._clock.callLater(0, self._end_turn)
        self._pending.append(Entry(event, authors, messages))
        self.next_id += messages or 1
        self.messages += messages

    def _end_turn(self) -> None:
        pending, self._pending = self._pending, []
        for batch in _batches(pending):
            self._committing.append(batch)
            self._commit(batch, self._committed)

    def _committed(self, batch: Batch) -> None:
        self._committing.remove(batch)
        self._log.append(batch)
        self._log_size += batch.size
        self._log_messages += batch.messages
        self._forget()
        for cursor in list(self._cursors):
            cursor.deliver(batch)

    def _forget(self) -> None:
        forgotten = 0
        newest = len(self._log) - 1
        while forgotten < newest and (
            self._log_size > LOG_SIZE or self._log_messages > LOG_MESSAGES
        ):
            self._log_size -= self._log[forgotten].size
            self._log_messages -= self._log[forgotten].messages
            forgotten += 1
        del self._log[:forgotten]

    def _move(self, move: _Move, cursor: "Cursor", name: str) -> None:
        self._tell_moves_of(name)
        if self._moves_told is None:
            since = self._clock.seconds() - self._last_moves
            wait = min(max(GATHER_SECONDS - since, 0), GATHER_SECONDS)  # clocks can be set back
            self._moves_told = self._clock.callLater(wait, self._tell_moves)
        self._moved.setdefault(move, {})[cursor] = name
        self._moved_names.add(name)

    def _tell_moves_of(self, name: str) -> None:
        """Nobody speaks before others have heard that they are here."""
        if name in self._moved_names:
            self._tell_moves()

    def _tell_moves(self) -> None:
        """Tell of all who came and went since the last time, in a line for each way."""
        if self._moves_told is not None and self._moves_told.active():
            self._moves_told.cancel()
        self._moves_told = None
        moved, self._moved = self._moved, {}
        self._moved_names.clear()
        self._last_moves = at = self._clock.seconds()
        for move in _Move:
            people = moved.get(move)
            if not people:
                continue
            names = tuple(people.values())
            if move is _Move.JOINED:
                self._append(Joined(self.next_id, at, self.name, names), tuple(people), 0)
            else:
                lost = move is _Move.LOST
                self._append(Left(self.next_id, at, self.name, names, lost), (), 0)


def _end(batch: Batch) -> int:
    return batch.end


def _batches(entries: list[Entry]) -> Iterator[Batch]:
    taken: list[Entry] = []
    size = 0
    for entry in entries:
        taken.append(entry)
        size += entry.size
        if size >= BATCH_SIZE:
            yield Batch(taken)
            taken, size = [], 0
    if taken:
        yield Batch(taken)


class Cursor:
    """Where one connection is in what it hears: a room's log, and what is addressed to it alone.

    What is addressed to it (an aside) keeps its place among what the room says: it waits, with
    the id that the room was at, until the cursor has read that far.
    """

    __slots__ = (
        "_asides",
        "_behind",
        "_dialect",
        "_heard",
        "_outlet",
        "_over",
        "_room",
        "_stalled",
        "position",
        "said",
    )

    def __init__(self, dialect: Dialect, outlet: Outlet) -> None:
        self.position = 0
        self.said = 0  # messages that this cursor's owner said and does not hear
        self._dialect = dialect
        self._outlet = outlet
        self._room: Room | None = None
        self._asides: list[tuple[int, PersonalEvent]] = []
        self._over = False  # the last word has been written
        self._stalled = False
        self._behind = False
        self._heard = 0  # messages of others before `position`; true while behind

    def enter(self, room: Room) -> None:
        """Read `room` from here on."""
        self._room = room
        self.position = room.next_id
        self._heard = room.messages

    def tell(self, event: PersonalEvent) -> None:
        """Send `event` after everything that this connection was to hear until now.

        `Parted` is the last word: the connection is closed after it.
        """
        if self._over:
            return
        self._asides.append((self._room.next_id if self._room is not None else 0, event))
        if len(self._asides) == ASIDES:
            self._outlet.crowd(True)
        self._read_on()

    @property
    def crowded(self) -> bool:
        """Whether this connection takes so little that nothing more should be addressed to it."""
        return len(self._asides) >= ASIDES

    def deliver(self, batch: Batch) -> None:
        """A batch has been committed: the newest there is."""
        if self._stalled:
            return
        if self.position == batch.start and not self._asides and self not in batch.authors:
            try:
                self.position = batch.end
                self._outlet.write(batch.whole(self._dialect))
            except Exception:
                self._outlet.fail()
        else:
            self._read_on()

    def stall(self) -> None:
        """The connection takes no more for now."""
        self._stalled = True
        if not self._behind:
            self._behind = True
            self._heard = self._others_before(self.position)

    def resume(self) -> None:
        """The connection has drained."""
        self._stalled = False
        self._read_on()

    def _read_on(self) -> None:
        """Send all that is due, until the connection takes no more."""
        was_crowded = self.crowded
        try:
            while not (self._stalled or self._over) and self._read_batch():
                pass
        except Exception:
            self._outlet.fail()
        self._behind = self._stalled
        if was_crowded and not self.crowded:
            self._outlet.crowd(False)

    def _read_batch(self) -> bool:
        """Send one batch and the asides around it. False: there was none, we are up to date."""
        batch = self._room.batch_from(self.position) if self._room is not None else None
        if batch is None:
            self._write(self._due_asides(self.position))
            return False
        if batch.start > self.position:
            self._skip(batch.start)
        parts = batch.parts_for(self, self._dialect)
        if self._asides or self.position > batch.start:
            parts = self._woven(batch, parts)
        if self._behind:
            self._heard += sum(
                entry.messages
                for entry in batch.entries
                if entry.event.id >= self.position and self not in entry.authors
            )
        self.position = batch.end
        self._write(parts)
        return not self._over

    def _woven(self, batch: Batch, parts: list[bytes]) -> list[bytes]:
        """The parts from our position on, with the asides in their places."""
        woven: list[bytes] = []
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
        self._over = bool(asides) and isinstance(asides[-1], Parted)
        return [self._dialect.render(event) for event in asides]

    def _write(self, parts: list[bytes]) -> None:
        data = b"".join(parts)
        if data:
            self._outlet.write(data)
        if self._over:
            if self._room is not None:
                self._room.drop(self)
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
        """How many messages of others the room has had before `position`."""
        if self._room is None:
            return 0
        others_after = sum(
            entry.messages
            for entry in self._room.entries_from(position)
            if self not in entry.authors
        )
        return self._room.messages - self.said - others_after
