"""The log of the chat: what has happened, in the order in which everyone hears it.

What is submitted waits for the end of the reactor's turn, and is handed to the store. The store
commits it, which gives it its id; what comes back stands here in batches, and is delivered.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, cast

from chatservice.core.drafts import Committed, Draft, Entry
from chatservice.core.erasing import Erased, without
from chatservice.core.events import (
    Banned,
    Burst,
    Deleted,
    Emoted,
    Event,
    Happening,
    Joined,
    Left,
    Message,
    ModeChanged,
    Muted,
    PaceChanged,
    PersonalEvent,
    Renamed,
    RoleChanged,
    RoomEvent,
    Said,
    Tombstone,
    TopicChanged,
)
from chatservice.core.limits import Repeats

# What is held in memory, in characters and in messages. Memory is some three times the characters:
# texts, renderings, and the objects around them. A notice counts as a message here.
LOG_SIZE = 4 * 1024 * 1024
LOG_MESSAGES = 20_000
# Characters in a batch (it ends with the entry that reaches this). A connection that stops reading
# is left holding one batch at most.
BATCH_SIZE = 64 * 1024
# Renderings of a batch that are kept joined; what is heard in other combinations of rooms is
# joined for each reader. (1,000 rooms and people in five: 50 messages make 131 combinations for
# 442 readers, most of them for one.)
MAX_RENDERINGS = 64
# The most that one answer brings back, in events and in characters: a connection that takes nothing
# can be owed MAX_PERSONAL_EVENTS of these (see `cursor`), some 3 MB.
MAX_PAGE_EVENTS = 200
MAX_PAGE_SIZE = 32 * 1024


class DelayedCall(Protocol):
    def cancel(self) -> None: ...

    def active(self) -> bool: ...


class Clock(Protocol):
    """Timers: what the chat needs of Twisted's reactor (or of `twisted.internet.task.Clock`).

    `seconds` is good for differences only: it is not the time of day (see `Now`).
    """

    def seconds(self) -> float: ...

    def callLater(self, delay: float, f: Callable[[], object], /) -> DelayedCall: ...


# The time of day, in seconds since 1970. Somebody may set it, back or forward.
Now = Callable[[], float]


class Dialect(Protocol):
    """How one kind of connection hears events.

    `labels_rooms`: what is heard from another room than the current one begins with its name.
    `echoes`: `acknowledge` says all that the author of an entry hears of it.
    `shared`: what renders for all who hear the same bytes; `render_personal` may be another's.
    """

    @property
    def labels_rooms(self) -> bool: ...

    @property
    def echoes(self) -> bool: ...

    @property
    def shared(self) -> "Dialect": ...

    def render(self, event: Event, /, *, labelled: bool = False) -> bytes:
        """`event` as everyone hears it; with `labelled`, it says in which room it happened."""

    def render_personal(self, event: PersonalEvent, /) -> bytes:
        """`event` as the one person hears it whom it is addressed to."""

    def acknowledge(self, entry: Entry, /) -> bytes:
        """What the connection that made `entry` hears of its success."""


class Look:
    """How a connection is shown what it hears: in which dialect, with which room as its current
    one (the dialect does not say its name), and without comings and goings in the `quiet` ones.

    There is one `Look` for each combination (see `look`), so that they compare by identity.
    """

    __slots__ = ("current", "dialect", "quiet")

    def __init__(self, dialect: Dialect, current: str, quiet: frozenset[str]) -> None:
        self.dialect = dialect
        self.current = current
        self.quiet = quiet

    def shows(self, entry: Entry, rooms: tuple[str, ...]) -> bool:
        """Whether `entry` is shown to a reader who is in `rooms` of those where it is heard."""
        if not rooms:
            return False
        return not self.quiet or not entry.is_move or not self.quiet.issuperset(rooms)


_looks: dict[tuple[Dialect, str, frozenset[str]], Look] = {}
# A look is a room and the rooms that somebody wants quiet: beyond these, they are not shared.
MAX_LOOKS = 10_000


def look(dialect: Dialect, current: str, quiet: frozenset[str] = frozenset()) -> Look:
    """The one `Look` for these."""
    key = (dialect, current if dialect.labels_rooms else "", quiet)
    found = _looks.get(key)
    if found is None:
        if len(_looks) >= MAX_LOOKS:
            _looks.clear()
        found = _looks[key] = Look(*key)
    return found


Reach = Mapping[str, int]  # rooms, and from which id on one may see what happened in each


class Rendering(NamedTuple):
    """A batch as it is sent, and where each of its entries begins in that; the last place is where
    it ends."""

    data: bytes
    places: list[int]

    def part(self, index: int) -> bytes:
        """The entry of that index."""
        return self.data[self.places[index] : self.places[index + 1]]


class Batch:
    """Consecutive entries that are delivered together. Rendered once for each look.

    `authors` says which entries (their indices) a connection has made; `apart`: connections that
    hear less of this batch than others with the same rooms: both by number. `settling`: those whose
    drafts are settled with it. An event that a dialect fails to render is left out there, and
    `report` is given what was raised.
    """

    __slots__ = (
        "_parts",
        "_renderings",
        "_report",
        "apart",
        "authors",
        "end",
        "entries",
        "messages",
        "rooms",
        "settled",
        "settling",
        "size",
        "start",
    )

    def __init__(
        self,
        entries: list[Entry],
        report: Callable[[Exception], object],
        settled: Sequence[Committed] = (),
    ) -> None:
        self.settled = settled
        self._report = report
        self.start = entries[0].event.id if entries else settled[0].next_id
        self.end = entries[-1].end if entries else self.start
        self.rooms = frozenset(chain.from_iterable([entry.rooms for entry in entries]))
        self.messages: Counter[str] = Counter()
        self.apart: set[int] = set()
        self.settling: list[Any] = []
        for entry in entries:
            if entry.messages:
                self.messages[entry.rooms[0]] += entry.messages
        self._hold(entries)

    def _hold(self, entries: list[Entry]) -> None:
        """These are its entries."""
        self.entries = entries
        self.size = sum([entry.size for entry in entries])
        self.authors: dict[int, Sequence[int]] = {}
        for index, entry in enumerate(entries):
            only = (index,)
            for author in entry.connections:
                others = self.authors.get(author)
                if others is None:
                    self.authors[author] = only
                elif isinstance(others, list):
                    others.append(index)
                else:
                    self.authors[author] = [*others, index]
        self._parts: dict[tuple[Dialect, bool, int, tuple[str, ...]], bytes] = {}
        self._renderings: dict[tuple[Look, frozenset[str]], Rendering] = {}

    def erase(self, erased: Mapping[int, str]) -> None:
        """Messages with these ids have been deleted, by whom that says: nothing of them stays."""
        if not erased.keys().isdisjoint(range(self.start, self.end)):
            self._hold([left for entry in self.entries for left in without(entry, erased)])

    def rendering(self, look: Look, rooms: frozenset[str]) -> "Rendering":
        """All of it as one hears it who has been in these `rooms` for longer, and has made none of
        it: the same object for everyone who does."""
        key = (look, rooms)
        rendering = self._renderings.get(key)
        if rendering is None:
            parts = [
                self.part(look, index, _among(entry.rooms, rooms))
                for index, entry in enumerate(self.entries)
            ]
            rendering = Rendering(b"".join(parts), list(accumulate(map(len, parts), initial=0)))
            if len(self._renderings) < MAX_RENDERINGS:
                self._renderings[key] = rendering
        return rendering

    def bytes_for_author(self, look: Look, rooms: frozenset[str], author: int) -> bytes:
        """The same for the connection of that number, which has made some of it: what others have
        made is cut out of what they hear, so that many authors in one batch cost little."""
        own = (
            (index, self.own_part(look, index, _among(self.entries[index].rooms, rooms), author))
            for index in self.authors[author]
        )
        return self._bytes_with(look, rooms, own)

    def bytes_without(self, look: Look, rooms: frozenset[str], left_out: Iterable[int]) -> bytes:
        """The same for somebody who does not hear the entries of these indices, in order."""
        return self._bytes_with(look, rooms, ((index, b"") for index in left_out))

    def _bytes_with(
        self, look: Look, rooms: frozenset[str], parts: Iterable[tuple[int, bytes]]
    ) -> bytes:
        """The same with these parts in place of the entries of their indices, in order."""
        data, places = self.rendering(look, rooms)
        pieces: list[bytes] = []
        end = 0
        for index, part in parts:
            pieces += data[end : places[index]], part
            end = places[index + 1]
        pieces.append(data[end:])
        return b"".join(pieces)

    def part(self, look: Look, index: int, rooms: tuple[str, ...]) -> bytes:
        """The entry of that index as one hears it who is in `rooms` of those where it is heard."""
        entry = self.entries[index]
        if not look.shows(entry, rooms):
            return b""
        labelled = bool(look.current) and look.current not in rooms
        if len(self.rooms) == 1:  # hardly anybody hears another combination
            return self._rendered(look.dialect, entry, rooms, labelled)
        key = (look.dialect, labelled, index, rooms)
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = self._rendered(look.dialect, entry, rooms, labelled)
        return part

    def _rendered(
        self, dialect: Dialect, entry: Entry, rooms: tuple[str, ...], labelled: bool
    ) -> bytes:
        try:
            return dialect.render(entry.heard_in(rooms), labelled=labelled)
        except Exception as error:
            self._report(error)
            return b""

    def own_part(self, look: Look, index: int, rooms: tuple[str, ...], author: int) -> bytes:
        """The same for the connection of that number, which has made it."""
        entry = self.entries[index]
        acknowledged = look.dialect.acknowledge(entry) if entry.acknowledged else b""
        event = entry.heard_by_author(author, rooms) if rooms else None
        if event is None or (look.dialect.echoes and entry.acknowledged):
            return acknowledged
        labelled = bool(look.current) and look.current not in rooms
        return look.dialect.render(event, labelled=labelled) + acknowledged


class Origin(NamedTuple):
    """Where a log goes on: its epoch, the next id, and how many messages there have been in each
    room."""

    epoch: str = ""
    next_id: int = 1
    messages: Mapping[str, int] = MappingProxyType({})


class EventStore(Protocol):
    """Commits what is submitted (see `stores.Archive`, which has the past as well)."""

    def submit(
        self, drafts: Sequence[Draft], committed: Callable[[Sequence[Committed]], None], /
    ) -> None:
        """Decide and commit `drafts` in their order. `committed` is called with what became of
        them, in the order of the commits, which may hold those of other processes between."""


class Log:
    """The newest batches of the chat, and what has been submitted and is not committed yet.

    Each id is used once, and ids grow: an entry takes one for each message in it, and at least one.
    Ids start over in another `epoch`. Everything below `end` has been committed and delivered.
    `messages` counts all that there have ever been, for each room. `apply` is called with each
    batch before it stands here, and `deliver` once it does. `erased`: what has been deleted lately;
    each of `erasing` is called with what is deleted.
    """

    def __init__(
        self,
        clock: Clock,
        store: EventStore,
        apply: Callable[[Batch], None],
        deliver: Callable[[Batch], None],
    ) -> None:
        self._clock = clock
        self._store = store
        self._apply = apply
        self._deliver = deliver
        self._submitted = 0
        self._pending: list[Draft] = []
        self.erasing: list[Callable[[Mapping[int, str]], None]] = []
        self.begin(Origin())
        self._errors = Repeats(clock.seconds)
        self.newest: Draft | None = None  # that was submitted, but for comings and goings

    def begin(self, origin: Origin) -> None:
        """Go on from there. Nothing has happened so far."""
        self.epoch, self.end, messages = origin
        self._begun = self.end
        self.messages: Counter[str] = Counter(messages)
        self._batches: list[Batch] = []
        self.spoken: list[Batch] = []  # those with messages
        self._size = 0
        self._held = 0
        self._dropped: dict[str, int] = {}  # the end of what is held no longer, for each room
        self.erased = Erased()

    def submit(self, draft: Draft) -> None:
        """`draft` is committed with everything that is submitted in this turn of the reactor."""
        if not self._pending:
            self._clock.callLater(0, self._end_turn)
        self._submitted += 1
        draft.number = self._submitted
        self._pending.append(draft)
        if not draft.is_move:
            self.newest = draft

    def batch_from(self, position: int) -> Batch | None:
        """The batch that holds `position`, or the next one that is held."""
        index = bisect_right(self._batches, position, key=_end)
        return self._batches[index] if index < len(self._batches) else None

    def erase(self, deleted: Deleted, batch: Batch) -> None:
        """`deleted`, which stands in `batch`, has come true: nothing of those messages stays."""
        self.erased.note(deleted.messages, deleted.by)
        erased = dict.fromkeys(deleted.messages, deleted.by)
        held = {self.batch_from(id_) for id_ in deleted.messages} - {None}
        for each in cast("set[Batch]", held):
            before = each.size
            each.erase(erased)
            self._size += each.size - before
        batch.erase(erased)
        for call in self.erasing:
            call(erased)

    @property
    def first_id(self) -> int:
        """Nothing older is held."""
        return self._batches[0].start if self._batches else self.end

    def dropped_since(self, position: int, rooms: Iterable[str]) -> bool:
        """Whether something in these rooms, from `position` on, is held no longer; what happened
        before the log began is not held, either."""
        return any(self._dropped.get(room, self._begun) > position for room in rooms)

    def messages_before(self, position: int, room: str) -> int:
        """How many messages there have ever been in `room` with a smaller id, of those that are
        held; of older ones, all that are not held."""
        after = 0
        for entry in self._forwards(position - 1):
            if entry.messages and room in entry.rooms and entry.end > position:
                after += min(entry.messages, entry.end - position)
        return self.messages[room] - after

    def position_short_of(  # noqa: PLR0917
        self,
        position: int,
        size: int,
        look: Look,
        rooms: frozenset[str],
        author: int,
        left_out: Callable[[Sequence[Entry]], Container[int]],
    ) -> int:
        """The read position of the connection with the number `author`, which hears `rooms`, but
        what is `left_out`, if it has heard all before `position` but the last `size` bytes. What
        was addressed to it only is not counted, so this is too early rather than too late."""
        newest = min(bisect_right(self._batches, position, key=_end), len(self._batches) - 1)
        for at in range(newest, -1, -1):
            batch = self._batches[at]
            heard = batch.rooms.intersection(rooms)
            if not heard:
                continue
            rendering, own = batch.rendering(look, heard), batch.authors.get(author, ())
            ignored = left_out(batch.entries)
            for index in range(len(batch.entries) - 1, -1, -1):
                entry, part = batch.entries[index], rendering.part(index)
                if entry.end > position or not part or index in own or index in ignored:
                    continue
                if isinstance(entry.event, Tombstone):  # what was sent may have been shorter
                    continue
                lines = part.splitlines(keepends=True)
                each = lines if len(lines) == entry.messages else [part]
                for number in range(len(each) - 1, -1, -1):
                    position = entry.event.id + number
                    size -= len(each[number])
                    if size <= 0:
                        return position
        return position

    def past_own(self, position: int, author: int) -> int:
        """The read position of the connection of that number, after what was said there next to
        `position`."""
        for entry in self._forwards(position - 1):
            if entry.event.id >= position:
                if author not in entry.connections or entry.echo:
                    break
                position = entry.end
        return position

    def entries_of(self, author: int, position: int) -> Iterator[Entry]:
        """What is held of the connection of that number, from `position` on, and it does not
        hear."""
        for batch in self._batches[bisect_right(self._batches, position, key=_end) :]:
            for index in batch.authors.get(author, ()):
                if not batch.entries[index].echo:
                    yield batch.entries[index]

    def between(self, before: int, after: int | None, reach: Reach) -> Iterator[Happening]:
        """What happened within `reach` between two ids; the newest first if `after` is None."""
        for entry in self._backwards(before) if after is None else self._forwards(after):
            first, last = entry.event.id, entry.end - 1
            if first >= before and after is not None:
                return  # nor is what follows; it may be the whole log
            if first >= before or (after is not None and last <= after):
                continue
            heard = tuple(room for room in entry.rooms if reach.get(room, last + 1) <= last)
            if not heard:
                continue
            for happening in one_by_one(entry.heard_in(heard), backwards=after is None):
                if happening.id < before and (after is None or happening.id > after):
                    yield happening

    def _forwards(self, after: int) -> Iterator[Entry]:
        """What may be after that id, and all that is newer."""
        index = bisect_right(self._batches, after, key=_end)
        for batch in self._batches[index:]:
            yield from batch.entries

    def _backwards(self, before: int) -> Iterator[Entry]:
        """What may be before that id, and all that is older; the newest first."""
        newest = min(bisect_right(self._batches, before, key=_end), len(self._batches) - 1)
        for index in range(newest, -1, -1):
            yield from reversed(self._batches[index].entries)

    def _end_turn(self) -> None:
        pending, self._pending = self._pending, []
        self._store.submit(pending, self.committed)

    def report(self, error: Exception) -> None:
        """Raise `error` in a turn of the reactor of its own, which logs it: it is not a fault of
        whoever is being served now. Once a minute, since somebody may make it happen with each
        line."""
        if not self._errors.count(repr(error)):
            return

        def raise_() -> None:
            raise error

        self._clock.callLater(0, raise_)

    def committed(self, committed: Sequence[Committed]) -> None:
        """That has been decided, by this process or another, in the order of the log."""
        for part in _in_parts(committed):
            entries = [each.outcome for each in part if isinstance(each.outcome, Entry)]
            batch = Batch(entries, self.report, part)
            self._apply(batch)
            self.end = batch.end = max(self.end, part[-1].next_id)
            if entries:
                self.messages.update(batch.messages)
                self._batches.append(batch)
                if batch.messages:
                    self.spoken.append(batch)
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
            batch = self._batches[forgotten]
            self._size -= batch.size
            self._held -= batch.end - batch.start
            self._dropped.update(dict.fromkeys(batch.rooms, batch.end))
            forgotten += 1
        del self._batches[:forgotten]
        # One by one: Python looks for garbage whenever a few hundred objects more have been made
        # than freed, which took a tenth of a batch's time.
        if self.spoken and self.spoken[0].end <= self.first_id:
            del self.spoken[: bisect_right(self.spoken, self.first_id, key=_end)]


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


def _size(event: Happening) -> int:  # noqa: PLR0911 (a case each)
    match event:
        case Said(name=name, text=text) | Emoted(name=name, text=text):
            return len(name) + len(text) + 4
        case Tombstone(name=name, by=by):
            return len(name) + len(by)
        case Deleted(name=name, by=by, messages=messages):
            return len(name) + len(by) + 8 * len(messages)
        case Renamed(old=old, new=new):
            return len(old) + len(new)
        case TopicChanged(name=name, topic=topic):
            return len(name) + len(topic)
        case ModeChanged(name=name) | PaceChanged(name=name) | RoleChanged(name=name):
            return len(name)
        case Banned(name=name, why=why) | Muted(name=name, why=why):
            return len(name) + len(why)
        case Joined(names=names) | Left(names=names):
            return sum(map(len, names))


def one_by_one(event: RoomEvent, *, backwards: bool = False) -> Sequence[Happening]:
    """What `event` is to those who hear it one by one."""
    if not isinstance(event, Burst):
        return (event,)
    return list(event.messages())[:: -1 if backwards else 1]


def _among(rooms: tuple[str, ...], heard: frozenset[str]) -> tuple[str, ...]:
    """Those of `rooms` that are `heard`."""
    return rooms if heard.issuperset(rooms) else tuple(room for room in rooms if room in heard)


def _end(batch: Batch) -> int:
    return batch.end


def _in_parts(committed: Sequence[Committed]) -> Iterator[list[Committed]]:
    taken: list[Committed] = []
    size = 0
    for each in committed:
        taken.append(each)
        if isinstance(each.outcome, Entry):
            size += each.outcome.size
        if size >= BATCH_SIZE:
            yield taken
            taken, size = [], 0
    if taken:
        yield taken


Messages = tuple[Message, ...]


def recalled(
    log: Log, before: int, after: int | None, limit: int, reach: Reach
) -> tuple[Happening, ...]:
    """The events between two ids: of more than a page the oldest, or the newest if `after` is
    None."""
    taken = take_page(log.between(before, after, reach), limit).events
    return tuple(taken if after is not None else reversed(taken))


def newest(events: Iterable[Happening], limit: int) -> Messages:
    """The first messages among `events`, of which the newest come first; in their order."""
    taken = take_page((event for event in events if isinstance(event, Message)), limit).events
    return cast(Messages, tuple(reversed(taken)))
