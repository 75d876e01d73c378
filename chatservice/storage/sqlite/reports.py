"""Reports that nobody in charge has seen: rows of the SQLite file. The functions block."""

import sqlite3
from collections.abc import Sequence

from twisted.internet.defer import Deferred

from chatservice.core.events import ALL_ROOMS, Account
from chatservice.core.stores import Report, expect_place
from chatservice.storage.sqlite.accounts import Threads


def keep(connection: sqlite3.Connection, report: Report, origin: str) -> int:
    """Within a transaction: its number. Raises `Refusal` (TOO_MANY_REPORTS)."""
    kept, of_origin = connection.execute(
        "SELECT count(*), total(origin = ?) FROM reports", (origin,)
    ).fetchone()
    expect_place(int(kept), int(of_origin))
    account, since = report.account or (None, None)
    added = connection.execute(
        "INSERT INTO reports(at, room, name, account, since, by, why, origin) "
        "VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        (report.at, report.room, report.name, account, since, report.by, report.why, origin),
    )
    return int(added.lastrowid or 0)


def kept(connection: sqlite3.Connection) -> tuple[Report, ...]:
    """All of them, oldest first."""
    rows = connection.execute(
        "SELECT id, at, room, name, account, since, by, why FROM reports ORDER BY id"
    )
    return tuple(
        Report(at, room, name, None if account is None else Account(account, since), by, why, id_)
        for id_, at, room, name, account, since, by, why in rows
    )


def discard(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Within a transaction."""
    connection.executemany("DELETE FROM reports WHERE id = ?", [(each,) for each in numbers])


def forget_room(connection: sqlite3.Connection, room: str) -> None:
    """Within a transaction: there is no such room any longer, or it is another one."""
    connection.execute("UPDATE reports SET room = ? WHERE room = ?", (ALL_ROOMS, room))


class SqliteReportStore:
    """A `stores.ReportStore` in the file that `threads` reads and writes."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    def keep(self, report: Report, origin: str) -> "Deferred[int]":
        return self._threads.write(lambda c: keep(c, report, origin), len(report.why))

    def kept(self, asker: str = "") -> "Deferred[tuple[Report, ...]]":
        return self._threads.read(kept, asker=asker)

    def discard(self, numbers: Sequence[int]) -> "Deferred[None]":
        return self._threads.write(lambda c: discard(c, numbers))
