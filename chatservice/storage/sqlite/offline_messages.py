"""Offline messages: rows of the SQLite file, in the table ``letters``. The functions block."""

import sqlite3

from chatservice.core.events import Account, ErrorCode, Refusal, Told
from chatservice.core.stores import OfflineMessage, expect_room, origin_of


def post(connection: sqlite3.Connection, owner: Account, message: Told, origin: str) -> int:
    """Within a transaction: keep `message` for `owner`, counted for `origin`. Its number. Raises
    `Refusal` (NOT_REGISTERED, TOO_MANY_UNREAD, LETTERBOX_FULL)."""
    registered = connection.execute(
        "SELECT 1 FROM accounts WHERE name = ? AND created = ?", owner
    ).fetchone()
    if registered is None:
        raise Refusal(ErrorCode.NOT_REGISTERED)
    kept, of_origin = connection.execute(
        "SELECT count(*), total(origin = ?) FROM letters WHERE recipient = ?", (origin, owner.name)
    ).fetchone()
    expect_room(owner, int(kept), int(of_origin))
    posted = connection.execute(
        "INSERT INTO letters(at, sender, recipient, text, origin) VALUES(?, ?, ?, ?, ?)",
        (message.at, message.sender, owner.name, message.text, origin),
    )
    return int(posted.lastrowid or 0)


def kept_for(connection: sqlite3.Connection, owner: Account) -> tuple[OfflineMessage, ...]:
    """What is kept for `owner`, oldest first."""
    rows = connection.execute(
        "SELECT id, at, sender, recipient, text, senders.created "
        "FROM letters JOIN accounts AS owners ON recipient = owners.name "
        "LEFT JOIN accounts AS senders ON sender = senders.name AND senders.created <= at "
        "WHERE owners.name = ? AND owners.created = ? ORDER BY id",
        owner,
    )
    return tuple(
        OfflineMessage(
            Told(number, at, sender, recipient, text, waited=True),
            None if since is None else Account(sender, since),
        )
        for number, at, sender, recipient, text, since in rows
    )


def forget_from(connection: sqlite3.Connection, sender: Account) -> None:
    """Within a transaction: delete what the owner of that account has sent."""
    connection.execute(
        "DELETE FROM letters WHERE origin = ? AND at >= ?", (origin_of(sender, ""), sender.since)
    )


def discard(connection: sqlite3.Connection, messages: tuple[Told, ...]) -> None:
    """Within a transaction: delete them. Their numbers may be used again."""
    connection.executemany(
        "DELETE FROM letters WHERE id = ? AND at = ? AND recipient = ?",
        [(message.id, message.at, message.recipient) for message in messages],
    )
