"""Accounts as rows of the SQLite file. The functions block."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred

from chatservice.core import names
from chatservice.core.events import Account, ErrorCode, Refusal, Told
from chatservice.core.stores import MAX_ACCOUNTS, Credentials, OfflineMessage, closest
from chatservice.storage.sqlite import offline_messages

T = TypeVar("T")


def find(connection: sqlite3.Connection, name: str) -> Credentials | None:
    """The account that protects `name` (see `stores.AccountStore`)."""
    return closest(_protecting(connection, name), name)


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


def add(connection: sqlite3.Connection, account: Account, hashed: str) -> None:
    """Within a transaction. Raises `Refusal`: NAME_REGISTERED, TOO_MANY_ACCOUNTS."""
    name, since = account
    if (other := find(connection, name)) is not None:
        raise Refusal(ErrorCode.NAME_REGISTERED, name=other.account.name)
    if connection.execute("SELECT count(*) FROM accounts").fetchone()[0] >= MAX_ACCOUNTS:
        raise Refusal(ErrorCode.TOO_MANY_ACCOUNTS)
    connection.execute("INSERT INTO accounts VALUES(?, ?, ?)", (name, hashed, since))
    connection.executemany(
        "INSERT INTO account_keys VALUES(?, ?)", [(key, name) for key in names.keys(name)]
    )


def change(connection: sqlite3.Connection, account: Account, hashed: str) -> None:
    """Within a transaction: set another password. Raises `Refusal` (NOT_REGISTERED)."""
    changed = connection.execute(
        "UPDATE accounts SET hash = ? WHERE name = ? AND created = ?", (hashed, *account)
    )
    if not changed.rowcount:
        raise Refusal(ErrorCode.NOT_REGISTERED)


def remove(connection: sqlite3.Connection, account: Account) -> None:
    """Within a transaction: delete it, and its offline messages. Raises `Refusal`
    (NOT_REGISTERED)."""
    removed = connection.execute("DELETE FROM accounts WHERE name = ? AND created = ?", account)
    if not removed.rowcount:
        raise Refusal(ErrorCode.NOT_REGISTERED)


def all_accounts(connection: sqlite3.Connection) -> list[Account]:
    """Sorted by their names."""
    rows = connection.execute("SELECT name, created FROM accounts ORDER BY name")
    return [Account(*row) for row in rows]


class Threads(Protocol):
    """Runs functions of a connection off the reactor's thread: a `SqliteArchive` does."""

    def read(
        self, question: Callable[[sqlite3.Connection], T], *, asker: str = ""
    ) -> "Deferred[T]": ...

    def write(self, work: Callable[[sqlite3.Connection], T], size: int = 0) -> "Deferred[T]": ...


class SqliteAccountStore:
    """`stores.AccountsAndMessages` in the file that `threads` reads and writes."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    def find(self, name: str, asker: str = "") -> "Deferred[Credentials | None]":
        return self._threads.read(lambda c: find(c, name), asker=asker)

    def owners(self, name: str, asker: str = "") -> "Deferred[frozenset[Account]]":
        return self._threads.read(lambda c: owners(c, name), asker=asker)

    def add(self, account: Account, hashed: str) -> "Deferred[None]":
        return self._threads.write(lambda c: add(c, account, hashed))

    def change(self, account: Account, hashed: str) -> "Deferred[None]":
        return self._threads.write(lambda c: change(c, account, hashed))

    def remove(self, account: Account) -> "Deferred[None]":
        return self._threads.write(lambda c: remove(c, account))

    def post(self, owner: Account, message: Told) -> "Deferred[int]":
        return self._threads.write(
            lambda c: offline_messages.post(c, owner, message), len(message.text)
        )

    def offline_messages(self, owner: Account) -> "Deferred[tuple[OfflineMessage, ...]]":
        return self._threads.read(lambda c: offline_messages.kept_for(c, owner))

    def discard(self, messages: tuple[Told, ...]) -> "Deferred[None]":
        return self._threads.write(lambda c: offline_messages.discard(c, messages))
