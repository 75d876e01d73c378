"""The file beside a server that may be running: what the operator's programs read and change.

Whatever goes wrong raises `BadDatabase`, one line.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import NamedTuple
from urllib.parse import quote

from chatservice.core.events import ALL_ROOMS, Account, Change, Happening, Role
from chatservice.core.log import Reach
from chatservice.core.stores import Credentials, Hook
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.erasures import Progress, said_by
from chatservice.storage.rows import MAX_ID, Row
from chatservice.storage.sqlite import (
    account_changes,
    accounts,
    erasing,
    hooks,
    moderation,
    offline_messages,
    rows,
    schema,
    search,
    wal,
)
from chatservice.storage.sqlite.database import (
    explained,
    open_existing,
    open_for_server,
    open_to_read,
    resolve,
    transaction,
)

LOCKED_SECONDS = 10.0  # for a server that is writing
OBEYED_SECONDS = 5.0  # for one that looks each second what an operator has changed
# Whether there is something that a server has to do, and one is running, or was when it crashed.
_IS_TO_OBEY = (
    "SELECT 1 FROM account_changes, facts WHERE key = 'opened' "
    "AND NOT EXISTS(SELECT 1 FROM facts WHERE key = 'clean') LIMIT 1"
)
# Rows that are read at once. Whoever reads for longer keeps the server from starting its
# write-ahead log over, which grows meanwhile; a pager can be open for days.
STEP_ROWS = 1000


def events_in(path: Path, room: str) -> Iterator[Happening]:
    """What has happened in that room, oldest first."""
    with closing(open_to_read(path)) as connection, explained(path):
        reach = {room: 0}
        for step in _steps(connection, rooms=reach):
            for row in step:
                yield from _happenings(row, reach)


def _steps(
    connection: sqlite3.Connection,
    after: int = -1,
    *,
    rooms: Iterable[str] | None = None,
    spoken: bool = False,
) -> Iterator[list[Row]]:
    """The rows after that id, as `rows.rows_between` has them, so many at once; also those that are
    written meanwhile."""
    while step := list(
        islice(rows.rows_between(connection, after, MAX_ID, rooms, spoken=spoken), STEP_ROWS)
    ):
        yield step
        after = step[-1].end - 1


def _happenings(row: Row, reach: Reach) -> list[Happening]:
    try:
        return row.happenings(reach=reach)
    except (AttributeError, KeyError, TypeError, ValueError):  # a file that is damaged
        raise BadDatabase(f"the event {row.id} makes no sense") from None


def accounts_in(path: Path) -> list[tuple[Account, bool]]:
    """All of them, sorted by their names, and whether each is an operator of the server."""
    with closing(open_to_read(path)) as connection, explained(path):
        operators = moderation.operators(connection, ALL_ROOMS)
        return [(each, each in operators) for each in accounts.all_accounts(connection)]


def hooks_in(path: Path) -> list[Hook]:
    """All of them, in the order in which they were made."""
    with closing(open_to_read(path)) as connection, explained(path):
        return hooks.all_hooks(connection)


class AccountFile:
    """Changes accounts, and hooks, in the file at `path`; `create`: in a new one, if there is
    none."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self._path = path
        if create and not path.exists():
            open_for_server(path).close()
        self._connection = open_existing(path)
        self._connection.execute(f"PRAGMA busy_timeout = {int(LOCKED_SECONDS * 1000)}")

    def __enter__(self) -> "AccountFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def find(self, name: str) -> Credentials | None:
        """As `stores.AccountStore` has it."""
        with self._change() as connection:  # the keys may have to be made anew
            return accounts.find(connection, name)

    def add(self, account: Account, hashed: str) -> None:
        """Raises `Refusal` (NAME_REGISTERED, TOO_MANY_ACCOUNTS)."""
        with self._change() as connection:
            accounts.add(connection, account, hashed)

    def change(self, account: Account, hashed: str) -> None:
        """Set another password; a server that is running ends what was proven with the old one.
        Raises `Refusal` (NOT_REGISTERED)."""
        with self._change() as connection:
            accounts.change(connection, account, hashed)
            account_changes.add(connection, account, Change.PASSWORD)

    def set_operator(self, account: Account, on: bool) -> None:
        """The owner is an operator of the server (`on`), or no longer; a server that is running
        obeys."""
        with self._change() as connection:
            role = Role.OPERATOR if on else Role.MEMBER
            moderation.appoint(connection, ALL_ROOMS, account, role)
            change = Change.OPERATOR if on else Change.NO_OPERATOR
            account_changes.add(connection, account, change)

    def remove(self, account: Account) -> None:
        """A server that is running ends the connections of its owner. Raises `Refusal`
        (NOT_REGISTERED)."""
        with self._change() as connection:
            accounts.remove(connection, account)
            account_changes.add(connection, account, Change.UNREGISTERED)

    def erase_messages(self, account: Account, after: int = -1) -> Progress:
        """Erase all that its owner has said under that name, of messages after that id, and what
        they have sent to others who have not read it. Servers tell who has seen it."""
        connection, messages = self._connection, 0
        with explained(self._path):
            with self._written():
                offline_messages.forget_from(connection, account)
            for step in _steps(connection, after, spoken=True):
                for erasure in said_by(account, step):
                    with self._written():
                        erasing.carry_out(connection, erasure)
                    messages += len(erasure.ids)
                after = step[-1].end - 1
            if search.is_there(connection):
                search.forget_all_words(connection)
        return Progress(messages, after)

    def wait_for_servers(self) -> None:
        """Until one that is running has obeyed, or for some seconds."""
        end = monotonic() + OBEYED_SECONDS
        with explained(self._path):
            while self._connection.execute(_IS_TO_OBEY).fetchone() and monotonic() < end:
                sleep(0.1)

    def add_hook(self, token: str, hook: Hook) -> int | None:
        """See `hooks.add`."""
        with self._change() as connection:
            return hooks.add(connection, token, hook)

    def remove_hook(self, number: int) -> bool:
        """Whether there was one of that number."""
        with self._change() as connection:
            return hooks.remove(connection, number)

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with explained(self._path), self._written():
            yield self._connection

    @contextmanager
    def _written(self) -> Iterator[None]:
        with transaction(self._connection):
            schema.renew_keys(self._connection)
            yield
        wal.stamp(self._connection, resolve(self._path))


