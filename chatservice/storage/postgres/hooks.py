"""Hooks in the database that all servers share."""

from typing import Any

from psycopg.pq.abc import PGconn

from chatservice.core.stores import MAX_HOOKS, Hook, HookKind, token_hash
from chatservice.storage.postgres.connection import ask_now
from chatservice.storage.postgres.questions import Questions

_HOOKS = "SELECT id, kind, name, room, secret, created FROM hooks "


class PostgresHookStore:
    """`stores.HookStore`, asked by `questions`."""

    def __init__(self, questions: Questions) -> None:
        self._ask = questions.ask

    async def find(self, token: str, asker: str = "") -> Hook | None:
        found = await self._ask(_HOOKS + "WHERE token = $1", token_hash(token), asker=asker)
        return _hook(found[0]) if found else None


# What the operator's program does. It blocks.


def all_hooks(connection: PGconn) -> list[Hook]:
    """In the order in which they were made."""
    return [_hook(row) for row in ask_now(connection, _HOOKS + "ORDER BY id")]


def add(connection: PGconn, token: str, hook: Hook) -> int | None:
    """Returns its number; None: there are too many. That of `hook` is not looked at."""
    ask_now(connection, "BEGIN; LOCK TABLE hooks IN SHARE ROW EXCLUSIVE MODE")
    added = ask_now(
        connection,
        "INSERT INTO hooks(token, kind, name, room, secret, created) "
        "SELECT $1, $2, $3, $4, $5, $6::double precision "
        "WHERE (SELECT count(*) FROM hooks) < $7::bigint RETURNING id",
        token_hash(token),
        hook.kind.value,
        hook.name,
        hook.room,
        hook.secret,
        repr(hook.created),
        str(MAX_HOOKS),
    )
    ask_now(connection, "COMMIT")
    return int(added[0][0] or 0) if added else None


def remove(connection: PGconn, number: int) -> bool:
    """Whether there was one of that number."""
    return bool(ask_now(connection, "DELETE FROM hooks WHERE id = $1 RETURNING 1", str(number)))


def _hook(row: Any) -> Hook:
    number, kind, name, room, secret, created = row
    return Hook(int(number), HookKind(kind), name, room, secret, float(created))
