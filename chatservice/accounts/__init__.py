"""Accounts: names that have a password, in the database. And what `twisted.cred` asks of them."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from precis_i18n import get_profile
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm
from twisted.internet.defer import Deferred
from zope.interface import Interface, implementer

from chatservice.core import names
from chatservice.core.events import Account, ErrorCode, Refusal, Told
from chatservice.core.sanitize import REPLACEMENT, sanitize

if TYPE_CHECKING:
    from chatservice.accounts.hashing import Passwords

T = TypeVar("T")
_OPAQUE = get_profile("OpaqueString")

# Characters. NIST SP 800-63B asks for at least 8, and that at least 64 be allowed; more than these
# are no password.
SHORTEST, LONGEST = 8, 256
# What strangers can make grow: some 30 MB of names and hashes.
MAX_ACCOUNTS = 100_000
MAX_OFFLINE_MESSAGES = 100  # private messages that wait for one person: as many as somebody reads


def prepared(password: str) -> str:
    """The one form of what is typed the same, be it in a command or alone, at whatever door (RFC
    8265, OpaqueString): accents can be sent as characters of their own. Raises `Refusal`
    (PASSWORD_LENGTH, if it can be none, or could not be typed again)."""
    try:
        enforced = _OPAQUE.enforce(sanitize(password).strip()).strip(" ")
    except UnicodeEncodeError:
        enforced = REPLACEMENT
    if REPLACEMENT in enforced:
        raise Refusal(ErrorCode.PASSWORD_LENGTH, least=SHORTEST, most=LONGEST)
    return enforced


def fit(password: str) -> str:
    """`password`, prepared, if it may be one. Raises `Refusal` (PASSWORD_LENGTH)."""
    if not SHORTEST <= len(password := prepared(password)) <= LONGEST:
        raise Refusal(ErrorCode.PASSWORD_LENGTH, least=SHORTEST, most=LONGEST)
    return password


class Store(Protocol):
    """The database (see `history.History`)."""

    def read(self, question: Callable[[sqlite3.Connection], T]) -> "Deferred[T]": ...

    def write(self, work: Callable[[sqlite3.Connection], T]) -> "Deferred[T]": ...


class Kept(NamedTuple):
    """An account, and what is kept of its password."""

    account: Account
    hash: str


# What is asked of the database. These block.


def find(connection: sqlite3.Connection, name: str) -> Kept | None:
    """The account that protects `name`, which is checked: its name may be another like it."""
    return next(_protecting(connection, name), None)


def owners(connection: sqlite3.Connection, name: str) -> frozenset[Account]:
    """All accounts that protect `name`, which is checked; they need not be like each other."""
    return frozenset(kept.account for kept in _protecting(connection, name))


def _protecting(connection: sqlite3.Connection, name: str) -> Iterator[Kept]:
    for key in sorted(names.keys(name)):
        row = connection.execute(
            "SELECT name, hash, created FROM accounts "
            "JOIN account_keys ON account = name WHERE key = ?",
            (key,),
        ).fetchone()
        if row is not None:
            found, kept, created = row
            yield Kept(Account(found, created), kept)


def add(connection: sqlite3.Connection, account: Account, kept: str) -> None:
    """Within a transaction. Raises `Refusal`: NAME_REGISTERED, TOO_MANY_ACCOUNTS."""
    name, since = account
    if (other := find(connection, name)) is not None:
        raise Refusal(ErrorCode.NAME_REGISTERED, name=other.account.name)
    if connection.execute("SELECT count(*) FROM accounts").fetchone()[0] >= MAX_ACCOUNTS:
        raise Refusal(ErrorCode.TOO_MANY_ACCOUNTS)
    connection.execute("INSERT INTO accounts VALUES(?, ?, ?)", (name, kept, since))
    connection.executemany(
        "INSERT INTO account_keys VALUES(?, ?)", [(key, name) for key in names.keys(name)]
    )


def change(connection: sqlite3.Connection, account: Account, kept: str) -> None:
    """Within a transaction: it has another password. Raises `Refusal` (NOT_REGISTERED)."""
    changed = connection.execute(
        "UPDATE accounts SET hash = ? WHERE name = ? AND created = ?", (kept, *account)
    )
    if not changed.rowcount:
        raise Refusal(ErrorCode.NOT_REGISTERED)


def remove(connection: sqlite3.Connection, account: Account) -> None:
    """Within a transaction: it is gone, with the letters to it. Raises `Refusal`
    (NOT_REGISTERED)."""
    removed = connection.execute("DELETE FROM accounts WHERE name = ? AND created = ?", account)
    if not removed.rowcount:
        raise Refusal(ErrorCode.NOT_REGISTERED)


def all_accounts(connection: sqlite3.Connection) -> list[Account]:
    """Sorted by their names."""
    rows = connection.execute("SELECT name, created FROM accounts ORDER BY name")
    return [Account(*row) for row in rows]


def post(connection: sqlite3.Connection, owner: Account, letter: Told) -> int:
    """Within a transaction: `letter` waits for `owner`. Its number. Raises `Refusal`
    (NOT_REGISTERED, LETTERBOX_FULL)."""
    found = find(connection, owner.name)
    if found is None or found.account != owner:
        raise Refusal(ErrorCode.NOT_REGISTERED)
    waiting = connection.execute(
        "SELECT count(*) FROM letters WHERE recipient = ?", (owner.name,)
    ).fetchone()[0]
    if waiting >= MAX_OFFLINE_MESSAGES:
        raise Refusal(ErrorCode.LETTERBOX_FULL, name=owner.name)
    posted = connection.execute(
        "INSERT INTO letters(at, sender, recipient, text) VALUES(?, ?, ?, ?)",
        (letter.at, letter.sender, owner.name, letter.text),
    )
    return int(posted.lastrowid or 0)


class OfflineMessage(NamedTuple):
    """A private message that waits, and the account of its sender, if the name was registered when
    it was written: no other can have had it then."""

    told: Told
    sender: Account | None


def letters_to(connection: sqlite3.Connection, owner: Account) -> tuple[OfflineMessage, ...]:
    """What waits for `owner`."""
    rows = connection.execute(
        "SELECT id, at, sender, recipient, text, senders.created "
        "FROM letters JOIN accounts AS owners ON recipient = owners.name "
        "LEFT JOIN accounts AS senders ON sender = senders.name AND senders.created <= at "
        "WHERE owners.name = ? AND owners.created = ? ORDER BY id",
        owner,
    )
    return tuple(
        OfflineMessage(
            Told(number, at, sender, recipient, text, waited=True),
            None if since is None else Account(sender, since),
        )
        for number, at, sender, recipient, text, since in rows
    )


def discard(connection: sqlite3.Connection, letters: tuple[Told, ...]) -> None:
    """Within a transaction: they are kept no longer. Numbers of others may be used again."""
    connection.executemany(
        "DELETE FROM letters WHERE id = ? AND at = ? AND recipient = ?",
        [(letter.id, letter.at, letter.recipient) for letter in letters],
    )


# The same for a server.


class Accounts:
    """The accounts in a database. What is asked in vain fails with `Refusal`."""

    def __init__(self, store: Store, passwords: "Passwords", seconds: Callable[[], float]) -> None:
        self._store = store
        self._passwords = passwords
        self._seconds = seconds

    async def owner(self, name: str) -> Account | None:
        """The account that protects `name`, which is checked, if there is one."""
        found = await self._store.read(lambda c: find(c, name))
        return None if found is None else found.account

    async def owners(self, name: str) -> frozenset[Account]:
        """All accounts that protect `name`, which is checked."""
        return await self._store.read(lambda c: owners(c, name))

    async def proven(self, name: str, password: str) -> str | None:
        """The name of the account that protects `name`, if that is its password. It takes as long
        when there is none."""
        try:
            password = prepared(password)
        except Refusal:
            password = ""  # which is nobody's
        found = await self._store.read(lambda c: find(c, name))
        agrees = await self._passwords.agrees(found and found.hash, password)
        return found.account.name if found is not None and agrees else None

    async def register(self, name: str, password: str) -> Account:
        """`name` has that password, which is `fit`, from now on."""
        kept = await self._passwords.hash(password)
        account = Account(name, self._seconds())
        await self._store.write(lambda c: add(c, account, kept))
        return account

    async def change(self, account: Account, password: str) -> None:
        """It has another password, which is `fit`."""
        kept = await self._passwords.hash(password)
        await self._store.write(lambda c: change(c, account, kept))

    async def remove(self, account: Account) -> None:
        """It is gone."""
        await self._store.write(lambda c: remove(c, account))

    async def post(self, owner: Account, letter: Told) -> int:
        """It waits for `owner`. Its number."""
        return await self._store.write(lambda c: post(c, owner, letter))

    async def letters(self, owner: Account) -> tuple[OfflineMessage, ...]:
        """What waits for `owner`."""
        return await self._store.read(lambda c: letters_to(c, owner))

    async def discard(self, letters: tuple[Told, ...]) -> None:
        """They need not be kept any longer."""
        await self._store.write(lambda c: discard(c, letters))


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
