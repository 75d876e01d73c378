"""Offline messages: rows of the SQLite file, in the table ``letters``. The functions block."""

import sqlite3

from chatservice.core.events import Account, ErrorCode, Refusal, Told
from chatservice.core.stores import MAX_OFFLINE_MESSAGES, OfflineMessage


def post(connection: sqlite3.Connection, owner: Account, message: Told) -> int:
    """Within a transaction: keep `message` for `owner`. Its number. Raises `Refusal`
    (NOT_REGISTERED, LETTERBOX_FULL)."""
    registered = connection.execute(
        "SELECT 1 FROM accounts WHERE name = ? AND created = ?", owner
    ).fetchone()
    if registered is None:
        raise Refusal(ErrorCode.NOT_REGISTERED)
    waiting = connection.execute(
        "SELECT count(*) FROM letters WHERE recipient = ?", (owner.name,)
    ).fetchone()[0]
    if waiting >= MAX_OFFLINE_MESSAGES:
        raise Refusal(ErrorCode.LETTERBOX_FULL, name=owner.name)
    posted = connection.execute(
        "INSERT INTO letters(at, sender, recipient, text) VALUES(?, ?, ?, ?)",
        (message.at, message.sender, owner.name, message.text),
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


def discard(connection: sqlite3.Connection, messages: tuple[Told, ...]) -> None:
    """Within a transaction: delete them. Their numbers may be used again."""
    connection.executemany(
        "DELETE FROM letters WHERE id = ? AND at = ? AND recipient = ?",
        [(message.id, message.at, message.recipient) for message in messages],
    )
