"""Accounts for `twisted.cred`: the realm, and the checker."""

from collections.abc import Callable
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm
from twisted.internet.defer import Deferred
from zope.interface import Interface, implementer

from chatservice.accounts.accounts import Accounts


class IMember(Interface):
    """Somebody who has said who they are. As an avatar this is the name of their account."""


@implementer(IRealm)
class Members:
    """The realm: whoever has proven who they are."""

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: Any
    ) -> tuple[Any, str, Callable[[], None]]:
        if IMember not in interfaces or not isinstance(avatarId, bytes):
            raise NotImplementedError("Only IMember is implemented.")
        return IMember, avatarId.decode(), lambda: None


class PeerPassword(UsernamePassword):
    """A name and a password, and the network that they come from."""

    def __init__(self, username: bytes, password: bytes, network: str) -> None:
        super().__init__(username, password)
        self.network = network


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
        asker = getattr(credentials, "network", "")
        proven = await self._accounts.proven(name, credentials.password.decode(), asker)
        if proven is None:
            raise UnauthorizedLogin
        return proven.encode()
