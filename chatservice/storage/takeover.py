"""Takes what is in an SQLite file over into a PostgreSQL database: all of it, or nothing. It
blocks."""

import json
import sqlite3
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from psycopg.pq.abc import PGconn

from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.postgres import accounts, database
from chatservice.storage.postgres.commits import row_values
from chatservice.storage.postgres.connection import QueryFailed, Unreachable, ask_now
from chatservice.storage.rows import MAX_ID
from chatservice.storage.sqlite import rows
from chatservice.storage.sqlite.database import CRASH_GAP, explained, open_for_server

STEP = 1000  # rows at once

_EVENTS = """
INSERT INTO events
SELECT r.id, r.at, r.room, r.kind, r.name, r.text, r.messages, r.earlier, r.rooms,
    NULL, 0, NULL, 0, 0, 0, NULL, CASE WHEN r.words IS NOT NULL THEN array_to_tsvector(r.words) END
FROM jsonb_to_recordset($1::jsonb) AS r(id bigint, at double precision, room text, kind text,
    name text, text text, messages integer, earlier bigint, rooms text, words text[])
"""
# What is read from the file, and how it is written: a row is an array of values.
# An account as JSON: SQLite gives times 15 digits there unless it is told otherwise.
_ACCOUNT = "json_array(account, json(printf('%!.17g', since)))"
_TABLES = {
    "accounts": (
        "SELECT name, hash, created FROM accounts",
        "INSERT INTO accounts SELECT r->>0, r->>1, (r->>2)::double precision "
        "FROM jsonb_array_elements($1::jsonb) AS r",
    ),
    "networks": (
        "SELECT account, network, at FROM known_networks",
        "INSERT INTO known_networks SELECT r->>0, r->>1, (r->>2)::double precision "
        "FROM jsonb_array_elements($1::jsonb) AS r",
    ),
    "tokens": (
        "SELECT hash, account, at FROM account_tokens",
        "INSERT INTO account_tokens(hash, account, at, password) "
        "SELECT r->>0, name, (r->>2)::double precision, accounts.hash "
        "FROM jsonb_array_elements($1::jsonb) AS r JOIN accounts ON name = r->>1",
    ),
    "letters": (
        "SELECT at, sender, recipient, text, origin FROM letters ORDER BY id",
        "INSERT INTO letters(at, sender, recipient, text, origin) "
        "SELECT (r->>0)::double precision, r->>1, r->>2, r->>3, r->>4 "
        "FROM jsonb_array_elements($1::jsonb) AS r",
    ),
    "rooms": (
        "SELECT rooms.name, founder, founder_since, topic, private, open_from, control, "  # noqa: S608
        f"(SELECT json_group_array({_ACCOUNT}) FROM operators "
        "WHERE room = rooms.name), slow FROM rooms "
        "JOIN accounts ON founder = accounts.name AND founder_since = created "
        "UNION ALL SELECT 'lobby', NULL, NULL, '', 0, 0, 0, "  # which nobody has founded
        f"json_group_array({_ACCOUNT}), 0 FROM operators "
        "WHERE room = 'lobby' HAVING count(*) > 0",
        "INSERT INTO rooms SELECT r->>0, r->>1, (r->>2)::double precision, NULL, r->>3, "
        "(r->>4)::integer <> 0, (r->>5)::bigint, (r->>6)::bigint, (r->>7)::jsonb, "
        "(r->>8)::integer FROM jsonb_array_elements($1::jsonb) AS r",
    ),
    "operators": (
        "SELECT account, since FROM operators WHERE room = '*'",
        "INSERT INTO operators SELECT r->>0, (r->>1)::double precision "
        "FROM jsonb_array_elements($1::jsonb) AS r",
    ),
    "sanctions": (
        "SELECT key, id, kind, scope, name, account, since, networks, by, at, until, why "
        "FROM sanctions",
        "INSERT INTO sanctions SELECT (r->>0)::bigint, (r->>1)::bigint, r->>2, r->>3, r->>4, "
        "r->>5, (r->>6)::double precision, "
        "to_jsonb(array_remove(string_to_array(r->>7, E'\\n'), '')), r->>8, "
        "(r->>9)::double precision, (r->>10)::double precision, r->>11 "
        "FROM jsonb_array_elements($1::jsonb) AS r",
    ),
    "reports": (
        "SELECT at, room, name, account, since, by, why, origin FROM reports ORDER BY id",
        "INSERT INTO reports(at, room, name, account, since, by, why, origin) "
        "SELECT (r->>0)::double precision, r->>1, r->>2, r->>3, (r->>4)::double precision, r->>5, "
        "r->>6, r->>7 FROM jsonb_array_elements($1::jsonb) AS r",
    ),
    "hooks": (
        "SELECT id, token, kind, name, room, secret, created FROM hooks",
        "INSERT INTO hooks OVERRIDING SYSTEM VALUE SELECT (r->>0)::bigint, r->>1, r->>2, r->>3, "
        "r->>4, r->>5, (r->>6)::double precision FROM jsonb_array_elements($1::jsonb) AS r",
    ),
    "ignored": (
        "SELECT owner, name, account, since, at FROM ignored",
        "INSERT INTO ignored SELECT r->>0, r->>1, r->>2, (r->>3)::double precision, "
        "(r->>4)::double precision FROM jsonb_array_elements($1::jsonb) AS r",
    ),
    "memberships": (
        "SELECT account, since, room, joined FROM memberships",
        "INSERT INTO memberships SELECT r->>0, (r->>1)::double precision, r->>2, (r->>3)::bigint "
        "FROM jsonb_array_elements($1::jsonb) AS r",
    ),
    "positions": (
        "SELECT name, id, at, messages FROM readers WHERE id IS NOT NULL",
        "INSERT INTO readers SELECT r->>0, (r->>1)::bigint, (r->>2)::double precision, "
        "coalesce((r->>3)::jsonb, '{}') FROM jsonb_array_elements($1::jsonb) AS r",
    ),
}


