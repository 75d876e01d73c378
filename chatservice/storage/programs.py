"""What the operator's programs read and change, in a file or in a PostgreSQL database."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chatservice.core.events import Account, Happening
from chatservice.core.stores import Credentials, Hook
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.erasures import Progress
from chatservice.storage.places import is_uri
from chatservice.storage.sqlite import files

if TYPE_CHECKING:
    from chatservice.storage.takeover import Taken


class ChangesAccounts(Protocol):
    """What `open_accounts` opens. It raises `Refusal` (see `sqlite.files.AccountFile`)."""

    def find(self, name: str) -> Credentials | None: ...

    def add(self, account: Account, hashed: str) -> None: ...

    def change(self, account: Account, hashed: str) -> None: ...

    def set_operator(self, account: Account, on: bool) -> None: ...

    def remove(self, account: Account) -> None: ...

    def erase_messages(self, account: Account, after: int = -1) -> Progress: ...

    def wait_for_servers(self) -> None: ...


class ChangesHooks(Protocol):
    """What `open_hooks` opens."""

    def add_hook(self, token: str, hook: Hook) -> int | None:
        """Returns its number; None: there are too many. That of `hook` is not looked at."""

    def remove_hook(self, number: int) -> bool:
        """Whether there was one of that number."""


def events_in(database: str, room: str) -> Iterator[Happening]:
    """What has happened in that room, oldest first. Raises BadDatabase."""
    if not is_uri(database):
        return files.events_in(Path(database), room)
    _expect_driver()
    from chatservice.storage.postgres import programs  # noqa: PLC0415 (an extra)

    return programs.events_in(database, room)


def accounts_in(database: str) -> list[tuple[Account, bool]]:
    """All of them, sorted by their names, and whether each is an operator of the server. Raises
    BadDatabase."""
    if not is_uri(database):
        return files.accounts_in(Path(database))
    _expect_driver()
    from chatservice.storage.postgres import programs  # noqa: PLC0415 (an extra)

    return programs.accounts_in(database)


def open_accounts(
    database: str, *, create: bool = False
) -> "AbstractContextManager[ChangesAccounts]":
    """Change accounts there; `create`: in a new file, if there is none. Raises BadDatabase."""
    if not is_uri(database):
        return files.AccountFile(Path(database), create=create)
    _expect_driver()
    from chatservice.storage.postgres import programs  # noqa: PLC0415 (an extra)

    return programs.AccountDatabase(database)


def hooks_in(database: str) -> list[Hook]:
    """All of them, in the order in which they were made. Raises BadDatabase."""
    if not is_uri(database):
        return files.hooks_in(Path(database))
    _expect_driver()
    from chatservice.storage.postgres import programs  # noqa: PLC0415 (an extra)

    return programs.hooks_in(database)


def open_hooks(database: str, *, create: bool = False) -> "AbstractContextManager[ChangesHooks]":
    """Change hooks there; `create`: in a new file, if there is none. Raises BadDatabase."""
    if not is_uri(database):
        return files.AccountFile(Path(database), create=create)
    _expect_driver()
    from chatservice.storage.postgres import programs  # noqa: PLC0415 (an extra)

    return programs.HookDatabase(database)


def take_over(file: Path, uri: str) -> "Taken":
    """All that is in `file` goes into the database at `uri`. Raises BadDatabase."""
    _expect_driver()
    if not is_uri(uri):
        raise BadDatabase(f"{uri}: this is no URI of a PostgreSQL database.")
    from chatservice.storage import takeover  # noqa: PLC0415 (it takes an extra)

    return takeover.take_over(file, uri)


def _expect_driver() -> None:
    if find_spec("psycopg") is None:
        raise BadDatabase(
            "a PostgreSQL database needs psycopg: install the extra 'cluster' "
            "(see Installation in the README)."
        )
