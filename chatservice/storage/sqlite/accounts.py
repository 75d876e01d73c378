"""Accounts as rows of the SQLite file. The functions block."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred

from chatservice.core import names
from chatservice.core.events import Account, ErrorCode, Refusal, Told
from chatservice.core.log import Now
from chatservice.core.stores import (
    ACCOUNT_TOKEN_SECONDS,
    MAX_ACCOUNT_TOKENS,
    MAX_ACCOUNTS,
    MAX_KNOWN_NETWORKS,
    Credentials,
    OfflineMessage,
    closest,
)
from chatservice.storage.sqlite import offline_messages

T = TypeVar("T")

# How often it is written down that a network is still in use: thousands may come back at once.
KNOWN_SECONDS = 86400.0


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
    connection.execute("DELETE FROM known_networks WHERE account = ?", (account.name,))
    connection.execute("DELETE FROM account_tokens WHERE account = ?", (account.name,))


def remove(connection: sqlite3.Connection, account: Account) -> None:
    """Within a transaction: delete it, and its offline messages. Raises `Refusal`
    (NOT_REGISTERED)."""
    removed = connection.execute("DELETE FROM accounts WHERE name = ? AND created = ?", account)
    if not removed.rowcount:
        raise Refusal(ErrorCode.NOT_REGISTERED)


def knows(connection: sqlite3.Connection, account: Account, network: str) -> bool:
    """Whether the owner of `account` has come in from `network` before."""
    found = connection.execute(
        "SELECT 1 FROM known_networks JOIN accounts ON account = name "
        "WHERE name = ? AND created = ? AND network = ?",
        (*account, network),
    )
    return found.fetchone() is not None


def remember(connection: sqlite3.Connection, account: Account, network: str, at: float) -> None:
    """Within a transaction: the owner of `account` has come in from `network`."""
    added = connection.execute(
        "INSERT INTO known_networks "
        "SELECT name, ?, ? FROM accounts WHERE name = ? AND created = ? "
        "ON CONFLICT DO UPDATE SET at = excluded.at WHERE excluded.at - at > ?",
        (network, at, *account, KNOWN_SECONDS),
    )
    if not added.rowcount:
        return
    connection.execute(
        "DELETE FROM known_networks WHERE account = ? AND network NOT IN (SELECT network "
        "FROM known_networks WHERE account = ? ORDER BY at DESC LIMIT ?)",
        (account.name, account.name, MAX_KNOWN_NETWORKS),
    )


def keep_token(connection: sqlite3.Connection, owner: Credentials, token: str, at: float) -> None:
    """Within a transaction (see `stores.AccountStore`)."""
    (name, since), hashed = owner
    connection.execute(
        "INSERT INTO account_tokens SELECT ?, name, ? FROM accounts "
        "WHERE name = ? AND created = ? AND hash = ? "
        "ON CONFLICT DO UPDATE SET account = excluded.account, at = excluded.at",
        (token, at, name, since, hashed),
    )
    connection.execute(
        "DELETE FROM account_tokens WHERE account = ? AND hash NOT IN (SELECT hash "
        "FROM account_tokens WHERE account = ? ORDER BY at DESC LIMIT ?)",
        (name, name, MAX_ACCOUNT_TOKENS),
    )


def token_owner(connection: sqlite3.Connection, token: str, now: float) -> Credentials | None:
    """Who may come in with it."""
    found = connection.execute(
        "SELECT name, created, accounts.hash FROM account_tokens JOIN accounts ON account = name "
        "WHERE account_tokens.hash = ? AND at > ?",
        (token, now - ACCOUNT_TOKEN_SECONDS),
    ).fetchone()
    return None if found is None else Credentials(Account(*found[:2]), found[2])


def forget_token(connection: sqlite3.Connection, token: str) -> None:
    """Within a transaction: it lets nobody in any longer."""
    connection.execute("DELETE FROM account_tokens WHERE hash = ?", (token,))


def forget_tokens(connection: sqlite3.Connection, account: Account) -> None:
    """Within a transaction: no token of `account` does."""
    connection.execute(
        "DELETE FROM account_tokens WHERE account = "
        "(SELECT name FROM accounts WHERE name = ? AND created = ?)",
        account,
    )


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

    def __init__(self, threads: Threads, now: Now = time.time) -> None:
        self._threads = threads
        self._now = now

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

    def knows(self, account: Account, network: str, asker: str = "") -> "Deferred[bool]":
        return self._threads.read(lambda c: knows(c, account, network), asker=asker)

    def remember(self, account: Account, network: str) -> "Deferred[None]":
        return self._threads.write(lambda c: remember(c, account, network, self._now()))

    def keep_token(self, owner: Credentials, token: str) -> "Deferred[None]":
        return self._threads.write(lambda c: keep_token(c, owner, token, self._now()))

    def token_owner(self, token: str, asker: str = "") -> "Deferred[Credentials | None]":
        return self._threads.read(lambda c: token_owner(c, token, self._now()), asker=asker)

    def forget_token(self, token: str) -> "Deferred[None]":
        return self._threads.write(lambda c: forget_token(c, token))

    def forget_tokens(self, account: Account) -> "Deferred[None]":
        return self._threads.write(lambda c: forget_tokens(c, account))

    def post(self, owner: Account, message: Told, origin: str) -> "Deferred[int]":
        return self._threads.write(
            lambda c: offline_messages.post(c, owner, message, origin), len(message.text)
        )

    def offline_messages(self, owner: Account) -> "Deferred[tuple[OfflineMessage, ...]]":
        return self._threads.read(lambda c: offline_messages.kept_for(c, owner))

    def discard(self, messages: tuple[Told, ...]) -> "Deferred[None]":
        return self._threads.write(lambda c: offline_messages.discard(c, messages))
