"""What the operator's programs have changed about accounts: a running server looks for it, obeys
and deletes it. The functions block, and are called within a transaction."""

import sqlite3
from typing import NamedTuple

from chatservice.core.events import Account, Change

# More than anybody changes while no server runs; a server that starts needs none of them.
MAX_CHANGES = 10_000


class AccountChange(NamedTuple):
    """`change` was made to `account`."""

    account: Account
    change: Change


def add(connection: sqlite3.Connection, account: Account, change: Change) -> None:
    added = connection.execute(
        "INSERT INTO account_changes(name, created, change) VALUES(?, ?, ?)", (*account, change)
    )
    connection.execute(
        "DELETE FROM account_changes WHERE id <= ?", ((added.lastrowid or 0) - MAX_CHANGES,)
    )


def take(connection: sqlite3.Connection) -> list[AccountChange]:
    """All of them, which are deleted."""
    found = connection.execute(
        "SELECT name, created, change FROM account_changes ORDER BY id"
    ).fetchall()
    if found:
        connection.execute("DELETE FROM account_changes")
    return [AccountChange(Account(name, since), Change(change)) for name, since, change in found]