class Taken(NamedTuple):
    """How much was taken over."""

    messages: int
    accounts: int
    letters: int
    rooms: int
    positions: int
    hooks: int


def take_over(file: Path, uri: str) -> Taken:
    """All that is in `file`, which no server may be using. Raises BadDatabase."""
    if not file.exists():
        raise BadDatabase(f"{file}: there is no such file.")
    opened = open_for_server(file)
    connection = None
    try:
        connection = database.open_now(uri)
        database.check(connection, uri)
        # That may take long.
        ask_now(connection, "SET statement_timeout = 0; BEGIN; SELECT append_lock()")
        if ask_now(connection, "SELECT next_id FROM chat") != [("1",)] or ask_now(
            connection, "SELECT 1 FROM accounts UNION ALL SELECT 1 FROM nodes LIMIT 1"
        ):
            raise BadDatabase(f"{database.shown(uri)}: there is a chat in it already.")
        with explained(file):
            taken = _copy(opened.connection, connection)
        ask_now(connection, "COMMIT; ANALYZE")
        accounts.renew_keys(connection)
    except (QueryFailed, Unreachable) as error:
        raise BadDatabase(f"{database.shown(uri)}: {error}.") from None
    finally:
        opened.close()
        if connection is not None:
            connection.finish()
    return taken


def _copy(file: sqlite3.Connection, target: PGconn) -> Taken:
    counts = {
        table: _insert(target, into, file.execute(query))
        for table, (query, into) in _TABLES.items()
    }
    kept = rows.rows_between(file, -1, MAX_ID)
    _insert(target, _EVENTS, (row_values(row) for row in kept))
    messages = {room: rows.messages_in(file, room) for room in rows.rooms_of(file)}
    _insert(
        target,
        "INSERT INTO counts SELECT r->>0, (r->>1)::bigint "
        "FROM jsonb_array_elements($1::jsonb) AS r",
        list(messages.items()),
    )
    facts = dict(file.execute("SELECT key, value FROM facts").fetchall())
    newest = file.execute("SELECT max(id), messages FROM events").fetchone()
    (past,) = file.execute("SELECT max(past) FROM gaps").fetchone()
    next_id = max(1 if newest[0] is None else newest[0] + (newest[1] or 1), past or 0)
    if facts.get("opened") and not facts.get("clean"):
        next_id += CRASH_GAP  # some may have been seen that are not in the file
    ask_now(target, "UPDATE chat SET next_id = $1, epoch = $2", str(next_id), facts["epoch"])
    numbered = file.execute("SELECT seq FROM sqlite_sequence WHERE name = 'hooks'").fetchone()
    if numbered is not None:  # the number of a hook that is gone means no other one
        ask_now(
            target, "SELECT setval(pg_get_serial_sequence('hooks', 'id'), $1)", str(numbered[0])
        )
    (said,) = file.execute("SELECT total(messages) FROM events").fetchone()
    return Taken(
        int(said),
        counts["accounts"],
        counts["letters"],
        counts["rooms"],
        counts["positions"],
        counts["hooks"],
    )


def _insert(target: PGconn, query: str, values: Iterable[Any]) -> int:
    """How many."""
    count, left = 0, iter(values)
    while step := list(islice(left, STEP)):
        ask_now(target, query, json.dumps(step))
        count += len(step)
    return count
