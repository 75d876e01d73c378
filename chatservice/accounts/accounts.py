"""Registered names: what the server asks of the account store and of password hashing."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from chatservice.accounts.passwords import prepared
from chatservice.core.events import Account, Refusal, Told
from chatservice.core.stores import AccountsAndMessages, Credentials, OfflineMessage


class Hashing(Protocol):
    """Password hashing off the reactor's thread (see `hashing.Argon2`)."""

    def hash(self, password: str, asker: str = "") -> Awaitable[str]:
        """What is kept of `password`."""

    def agrees(self, kept: str | None, password: str, asker: str = "") -> Awaitable[bool]:
        """Whether `kept` is the hash of `password`; for None, False after the same time."""


class Accounts:
    """The registered names of a server. What cannot be done fails with `Refusal`. `asker` is the
    network of whoever waits for it.

    `seconds` tells the time, in seconds since 1970.
    """

    def __init__(
        self, store: AccountsAndMessages, hashing: Hashing, seconds: Callable[[], float]
    ) -> None:
        self._store = store
        self._hashing = hashing
        self._seconds = seconds

    async def owner(self, name: str, asker: str = "") -> Account | None:
        """The account that protects `name` (a checked name), if there is one."""
        found = await self.credentials(name, asker)
        return None if found is None else found.account

    async def credentials(self, name: str, asker: str = "") -> Credentials | None:
        """That account, and the hash of its password."""
        return await self._store.find(name, asker)

    async def owners(self, name: str, asker: str = "") -> frozenset[Account]:
        """All accounts that protect `name` (a checked name)."""
        return await self._store.owners(name, asker)

    async def proven(self, name: str, password: str, asker: str = "") -> str | None:
        """The name of the account that protects `name`, if `password` is its password. It takes
        as long if there is no such account."""
        try:
            password = prepared(password)
        except Refusal:
            password = ""  # nobody has it
        found = await self._store.find(name, asker)
        agrees = await self._hashing.agrees(found and found.hash, password, asker)
        return found.account.name if found is not None and agrees else None

    async def register(self, name: str, password: str, asker: str = "") -> Account:
        """Register `name` with `password`, which is `fit`."""
        account = Account(name, self._seconds())
        await self._store.add(account, await self._hashing.hash(password, asker))
        return account

    async def change(self, account: Account, password: str, asker: str = "") -> None:
        """Give `account` another password, which is `fit`."""
        await self._store.change(account, await self._hashing.hash(password, asker))

    async def remove(self, account: Account) -> None:
        """Remove `account` and its offline messages."""
        await self._store.remove(account)

    async def knows(self, account: Account, network: str) -> bool:
        """Whether the owner of `account` has come in from `network` before."""
        return await self._store.knows(account, network, asker=network)

    async def remember(self, account: Account, network: str) -> None:
        """The owner of `account` has come in from `network`."""
        await self._store.remember(account, network)

    async def keep_token(self, owner: Credentials, token: str) -> None:
        """The `owner` has been given `token` (hashed)."""
        await self._store.keep_token(owner, token)

    async def token_owner(self, token: str, asker: str) -> Credentials | None:
        """Who was, and may come in with it."""
        return await self._store.token_owner(token, asker)

    async def forget_token(self, token: str) -> None:
        """It lets nobody in any longer."""
        await self._store.forget_token(token)

    async def forget_tokens(self, account: Account) -> None:
        """No token of `account` does."""
        await self._store.forget_tokens(account)

    async def post(self, owner: Account, message: Told, origin: str) -> int:
        """Keep `message` until `owner` returns. `origin`: whom it is counted for (see
        `stores.origin_of`). Returns its number."""
        return await self._store.post(owner, message, origin)

    async def offline_messages(self, owner: Account) -> tuple[OfflineMessage, ...]:
        """What is kept for `owner`, oldest first."""
        return await self._store.offline_messages(owner)

    async def discard(self, messages: tuple[Told, ...]) -> None:
        """They have been delivered."""
        await self._store.discard(messages)
