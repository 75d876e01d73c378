"""What the operator's programs read and change in the database, beside servers that are running.

Whatever goes wrong raises `BadDatabase`, one line. Everything here blocks.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep
from types import TracebackType
from typing import Self

from psycopg.pq.abc import PGconn

from chatservice.core import names
from chatservice.core.events import Account, Change, Happening
from chatservice.core.measures import CONSOLE
from chatservice.core.stores import Credentials, Hook, closest, origin_of
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.erasures import Progress, said_by
from chatservice.storage.postgres import accounts, database, hooks
from chatservice.storage.postgres.connection import QueryFailed, Unreachable, ask_now
from chatservice.storage.postgres.reading import SPOKEN, between, row_of_values
from chatservice.storage.rows import MAX_ID

STEP_ROWS = 1000  # rows that are read at once
OBEYED_SECONDS = 2.0  # for servers, which are told at once
_FORGET_LETTERS = "DELETE FROM letters WHERE origin = $1 AND at >= $2::double precision"
_ERASE = (
    "WITH told AS (INSERT INTO erasures(room, name, ids) VALUES($1, $2, $3::jsonb)) "
    "SELECT erase($3::jsonb, $4)"
)


@contextmanager
def _opened(uri: str) -> Iterator[PGconn]:
    connection = database.open_now(uri)
    try:
        if ask_now(connection, "SELECT to_regclass('facts')") == [(None,)]:
            raise BadDatabase(f"{database.shown(uri)}: there is no chat in it.")
        database.check(connection, uri)
        yield connection
    except (QueryFailed, Unreachable) as error:
        raise BadDatabase(f"{database.shown(uri)}: {error}.") from None
    finally:
        connection.finish()


def events_in(uri: str, room: str) -> Iterator[Happening]:
    """What has happened in that room, oldest first."""
    with _opened(uri) as connection:
        after = -1
        while True:
            answer = ask_now(
                connection,
                between(newest_first=False, spoken=False),
                json.dumps([room]),
                str(after),
                str(MAX_ID),
                str(STEP_ROWS),
            )
            rows = [row_of_values(values) for values in answer]
            for row in rows:
                yield from row.happenings(reach={room: 0})
            if len(rows) < STEP_ROWS:
                return
            after = rows[-1].end - 1


def accounts_in(uri: str) -> list[tuple[Account, bool]]:
    """All of them, sorted by their names, and whether each is an operator of the server."""
    with _opened(uri) as connection:
        found = ask_now(connection, accounts.ALL)
        return [
            (Account(name or "", float(since or 0)), operator == "t")
            for name, since, operator in found
        ]


def hooks_in(uri: str) -> list[Hook]:
    """All of them, in the order in which they were made."""
    with _opened(uri) as connection:
        return hooks.all_hooks(connection)


class _Database:
    """The database at `uri`, for changes."""

    def __init__(self, uri: str) -> None:
        self._opening = _opened(uri)
        self._connection = self._opening.__enter__()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opening.__exit__(kind, error, trace)


class HookDatabase(_Database):
    """Changes hooks there."""

    def add_hook(self, token: str, hook: Hook) -> int | None:
        """See `hooks.add`."""
        return hooks.add(self._connection, token, hook)

    def remove_hook(self, number: int) -> bool:
        """Whether there was one of that number."""
        return hooks.remove(self._connection, number)


class AccountDatabase(_Database):
    """Changes accounts there."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        accounts.renew_keys(self._connection)

    def find(self, name: str) -> Credentials | None:
        """As `stores.AccountStore` has it."""
        keys = json.dumps(sorted(names.keys(name)))
        found = ask_now(self._connection, accounts.FIND, keys)
        return closest(map(accounts.credentials, found), name)

    def add(self, account: Account, hashed: str) -> None:
        """Raises `Refusal` (NAME_REGISTERED, TOO_MANY_ACCOUNTS)."""
        added = ask_now(self._connection, accounts.ADD, *accounts.addition(account, hashed))
        accounts.expect_added(added, account)

    def change(self, account: Account, hashed: str) -> None:
        """Set another password; servers end what was proven with the old one. Raises `Refusal`
        (NOT_REGISTERED)."""
        self._do(accounts.CHANGE, account, Change.PASSWORD, hashed)

    def set_operator(self, account: Account, on: bool) -> None:
        """The owner is an operator of the server (`on`), or no longer; servers obey."""
        if on:
            self._do(accounts.COMMISSION, account, Change.OPERATOR)
        else:
            self._do(accounts.DISMISS, account, Change.NO_OPERATOR)

    def remove(self, account: Account) -> None:
        """Servers end the connections of its owner. Raises `Refusal` (NOT_REGISTERED)."""
        self._do(accounts.REMOVE, account, Change.UNREGISTERED)

    def erase_messages(self, account: Account, after: int = -1) -> Progress:
        """Erase all that its owner has said under that name, of messages after that id, and what
        they have sent to others who have not read it. Servers tell who has seen it."""
        connection = self._connection
        origin = origin_of(account, "")
        ask_now(connection, _FORGET_LETTERS, origin, repr(account.since))
        messages = 0
        while True:
            answer = ask_now(connection, SPOKEN, str(after), str(STEP_ROWS))
            if not answer:
                return Progress(messages, after)
            rows = [row_of_values(values) for values in answer]
            for erasure in said_by(account, rows):
                ids = json.dumps(erasure.ids)
                ask_now(connection, _ERASE, erasure.room, erasure.name, ids, CONSOLE)
                messages += len(erasure.ids)
            after = rows[-1].end - 1

    def wait_for_servers(self) -> None:
        """Until those that are running have obeyed."""
        if ask_now(self._connection, "SELECT 1 FROM nodes LIMIT 1"):
            sleep(OBEYED_SECONDS)

    def _do(self, query: str, account: Account, change: Change, *more: str) -> None:
        connection = self._connection
        ask_now(connection, "BEGIN")
        done = ask_now(connection, query, *accounts.parameters(account), *more)
        data = json.dumps({"account": account, "change": change.value})
        ask_now(connection, "SELECT signal(0, 'account', $1::jsonb), ring()", data)
        ask_now(connection, "COMMIT")
        accounts.expect_one(done)
