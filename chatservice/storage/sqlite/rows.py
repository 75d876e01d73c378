"""Entries of the log as rows of the database, and questions about them. Everything here blocks.

A range of ids is given as `after` and `before`, both exclusive. A row belongs to its `room`; one of
several rooms (a departure, a rename) has all of them in `rooms`.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from operator import attrgetter
from typing import NamedTuple, assert_never

from chatservice.core.drafts import Entry
from chatservice.core.events import (
    Burst,
    Emoted,
    Happening,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Renamed,
    RoomEvent,
    Said,
    TopicChanged,
)
from chatservice.core.log import Reach, one_by_one

MAX_ID = 2**63 - 1  # SQLite's largest
_COLUMNS = "id, at, room, kind, name, text, messages, earlier, rooms, author, acknowledged, ref"
# Nobody knows whether a transaction that failed as it was committed is on disk: it may be again.
_INSERT = f"INSERT OR REPLACE INTO events({_COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DEPARTURES = {
    "left": LeaveReason.LEFT,
    "lost": LeaveReason.LOST,
    "parted": LeaveReason.PARTED,
}
_KINDS = {departure: kind for kind, departure in _DEPARTURES.items()}


class Row(NamedTuple):
    """A row of the table `events`. `earlier`: how many messages there had ever been in its room
    before it. `author`: the number of the connection that made it (see `cursor.Cursor`);
    `acknowledged`: see `drafts.Entry`."""

    id: int
    at: float
    room: str
    kind: str
    name: str
    text: str
    messages: int
    earlier: int
    rooms: str
    author: int | None
    acknowledged: int
    ref: str | None

    @property
    def end(self) -> int:
        """The id after those of this row."""
        return self.id + (self.messages or 1)

    @property
    def all_rooms(self) -> tuple[str, ...]:
        """Where it is heard."""
        return tuple(self.rooms.split("\n")) if self.rooms else (self.room,)

    def event(self) -> RoomEvent:  # noqa: PLR0911 (one for each kind)
        """What happened."""
        id_, at, room, name, text = self.id, self.at, self.room, self.name, self.text
        rooms = tuple(self.rooms.split("\n")) if self.rooms else ()
        match self.kind:
            case "said":
                return Burst(id_, at, room, name, tuple(text.split("\n")))
            case "emoted":
                return Emoted(id_, at, room, name, text)
            case "joined":
                return Joined(id_, at, room, tuple(text.split("\n")), True, rooms)
            case "entered":
                return Joined(id_, at, room, tuple(text.split("\n")), False)
            case "renamed":
                return Renamed(id_, at, room, name, text, rooms)
            case "topic":
                return TopicChanged(id_, at, room, name, text)
            case "mode":
                return ModeChanged(id_, at, room, name, text == "private")
            case _:
                departure = _DEPARTURES[self.kind]
                return Left(id_, at, room, tuple(text.split("\n")), departure, rooms)

    def entry(self) -> Entry:
        """The entry of the log, for those who read it from here."""
        return Entry(
            self.event(),
            self.all_rooms,
            connections=() if self.author is None else (self.author,),
            messages=self.messages,
            size=len(self.text) + self.messages * len(self.name),
            ref=self.ref,
            echo=self.kind != "said",
            acknowledged=self.acknowledged,
        )

    def happenings(
        self, after: int = -1, before: int = MAX_ID, reach: Reach | None = None
    ) -> list[Happening]:
        """What it stands for, as it is heard one by one; of a range of ids, only what is in it.
        With `reach`, as those hear it who may see that much."""
        rooms = self.all_rooms
        if reach is not None:
            last = self.end - 1
            rooms = tuple(room for room in rooms if reach.get(room, last + 1) <= last)
            if not rooms:
                return []
            after = max(after, min(reach[room] for room in rooms) - 1)
        if self.kind == "said":  # most rows, and one may have hundreds of messages
            start = max(after + 1 - self.id, 0)
            texts = self.text.split("\n")[start : max(before - self.id, 0)]
            return [
                Said(number, self.at, self.room, self.name, line)
                for number, line in enumerate(texts, self.id + start)
            ]
        if not after < self.id < before:
            return []
        return list(one_by_one(self.entry().heard_in(rooms)))


def save(
    connection: sqlite3.Connection, entries: Iterable[Entry], earlier: Mapping[str, int]
) -> None:
    """Within a transaction. `earlier`: how many messages there had ever been before these, in each
    room."""
    counts = dict(earlier)
    rows = []
    for entry in entries:
        room = entry.event.room
        rows.append(_row(entry, counts.get(room, 0)))
        if entry.messages:
            counts[room] = counts.get(room, 0) + entry.messages
    connection.executemany(_INSERT, rows)


def rows_between(
    connection: sqlite3.Connection,
    after: int,
    before: int,
    rooms: Iterable[str] | None = None,
    *,
    newest_first: bool = False,
    spoken: bool = False,
    where: tuple[str, Sequence[str]] = ("", ()),
) -> Iterator[Row]:
    """The rows that have an id between these: of all rooms, or of `rooms`, each of which is looked
    up in an index. `spoken`: only those with messages. `where`: only those that meet a condition in
    SQL, with its parameters."""
    if rooms is None:
        index = _Index("spoken" if spoken else "", "", ())
        return _select(connection, after, before, index, newest_first, where)
    indexes = [_Index("spoken_in" if spoken else "in_room", "room = ?", (room,)) for room in rooms]
    if not spoken:
        indexes.append(_Index("in_several", "rooms != ''", ()))
    found = [_select(connection, after, before, each, newest_first, where) for each in indexes]
    return _each_once(merge(*found, key=attrgetter("id"), reverse=newest_first))


def _each_once(rows: Iterable[Row]) -> Iterator[Row]:
    last = None
    for row in rows:
        if row.id != last:
            last = row.id
            yield row


class _Index(NamedTuple):
    """An index of the table, and the rows that are looked up there: a condition, and its
    parameters."""

    name: str
    condition: str
    parameters: tuple[str, ...]


def _select(  # noqa: PLR0917
    connection: sqlite3.Connection,
    after: int,
    before: int,
    index: _Index,
    newest_first: bool,
    where: tuple[str, Sequence[str]],
) -> Iterator[Row]:
    # A row can begin before the range and reach into it; rows do not overlap.
    which = f"AND {index.condition}" if index.condition else ""
    (first,) = connection.execute(
        f"SELECT max(id) FROM events WHERE id <= ? {which}",  # noqa: S608
        (after + 1, *index.parameters),
    ).fetchone()
    condition, parameters = where
    conditions = ["id >= ?", "id < ?"]
    conditions += ["messages > 0"] if index.name.startswith("spoken") else []
    conditions += [text for text in (index.condition, condition) if text]
    query = (
        f"SELECT {_COLUMNS} FROM events {f'INDEXED BY {index.name}' if index.name else ''} "  # noqa: S608
        f"WHERE {' AND '.join(conditions)} ORDER BY id {'DESC' if newest_first else ''}"
    )
    for found in connection.execute(query, (first or 0, before, *index.parameters, *parameters)):
        row = Row(*found)
        if row.end > after + 1:
            yield row


def rows_of(connection: sqlite3.Connection, room: str, before: int) -> Iterator[Row]:
    """The rows of `room` with an id before that, the oldest first."""
    return _select(connection, -1, before, _Index("in_room", "room = ?", (room,)), False, ("", ()))


def row_with(connection: sqlite3.Connection, id_: int) -> Row | None:
    """The row that has this id, or the last one before it."""
    values = connection.execute(
        f"SELECT {_COLUMNS} FROM events WHERE id <= ? ORDER BY id DESC LIMIT 1",  # noqa: S608
        (id_,),
    ).fetchone()
    return None if values is None else Row(*values)


def rooms_of(connection: sqlite3.Connection) -> list[str]:
    """The rooms that have rows: found by as many steps in an index as there are rooms."""
    found = connection.execute(
        "WITH RECURSIVE steps(room) AS ("
        " SELECT min(room) FROM events"
        " UNION ALL SELECT (SELECT min(room) FROM events WHERE room > steps.room) FROM steps"
        " WHERE steps.room IS NOT NULL)"
        " SELECT room FROM steps WHERE room IS NOT NULL"
    )
    return [room for (room,) in found]


def messages_in(connection: sqlite3.Connection, room: str) -> int:
    """How many messages there have ever been in `room`."""
    return messages_before(connection, MAX_ID, room)


def messages_before(connection: sqlite3.Connection, id_: int, room: str) -> int:
    """How many messages there have ever been in `room` with a smaller id; those that are no longer
    kept count too, unless nothing older is kept at all: then as of the oldest that is."""
    row = connection.execute(
        "SELECT id, messages, earlier FROM events INDEXED BY in_room "
        "WHERE room = ? AND id < ? ORDER BY id DESC LIMIT 1",
        (room, id_),
    ).fetchone()
    if row is not None:
        start, messages, earlier = row
        return int(earlier + min(messages, id_ - start))
    row = connection.execute(
        "SELECT earlier FROM events INDEXED BY in_room WHERE room = ? ORDER BY id LIMIT 1", (room,)
    ).fetchone()
    return int(row[0]) if row is not None else 0


def first_id(connection: sqlite3.Connection) -> int | None:
    """The oldest that is kept."""
    (found,) = connection.execute("SELECT min(id) FROM events").fetchone()
    return None if found is None else int(found)


def _row(entry: Entry, earlier: int) -> Row:
    event = entry.event
    match event:
        case Burst(name=name, texts=texts):
            kind, text = "said", "\n".join(texts)
        case Emoted(name=name, text=text):
            kind = "emoted"
        case Joined(names=names, arrived=arrived):
            kind, name, text = ("joined" if arrived else "entered"), "", "\n".join(names)
        case Left(names=names, reason=reason):
            kind, name, text = _KINDS[reason], "", "\n".join(names)
        case Renamed(old=name, new=text):
            kind = "renamed"
        case TopicChanged(name=name, topic=text):
            kind = "topic"
        case ModeChanged(name=name, private=private):
            kind, text = "mode", "private" if private else "public"
        case _:
            assert_never(event)
    author = None
    if len(entry.connections) == 1 and not (entry.echo and kind == "said"):
        author = entry.connections[0]
    rooms = "\n".join(entry.rooms) if len(entry.rooms) > 1 else ""
    return Row(
        event.id,
        event.at,
        event.room,
        kind,
        name,
        text,
        entry.messages,
        earlier,
        rooms,
        author,
        entry.acknowledged,
        entry.ref,
    )
