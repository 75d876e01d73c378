"""Finding messages by their words. Everything here blocks (see `history`).

What counts as a word is said here, in `words`, and SQLite's FTS5 indexes those: case and accents
make no difference, and in writing without blanks each character is a word, so that a part of a
sentence is found. The index is brought up to date in small steps, behind the log; what is not in it
so far is looked through, as is everything where SQLite has no FTS5.
"""

import re
import sqlite3
import unicodedata
from collections.abc import Iterator

from chatservice.core.events import Emoted, Said
from chatservice.storage.sqlite.rows import Row, happenings, rows_between

# Chinese, Japanese, Thai, Lao, Khmer and Burmese put no blanks between words.
_WORD = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff]|[^\W_\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
    r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_NOT_ASCII = "text GLOB '*[^\x01-\x7f]*'"
_ASCII_WORD = re.compile(r"[a-z0-9]+")
# Rows in one step, and characters: some 10 ms, for which the next commit may have to wait.
INDEX_STEP = 2000
INDEX_SIZE = 128 * 1024
MAX_SCANNED = 200_000  # rows without an index that one search looks at: some 0.3 s
MAX_WORDS = 10  # in a search


def words(text: str) -> list[str]:
    """The words of `text`, folded."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return _WORD.findall(bare.casefold())


def has_index(connection: sqlite3.Connection) -> bool:
    """Make the index, if this SQLite can and there is none. Whether there is one."""
    try:
        connection.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS words "
            "USING fts5(text, content='', tokenize='unicode61 remove_diacritics 0')"
        )
        connection.execute("SELECT rowid FROM words LIMIT 1").fetchone()
    except sqlite3.Error:
        return False
    return True


def index_some(connection: sqlite3.Connection) -> bool:
    """Index some of what is not indexed so far, within a transaction. Whether there may be more."""
    done = _indexed_to(connection)
    newest = connection.execute("SELECT max(id) FROM events").fetchone()[0]
    rows: list[tuple[int, str]] = []
    size = 0
    for row in rows_between(connection, done, (newest or 0) + 1, spoken=True):
        if row.id > done:
            rows.append(_indexed(row))
            size += len(row.text)
        if len(rows) == INDEX_STEP or size >= INDEX_SIZE:
            break
    if not rows:
        return False
    connection.executemany("INSERT INTO words(rowid, text) VALUES(?, ?)", rows)
    connection.execute("INSERT OR REPLACE INTO facts VALUES('indexed', ?)", (rows[-1][0],))
    return True


def forget(connection: sqlite3.Connection, row: Row) -> None:
    """Take `row`, which is about to be deleted, out of the index, within a transaction."""
    if row.messages and row.id <= _indexed_to(connection):
        connection.execute(
            "INSERT INTO words(words, rowid, text) VALUES('delete', ?, ?)", _indexed(row)
        )


def find(
    connection: sqlite3.Connection, wanted: str, before: int, limit: int, *, indexed: bool
) -> list[Said | Emoted]:
    """The newest `limit` messages before that id that have each of the words `wanted`, of which
    the beginning is enough; the oldest first."""
    looked_for = [phrase for part in wanted.split()[:MAX_WORDS] if (phrase := words(part))]
    found: list[Said | Emoted] = []
    if not looked_for:
        return found
    for row in _candidates(connection, looked_for, before, indexed=indexed):
        for event in reversed(happenings(row)):
            if (
                isinstance(event, Said | Emoted)
                and event.id < before
                and _has(words(event.text), looked_for)
            ):
                found.append(event)
                if len(found) == limit:
                    return found[::-1]
    return found[::-1]


def _candidates(
    connection: sqlite3.Connection, looked_for: list[list[str]], before: int, *, indexed: bool
) -> Iterator[Row]:
    """Rows that may have a message with these words, the newest first."""
    done = _indexed_to(connection) if indexed else -1
    lowest = connection.execute(
        "SELECT id FROM events INDEXED BY spoken WHERE id > ? AND id < ? AND messages > 0 "
        "ORDER BY id DESC LIMIT 1 OFFSET ?",
        (done, before, MAX_SCANNED),
    ).fetchone()
    after = max(done, lowest[0] if lowest is not None else -1)
    unindexed = rows_between(
        connection, after, before, newest_first=True, spoken=True, where=_may_have(looked_for)
    )
    yield from (row for row in unindexed if row.id > after)
    if indexed:
        query = " ".join(f'"{" ".join(phrase)}"*' for phrase in looked_for)
        rows = connection.execute(
            "SELECT events.* FROM words JOIN events ON events.id = words.rowid "
            "WHERE words MATCH ? AND words.rowid < ? ORDER BY words.rowid DESC",
            (query, before),
        )
        yield from (Row(*values) for values in rows)


def _may_have(looked_for: list[list[str]]) -> tuple[str, list[str]]:
    """A condition in SQL, and its parameters: a text that is not all ASCII is for us to look at;
    and others that have each of these words somewhere. It is SQLite that looks at most of them, and
    the rest of the server goes on meanwhile."""
    wanted = [word for phrase in looked_for for word in phrase]
    if not all(map(str.isascii, wanted)):
        return _NOT_ASCII, []
    has_all = " AND ".join(["text LIKE ?"] * len(wanted))
    return f"({has_all} OR {_NOT_ASCII})", [f"%{word}%" for word in wanted]


def _has(said: list[str], looked_for: list[list[str]]) -> bool:
    return all(
        any(
            said[start : start + len(phrase) - 1] == phrase[:-1]
            and said[start + len(phrase) - 1].startswith(phrase[-1])
            for start in range(len(said) - len(phrase) + 1)
        )
        for phrase in looked_for
    )


def _indexed(row: Row) -> tuple[int, str]:
    """What the index takes for `row`: ASCII as it is, since it finds the same words there."""
    return row.id, row.text if row.text.isascii() else " ".join(words(row.text))


def _indexed_to(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM facts WHERE key = 'indexed'").fetchone()
    return int(row[0]) if row is not None else 0