class BackedUp(NamedTuple):
    """What a backup holds. `size`: in bytes."""

    messages: int
    accounts: int
    size: int


def back_up(path: Path, target: Path, *, replace: bool) -> BackedUp:
    """Write a copy of the file at `path`, as it is at one moment, to `target`: all of it, checked,
    or nothing. `replace`: also over a file that is there. Raises BadDatabase."""
    with closing(open_to_read(path, any_version=True)) as connection:
        with explained(target):
            real = resolve(target)
            _expect_no_file(real, path, replace=replace)
            descriptor, name = tempfile.mkstemp(
                dir=real.parent, prefix=f".{real.name}.", suffix=".new"
            )
            copy = Path(name)
        try:
            with explained(path):
                _copy(connection, copy)
            with explained(target):
                os.fsync(descriptor)
                done = _checked(copy)
                _put(copy, real, replace=replace)
        finally:
            os.close(descriptor)
            for end in ("", "-journal", "-wal", "-shm"):
                Path(name + end).unlink(missing_ok=True)
    return done


def _expect_no_file(target: Path, source: Path, *, replace: bool) -> None:
    if not target.exists():
        return
    if target.samefile(source):
        raise BadDatabase("this is the database itself")
    if not replace:
        raise BadDatabase("there is a file of that name (--force replaces it)")
    if wal.beside(target).exists():
        raise BadDatabase("this is a database in use")


def _copy(connection: sqlite3.Connection, copy: Path) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as copied:
        copied.execute("PRAGMA synchronous = OFF")  # all of it is synchronized in the end
        copied.execute("PRAGMA secure_delete = ON")
        connection.backup(copied)
        with transaction(copied):
            # Whoever knows ids from after the backup must not take later messages for those.
            schema.new_epoch(copied)
            copied.execute("DELETE FROM facts WHERE key = 'clean'")
            copied.execute("DELETE FROM account_changes")
            wal.write(copied, wal.NONE)
        search.forget_all_words(copied)


def _checked(copy: Path) -> BackedUp:
    """Raises BadDatabase if anything in it makes no sense."""
    uri = f"file:{quote(str(copy))}?immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise BadDatabase(f"the copy is corrupt: {' '.join(found.split())}")
        (messages,) = connection.execute("SELECT total(messages) FROM events").fetchone()
        (registered,) = connection.execute("SELECT count(*) FROM accounts").fetchone()
    return BackedUp(int(messages), registered, copy.stat().st_size)


def _put(copy: Path, target: Path, *, replace: bool) -> None:
    if replace:
        os.replace(copy, target)
    else:
        try:
            os.link(copy, target)  # fails if there is a file by now
        except FileExistsError:
            raise BadDatabase("there is a file of that name (--force replaces it)") from None
        except OSError:  # a file system without links
            os.rename(copy, target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
