"""Who may come in under which name, and what they must prove."""

from collections import OrderedDict
from collections.abc import Callable

from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal

from chatservice import names
from chatservice.accounts import Accounts, IMember
from chatservice.events import Reason, Refusal
from chatservice.limits import (
    ACCOUNT_SECONDS,
    ACCOUNTS_OF_ADDRESS,
    ADDRESS_SECONDS,
    GUESSES_OF_ACCOUNT,
    GUESSES_OF_ADDRESS,
    NEW_ACCOUNT_SECONDS,
    REMEMBERED_MOST,
    Tries,
)


class Visitor:
    """A connection, for what it may do here. `network`: whom its guesses are counted for (see
    `limits.network_of`). `private`: nobody can listen to what it sends."""

    __slots__ = ("network", "private")

    def __init__(self, network: str, *, private: bool) -> None:
        self.network = network
        self.private = private


class Entrance:
    """The rules about passwords. What is asked in vain raises `Refusal`.

    `accounts`: the names that have a password, if the server keeps any. `portal` tells whether a
    password is right. `members_only`: nobody comes in without one. `in_clear`: passwords may come
    over connections that others can listen to.
    """

    def __init__(
        self,
        accounts: Accounts | None,
        portal: Portal | None,
        seconds: Callable[[], float],
        *,
        members_only: bool = False,
        in_clear: bool = False,
    ) -> None:
        self.accounts = accounts
        self._portal = portal
        self._members_only = members_only
        self._in_clear = in_clear
        self._of_address = Tries(GUESSES_OF_ADDRESS, ADDRESS_SECONDS, seconds)
        self._of_account = Tries(GUESSES_OF_ACCOUNT, ACCOUNT_SECONDS, seconds)
        # From where an owner has come in before: there nobody elsewhere can lock them out.
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._new = Tries(ACCOUNTS_OF_ADDRESS, NEW_ACCOUNT_SECONDS, seconds)

    async def owner(self, name: str) -> str | None:
        """The name of the account that protects `name`, if there is one."""
        return await self.accounts.owner(name) if self.accounts is not None else None

    async def admit(self, name: str, password: str, visitor: Visitor) -> str | None:
        """Somebody wants to come in as `name`. The name of their account; None for a guest."""
        name = names.checked(name)
        owner = await self.owner(name)
        if not self._members_only and (owner is None or self._portal is None):
            return None
        self._expect_private(visitor)
        if not password:
            raise Refusal(Reason.PASSWORD_NEEDED, name=name)
        return await self._proven(name, password, visitor)

    async def register(self, name: str, password: str, visitor: Visitor) -> None:
        """`name`, who is here as a guest, is an account from now on."""
        accounts = self._accounts_for(visitor)
        if not self._new.take(visitor.network):
            raise Refusal(Reason.TOO_OFTEN)
        await accounts.register(name, password)

    async def change(self, name: str, password: str, visitor: Visitor) -> None:
        """The account `name` has another password."""
        accounts = self._accounts_for(visitor)
        if not self._new.take(visitor.network):  # it costs as much
            raise Refusal(Reason.TOO_OFTEN)
        await accounts.change(name, password)

    async def unregister(self, name: str) -> None:
        """The account `name` is gone: the name is anybody's."""
        if self.accounts is None:
            raise Refusal(Reason.NO_ACCOUNTS)
        await self.accounts.remove(name)

    def _accounts_for(self, visitor: Visitor) -> Accounts:
        if self.accounts is None:
            raise Refusal(Reason.NO_ACCOUNTS)
        self._expect_private(visitor)
        return self.accounts

    def _expect_private(self, visitor: Visitor) -> None:
        if not (visitor.private or self._in_clear):
            raise Refusal(Reason.PASSWORD_IN_CLEAR)

    async def _proven(self, name: str, password: str, visitor: Visitor) -> str:
        """Counted as wrong until it proves right: many can be tried at once."""
        account = min(names.keys(name))
        if self._portal is None or not self._of_address.take(visitor.network):
            raise Refusal(Reason.TOO_OFTEN)
        is_known = (account, visitor.network) in self._known
        if not is_known and not self._of_account.take(account):
            raise Refusal(Reason.TOO_OFTEN)
        credentials = UsernamePassword(name.encode(), password.encode("utf-8", "replace"))
        try:
            _, proven, _ = await self._portal.login(credentials, None, IMember)
        except UnauthorizedLogin:
            raise Refusal(Reason.WRONG_PASSWORD, name=name) from None
        self._of_address.give_back(visitor.network)
        if not is_known:
            self._of_account.give_back(account)
            self._remember(account, visitor.network)
        return str(proven)

    def _remember(self, account: str, network: str) -> None:
        self._known[account, network] = None
        if len(self._known) > REMEMBERED_MOST:
            self._known.popitem(last=False)
