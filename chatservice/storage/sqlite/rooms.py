"""Rooms that stay, and the memberships of registered people. Everything here blocks.

Both are saved with the entries of the log that change them.
"""

import sqlite3
from collections.abc import Iterable, Mapping

from chatservice.core.drafts import Entry
from chatservice.core.events import (
    LOBBY,
    Account,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    PaceChanged,
    TopicChanged,
)
from chatservice.core.registry import RoomRecord
from chatservice.core.sanctions import Sanction
from chatservice.storage.sqlite import moderation


def save(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:  # noqa: PLR0912 (a case each)
    """Within a transaction: what these entries change."""
    for entry in entries:
        match entry.event:
            case Joined(arrived=True):
                for user in entry.people:
                    if user.account is not None and entry.rooms:
                        _enter(connection, user.account, entry.rooms, entry.event.id)
            case Joined(room=room, id=id_):
                account = entry.people[0].account
                if entry.founded:
                    _found(connection, room, account, id_)
                if account is not None:
                    _enter(connection, account, (room,), id_)
            case Left(reason=LeaveReason.PARTED, room=room):
                connection.executemany(
                    "DELETE FROM memberships WHERE account = ? AND since = ? AND room = ?",
                    [(*user.account, room) for user in entry.people if user.account is not None],
                )
            case TopicChanged(room=room, topic=topic):
                connection.execute("UPDATE rooms SET topic = ? WHERE name = ?", (topic, room))
            case PaceChanged(room=room, seconds=seconds):
                connection.execute("UPDATE rooms SET slow = ? WHERE name = ?", (seconds, room))
            case ModeChanged(room=room, private=private):
                id_ = entry.event.id
                connection.execute(
                    "UPDATE rooms SET open_from = CASE WHEN private AND NOT ? THEN ? "
                    "ELSE open_from END, private = ?, control = ? WHERE name = ?",
                    (private, id_, private, id_, room),
                )
            case _:
                pass
        moderation.save(connection, entry)
        for room in entry.ended:
            moderation.forget_room(connection, room)


def _found(connection: sqlite3.Connection, room: str, founder: Account | None, id_: int) -> None:
    """Whoever was in another room of that name is not in this one."""
    connection.execute("DELETE FROM memberships WHERE room = ?", (room,))
    moderation.forget_room(connection, room)
    if founder is not None:
        connection.execute(
            "INSERT OR REPLACE INTO rooms VALUES(?, ?, ?, '', 0, ?, ?, 0)",
            (room, *founder, id_, id_),
        )


def _enter(
    connection: sqlite3.Connection, account: Account, rooms: tuple[str, ...], id_: int
) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO memberships SELECT name, created, ?, ? FROM accounts "
        "WHERE name = ? AND created = ?",
        [(room, id_, *account) for room in rooms],
    )


def enroll(
    connection: sqlite3.Connection,
    account: Account,
    joined: Mapping[str, int],
    founded: Iterable[RoomRecord],
    sanctions: Iterable[Sanction],
) -> None:
    """Within a transaction: the owner of `account`, who has just registered, is in these rooms, has
    founded some, and is held by these bans and mutes."""
    for record in founded:
        moderation.hand_over(connection, account, record)
    for room, id_ in joined.items():
        _enter(connection, account, (room,), id_)
    moderation.impose(connection, sanctions)


def kept(connection: sqlite3.Connection) -> list[RoomRecord]:
    """The rooms whose founders still have their accounts; and the lobby, if somebody was put in
    charge of it."""
    rows = connection.execute(
        "SELECT rooms.name, founder, founder_since, topic, private, open_from, control, slow "
        "FROM rooms "
        "JOIN accounts ON founder = accounts.name AND founder_since = created"
    )
    records = [
        RoomRecord(
            name, Account(founder, since), topic, bool(private), open_from, control, slow=slow
        )
        for name, founder, since, topic, private, open_from, control, slow in rows
    ]
    for record in records:
        record.operators = moderation.operators(connection, record.name)
    if in_charge := moderation.operators(connection, LOBBY):
        records.append(RoomRecord(LOBBY, operators=in_charge))
    return records


def memberships(connection: sqlite3.Connection, account: Account) -> dict[str, int]:
    """The rooms that the owner of `account` is in, and since which id; some may be gone."""
    rows = connection.execute(
        "SELECT room, joined FROM memberships WHERE account = ? AND since = ?", account
    )
    return dict(rows.fetchall())
