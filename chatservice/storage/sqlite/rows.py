"""Events as rows of the database, and questions about them. Everything here blocks.

A range of ids is given as `after` and `before`, both exclusive.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, assert_never

from chatservice.core.events import (
    Burst,
    Emoted,
    Happening,
    Joined,
    LeaveReason,
    Left,
    Renamed,
    RoomEvent,
    Said,
)
from chatservice.core.log import Entry

MAX_ID = 2**63 - 1  # SQLite's largest
_COLUMNS = "id, at, room, kind, name, text, messages, earlier"
# Nobody knows whether a transaction that failed as it was committed is on disk: it may be again.
_INSERT = f"INSERT OR REPLACE INTO events({_COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
_DEPARTURES = {"left": LeaveReason.LEFT, "lost": LeaveReason.LOST}
_KINDS = {departure: kind for kind, departure in _DEPARTURES.items()}


class Row(NamedTuple):
    """A row of the table `events`."""

    id: int
    at: float
    room: str
    kind: str
    name: str
    text: str
    messages: int
    earlier: int

    @property
    def end(self) -> int:
        """The id after those of this row."""
        return self.id + (self.messages or 1)


def save(connection: sqlite3.Connection, entries: Iterable[Entry], earlier: int) -> None:
    """Within a transaction. `earlier`: how many messages there had ever been before these."""
    rows = []
    for entry in entries:
        rows.append(_row(entry.event, entry.messages, earlier))
        earlier += entry.messages
    connection.executemany(_INSERT, rows)


def rows_between(
    connection: sqlite3.Connection,
    after: int,
    before: int,
    *,
    newest_first: bool = False,
    spoken: bool = False,
    where: tuple[str, Sequence[str]] = ("", ()),
) -> Iterator[Row]:
    """The rows that have an id between these. `spoken`: only those with messages. `where`: only
    those that meet a condition in SQL, with its parameters."""
    # A row can begin before the range and reach into it; rows do not overlap.
    first = connection.execute("SELECT max(id) FROM events WHERE id <= ?", (after + 1,)).fetchone()
    condition, parameters = where
    query = (
        f"SELECT {_COLUMNS} FROM events {'INDEXED BY spoken' if spoken else ''} "  # noqa: S608
        f"WHERE id >= ? AND id < ? {'AND messages > 0' if spoken else ''} "
        f"{f'AND {condition}' if condition else ''} "
        f"ORDER BY id {'DESC' if newest_first else ''}"
    )
    for values in connection.execute(query, (first[0] or 0, before, *parameters)):
        row = Row(*values)
        if row.end > after + 1:
            yield row


def row_with(connection: sqlite3.Connection, id_: int) -> Row | None:
    """The row that has this id, or the last one before it."""
    values = connection.execute(
        f"SELECT {_COLUMNS} FROM events WHERE id <= ? ORDER BY id DESC LIMIT 1",  # noqa: S608
        (id_,),
    ).fetchone()
    return None if values is None else Row(*values)


def happenings(row: Row, after: int = -1, before: int = MAX_ID) -> list[Happening]:
    """What a row stands for, as it is heard one by one; of a range of ids, only what is in it."""
    id_, at, room, kind, name, text, _, _ = row
    if kind == "said":  # most rows, and one may have hundreds of messages
        start = max(after + 1 - id_, 0)
        texts = text.split("\n")[start : max(before - id_, 0)]
        return [
            Said(number, at, room, name, line) for number, line in enumerate(texts, id_ + start)
        ]
    if not after < id_ < before:
        return []
    match kind:
        case "emoted":
            return [Emoted(id_, at, room, name, text)]
        case "joined":
            return [Joined(id_, at, room, tuple(text.split("\n")))]
        case "renamed":
            return [Renamed(id_, at, room, name, text)]
        case _:
            return [Left(id_, at, room, tuple(text.split("\n")), _DEPARTURES[kind])]


def messages_before(connection: sqlite3.Connection, id_: int) -> int:
    """How many messages there have ever been with a smaller id; those that are no longer kept
    count too, unless nothing older is kept at all: then as of the oldest that is."""
    row = connection.execute(
        "SELECT id, messages, earlier FROM events WHERE id < ? ORDER BY id DESC LIMIT 1", (id_,)
    ).fetchone()
    if row is not None:
        start, messages, earlier = row
        return int(earlier + min(messages, id_ - start))
    row = connection.execute("SELECT earlier FROM events ORDER BY id LIMIT 1").fetchone()
    return int(row[0]) if row is not None else 0


def first_id(connection: sqlite3.Connection) -> int | None:
    """The oldest that is kept."""
    (found,) = connection.execute("SELECT min(id) FROM events").fetchone()
    return None if found is None else int(found)


def _row(event: RoomEvent, messages: int, earlier: int) -> Row:
    match event:
        case Burst(name=name, texts=texts):
            kind, text = "said", "\n".join(texts)
        case Emoted(name=name, text=text):
            kind = "emoted"
        case Joined(names=names):
            kind, name, text = "joined", "", "\n".join(names)
        case Left(names=names, reason=reason):
            kind, name, text = _KINDS[reason], "", "\n".join(names)
        case Renamed(old=name, new=text):
            kind = "renamed"
        case _:
            assert_never(event)
    return Row(event.id, event.at, event.room, kind, name, text, messages, earlier)
