"""Accounts and offline messages in the database that all servers share."""

import json
import time
from typing import Any

from psycopg.pq.abc import PGconn

from chatservice.core import names
from chatservice.core.events import Account, ErrorCode, Refusal, Told
from chatservice.core.log import Now
from chatservice.core.stores import (
    ACCOUNT_TOKEN_SECONDS,
    MAX_ACCOUNT_TOKENS,
    MAX_ACCOUNTS,
    MAX_KNOWN_NETWORKS,
    MAX_OFFLINE_MESSAGES,
    MAX_UNREAD,
    Credentials,
    OfflineMessage,
    closest,
    expect_room,
)
from chatservice.storage.postgres.connection import ask_now
from chatservice.storage.postgres.questions import Questions

# How often it is written down that a network is still in use: thousands may come back at once.
KNOWN_SECONDS = 86400.0
FIND = (
    "SELECT DISTINCT name, created, hash FROM accounts JOIN account_keys ON account = name "
    "WHERE key IN (SELECT jsonb_array_elements_text($1::jsonb))"
)
ADD = "SELECT account_add($1, $2, $3::double precision, $4::jsonb, $5::bigint)"
CHANGE = (
    "WITH changed AS (UPDATE accounts SET hash = $3 "
    "WHERE name = $1 AND created = $2::double precision RETURNING name), "
    "forgotten AS (DELETE FROM known_networks WHERE account IN (SELECT name FROM changed)), "
    "kept AS (DELETE FROM account_tokens WHERE account IN (SELECT name FROM changed)), "
    "tokens AS (DELETE FROM tokens USING people, changed "
    "WHERE person = people.id AND people.account = changed.name) "
    "SELECT count(*) FROM changed"
)
REMOVE = (
    "WITH removed AS (DELETE FROM accounts "
    "WHERE name = $1 AND created = $2::double precision RETURNING name), "
    "tokens AS (DELETE FROM tokens USING people, removed "
    "WHERE person = people.id AND people.account = removed.name) "
    "SELECT count(*) FROM removed"
)
ALL = (
    "SELECT name, created, operators.account IS NOT NULL FROM accounts "
    'LEFT JOIN operators ON account = name AND since = created ORDER BY name COLLATE "C"'
)
COMMISSION = (
    "WITH done AS (INSERT INTO operators SELECT name, created FROM accounts "
    "WHERE name = $1 AND created = $2::double precision "
    "ON CONFLICT (account) DO UPDATE SET since = excluded.since RETURNING 1) "
    "SELECT count(*) FROM done"
)
DISMISS = (
    "WITH done AS (DELETE FROM operators WHERE account = $1 AND since = $2::double precision) "
    "SELECT count(*) FROM accounts WHERE name = $1 AND created = $2::double precision"
)


