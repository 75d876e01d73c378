"""Tokens of programs, which are good on every server. The database has their hashes only."""

import json
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from chatservice.core.events import Refusal
from chatservice.core.log import Clock, DelayedCall
from chatservice.core.users import User
from chatservice.storage.postgres.presence import Presence
from chatservice.storage.postgres.questions import Questions
from chatservice.storage.postgres.unsaved import Unsaved

# Those of connections that are here at a time; more wait only while the database is away.
MAX_UNSAVED = 20_000
RETRY_SECONDS = 0.5
# A token that has been taken over belongs to that connection's server: others do not delete it.
_SAVE = """
WITH changed AS (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS c(hash text, person text)),
kept AS (
    INSERT INTO tokens SELECT hash, person, $2::bigint FROM changed WHERE person IS NOT NULL
    ON CONFLICT (hash) DO UPDATE SET person = excluded.person, node = excluded.node)
DELETE FROM tokens WHERE node = $2::bigint
    AND hash IN (SELECT hash FROM changed WHERE person IS NULL)
"""


class Tokens:
    """`stores.TokenStore`. Those that have changed are saved soon, together."""

    def __init__(self, clock: Clock, questions: Questions) -> None:
        self._clock = clock
        self._ask = questions.ask
        self._retry: DelayedCall | None = None
        self._unsaved: Unsaved[User | None] = Unsaved(self._write, MAX_UNSAVED, self._try_again)

    def begin(self, node: int, presence: Presence) -> None:
        """Go on as that server."""
        self._node = node
        self._presence = presence
        self._unsaved.changed.clear()

    def keep(self, token: str, user: User) -> None:
        self._change(token, user)

    def forget(self, token: str) -> None:
        self._change(token, None)

    def forget_all(self, user: User) -> None:
        gone = self._ask("DELETE FROM tokens WHERE person = $1", self._presence.id_of(user))
        gone.addErrback(lambda failure: failure.trap(Refusal))

    async def holder(self, token: str, asker: str) -> User | None:
        for unsaved in (self._unsaved.changed, self._unsaved.saving):
            if (user := unsaved.get(token)) is not None:
                return user
        found = await self._ask(
            "SELECT person FROM tokens JOIN people ON people.id = person WHERE hash = $1",
            token,
            asker=asker,
        )
        return self._presence.person(found[0][0]) if found else None

    def _change(self, token: str, user: User | None) -> None:
        self._unsaved.add(token, user)
        if self._retry is None:
            self._unsaved.save()

    def _write(self, changed: Mapping[str, User | None]) -> "Deferred[Any]":
        changes = [
            {"hash": token, "person": None if user is None else self._presence.id_of(user)}
            for token, user in changed.items()
        ]
        return self._ask(_SAVE, json.dumps(changes), str(self._node))

    def _try_again(self) -> None:
        def save() -> None:
            self._retry = None
            self._unsaved.save()

        self._retry = self._clock.callLater(RETRY_SECONDS, save)

    def stop(self) -> None:
        """Save nothing more."""
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
