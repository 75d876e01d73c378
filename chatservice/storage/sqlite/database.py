"""The file that a chat is kept in: SQLite. Everything here blocks; `history` has the threads.

Exactly one connection writes and checkpoints while a server runs; it holds the file's lock, so that
no second server writes to it. `python -m chatservice.accounts` takes turns with it.
"""

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from chatservice.core import names

# What makes a file ours (PRAGMA application_id): "chat" in ASCII.
APPLICATION = int.from_bytes(b"chat")
# Version n of the schema is what the first n of these make. A file of an older version is brought
# up to date by those it lacks, each in one transaction, after a backup.
UPGRADES: tuple[str, ...] = (
    """
    CREATE TABLE facts(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

    -- A row is an entry of the log; one of kind 'said' holds all the messages of one read, a line
    -- each. `earlier`: how many messages there had ever been before it.
    CREATE TABLE events(
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        room TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        messages INTEGER NOT NULL,
        earlier INTEGER NOT NULL
    );
    CREATE INDEX spoken ON events(id) WHERE messages > 0;

    -- Ids that stand for nothing: who was cut off with the server may have seen some of them.
    CREATE TABLE gaps(first INTEGER PRIMARY KEY, past INTEGER NOT NULL);

    -- How far people have read: all below `id`, which is how many messages. NULL: they are here.
    CREATE TABLE readers(
        name TEXT PRIMARY KEY, id INTEGER, earlier INTEGER, at REAL NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE accounts(
        name TEXT PRIMARY KEY, hash TEXT NOT NULL, created REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE account_keys(
        key TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX keys_of_account ON account_keys(account);

    -- Private messages that wait for somebody who is not here.
    CREATE TABLE letters(
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        sender TEXT NOT NULL,
        recipient TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        text TEXT NOT NULL
    );
    CREATE INDEX letters_to ON letters(recipient, id);
    """,
    # Accounts may have a key in common: what counts as alike has changed since they were made. The
    # keys are made anew by `renew_keys`.
    """
    DROP TABLE account_keys;
    CREATE TABLE account_keys(
        key TEXT NOT NULL,
        account TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        PRIMARY KEY(key, account)
    ) WITHOUT ROWID;
    CREATE INDEX keys_of_account ON account_keys(account);
    """,
    # An entry may be heard in several rooms. What was said before there were rooms is the lobby's.
    # `earlier` counts the messages of the row's room. `author` is the number of the connection that
    # made it, for as long as the server runs, and `ref` its request's mark.
    """
    ALTER TABLE events ADD COLUMN rooms TEXT NOT NULL DEFAULT '';
    ALTER TABLE events ADD COLUMN author INTEGER;
    ALTER TABLE events ADD COLUMN ref TEXT;
    CREATE INDEX in_room ON events(room, id);
    CREATE INDEX spoken_in ON events(room, id) WHERE messages > 0;
    CREATE INDEX in_several ON events(id) WHERE rooms != '';

    -- Rooms with a registered founder, which stay.
    CREATE TABLE rooms(
        name TEXT PRIMARY KEY,
        founder TEXT NOT NULL,
        founder_since REAL NOT NULL,
        topic TEXT NOT NULL,
        private INTEGER NOT NULL,
        open_from INTEGER NOT NULL,
        control INTEGER NOT NULL
    ) WITHOUT ROWID;

    -- Registered people are in their rooms also while they are away. `joined`: the id of the entry.
    CREATE TABLE memberships(
        account TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        since REAL NOT NULL,
        room TEXT NOT NULL,
        joined INTEGER NOT NULL,
        PRIMARY KEY(account, room)
    ) WITHOUT ROWID;

    -- How many messages there had ever been in each room: a JSON object.
    ALTER TABLE readers ADD COLUMN messages TEXT;
    UPDATE readers SET messages = '{"lobby": ' || earlier || '}' WHERE id IS NOT NULL;
    """,
)
# The key among the facts under which stands what `account_keys` were made by.
_KEYS_MADE_BY = "account keys"
# How long the writer waits for somebody else who writes, in seconds, before it gives up for now.
BUSY_SECONDS = 1.0
# Ids that are left out after a crash. While the disk fails people see ids that are not saved; with
# fewer than these, none of them ever comes to mean something else.
CRASH_GAP = 1_000_000


# Up to this size a file is checked at the start, which reads all of it: up to a second. Of a larger
# one, a page that makes no sense shows when it is read.
MAX_CHECKED = 64 * 1024 * 1024


class BadDatabase(Exception):
    """The file cannot be used, and why. It has not been touched."""


class Opened(NamedTuple):
    """A database that this process alone writes to. `lock` keeps it so until it is closed."""

    path: Path
    connection: sqlite3.Connection
    lock: int

    def check_place(self) -> None:
        """Raises sqlite3.OperationalError if the file has been moved, replaced or deleted: nobody
        would ever find what is written to it now."""
        try:
            there = os.path.samestat(os.stat(self.path), os.fstat(self.lock))
        except OSError as error:
            raise sqlite3.OperationalError(f"the database's file: {error.strerror}") from None
        if not there:
            raise sqlite3.OperationalError("the database's file has been replaced")

    def close(self) -> None:
        self.connection.close()
        os.close(self.lock)


