"""Deleting what somebody has said, so that nothing of it is left in the file. Everything here
blocks.

What SQLite frees it fills with zeros (``secure_delete``). Two things keep words for longer: the
write-ahead log, until it starts over, and the index, which notes that a message is gone and forgets
its words when it merges its segments. So both are seen to.
"""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic

from chatservice.core.deleting import Erasure
from chatservice.core.drafts import Entry
from chatservice.core.events import Deleted
from chatservice.core.measures import CONSOLE
from chatservice.storage.erasures import TAKEN_AT_ONCE
from chatservice.storage.sqlite import rows, search, wal
from chatservice.storage.sqlite.database import Opened

# Between times when the write-ahead log is emptied: that takes some milliseconds.
WIPE_SECONDS = 5.0


def erase(connection: sqlite3.Connection, entries: Iterable[Entry], *, indexed: bool) -> bool:
    """Within a transaction: erase the messages whose deletion stands among `entries`. Whether there
    are any."""
    deletions = [entry.event for entry in entries if isinstance(entry.event, Deleted)]
    for deleted in deletions:
        for id_ in deleted.messages:
            _erase(connection, id_, deleted.by, indexed=indexed)
    return bool(deletions)


def _erase(connection: sqlite3.Connection, id_: int, by: str, *, indexed: bool) -> None:
    row = rows.row_with(connection, id_)
    if row is None or not row.id <= id_ < row.end or not row.texts:
        return  # it is not kept any more, or has been erased
    if indexed:
        search.forget_message(connection, row, id_)
    connection.execute("DELETE FROM events WHERE id = ?", (row.id,))
    rows.put(connection, row.without(id_, by))


def carry_out(connection: sqlite3.Connection, erasure: Erasure) -> None:
    """Within a transaction: for whoever runs the server. One that is running, or starts, tells."""
    indexed = search.is_there(connection)
    for id_ in erasure.ids:
        _erase(connection, id_, CONSOLE, indexed=indexed)
    connection.execute(
        "INSERT INTO erasures(room, name, ids) VALUES(?, ?, ?)",
        (erasure.room, erasure.name, json.dumps(erasure.ids)),
    )


def take_untold(connection: sqlite3.Connection) -> list[Erasure]:
    """Within a transaction: some of what is to be told."""
    found = connection.execute(
        "DELETE FROM erasures WHERE number IN "
        "(SELECT number FROM erasures ORDER BY number LIMIT ?) RETURNING number, room, name, ids",
        (TAKEN_AT_ONCE,),
    ).fetchall()
    return [Erasure(room, name, tuple(json.loads(ids))) for _, room, name, ids in sorted(found)]


class LogWiper:
    """Empties the write-ahead log after something was erased, between transactions; and again, once
    the index has forgotten its words."""

    def __init__(self, opened: Opened, *, indexed: bool) -> None:
        self._opened = opened
        self._indexed = indexed
        self._wanted = True  # it may have been erased before a crash
        self._wiped_at: float | None = None

    def want(self) -> None:
        """There is something in it that was erased."""
        self._wanted = True

    def wipe(self) -> None:
        """Now, if it is time, and nobody is reading: otherwise at one of the next calls."""
        now, last = monotonic(), self._wiped_at
        if self._wanted and (last is None or now - last >= WIPE_SECONDS):
            self._wiped_at = now
            connection = self._opened.connection
            with suppress(sqlite3.Error):  # what was to be saved is saved
                wal.stamp(connection, self._opened.path)  # it starts over more often than otherwise
                forgotten = not (self._indexed and search.has_words_to_forget(connection))
                self._wanted = not (wal.empty(connection) and forgotten)
