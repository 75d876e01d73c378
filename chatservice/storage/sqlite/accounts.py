"""Accounts and offline messages as rows of the SQLite file. The functions block."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred

from chatservice.core import names
from chatservice.core.events import Account, ErrorCode, Refusal, Told
from chatservice.core.stores import (
    MAX_ACCOUNTS,
    MAX_OFFLINE_MESSAGES,
    Credentials,
    OfflineMessage,
)

T = TypeVar("T")


def find(connection: sqlite3.Connection, name: str) -> Credentials | None:
    """The account that protects `name`, which is checked: its name may be another like it. If there
    are several, it is the one that is called that, or else the oldest."""

    def likeness(found: Credentials) -> tuple[bool, bool, float, str]:
        account = found.account
        return account.name != name, not account.is_called(name), account.since, account.name

    return min(_protecting(connection, name), key=likeness, default=None)


def owners(connection: sqlite3.Connection, name: str) -> frozenset[Account]:
    """All accounts that protect `name`, which is checked; they need not be like each other."""
    return frozenset(found.account for found in _protecting(connection, name))


def _protecting(connection: sqlite3.Connection, name: str) -> Iterator[Credentials]:
    """Each of them, maybe more than once."""
    for key in names.keys(name):
        rows = connection.execute(
            "SELECT name, created, hash FROM accounts "
            "JOIN account_keys ON account = name WHERE key = ?",
            (key,),
        )
        for found, created, kept in rows:
            yield Credentials(Account(found, created), kept)


def add(connection: sqlite3.Connection, account: Account, kept: str) -> None:
    """Within a transaction. Raises `Refusal`: NAME_REGISTERED, TOO_MANY_ACCOUNTS."""
    name, since = account
    if (other := find(connection, name)) is not None:
        raise Refusal(ErrorCode.NAME_REGISTERED, name=other.account.name)
    if connection.execute("SELECT count(*) FROM accounts").fetchone()[0] >= MAX_ACCOUNTS:
        raise Refusal(ErrorCode.TOO_MANY_ACCOUNTS)
    connection.execute("INSERT INTO accounts VALUES(?, ?, ?)", (name, kept, since))
    connection.executemany(
        "INSERT INTO account_keys VALUES(?, ?)", [(key, name) for key in names.keys(name)]
    )


def change(connection: sqlite3.Connection, account: Account, kept: str) -> None:
    """Within a transaction: it has another password. Raises `Refusal` (NOT_REGISTERED)."""
    changed = connection.execute(
        "UPDATE accounts SET hash = ? WHERE name = ? AND created = ?", (kept, *account)
    )
    if not changed.rowcount:
        raise Refusal(ErrorCode.NOT_REGISTERED)


def remove(connection: sqlite3.Connection, account: Account) -> None:
    """Within a transaction: it is gone, with the letters to it. Raises `Refusal`
    (NOT_REGISTERED)."""
    removed = connection.execute("DELETE FROM accounts WHERE name = ? AND created = ?", account)
    if not removed.rowcount:
        raise Refusal(ErrorCode.NOT_REGISTERED)


def all_accounts(connection: sqlite3.Connection) -> list[Account]:
    """Sorted by their names."""
    rows = connection.execute("SELECT name, created FROM accounts ORDER BY name")
    return [Account(*row) for row in rows]


def post(connection: sqlite3.Connection, owner: Account, letter: Told) -> int:
    """Within a transaction: `letter` waits for `owner`. Its number. Raises `Refusal`
    (NOT_REGISTERED, LETTERBOX_FULL)."""
    found = find(connection, owner.name)
    if found is None or found.account != owner:
        raise Refusal(ErrorCode.NOT_REGISTERED)
    waiting = connection.execute(
        "SELECT count(*) FROM letters WHERE recipient = ?", (owner.name,)
    ).fetchone()[0]
    if waiting >= MAX_OFFLINE_MESSAGES:
        raise Refusal(ErrorCode.LETTERBOX_FULL, name=owner.name)
    posted = connection.execute(
        "INSERT INTO letters(at, sender, recipient, text) VALUES(?, ?, ?, ?)",
        (letter.at, letter.sender, owner.name, letter.text),
    )
    return int(posted.lastrowid or 0)


def letters_to(connection: sqlite3.Connection, owner: Account) -> tuple[OfflineMessage, ...]:
    """What waits for `owner`."""
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


def discard(connection: sqlite3.Connection, letters: tuple[Told, ...]) -> None:
    """Within a transaction: they are kept no longer. Numbers of others may be used again."""
    connection.executemany(
        "DELETE FROM letters WHERE id = ? AND at = ? AND recipient = ?",
        [(letter.id, letter.at, letter.recipient) for letter in letters],
    )


class Threads(Protocol):
    """Runs functions of a connection off the reactor's thread (see `archive.SqliteArchive`)."""

    def read(self, question: Callable[[sqlite3.Connection], T]) -> "Deferred[T]": ...

    def write(self, work: Callable[[sqlite3.Connection], T]) -> "Deferred[T]": ...


class SqliteAccountStore:
    """A `stores.AccountStore` in the file that `threads` reads and writes."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    def find(self, name: str) -> "Deferred[Credentials | None]":
        return self._threads.read(lambda c: find(c, name))

    def owners(self, name: str) -> "Deferred[frozenset[Account]]":
        return self._threads.read(lambda c: owners(c, name))

    def add(self, account: Account, hashed: str) -> "Deferred[None]":
        return self._threads.write(lambda c: add(c, account, hashed))

    def change(self, account: Account, hashed: str) -> "Deferred[None]":
        return self._threads.write(lambda c: change(c, account, hashed))

    def remove(self, account: Account) -> "Deferred[None]":
        return self._threads.write(lambda c: remove(c, account))

    def post(self, owner: Account, message: Told) -> "Deferred[int]":
        return self._threads.write(lambda c: post(c, owner, message))

    def offline_messages(self, owner: Account) -> "Deferred[tuple[OfflineMessage, ...]]":
        return self._threads.read(lambda c: letters_to(c, owner))

    def discard(self, messages: tuple[Told, ...]) -> "Deferred[None]":
        return self._threads.write(lambda c: discard(c, messages))