def open_for_server(path: Path, upgrades: Sequence[str] = UPGRADES) -> Opened:
    """Open the file, made or upgraded if need be. Raises BadDatabase."""
    try:
        if not path.exists() or path.stat().st_size == 0:
            _create(path, upgrades)
        _version(path, len(upgrades))
        lock = os.open(path, os.O_RDWR)
    except OSError as error:
        raise BadDatabase(f"{path}: {error.strerror or error}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise BadDatabase(f"{path}: another server uses it.") from None
    connection = None
    try:
        connection = connect(path)
        if path.stat().st_size <= MAX_CHECKED:
            _check(connection)
        _upgrade(connection, path, upgrades)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        renew_keys(connection)
        connection.execute("COMMIT")
    except (sqlite3.Error, OSError, BadDatabase) as error:
        if connection is not None:
            connection.close()
        os.close(lock)
        raise BadDatabase(f"{path}: {error}".rstrip(".") + ".") from None
    return Opened(path, connection, lock)


def open_existing(path: Path, upgrades: Sequence[str] = UPGRADES) -> sqlite3.Connection:
    """Open the file beside a server that may be running. Raises BadDatabase."""
    if not path.exists():
        raise BadDatabase(f"{path}: there is no such file.")
    try:
        version = _version(path, len(upgrades))
        if version < len(upgrades):
            raise BadDatabase(f"{path}: an older version; start a server on it first.")
        connection = connect(path)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    except (sqlite3.Error, OSError) as error:
        raise BadDatabase(f"{path}: {error}.") from None
    return connection


def renew_keys(connection: sqlite3.Connection) -> None:
    """Within a transaction: make the keys of all accounts anew, if those that are there are not
    what `names.keys` says today. Accounts that have come to collide by that all stay."""
    made_by = connection.execute("SELECT value FROM facts WHERE key = ?", (_KEYS_MADE_BY,))
    if made_by.fetchone() == (names.KEYS_VERSION,):
        return
    accounts = connection.execute("SELECT name FROM accounts").fetchall()
    connection.execute("DELETE FROM account_keys")
    connection.executemany(
        "INSERT INTO account_keys VALUES(?, ?)",
        ((key, name) for (name,) in accounts for key in names.keys(name)),
    )
    connection.execute(
        "INSERT OR REPLACE INTO facts VALUES(?, ?)", (_KEYS_MADE_BY, names.KEYS_VERSION)
    )


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection for one thread at a time, which begins its transactions itself."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA foreign_keys = ON")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written within is on disk in the end, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """What is read within does not change meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # not if it was interrupted
            connection.execute("ROLLBACK")


def _version(path: Path, newest: int) -> int:
    """The version of the file's schema, without SQLite, which might change something. (After a
    crash amid an upgrade it is the one before that.)

    Never while this process has a connection to the file: closing it gives up SQLite's locks."""
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(b"SQLite format 3\0"):
        raise BadDatabase(f"{path}: this is no SQLite database.")
    if int.from_bytes(header[68:72]) != APPLICATION:
        raise BadDatabase(f"{path}: this is some other program's database.")
    version = int.from_bytes(header[60:64])
    if version > newest:
        raise BadDatabase(f"{path}: {_too_new(version, newest)}.")
    return version


def _too_new(version: int, newest: int) -> str:
    return (
        f"it has version {version} of the schema, which a newer chatservice has made; "
        f"this one knows {newest}"
    )


def _create(path: Path, upgrades: Sequence[str]) -> None:
    """Beside it first: a crash leaves all of it or nothing."""
    if (left := path.with_name(path.name + "-wal")).exists():
        raise BadDatabase(f"{path} is gone, but {left.name} is left of it: move that away first.")
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    try:
        connection = sqlite3.connect(new, isolation_level=None)
        try:
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.executescript("BEGIN;" + "".join(upgrades))
            connection.execute("INSERT INTO facts VALUES('epoch', ?)", (secrets.token_urlsafe(16),))
            connection.execute(f"PRAGMA user_version = {len(upgrades)}")
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        new.chmod(0o600)  # accounts are in it
        os.replace(new, path)
        _sync(path.parent)
    except sqlite3.Error as error:
        new.unlink(missing_ok=True)
        raise BadDatabase(f"{path}: {error}.") from None


def _check(connection: sqlite3.Connection) -> None:
    """Raises BadDatabase if pages of it make no sense."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise BadDatabase(f"it is corrupt: {' '.join(found.split())}")


def _upgrade(connection: sqlite3.Connection, path: Path, upgrades: Sequence[str]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == len(upgrades):
        return
    if version > len(upgrades):
        raise BadDatabase(_too_new(version, len(upgrades)))
    _back_up(connection, path.with_name(f"{path.name}.version-{version}"))
    for number, script in enumerate(upgrades[version:], version + 1):
        connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # others read the version from the file


def _back_up(connection: sqlite3.Connection, backup: Path) -> None:
    """All of it, through SQLite: the file alone need not have what was written last."""
    new = backup.with_name(backup.name + ".new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(new)) as copy:
        connection.backup(copy)
    os.replace(new, backup)
    _sync(backup.parent)


def _sync(folder: Path) -> None:
    """What has been renamed in it stays so, whatever happens."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
