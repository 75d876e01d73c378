"""Entries of the log as rows of the database, and questions about them. Everything here blocks.

A range of ids is given as `after` and `before`, both exclusive. What a row holds is in
`storage.rows`.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from operator import attrgetter
from typing import NamedTuple

from chatservice.core.drafts import Entry
from chatservice.storage.rows import MAX_ID, Row, row_of

_COLUMNS = "id, at, room, kind, name, text, messages, earlier, rooms, author, acknowledged, ref"
# Nobody knows whether a transaction that failed as it was committed is on disk: it may be again.
_INSERT = f"INSERT OR REPLACE INTO events({_COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def save(
    connection: sqlite3.Connection, entries: Iterable[Entry], earlier: Mapping[str, int]
) -> None:
    """Within a transaction. `earlier`: how many messages there had ever been before these, in each
    room."""
    counts = dict(earlier)
    rows = []
    entries = list(entries)
    if entries:  # of a transaction that seemed to fail there may be more rows
        connection.execute(
            "DELETE FROM events WHERE id >= ? AND id < ?", (entries[0].event.id, entries[-1].end)
        )
    for entry in entries:
        room = entry.event.room
        rows.append(row_of(entry, counts.get(room, 0)))
        if entry.messages:
            counts[room] = counts.get(room, 0) + entry.messages
    put(connection, rows)


def put(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Within a transaction: write these."""
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
