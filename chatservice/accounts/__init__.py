"""Accounts: names that have a password, in the database. And what `twisted.cred` asks of them."""

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from precis_i18n import get_profile
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm
from twisted.internet.defer import Deferred
from zope.interface import Interface, implementer

from chatservice import names
from chatservice.events import Reason, Refusal, Told

if TYPE_CHECKING:
    from chatservice.passwords import Passwords

T = TypeVar("T")
_OPAQUE = get_profile("OpaqueString")

# Characters. NIST SP 800-63B asks for at least 8, and that at least 64 be allowed; more than these
# are no password.
SHORTEST, LONGEST = 8, 256
# What strangers can make grow: some 30 MB of names and hashes.
ACCOUNTS_MOST = 100_000
LETTERS_MOST = 100  # private messages that wait for one person: as many as somebody reads


def prepared(password: str) -> str:
    """The one form of what is typed the same (RFC 8265, OpaqueString): accents can be sent as
    characters of their own. Raises `Refusal` (PASSWORD_LENGTH, if it can be none)."""
    try:
        return _OPAQUE.enforce(password.strip(" "))
    except UnicodeEncodeError:
        raise Refusal(Reason.PASSWORD_LENGTH, least=SHORTEST, most=LONGEST) from None


def fit(password: str) -> str:
    """`password`, prepared, if it may be one. Raises `Refusal` (PASSWORD_LENGTH)."""
    if not SHORTEST <= len(password := prepared(password)) <= LONGEST:
        raise Refusal(Reason.PASSWORD_LENGTH, least=SHORTEST, most=LONGEST)
    return password


class Store(Protocol):
    """The database (see `history.History`)."""

    def read(self, question: Callable[[sqlite3.Connection], T]) -> "Deferred[T]": ...

    def write(self, work: Callable[[sqlite3.Connection], T]) -> "Deferred[T]": ...


class Account(NamedTuple):
    """A name, what is kept of its password, and when it was registered, in seconds since 1970."""

    name: str
    hash: str
    created: float


# What is asked of the database. These block.


def find(connection: sqlite3.Connection, name: str) -> Account | None:
    """The account that protects `name`, which is checked: its name may be another like it."""
    for key in sorted(names.keys(name)):
        row = connection.execute(
            "SELECT name, hash, created FROM accounts "
            "JOIN account_keys ON account = name WHERE key = ?",
            (key,),
        ).fetchone()
        if row is not None:
            return Account(*row)
    return None


def add(connection: sqlite3.Connection, account: Account) -> None:
    """Within a transaction. Raises `Refusal`: NAME_REGISTERED, TOO_MANY_ACCOUNTS."""
    if find(connection, account.name) is not None:
        raise Refusal(Reason.NAME_REGISTERED, name=account.name)
    if connection.execute("SELECT count(*) FROM accounts").fetchone()[0] >= ACCOUNTS_MOST:
        raise Refusal(Reason.TOO_MANY_ACCOUNTS)
    connection.execute("INSERT INTO accounts VALUES(?, ?, ?)", account)
    connection.executemany(
        "INSERT INTO account_keys VALUES(?, ?)",
        [(key, account.name) for key in names.keys(account.name)],
    )


def change(connection: sqlite3.Connection, name: str, kept: str) -> None:
    """Within a transaction: the account `name` has another password. Raises `Refusal`
    (NOT_REGISTERED)."""
    changed = connection.execute("UPDATE accounts SET hash = ? WHERE name = ?", (kept, name))
    if not changed.rowcount:
        raise Refusal(Reason.NOT_REGISTERED)


def remove(connection: sqlite3.Connection, name: str) -> None:
    """Within a transaction: the account `name` is gone, with the letters to it. Raises `Refusal`
    (NOT_REGISTERED)."""
    if not connection.execute("DELETE FROM accounts WHERE name = ?", (name,)).rowcount:
        raise Refusal(Reason.NOT_REGISTERED)


