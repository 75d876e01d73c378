"""Read positions: how far people had read when they left. Those that change are saved with the next
group of messages."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from chatservice.core.drafts import Entry
from chatservice.core.events import Joined
from chatservice.core.log import Log
from chatservice.core.stores import MAX_READ_POSITIONS, ReadPosition
from chatservice.storage.sqlite import rows


class Reached(NamedTuple):
    """How far somebody had read. `counted`: the messages until then need not be looked up in the
    database."""

    position: ReadPosition
    counted: bool

    def read(self, connection: sqlite3.Connection) -> ReadPosition:
        if self.counted:
            return self.position
        id_, messages = self.position
        return ReadPosition(
            id_, {room: rows.messages_before(connection, id_, room) for room in messages}
        )


Changes = Mapping[str, Reached | None]  # None: they are here


class PendingPositions:
    """The positions that have changed and are not saved so far: the `Positions` of a group commit.

    `is_saved` tells whether everything before an id is on disk.
    """

    def __init__(self, is_saved: Callable[[int], bool]) -> None:
        self._is_saved = is_saved
        self._changed: dict[str, Reached | None] = {}
        self._saving: Changes = {}

    def attach(self, log: Log) -> None:
        self._log = log

    def __bool__(self) -> bool:
        return bool(self._changed)

    def __contains__(self, name: str) -> bool:
        return name in self._changed or name in self._saving

    def __getitem__(self, name: str) -> Reached | None:
        return self._changed[name] if name in self._changed else self._saving[name]

    def arrive(self, name: str) -> None:
        self._changed[name] = None

    def depart(self, name: str, position: ReadPosition) -> None:
        if name not in self._changed and len(self._changed) >= MAX_READ_POSITIONS:
            return  # the disk has failed for long
        id_ = position.position
        counted = id_ >= self._log.first_id and not self._is_saved(id_)
        self._changed[name] = Reached(position, counted)

    def take(self) -> Changes:
        self._saving, self._changed = self._changed, {}
        return self._saving

    def taken(self, *, saved: bool) -> None:
        if not saved:
            self._changed = {**self._saving, **self._changed}
        self._saving = {}


def save(connection: sqlite3.Connection, changes: Changes) -> None:
    """Within a transaction."""
    now = time.time()
    for name, reached in changes.items():
        position, messages = (None, {}) if reached is None else reached.read(connection)
        connection.execute(
            "INSERT OR REPLACE INTO readers VALUES(?, ?, NULL, ?, ?)",
            (name, position, now, json.dumps(dict(messages))),
        )


def arrive(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Within a transaction: people who come in are here as soon as that is on disk."""
    now = time.time()
    names = [
        name
        for entry in entries
        if isinstance(entry.event, Joined) and entry.event.arrived
        for name in entry.event.names
    ]
    connection.executemany(
        "INSERT OR REPLACE INTO readers VALUES(?, NULL, NULL, ?, '{}')",
        [(name, now) for name in names],
    )


def find(connection: sqlite3.Connection, name: str) -> ReadPosition | None:
    """That of somebody who is not here."""
    row = connection.execute("SELECT id, messages FROM readers WHERE name = ?", (name,)).fetchone()
    if row is None or row[0] is None:
        return None
    id_, messages = row
    return ReadPosition(id_, json.loads(messages))


def leave_all(connection: sqlite3.Connection, position: ReadPosition) -> None:
    """Within a transaction: everyone who was here when the server ended, and is not noted
    with a position, stopped reading there."""
    connection.execute(
        "UPDATE readers SET id = ?, messages = ? WHERE id IS NULL",
        (position.position, json.dumps(dict(position.messages))),
    )


def heard(connection: sqlite3.Connection, position: int) -> None:
    """Within a transaction: who is here, and is not noted with a position, has heard everything
    before that id."""
    connection.execute("INSERT OR REPLACE INTO facts VALUES('heard', ?)", (position,))


def forget_some(connection: sqlite3.Connection) -> None:
    """Within a transaction: those of guests who have been away for longest, beyond the bound."""
    connection.execute(
        "DELETE FROM readers WHERE name NOT IN (SELECT name FROM accounts) AND name IN "
        "(SELECT name FROM readers WHERE id IS NOT NULL ORDER BY at DESC LIMIT -1 OFFSET ?)",
        (MAX_READ_POSITIONS,),
    )
