"""Whom the owners of accounts do not hear, as rows of the SQLite file. Everything here blocks."""

import sqlite3

from chatservice.core.events import Account
from chatservice.core.ignoring import Change, Ignoring


def keep(connection: sqlite3.Connection, change: Change) -> None:
    """Within a transaction: it is kept, or no longer."""
    owner, (name, account, at), on = change
    connection.execute(
        "DELETE FROM ignored WHERE name = ? AND owner IN "
        "(SELECT name FROM accounts WHERE name = ? AND created = ?)",
        (name, *owner),
    )
    if on:
        connection.execute(
            "INSERT INTO ignored SELECT name, ?, ?, ?, ? FROM accounts "
            "WHERE name = ? AND created = ?",
            (name, *(account or (None, None)), at, *owner),
        )


def kept(connection: sqlite3.Connection) -> list[tuple[Account, Ignoring]]:
    """Whom each owner ignores, the oldest first."""
    rows = connection.execute(
        "SELECT owner, created, ignored.name, account, since, at FROM ignored "
        "JOIN accounts ON owner = accounts.name ORDER BY at"
    )
    return [
        (
            Account(owner, created),
            Ignoring(name, None if account is None else Account(account, since), at),
        )
        for owner, created, name, account, since, at in rows
    ]