def all_names(connection: sqlite3.Connection) -> list[tuple[str, float]]:
    """Each account's name, and when it was registered."""
    return connection.execute("SELECT name, created FROM accounts ORDER BY name").fetchall()


# The same for a server.


class Accounts:
    """The accounts in a database. What is asked in vain fails with `Refusal`."""

    def __init__(self, store: Store, passwords: "Passwords", seconds: Callable[[], float]) -> None:
        self._store = store
        self._passwords = passwords
        self._seconds = seconds

    async def owner(self, name: str) -> str | None:
        """The name of the account that protects `name`, if there is one."""
        name = names.checked(name)
        account = await self._store.read(lambda c: find(c, name))
        return None if account is None else account.name

    async def proven(self, name: str, password: str) -> str | None:
        """The name of the account that protects `name`, if that is its password. It takes as long
        when there is none."""
        try:
            password = prepared(password)
        except Refusal:
            password = ""  # which is nobody's
        account = await self._store.read(lambda c: find(c, name))
        agrees = await self._passwords.agrees(account and account.hash, password)
        return account.name if account is not None and agrees else None

    async def register(self, name: str, password: str) -> None:
        """`name` has that password from now on."""
        kept = await self._passwords.hash(fit(password))
        await self._store.write(lambda c: add(c, Account(name, kept, self._seconds())))

    async def change(self, name: str, password: str) -> None:
        """The account `name` has another password."""
        kept = await self._passwords.hash(fit(password))
        await self._store.write(lambda c: change(c, name, kept))

    async def remove(self, name: str) -> None:
        """The account `name` is gone."""
        await self._store.write(lambda c: remove(c, name))

    # Letters: private messages to somebody who is not here.

    async def post(self, letter: Told) -> int:
        """It waits for the account that is called as its recipient. Its number."""

        def write(connection: sqlite3.Connection) -> int:
            waiting = connection.execute(
                "SELECT count(*) FROM letters WHERE recipient = ?", (letter.recipient,)
            ).fetchone()[0]
            if waiting >= LETTERS_MOST:
                raise Refusal(Reason.LETTERBOX_FULL, name=letter.recipient)
            posted = connection.execute(
                "INSERT INTO letters(at, sender, recipient, text) VALUES(?, ?, ?, ?)",
                (letter.at, letter.sender, letter.recipient, letter.text),
            )
            return int(posted.lastrowid or 0)

        return await self._store.write(write)

    async def letters(self, name: str) -> tuple[Told, ...]:
        """What waits for the account `name`."""

        def read(connection: sqlite3.Connection) -> tuple[Told, ...]:
            found = connection.execute(
                "SELECT id, at, sender, recipient, text FROM letters WHERE recipient = ? "
                "ORDER BY id",
                (name,),
            )
            return tuple(Told(*row) for row in found)

        return await self._store.read(read)

    async def handed_over(self, letters: tuple[Told, ...]) -> None:
        """They need not be kept any longer."""
        ids = [(letter.id,) for letter in letters]
        await self._store.write(
            lambda c: c.executemany("DELETE FROM letters WHERE id = ?", ids) and None
        )


class IMember(Interface):
    """Somebody who has said who they are. As an avatar this is the name of their account."""


@implementer(IRealm)
class Members:
    """The realm: whoever has proven who they are."""

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: Any
    ) -> tuple[Any, str, Callable[[], None]]:
        if IMember not in interfaces or not isinstance(avatarId, bytes):
            raise NotImplementedError("Members alone.")
        return IMember, avatarId.decode(), lambda: None


@implementer(ICredentialsChecker)
class AccountChecker:
    """Checks names and passwords against the database."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def requestAvatarId(self, credentials: Any) -> "Deferred[bytes | tuple[()]]":
        return Deferred.fromCoroutine(self._avatar_id(credentials))

    async def _avatar_id(self, credentials: Any) -> bytes | tuple[()]:
        name = credentials.username.decode()
        proven = await self._accounts.proven(name, credentials.password.decode())
        if proven is None:
            raise UnauthorizedLogin
        return proven.encode()
