"""Opening the file that a chat is kept in: SQLite. Everything here blocks; `threads` has the
threads.

Exactly one connection writes and checkpoints while a server runs; it holds the file's lock, so that
no second server writes to it. The operator's programs take turns with it.
"""

import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.sqlite import schema, wal
from chatservice.storage.sqlite.schema import APPLICATION, UPGRADES, renew_keys

# How long the writer waits for another program that writes, in seconds, before it gives up for now.
BUSY_SECONDS = 1.0
# Ids that are left out after a crash. While the disk fails people see ids that are not saved; with
# fewer than these, none of them ever comes to mean something else.
CRASH_GAP = 1_000_000
# Up to this size a file is checked at the start, which reads all of it: up to a second. Of a larger
# one, a page that makes no sense shows when it is read.
MAX_CHECKED = 64 * 1024 * 1024

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


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
    """Open the file, made or upgraded if need be. Nothing is left of one that could not be made.
    Raises BadDatabase."""
    with explained(path):
        file = resolve(path)
        _expect_no_log_of_another(file)
        lock, is_new = _open(file)
        connection = None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _check_header(os.pread(lock, 100, 0), len(upgrades))
            connection = connect(file)
            if os.fstat(lock).st_size <= MAX_CHECKED:
                _check_pages(connection)
            _upgrade(connection, file, upgrades)
            connection.execute("PRAGMA synchronous = FULL")
            with transaction(connection):
                renew_keys(connection)
        except BaseException as error:
            if connection is not None:
                connection.close()
            os.close(lock)
            if is_new:
                for end in ("", "-wal", "-shm", "-journal"):
                    file.with_name(file.name + end).unlink(missing_ok=True)
            if isinstance(error, BlockingIOError):
                raise BadDatabase("another server uses it") from None
            raise
    return Opened(file, connection, lock)


def open_existing(path: Path, upgrades: Sequence[str] = UPGRADES) -> sqlite3.Connection:
    """Open the file to write to it beside a server that may be running. Raises BadDatabase."""
    with explained(path):
        file = _existing(path)
        _expect_no_log_of_another(file)
        if _version(file, len(upgrades)) < len(upgrades):
            raise BadDatabase("an older version; start a server on it first")
        connection = connect(file)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA synchronous = FULL")
    return connection


def open_to_read(
    path: Path, upgrades: Sequence[str] = UPGRADES, *, any_version: bool = False
) -> sqlite3.Connection:
    """Open the file to read it beside a server that may be running, and also where nothing can be
    written. `any_version`: an older one will do. Raises BadDatabase."""
    with explained(path):
        file = _existing(path)
        _expect_no_log_of_another(file)
        if _version(file, len(upgrades)) < len(upgrades) and not any_version:
            raise BadDatabase("an older version; start a server on it first")
        try:
            return _connected(connect(file, read_only=True))
        except sqlite3.OperationalError:
            # SQLite cannot share it where it may write nothing; but as it is it can be read, if
            # there is nothing in a log.
            if not wal.is_empty(file):
                raise
            uri = f"file:{quote(str(file))}?immutable=1"
            return _connected(sqlite3.connect(uri, isolation_level=None, uri=True))