class PostgresAccountStore:
    """`stores.AccountsAndMessages`, asked by `questions`."""

    def __init__(self, questions: Questions, now: Now = time.time) -> None:
        self._ask = questions.ask
        self._now = now

    async def find(self, name: str, asker: str = "") -> Credentials | None:
        return closest(await self._protecting(name, asker), name)

    async def owners(self, name: str, asker: str = "") -> frozenset[Account]:
        return frozenset(found.account for found in await self._protecting(name, asker))

    async def add(self, account: Account, hashed: str) -> None:
        expect_added(await self._ask(ADD, *addition(account, hashed)), account)

    async def change(self, account: Account, hashed: str) -> None:
        expect_one(await self._ask(CHANGE, *parameters(account), hashed))

    async def remove(self, account: Account) -> None:
        expect_one(await self._ask(REMOVE, *parameters(account)))

    async def knows(self, account: Account, network: str, asker: str = "") -> bool:
        found = await self._ask(
            "SELECT 1 FROM known_networks JOIN accounts ON account = name "
            "WHERE name = $1 AND created = $2::double precision AND network = $3",
            *parameters(account),
            network,
            asker=asker,
        )
        return bool(found)

    async def remember(self, account: Account, network: str) -> None:
        await self._ask(
            "WITH owner AS (SELECT name FROM accounts "
            "WHERE name = $1 AND created = $2::double precision), "
            "known AS (INSERT INTO known_networks SELECT name, $3, $4::double precision FROM owner "
            "ON CONFLICT (account, network) DO UPDATE SET at = excluded.at "
            "WHERE excluded.at - known_networks.at > $5::double precision) "
            "DELETE FROM known_networks WHERE account IN (SELECT name FROM owner) "
            "AND network <> $3 AND network NOT IN (SELECT network FROM known_networks "
            "WHERE account = $1 AND network <> $3 "
            "ORDER BY at DESC LIMIT $6::bigint)",
            *parameters(account),
            network,
            repr(self._now()),
            repr(KNOWN_SECONDS),
            str(MAX_KNOWN_NETWORKS - 1),
        )

    async def keep_token(self, owner: Credentials, token: str) -> None:
        # In a statement of its own, what is kept by now is seen; the newest one is never deleted.
        at = repr(self._now())
        await self._ask(
            "INSERT INTO account_tokens(hash, account, at, password) "
            "SELECT $4, name, $5::double precision, hash FROM accounts "
            "WHERE name = $1 AND created = $2::double precision AND hash = $3 "
            "ON CONFLICT (hash) DO UPDATE SET account = excluded.account, at = excluded.at, "
            "password = excluded.password",
            *parameters(owner.account),
            owner.hash,
            token,
            at,
        )
        await self._ask(
            "DELETE FROM account_tokens WHERE account = $1 AND hash NOT IN (SELECT hash "
            "FROM account_tokens WHERE account = $1 ORDER BY at DESC LIMIT $2::bigint)",
            owner.account.name,
            str(MAX_ACCOUNT_TOKENS),
        )

    async def token_owner(self, token: str, asker: str = "") -> Credentials | None:
        found = await self._ask(
            "SELECT name, created, accounts.hash FROM account_tokens "
            "JOIN accounts ON account = name AND password = accounts.hash "
            "WHERE account_tokens.hash = $1 AND at > $2::double precision",
            token,
            repr(self._now() - ACCOUNT_TOKEN_SECONDS),
            asker=asker,
        )
        return credentials(found[0]) if found else None

    async def forget_token(self, token: str) -> None:
        await self._ask("DELETE FROM account_tokens WHERE hash = $1", token)

    async def forget_tokens(self, account: Account) -> None:
        await self._ask(
            "DELETE FROM account_tokens WHERE account = "
            "(SELECT name FROM accounts WHERE name = $1 AND created = $2::double precision)",
            *parameters(account),
        )

    async def post(self, owner: Account, message: Told, origin: str) -> int:
        ((number, kept, of_origin),) = await self._ask(
            "SELECT * FROM letter_post($1, $2::double precision, $3::double precision, $4, $5, $6, "
            "$7::bigint, $8::bigint)",
            *parameters(owner),
            repr(message.at),
            message.sender,
            message.text,
            origin,
            str(MAX_OFFLINE_MESSAGES),
            str(MAX_UNREAD),
            size=len(message.text),
        )
        if kept is None:
            raise Refusal(ErrorCode.NOT_REGISTERED)
        expect_room(owner, int(kept), int(of_origin))
        return int(number)

    async def offline_messages(self, owner: Account) -> tuple[OfflineMessage, ...]:
        found = await self._ask(
            "SELECT id, at, sender, recipient, text, senders.created "
            "FROM letters JOIN accounts AS owners ON recipient = owners.name "
            "LEFT JOIN accounts AS senders ON sender = senders.name AND senders.created <= at "
            "WHERE owners.name = $1 AND owners.created = $2::double precision ORDER BY id",
            *parameters(owner),
        )
        return tuple(
            OfflineMessage(
                Told(int(number), float(at), sender, recipient, text, waited=True),
                None if since is None else Account(sender, float(since)),
            )
            for number, at, sender, recipient, text, since in found
        )

    async def discard(self, messages: tuple[Told, ...]) -> None:
        which = [{"i": each.id, "a": each.at, "r": each.recipient} for each in messages]
        await self._ask(
            "DELETE FROM letters USING jsonb_to_recordset($1::jsonb) "
            "AS m(i bigint, a double precision, r text) "
            "WHERE id = m.i AND at = m.a AND recipient = m.r",
            json.dumps(which),
        )

    async def _protecting(self, name: str, asker: str) -> list[Credentials]:
        found = await self._ask(FIND, keys_of(name), asker=asker)
        return [credentials(row) for row in found]


def keys_of(name: str) -> str:
    """Its keys, as a query takes them."""
    return json.dumps(sorted(names.keys(name)))


def credentials(row: Any) -> Credentials:
    """Of what FIND answers."""
    name, created, kept = row
    return Credentials(Account(name, float(created)), kept)


def parameters(account: Account) -> tuple[str, str]:
    """Those that stand for `account` in CHANGE and REMOVE."""
    return account.name, repr(account.since)


def addition(account: Account, hashed: str) -> tuple[str, ...]:
    """The parameters of ADD."""
    name, since = account
    return name, hashed, repr(since), keys_of(name), str(MAX_ACCOUNTS)


def expect_added(answer: Any, account: Account) -> None:
    """Raises `Refusal` (NAME_REGISTERED, TOO_MANY_ACCOUNTS) if ADD has not added it."""
    ((found,),) = answer
    if found is None:
        return
    others = json.loads(found)
    if others == "many":
        raise Refusal(ErrorCode.TOO_MANY_ACCOUNTS)
    other = closest(map(credentials, others), account.name)
    if other is not None:
        raise Refusal(ErrorCode.NAME_REGISTERED, name=other.account.name)


def expect_one(answer: Any) -> None:
    """Raises `Refusal` (NOT_REGISTERED) if nothing was changed."""
    if answer != [("1",)]:
        raise Refusal(ErrorCode.NOT_REGISTERED)


def renew_keys(connection: PGconn) -> None:
    """Make the keys of all accounts anew, if those that are there are not what `names.keys` says
    today. Accounts that have come to collide by that all stay. Blocks."""
    ask_now(connection, "BEGIN; LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE")
    made_by = ask_now(connection, "SELECT value FROM facts WHERE key = 'account keys'")
    if made_by != [(names.KEYS_VERSION,)]:
        every = [name or "" for (name,) in ask_now(connection, "SELECT name FROM accounts")]
        keys = [[key, name] for name in every for key in sorted(names.keys(name))]
        ask_now(connection, "DELETE FROM account_keys")
        ask_now(
            connection,
            "INSERT INTO account_keys SELECT e->>0, e->>1 FROM jsonb_array_elements($1::jsonb) e",
            json.dumps(keys),
        )
        ask_now(
            connection,
            "INSERT INTO facts VALUES('account keys', $1) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            names.KEYS_VERSION,
        )
    ask_now(connection, "COMMIT")
