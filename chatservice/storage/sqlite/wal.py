"""Whether a write-ahead log belongs to the file that it lies beside.

SQLite does not check that: it would write the pages of an old log into a backup that has just been
restored, and so undo the restoration, or spoil the file. So the file is stamped with the log's salt
as soon as there is a log. (SQLite's file format, 4.1: salt-1 is chosen at random for a new log, and
grows by one each time when the log starts over.) The stamp also has the schema cookie, which
differs in every copy that SQLite makes.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

_HEADER = 32  # bytes; what has no more is empty
_MAGIC = (0x377F0682, 0x377F0683)
# How often a log may have started over since the stamp: some 4 MB are written in between.
_GROWN = 2**20
_FACT = "write-ahead log"
NONE = "none"  # the stamp of a backup: no log belongs to it


class _Stamp(NamedTuple):
    salt: int
    cookie: int


def beside(path: Path) -> Path:
    """Where the log of that file lies."""
    return path.with_name(path.name + "-wal")


def is_empty(path: Path) -> bool:
    """Whether the log beside the file, if there is one, has nothing in it."""
    return _salt(path) is None


def belongs(path: Path) -> bool:
    """Whether the log beside the file, if there is one, is its own. Changes neither. Never while
    this process has a connection to the file: closing it gives up SQLite's locks."""
    salt = _salt(path)
    if salt is None:
        return True
    uri = f"file:{quote(str(path))}?immutable=1"  # the file as it is, without any log
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            found = connection.execute("SELECT value FROM facts WHERE key = ?", (_FACT,)).fetchone()
            cookie = _cookie(connection)
    except sqlite3.Error:
        return True  # it may be amid a checkpoint, which the log has whole
    if found is None:
        return True  # from before there were stamps
    if found[0] == NONE:
        return False
    stamp = _Stamp(*map(int, found[0].split(":")))
    return cookie == stamp.cookie and (salt - stamp.salt) % 2**32 < _GROWN


def stamp(connection: sqlite3.Connection, path: Path) -> None:
    """Stamp the file, which `connection` has just written to, unless it is stamped."""
    salt = _salt(path)
    if salt is None:
        return
    found = connection.execute("SELECT value FROM facts WHERE key = ?", (_FACT,)).fetchone()
    cookie = _cookie(connection)
    if found is not None and found[0] != NONE:
        old = _Stamp(*map(int, found[0].split(":")))
        if old.cookie == cookie and (salt - old.salt) % 2**32 < _GROWN // 2:
            return
    write(connection, f"{salt}:{cookie}")
    connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()  # into the file itself


def empty(connection: sqlite3.Connection) -> bool:
    """Write all of the log into the file, and leave nothing in it: old pages lie there otherwise
    until new ones are written over them. Waits for nobody. False: somebody is reading."""
    (timeout,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(timeout)}")
    return not busy


def write(connection: sqlite3.Connection, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO facts VALUES(?, ?)", (_FACT, value))


def _cookie(connection: sqlite3.Connection) -> int:
    (cookie,) = connection.execute("PRAGMA schema_version").fetchone()
    return int(cookie)


def _salt(path: Path) -> int | None:
    """Salt-1 of the log beside the file; None if there is none, or nothing in it."""
    try:
        with beside(path).open("rb") as file:
            header = file.read(_HEADER + 1)
    except FileNotFoundError:
        return None
    if len(header) <= _HEADER or int.from_bytes(header[:4]) not in _MAGIC:
        return None
    return int.from_bytes(header[16:20])
