"""Finding messages by their words (see `storage.words`). Everything here blocks.

SQLite's FTS5 indexes the words of each message, and tells which messages to look at; whether one is
found is for `Query.matches`. The index is brought up to date in small steps, behind the log. What
is not in it so far is looked through, as is everything where SQLite has no FTS5.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from math import inf
from time import monotonic

from chatservice.core.events import Emoted, Said
from chatservice.core.log import Reach
from chatservice.storage.rows import Row
from chatservice.storage.sqlite.database import transaction
from chatservice.storage.sqlite.rows import row_with, rows_between
from chatservice.storage.words import Query, words

_NOT_ASCII = "text GLOB '*[^\x01-\x7f]*'"
# Messages in one step, and characters: some 10 ms, for which the next commit may have to wait.
INDEX_STEP = 2000
INDEX_SIZE = 128 * 1024
MERGE_PAGES = 64  # of the index, merged in one step: some 10 ms
_TO_FORGET = "words to forget"  # among the facts: how far that is
MAX_SCANNED = 200_000  # rows without an index that one search looks at: some 0.3 s


def has_index(connection: sqlite3.Connection) -> bool:
    """Make the index, if this SQLite can and there is none. Whether there is one."""
    try:
        # To the tokenizer each character beyond ASCII is a letter: what is a word says `words`.
        connection.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS message_words "
            "USING fts5(text, content='', tokenize='ascii')"
        )
        connection.execute("SELECT rowid FROM message_words LIMIT 1").fetchone()
        # The index of version 1: of rows, without symbols.
        connection.execute("DROP TABLE IF EXISTS words")
        connection.execute("DELETE FROM facts WHERE key = 'indexed'")
    except sqlite3.Error:
        return False
    return True


def is_there(connection: sqlite3.Connection) -> bool:
    """Whether there is an index."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'message_words'")
    return found.fetchone() is not None


def index_some(connection: sqlite3.Connection) -> bool:
    """Index some of what is not indexed so far, within a transaction. Whether there may be more."""
    done = _indexed_to(connection)
    newest = connection.execute("SELECT max(id) FROM events").fetchone()[0]
    indexed: list[tuple[int, str]] = []
    size = 0
    for row in rows_between(connection, done, (newest or 0) + 1, spoken=True):
        if row.id > done:
            indexed += _indexed(row)
            done = row.end - 1
            size += len(row.text)
        if len(indexed) >= INDEX_STEP or size >= INDEX_SIZE:
            break
    if not indexed:
        return False
    connection.executemany("INSERT INTO message_words(rowid, text) VALUES(?, ?)", indexed)
    connection.execute("INSERT OR REPLACE INTO facts VALUES('indexed to', ?)", (done,))
    return True


def forget(connection: sqlite3.Connection, row: Row) -> None:
    """Take `row`, which is about to be deleted, out of the index, within a transaction."""
    if row.messages and row.id <= _indexed_to(connection):
        connection.executemany(
            "INSERT INTO message_words(message_words, rowid, text) VALUES('delete', ?, ?)",
            _indexed(row),
        )


def forget_message(connection: sqlite3.Connection, row: Row, id_: int) -> None:
    """The same for the message of `row` with that id. Its words are gone from the file once
    `forget_words` has been at it."""
    if id_ <= _indexed_to(connection):
        indexed = [each for each in _indexed(row) if each[0] == id_]
        connection.executemany(
            "INSERT INTO message_words(message_words, rowid, text) VALUES('delete', ?, ?)", indexed
        )
        connection.execute("INSERT OR REPLACE INTO facts VALUES(?, 'begin')", (_TO_FORGET,))


def has_words_to_forget(connection: sqlite3.Connection) -> bool:
    """Whether the index still holds words of messages that are gone."""
    return _to_forget(connection) is not None


def forget_words(connection: sqlite3.Connection) -> bool:
    """Do some of that, within a transaction. Whether there is more to do."""
    stage = _to_forget(connection)
    if stage is None:
        return False
    before = connection.total_changes
    # A negative number makes one merge of all segments, which positive ones go on with.
    pages = -MERGE_PAGES if stage == "begin" else MERGE_PAGES
    connection.execute(
        "INSERT INTO message_words(message_words, rank) VALUES('merge', ?)", (pages,)
    )
    if connection.total_changes - before < 2:  # as FTS5 says that there is nothing left
        connection.execute("DELETE FROM facts WHERE key = ?", (_TO_FORGET,))
        return False
    connection.execute("INSERT OR REPLACE INTO facts VALUES(?, 'go on')", (_TO_FORGET,))
    return True


