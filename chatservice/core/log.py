"""A room's log: what has happened there, in the order in which everyone hears it.

What is appended waits for the end of the reactor's turn. Then it becomes one batch (or a few),
which is handed to `commit`; when that calls back, the batch stands in the log and is delivered.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain, pairwise
from typing import NamedTuple, Protocol, cast

from chatservice.core.events import (
    Burst,
    Emoted,
    Event,
    Happening,
    Joined,
    Left,
    PersonalEvent,
    Renamed,
    RoomEvent,
    Said,
)
from chatservice.core.limits import Repeats

# How far a slow reader may fall behind before it loses messages, in characters and in messages.
# Memory is some three times the characters: texts, renderings, and the objects around them.
# A notice counts as a message here.
LOG_SIZE = 4 * 1024 * 1024
LOG_MESSAGES = 20_000
# Characters in a batch (it ends with the entry that reaches this). What a connection that stops
# reading is left holding is at most one batch.
BATCH_SIZE = 64 * 1024
# What one answer brings back at most, in events and in characters: a connection that takes nothing
# can be owed ASIDES of these (see `cursor`), some 3 MB.
MAX_PAGE_EVENTS = 200
MAX_PAGE_SIZE = 32 * 1024


class DelayedCall(Protocol):
    def cancel(self) -> None: ...

    def active(self) -> bool: ...


class Clock(Protocol):
    """Timers: what a room needs of Twisted's reactor (or of `twisted.internet.task.Clock`).

    `seconds` is good for differences only: it is not the time of day (see `Now`).
    """

    def seconds(self) -> float: ...

    def callLater(self, delay: float, f: Callable[[], object], /) -> DelayedCall: ...


# The time of day, in seconds since 1970. Somebody may set it, back or forward.
Now = Callable[[], float]


class Dialect(Protocol):
    """How events look on the wire."""

    def render(self, event: Event, /) -> bytes:
        """`event` as everyone hears it."""

    def render_personal(self, event: PersonalEvent, /) -> bytes:
        """`event` as the one person hears it whom it is addressed to."""


class Entry(NamedTuple):
    """An event; the cursors of its authors, who do not hear it as others do; and how many messages
    and, roughly, characters it has."""

    event: RoomEvent
    authors: tuple[Hashable, ...]
    messages: int
    size: int

    def heard_by_author(self, author: Hashable) -> RoomEvent | None:
        """People do not hear what they said, nor of arrivals before their own."""
        if isinstance(self.event, Joined):
            later = self.event.names[self.authors.index(author) + 1 :]
            return replace(self.event, names=later) if later else None
        return None


class Batch:
    """Consecutive entries that are committed together. Rendered once for each dialect.

    `authors` says which of the entries (their indices) are whose. An event that a dialect fails to
    render is left out there, and `report` is given what was raised.
    """

    __slots__ = ("_rendered", "_report", "authors", "end", "entries", "size", "start")

    def __init__(self, entries: list[Entry], report: Callable[[Exception], object]) -> None:
        self.entries = entries
        self._report = report
        self.start = entries[0].event.id
        self.end = entries[-1].event.id + (entries[-1].messages or 1)
        self.size = sum([entry.size for entry in entries])
        self.authors: dict[Hashable, list[int]] = {}
        for index, entry in enumerate(entries):
            for author in entry.authors:
                self.authors.setdefault(author, []).append(index)
        self._rendered: dict[Dialect, tuple[bytes, list[int]]] = {}

    def bytes_for(self, reader: Hashable, dialect: Dialect) -> bytes:
        """All of it as `reader` hears it: for everyone who is no author, the same object."""
        whole, starts = self._rendered.get(dialect) or self._render(dialect)
        if reader not in self.authors:
            return whole
        pieces: list[bytes] = []
        heard = 0
        for index in self.authors[reader]:
            pieces.append(whole[heard : starts[index]])
            pieces.append(self._own(index, reader, dialect))
            heard = starts[index + 1]
        pieces.append(whole[heard:])
        return b"".join(pieces)

    def parts_for(self, reader: Hashable, dialect: Dialect) -> list[bytes]:
        """The same, entry by entry."""
        whole, starts = self._rendered.get(dialect) or self._render(dialect)
        parts = [whole[start:end] for start, end in pairwise(starts)]
        for index in self.authors.get(reader, ()):
            parts[index] = self._own(index, reader, dialect)
        return parts

    def _render(self, dialect: Dialect) -> tuple[bytes, list[int]]:
        """All entries in words, and where in them each starts (and the last one ends)."""
        try:
            parts = [dialect.render(entry.event) for entry in self.entries]
        except Exception:
            parts = [self._render_if_possible(entry.event, dialect) for entry in self.entries]
        rendered = b"".join(parts), list(accumulate(map(len, parts), initial=0))
        self._rendered[dialect] = rendered
        return rendered

    def _render_if_possible(self, event: Event, dialect: Dialect) -> bytes:
        try:
            return dialect.render(event)
        except Exception as error:
            self._report(error)
            return b""

    def _own(self, index: int, author: Hashable, dialect: Dialect) -> bytes:
        event = self.entries[index].heard_by_author(author)
        return dialect.render(event) if event is not None else b""


Commit = Callable[[Batch, Callable[[Batch], None]], None]


def commit_at_once(batch: Batch, committed: Callable[[Batch], None]) -> None:
    """The log in memory."""
    committed(batch)


class Origin(NamedTuple):
    """Where a log goes on: its epoch, the next id, and how many messages there have been."""

    epoch: str = ""
    next_id: int = 1
    messages: int = 0


class Log:
    """The newest batches of a room, and what is to become one.

    Each id is used once, and ids grow: an entry takes one for each message in it, and at least one.
    `next_id` is the next to be used, and `messages` counts all there have ever been. Ids start over
    in another `epoch`. `commit` is handed each batch with a function to call, in the same order,
    once it is safe; then `deliver` is called with it. What is below `end` is safe.
    """

    def __init__(
        self,
        clock: Clock,
        commit: Commit,
        deliver: Callable[[Batch], None],
    ) -> None:
        self.begin(Origin())
        self._clock = clock
        self._commit = commit
        self._deliver = deliver
        self._pending: list[Entry] = []
        self._committing: list[Batch] = []
        self._batches: list[Batch] = []
        self._size = 0
        self._held = 0
        self._errors = Repeats(clock.seconds)

    def begin(self, origin: Origin) -> None:
        """Go on from there. Nothing has happened so far."""
        self.epoch, self.next_id, self.messages = origin
        self.end = self.next_id

    def append(
        self, event: RoomEvent, size: int, *, messages: int = 0, authors: tuple[Hashable, ...] = ()
    ) -> None:
        """`event` has happened; its id is `next_id`. The rest is as in `Entry`."""
        if not self._pending:
            self._clock.callLater(0, self._end_turn)
        self._pending.append(Entry(event, authors, messages, size))
        self.next_id += messages or 1
        self.messages += messages

    def batch_from(self, position: int) -> Batch | None:
        """The batch that holds `position`, or the oldest if the log has moved past it."""
        index = bisect_right(self._batches, position, key=_end)
        return self._batches[index] if index < len(self._batches) else None

    def entries_from(self, position: int) -> Iterator[Entry]:
        """What has an id of at least `position`, committed or not."""
        return (entry for entry in self._forwards(position - 1) if entry.event.id >= position)

    @property
    def first_id(self) -> int:
        """Nothing older is held."""
        for batch in chain(self._batches, self._committing):
            return batch.start
        return self._pending[0].event.id if self._pending else self.next_id

    def messages_before(self, position: int) -> int:
        """How many messages there have ever been with a smaller id, of those that are held; of
        older ones, all that are not held."""
        after = sum(
            min(entry.messages, entry.event.id + entry.messages - position)
            for entry in self._forwards(position - 1)
            if entry.event.id + entry.messages > position
        )
        return self.messages - after

    def between(self, before: int, after: int | None) -> Iterator[Happening]:
        """What happened between two ids, committed or not; the newest first if `after` is None."""
        for entry in self._backwards(before) if after is None else self._forwards(after):
            first, last = entry.event.id, entry.event.id + (entry.messages or 1) - 1
            if first >= before and after is not None:
                return  # nor is what follows; it may be the whole log
            if first >= before or (after is not None and last <= after):
                continue
            for happening in _one_by_one(entry.event, backwards=after is None):
                if happening.id < before and (after is None or happening.id > after):
                    yield happening

    def _forwards(self, after: int) -> Iterator[Entry]:
        """What may be after that id, and all that is newer."""
        index = bisect_right(self._batches, after, key=_end)
        for batch in chain(self._batches[index:], self._committing):
            yield from batch.entries
        yield from self._pending

    def _backwards(self, before: int) -> Iterator[Entry]:
        """What may be before that id, and all that is older; the newest first."""
        yield from reversed(self._pending)
        for batch in reversed(self._committing):
            yield from reversed(batch.entries)
        newest = min(bisect_right(self._batches, before, key=_end), len(self._batches) - 1)
        for index in range(newest, -1, -1):
            yield from reversed(self._batches[index].entries)

    def _end_turn(self) -> None:
        pending, self._pending = self._pending, []
        for entries in _in_batches(pending):
            batch = Batch(entries, self._raise_later)
            self._committing.append(batch)
            self._commit(batch, self._committed)

    def _raise_later(self, error: Exception) -> None:
        """Alone in a turn of the reactor, which logs it: it is nobody's who is being served now.
        Once a minute, since somebody may make it happen with each line."""
        if not self._errors.count(repr(error)):
            return

        def raise_() -> None:
            raise error

        self._clock.callLater(0, raise_)

    def _committed(self, batch: Batch) -> None:
        self._committing.remove(batch)
        self._batches.append(batch)
        self.end = batch.end
        self._size += batch.size
        self._held += batch.end - batch.start
        self._forget()
        self._deliver(batch)

    def _forget(self) -> None:
        """Keep within the bounds; but the newest batch, which is about to be read."""
        forgotten = 0
        while forgotten < len(self._batches) - 1 and (
            self._size > LOG_SIZE or self._held > LOG_MESSAGES
        ):
            self._size -= self._batches[forgotten].size
            self._held -= self._batches[forgotten].end - self._batches[forgotten].start
            forgotten += 1
        del self._batches[:forgotten]


class Page(NamedTuple):
    """Some events; `full`: there may have been more."""

    events: list[Happening]
    full: bool


def take_page(events: Iterable[Happening], limit: int) -> Page:
    """The first `limit` of them, or MAX_PAGE_EVENTS, or MAX_PAGE_SIZE characters."""
    taken: list[Happening] = []
    size = 0
    for event in events:
        taken.append(event)
        size += _size(event)
        if len(taken) >= min(limit, MAX_PAGE_EVENTS) or size >= MAX_PAGE_SIZE:
            return Page(taken, True)
    return Page(taken, False)


def _size(event: Happening) -> int:
    match event:
        case Said(name=name, text=text) | Emoted(name=name, text=text):
            return len(name) + len(text) + 4
        case Renamed(old=old, new=new):
            return len(old) + len(new)
        case Joined(names=names) | Left(names=names):
            return sum(map(len, names))


def _one_by_one(event: RoomEvent, *, backwards: bool) -> Sequence[Happening]:
    if not isinstance(event, Burst):
        return (event,)
    return list(event.messages())[:: -1 if backwards else 1]


def _end(batch: Batch) -> int:
    return batch.end


def _in_batches(entries: list[Entry]) -> Iterator[list[Entry]]:
    taken: list[Entry] = []
    size = 0
    for entry in entries:
        taken.append(entry)
        size += entry.size
        if size >= BATCH_SIZE:
            yield taken
            taken, size = [], 0
    if taken:
        yield taken


Messages = tuple[Said | Emoted, ...]


def recalled(log: Log, before: int, after: int | None, limit: int) -> tuple[Happening, ...]:
    """The events between two ids: of more than a page the oldest, or the newest if `after` is
    None."""
    taken = take_page(log.between(before, after), limit).events
    return tuple(taken if after is not None else reversed(taken))


def newest(events: Iterable[Happening], limit: int) -> Messages:
    """The first messages among `events`, of which the newest come first; in their order."""
    taken = take_page((event for event in events if isinstance(event, Said | Emoted)), limit).events
    return cast(Messages, tuple(reversed(taken)))
