"""Who is in charge, and who is banned or muted. Everything here blocks.

Both are saved with the entries of the log that change them. The scope ``*`` is the whole chat:
those in charge of it are the operators of the server.
"""

import sqlite3
from collections.abc import Iterable

from chatservice.core.drafts import Entry
from chatservice.core.events import (
    ALL_ROOMS,
    LOBBY,
    Account,
    Role,
    RoleChanged,
    SanctionKind,
)
from chatservice.core.measures import Appointed, Imposed, Lifted
from chatservice.core.registry import RoomRecord
from chatservice.core.sanctions import Sanction
from chatservice.storage.sqlite import reports

_COLUMNS = "key, id, kind, scope, name, account, since, networks, by, at, until, why"


def save(connection: sqlite3.Connection, entry: Entry) -> None:
    """Within a transaction: what `entry` changes."""
    match entry.effect:
        case Imposed(sanction=sanction, replaced=replaced):
            _lift(connection, replaced)
            impose(connection, [sanction])
        case Lifted(sanctions=sanctions):
            _lift(connection, sanctions)
        case Appointed(account=account, record=RoomRecord() as record):
            hand_over(connection, account, record)
        case Appointed(account=account) if isinstance(entry.event, RoleChanged):
            appoint(connection, entry.event.room, account, entry.event.role)
        case _:
            pass


def impose(connection: sqlite3.Connection, sanctions: Iterable[Sanction]) -> None:
    """Within a transaction. Whoever is banned from a room is in it no longer, also if they are
    away. Those that have ended are forgotten."""
    for each in sanctions:
        connection.execute(
            "DELETE FROM sanctions WHERE scope = ? AND until <= ?", (each.scope, each.at)
        )
        account, since = each.account or (None, None)
        connection.execute(
            f"INSERT OR REPLACE INTO sanctions({_COLUMNS}) "
            "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(each.key, each.id, each.kind, each.scope, each.name, account, since),
                *("\n".join(each.networks), each.by, each.at, each.until, each.why),
            ),
        )
        is_of_a_room = each.scope not in (ALL_ROOMS, LOBBY)
        if each.kind is SanctionKind.BAN and each.account is not None and is_of_a_room:
            connection.execute(
                "DELETE FROM memberships WHERE account = ? AND since = ? AND room = ?",
                (*each.account, each.scope),
            )


def _lift(connection: sqlite3.Connection, sanctions: Iterable[Sanction]) -> None:
    connection.executemany(
        "DELETE FROM sanctions WHERE key = ?", [(each.key,) for each in sanctions]
    )


def appoint(connection: sqlite3.Connection, room: str, account: Account, role: Role) -> None:
    """Within a transaction: the owner of `account` has that role in `room`; or, if that is
    ALL_ROOMS, on the server."""
    if role is Role.OPERATOR:
        connection.execute(
            "INSERT OR REPLACE INTO operators SELECT ?, name, created FROM accounts "
            "WHERE name = ? AND created = ?",
            (room, *account),
        )
    else:
        connection.execute(
            "DELETE FROM operators WHERE room = ? AND account = ? AND since = ?", (room, *account)
        )


def hand_over(connection: sqlite3.Connection, account: Account, room: RoomRecord) -> None:
    """Within a transaction: `room` has another founder, and stays."""
    connection.execute(
        "INSERT OR REPLACE INTO rooms VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        (room.name, *account, room.topic, room.private, room.open_from, room.control, room.slow),
    )
    appoint(connection, room.name, account, Role.FOUNDER)
    for operator in room.operators:
        appoint(connection, room.name, operator, Role.OPERATOR)


def forget_room(connection: sqlite3.Connection, room: str) -> None:
    """Within a transaction: there is no such room any longer, or it is another one."""
    connection.execute("DELETE FROM operators WHERE room = ?", (room,))
    connection.execute("DELETE FROM sanctions WHERE scope = ?", (room,))
    reports.forget_room(connection, room)


def operators(connection: sqlite3.Connection, room: str) -> set[Account]:
    """Those of a room; or, if that is ALL_ROOMS, of the server."""
    rows = connection.execute("SELECT account, since FROM operators WHERE room = ?", (room,))
    return {Account(*row) for row in rows}


def sanctions(connection: sqlite3.Connection) -> list[Sanction]:
    """All that are kept, oldest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM sanctions ORDER BY id")  # noqa: S608
    return [
        Sanction(
            key,
            id_,
            SanctionKind(kind),
            scope,
            name,
            None if account is None else Account(account, since),
            tuple(filter(None, networks.split("\n"))),
            by,
            at,
            until,
            why,
        )
        for key, id_, kind, scope, name, account, since, networks, by, at, until, why in rows
    ]


def forget_gone(connection: sqlite3.Connection, rooms: Iterable[str], now: float) -> None:
    """Within a transaction, before anybody is here: forget what has ended, and what was decided in
    rooms that are not among `rooms`."""
    connection.execute("DELETE FROM sanctions WHERE until <= ?", (now,))
    kept = {ALL_ROOMS, LOBBY, *rooms}
    for table, column in (("sanctions", "scope"), ("operators", "room")):
        found = connection.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()  # noqa: S608
        connection.executemany(
            f"DELETE FROM {table} WHERE {column} = ?",  # noqa: S608
            [(scope,) for (scope,) in found if scope not in kept],
        )
    reported = connection.execute("SELECT DISTINCT room FROM reports").fetchall()
    for (room,) in reported:
        if room not in kept:
            reports.forget_room(connection, room)
