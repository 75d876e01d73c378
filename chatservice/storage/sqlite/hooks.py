"""Hooks as rows of the SQLite file. The functions block."""

import sqlite3

from twisted.internet.defer import Deferred

from chatservice.core.stores import MAX_HOOKS, Hook, HookKind, token_hash
from chatservice.storage.sqlite.accounts import Threads


def find(connection: sqlite3.Connection, token: str) -> Hook | None:
    """Whose token it is."""
    row = connection.execute(
        "SELECT id, kind, name, room, secret, created FROM hooks WHERE token = ?",
        (token_hash(token),),
    ).fetchone()
    return None if row is None else _hook(row)


def all_hooks(connection: sqlite3.Connection) -> list[Hook]:
    """In the order in which they were made."""
    rows = connection.execute("SELECT id, kind, name, room, secret, created FROM hooks ORDER BY id")
    return [_hook(row) for row in rows]


def add(connection: sqlite3.Connection, token: str, hook: Hook) -> int | None:
    """Within a transaction. Returns its number; None: there are too many. That of `hook` is not
    looked at."""
    if connection.execute("SELECT count(*) FROM hooks").fetchone()[0] >= MAX_HOOKS:
        return None
    _, kind, name, room, secret, created = hook
    return connection.execute(
        "INSERT INTO hooks(token, kind, name, room, secret, created) VALUES(?, ?, ?, ?, ?, ?)",
        (token_hash(token), kind.value, name, room, secret, created),
    ).lastrowid


def remove(connection: sqlite3.Connection, number: int) -> bool:
    """Within a transaction. Whether there was one of that number."""
    return connection.execute("DELETE FROM hooks WHERE id = ?", (number,)).rowcount > 0


def _hook(row: tuple[int, str, str, str, str, float]) -> Hook:
    number, kind, name, room, secret, created = row
    return Hook(number, HookKind(kind), name, room, secret, created)


class SqliteHookStore:
    """`stores.HookStore` in the file that `threads` reads."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    def find(self, token: str, asker: str = "") -> "Deferred[Hook | None]":
        return self._threads.read(lambda c: find(c, token), asker=asker)
