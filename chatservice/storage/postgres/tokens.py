"""Tokens of programs, which are good on every server. The database has their hashes only."""

import json

from twisted.python.failure import Failure

from chatservice.core.events import Refusal
from chatservice.core.log import Clock, DelayedCall
from chatservice.core.users import User
from chatservice.storage.postgres.presence import Presence
from chatservice.storage.postgres.questions import Questions

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
        self._changed: dict[str, User | None] = {}
        self._saving: dict[str, User | None] = {}

    def begin(self, node: int, presence: Presence) -> None:
        """Go on as that server."""
        self._node = node
        self._presence = presence
        self._changed.clear()

    def keep(self, token: str, user: User) -> None:
        self._change(token, user)

    def forget(self, token: str) -> None:
        self._change(token, None)

    def forget_all(self, user: User) -> None:
        gone = self._ask("DELETE FROM tokens WHERE person = $1", self._presence.id_of(user))
        gone.addErrback(lambda failure: failure.trap(Refusal))

    async def holder(self, token: str, asker: str) -> User | None:
        for unsaved in (self._changed, self._saving):
            if (user := unsaved.get(token)) is not None:
                return user
        found = await self._ask(
            "SELECT person FROM tokens JOIN people ON people.id = person WHERE hash = $1",
            token,
            asker=asker,
        )
        return self._presence.person(found[0][0]) if found else None

    def _change(self, token: str, user: User | None) -> None:
        if token not in self._changed and len(self._changed) >= MAX_UNSAVED:
            return
        self._changed[token] = user
        self._save()

    def _save(self) -> None:
        if self._saving or not self._changed or self._retry is not None:
            return
        self._saving, self._changed = self._changed, {}
        changes = [
            {"hash": token, "person": None if user is None else self._presence.id_of(user)}
            for token, user in self._saving.items()
        ]
        saving = self._ask(_SAVE, json.dumps(changes), str(self._node))
        saving.addCallbacks(self._saved, self._not_saved)

    def _saved(self, _: object) -> None:
        self._saving = {}
        self._save()

    def _not_saved(self, failure: Failure) -> None:
        """The database is away, or much is asked of it."""
        failure.trap(Refusal)
        self._changed = {**self._saving, **self._changed}
        self._saving = {}
        self._retry = self._clock.callLater(RETRY_SECONDS, self._save_again)

    def _save_again(self) -> None:
        self._retry = None
        self._save()

    def stop(self) -> None:
        """Save nothing more."""
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