def _connected(connection: sqlite3.Connection) -> sqlite3.Connection:
    """It opens the files now."""
    try:
        connection.execute("SELECT count(*) FROM facts").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def resolve(path: Path) -> Path:
    """The regular file that `path` stands for, links followed; it need not exist. Raises
    BadDatabase."""
    if str(path) == ":memory:":
        raise BadDatabase("this is not a file (--database none keeps everything in memory)")
    with suppress(FileNotFoundError):
        mode = os.stat(path).st_mode
        for is_kind, kind in _KINDS:
            if is_kind(mode):
                raise BadDatabase(f"this is {kind}, not a regular file")
    return Path(os.path.realpath(path))


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection for one thread at a time, which begins its transactions itself."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
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


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever is wrong with the file is said in one line that begins with its name."""
    try:
        yield
    except BadDatabase as error:
        raise BadDatabase(f"{path}: {error}.") from None
    except OSError as error:
        raise BadDatabase(f"{path}: {error.strerror or error}.") from None
    except sqlite3.Error as error:
        raise BadDatabase(f"{path}: {error}".rstrip(".") + ".") from None


def _existing(path: Path) -> Path:
    file = resolve(path)
    if not file.exists():
        raise BadDatabase("there is no such file")
    return file


def _open(file: Path) -> tuple[int, bool]:
    """A descriptor of the file, and whether it has been made just now."""
    flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would be waited for
    try:
        return os.open(file, flags), False
    except FileNotFoundError:
        return os.open(file, flags | os.O_CREAT | os.O_EXCL, 0o600), True  # accounts are in it


def _expect_no_log_of_another(file: Path) -> None:
    log = wal.beside(file)
    if not file.exists() or file.stat().st_size == 0:
        if log.exists():
            raise BadDatabase(f"it is gone, but {log.name} is left of it: move that away first")
    elif not wal.belongs(file):
        raise BadDatabase(
            f"{log.name} belongs to another copy of it. If this is a backup that was restored, "
            f"move {log.name} away first (see docs/backup.md)"
        )


def _version(file: Path, newest: int) -> int:
    """The version of the file's schema. Never while this process has a connection to the file:
    closing it gives up SQLite's locks."""
    with file.open("rb") as opened:
        return _check_header(opened.read(100), newest)


def _check_header(header: bytes, newest: int) -> int:
    """The version of the schema, by the first bytes of the file: without SQLite, which might change
    something. (After a crash amid an upgrade it is the one before that.) An empty file has 0.
    Raises BadDatabase."""
    if not header:
        return 0
    if not header.startswith(b"SQLite format 3\0"):
        raise BadDatabase("this is not an SQLite database")
    if int.from_bytes(header[68:72]) != APPLICATION:
        raise BadDatabase("this is some other program's database")
    version = int.from_bytes(header[60:64])
    if version > newest:
        raise BadDatabase(_too_new(version, newest))
    return version


def _too_new(version: int, newest: int) -> str:
    return (
        f"it has version {version} of the schema, which a newer chatservice has made; "
        f"this one knows {newest}"
    )


def _check_pages(connection: sqlite3.Connection) -> None:
    """Raises BadDatabase if pages of it make no sense."""
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        return  # SQLite 3.40 would not checkpoint after a check of nothing
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise BadDatabase(f"it is corrupt: {' '.join(found.split())}")


def _upgrade(connection: sqlite3.Connection, file: Path, upgrades: Sequence[str]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(upgrades):
        raise BadDatabase(_too_new(version, len(upgrades)))
    if version == 0:  # in one transaction: a crash leaves all of it or nothing
        connection.executescript("BEGIN EXCLUSIVE;" + "".join(upgrades))
        schema.create(connection)
        connection.execute(f"PRAGMA user_version = {len(upgrades)}")
        connection.execute("COMMIT")
        with suppress(OSError):  # it may be somebody else's
            file.chmod(0o600)
        _sync(file.parent)
    elif version < len(upgrades):
        _back_up(connection, file, version)
        for number, script in enumerate(upgrades[version:], version + 1):
            connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT")
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if version < len(upgrades):  # others read the version from the file
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _back_up(connection: sqlite3.Connection, file: Path, version: int) -> None:
    """Beside the file, under a name that is free. All of it, through SQLite: the file alone need
    not have what was written last."""
    name = f"{file.name}.version-{version}"
    number = 1
    while (backup := file.with_name(name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    new = file.with_name(f"{name}.new")
    new.unlink(missing_ok=True)  # of an upgrade that was cut off
    os.close(os.open(new, os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(new)) as copy:
            connection.backup(copy)
        os.replace(new, backup)
    finally:
        new.unlink(missing_ok=True)
    _sync(file.parent)


def _sync(folder: Path) -> None:
    """What has been made or renamed in it stays so, whatever happens."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