def forget_all_words(connection: sqlite3.Connection, seconds: float = inf) -> None:
    """The same, all at once; or for so long. The rest is for the next time."""
    end = monotonic() + seconds
    while has_words_to_forget(connection) and monotonic() < end:
        with transaction(connection):
            forget_words(connection)


def _to_forget(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM facts WHERE key = ?", (_TO_FORGET,)).fetchone()
    return None if row is None else str(row[0])


def find(
    connection: sqlite3.Connection,
    query: Query,
    before: int,
    limit: int,
    reach: Reach,
    *,
    indexed: bool,
) -> list[Said | Emoted]:
    """The newest `limit` messages within `reach` before that id that `query` matches; the oldest
    first."""
    found: list[Said | Emoted] = []
    for message in _candidates(connection, query, before, indexed=indexed) if query else ():
        if reach.get(message.room, message.id + 1) > message.id:
            continue
        if query.matches(message.text):
            found.append(message)
            if len(found) == limit:
                break
    return found[::-1]


def _candidates(
    connection: sqlite3.Connection, query: Query, before: int, *, indexed: bool
) -> Iterator[Said | Emoted]:
    """Messages that `query` may match, the newest first."""
    # Without a word there is nothing to look up in the index.
    indexed = indexed and bool(query.phrases)
    done = _indexed_to(connection) if indexed else -1
    lowest = connection.execute(
        "SELECT id FROM events INDEXED BY spoken WHERE id > ? AND id < ? AND messages > 0 "
        "ORDER BY id DESC LIMIT 1 OFFSET ?",
        (done, before, MAX_SCANNED),
    ).fetchone()
    after = max(done, lowest[0] if lowest is not None else -1)
    unindexed = rows_between(
        connection, after, before, newest_first=True, spoken=True, where=_may_have(query)
    )
    for row in unindexed:
        if row.id > after:
            yield from _messages(row, before)
    if indexed:
        yield from _looked_up(connection, query, before)


def _looked_up(
    connection: sqlite3.Connection, query: Query, before: int
) -> Iterator[Said | Emoted]:
    match = " ".join(f'"{" ".join(phrase)}"*' for phrase in query.phrases)
    found = connection.execute(
        "SELECT rowid FROM message_words WHERE message_words MATCH ? AND rowid < ? "
        "ORDER BY rowid DESC",
        (match, before),
    )
    row: Row | None = None
    for (id_,) in found:
        if row is None or not row.id <= id_ < row.end:
            row = row_with(connection, id_)
        for event in row.happenings(id_ - 1, id_ + 1) if row is not None else ():
            if isinstance(event, Said | Emoted):
                yield event


def _messages(row: Row, before: int) -> Iterator[Said | Emoted]:
    for event in reversed(row.happenings(before=before)):
        if isinstance(event, Said | Emoted):
            yield event


def _may_have(query: Query) -> tuple[str, Sequence[str]]:
    """A condition in SQL, and its parameters: a text that is not all ASCII is for us to look at;
    and others that have each of these words and signs somewhere. It is SQLite that looks at most of
    them, and the rest of the server goes on meanwhile."""
    wanted = [word for phrase in query.phrases for word in phrase]
    if not all(map(str.isascii, (*wanted, *query.signs))):
        return _NOT_ASCII, ()
    has = ["text LIKE ?"] * len(wanted) + ["instr(text, ?)"] * len(query.signs)
    parameters = (*(f"%{word}%" for word in wanted), *query.signs)
    return f"({' AND '.join(has)} OR {_NOT_ASCII})", parameters


def _indexed(row: Row) -> list[tuple[int, str]]:
    """What the index takes for each message of `row`."""
    return [
        (event.id, " ".join(words(event.text)))
        for event in row.happenings()
        if isinstance(event, Said | Emoted)
    ]


def _indexed_to(connection: sqlite3.Connection) -> int:
    """The last message in the index."""
    row = connection.execute("SELECT value FROM facts WHERE key = 'indexed to'").fetchone()
    return int(row[0]) if row is not None else 0
