"""Tokens of programs, which are good on every server. The database has their hashes only."""

import json
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from chatservice.core.events import Refusal
from chatservice.core.log import Clock, DelayedCall
from chatservice.core.stores import Credentials, TokenHolder
from chatservice.core.users import User
from chatservice.storage.postgres.accounts import credentials, parameters
from chatservice.storage.postgres.presence import Presence
from chatservice.storage.postgres.questions import Questions
from chatservice.storage.postgres.unsaved import Unsaved

# Those of connections that are here at a time; more wait only while the database is away.
MAX_UNSAVED = 20_000
RETRY_SECONDS = 0.5
# A token that has been taken over belongs to that connection's server: others do not delete it.
_SAVE = """
WITH changed AS (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS c(hash text, person text, password text)),
kept AS (
    INSERT INTO tokens(hash, person, node, password)
        SELECT hash, person, $2::bigint, password FROM changed WHERE person IS NOT NULL
    ON CONFLICT (hash) DO UPDATE
        SET person = excluded.person, node = excluded.node, password = excluded.password)
DELETE FROM tokens WHERE node = $2::bigint
    AND hash IN (SELECT hash FROM changed WHERE person IS NULL)
"""


# A password may be changed in the moment in which a token is saved: so that is looked at here.
_HOLDER = """
SELECT people.id, accounts.name, accounts.created, accounts.hash
FROM tokens JOIN people ON people.id = person
    LEFT JOIN accounts ON account = accounts.name AND account_since = accounts.created
WHERE tokens.hash = $1 AND (account IS NULL OR accounts.hash = password)
"""
_IS_PROVEN = (
    "SELECT 1 FROM accounts WHERE name = $1 AND created = $2::double precision AND hash = $3"
)


class Tokens:
    """`stores.TokenStore`. Those that have changed are saved soon, together."""

    def __init__(self, clock: Clock, questions: Questions) -> None:
        self._clock = clock
        self._ask = questions.ask
        self._retry: DelayedCall | None = None
        self._unsaved: Unsaved[TokenHolder | None] = Unsaved(
            self._write, MAX_UNSAVED, self._try_again
        )

    def begin(self, node: int, presence: Presence) -> None:
        """Go on as that server."""
        self._node = node
        self._presence = presence
        self._unsaved.changed.clear()

    def keep(self, token: str, user: User, proven: Credentials | None) -> None:
        self._change(token, TokenHolder(user, proven))

    def forget(self, token: str) -> None:
        self._change(token, None)

    def forget_all(self, user: User) -> None:
        gone = self._ask("DELETE FROM tokens WHERE person = $1", self._presence.id_of(user))
        gone.addErrback(lambda failure: failure.trap(Refusal))

    async def holder(self, token: str, asker: str) -> TokenHolder | None:
        for unsaved in (self._unsaved.changed, self._unsaved.saving):
            if (holder := unsaved.get(token)) is not None:
                return holder if await self._is_good(holder, asker) else None
        found = await self._ask(_HOLDER, token, asker=asker)
        if not found:
            return None
        ((person, *kept),) = found
        user = self._presence.person(person)
        return None if user is None else TokenHolder(user, credentials(kept) if kept[0] else None)

    async def _is_good(self, holder: TokenHolder, asker: str) -> bool:
        """Whether what its user has proven is the password still."""
        if holder.user.account is None:
            return True
        if holder.proven is None:
            return False
        owner = parameters(holder.proven.account)
        return bool(await self._ask(_IS_PROVEN, *owner, holder.proven.hash, asker=asker))

    def _change(self, token: str, holder: TokenHolder | None) -> None:
        self._unsaved.add(token, holder)
        if self._retry is None:
            self._unsaved.save()

    def _write(self, changed: Mapping[str, TokenHolder | None]) -> "Deferred[Any]":
        changes = [{"hash": token, **self._saved(holder)} for token, holder in changed.items()]
        return self._ask(_SAVE, json.dumps(changes), str(self._node))

    def _saved(self, holder: TokenHolder | None) -> Mapping[str, str | None]:
        if holder is None:
            return {}
        proven = holder.proven
        person = self._presence.id_of(holder.user)
        return {"person": person, "password": None if proven is None else proven.hash}

    def _try_again(self) -> None:
        def save() -> None:
            self._retry = None
            self._unsaved.save()

        self._retry = self._clock.callLater(RETRY_SECONDS, save)

    def stop(self) -> None:
        """Save nothing more."""
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
