"""Who may come in under which name, and what they must prove."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal

from chatservice.accounts.accounts import Accounts
from chatservice.accounts.cred import IMember
from chatservice.accounts.passwords import MIN_PASSWORD, fit
from chatservice.core import names
from chatservice.core.events import Account, AccountChanged, Change, ErrorCode, Refusal
from chatservice.core.limits import (
    ACCOUNT_SECONDS,
    ADDRESS_SECONDS,
    GUESSES_OF_ACCOUNT,
    GUESSES_OF_ADDRESS,
    MAX_REMEMBERED,
    NEW_PASSWORD_SECONDS,
    PASSWORDS_OF_ADDRESS,
    RateLimiter,
)
from chatservice.core.peer import Peer
from chatservice.core.requests import AboutAccount, ChangePassword, Register, Unregister
from chatservice.core.users import User

T = TypeVar("T")


class Authenticator:
    """The rules about passwords. What is asked in vain raises `Refusal`.

    `accounts`: the names that have a password, if the server keeps any. `portal` tells whether a
    password is right. `members_only`: nobody comes in without one. `in_clear`: passwords may come
    over connections that others can listen to. `password_length`: characters that a new one must
    have.
    """

    def __init__(
        self,
        accounts: Accounts | None,
        portal: Portal | None,
        seconds: Callable[[], float],
        *,
        members_only: bool = False,
        in_clear: bool = False,
        password_length: int = MIN_PASSWORD,
    ) -> None:
        self.accounts = accounts
        self._portal = portal
        self._members_only = members_only
        self._wrong = ErrorCode.NOT_A_MEMBER if members_only else ErrorCode.WRONG_PASSWORD
        self._in_clear = in_clear
        self._password_length = password_length
        self._of_address = RateLimiter(GUESSES_OF_ADDRESS, ADDRESS_SECONDS, seconds)
        self._of_account = RateLimiter(GUESSES_OF_ACCOUNT, ACCOUNT_SECONDS, seconds)
        # From where an owner has come in before: there nobody elsewhere can lock them out.
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._makings = RateLimiter(PASSWORDS_OF_ADDRESS, NEW_PASSWORD_SECONDS, seconds)

    def takes_passwords(self, peer: Peer) -> bool:
        """Whether `peer` may send a password, and there is something that it could prove."""
        return self._portal is not None and (peer.private or self._in_clear)

    async def owner(self, name: str) -> Account | None:
        """The account that protects `name`, which is checked, if there is one."""
        return await self.accounts.owner(name) if self.accounts is not None else None

    async def admit(self, name: str, password: str, peer: Peer) -> Account | None:
        """Somebody wants to come in as `name`. Their account; None for a guest."""
        name = names.well_formed(name)
        owner = await self.owner(name)
        if not self._members_only and (owner is None or self._portal is None):
            return None
        self._expect_private(peer)
        if not password:
            raise Refusal(ErrorCode.PASSWORD_NEEDED, name=name)
        # Whatever likeness of a name is tried, what is guessed at is one password.
        guessed = f"{owner.name}/{owner.since}" if owner is not None else name.casefold()
        proven = await self._proven(name, password, peer, guessed)
        if self.accounts is None:
            return Account(proven, 0.0)
        if owner is None or owner.name != proven:  # it has become another's meanwhile
            raise Refusal(self._wrong, name=name)
        return owner

    async def expect_free(self, name: str, account: Account | None) -> None:
        """The owner of `account`, or a guest, may be called `name`."""
        name = names.well_formed(name)
        if self.accounts is not None:
            owners = await self.accounts.owners(name)
            is_own = account in owners and account.is_called(name)
            if (others := owners - {account}) and not is_own:
                raise Refusal(ErrorCode.NAME_REGISTERED, name=min(others).name)
        if self._members_only and (
            account is None or names.keys(name).isdisjoint(names.keys(account.name))
        ):
            raise Refusal(ErrorCode.NAME_NOT_YOURS, name=name)

    async def serve(self, request: AboutAccount, user: User, peer: Peer) -> AccountChanged:
        """What `user` asks about their account, which is their name's if they have none so far."""
        name, account = user.name, user.account
        match request:
            case Register(password=password):
                user.account = await self._register(name, password, peer)
                return AccountChanged(name, Change.REGISTERED)
            case _ if account is None:
                raise Refusal(ErrorCode.NOT_REGISTERED)
            case ChangePassword(password=password):
                await self._change(account, password, peer)
                return AccountChanged(account.name, Change.PASSWORD)
            case Unregister():
                await self._accounts().remove(account)
                user.account = None
                return AccountChanged(account.name, Change.UNREGISTERED)

    async def _register(self, name: str, password: str, peer: Peer) -> Account:
        accounts, password = self._accounts_for(peer), fit(password, self._password_length)
        return await self._made(peer, lambda: accounts.register(name, password))

    async def _change(self, account: Account, password: str, peer: Peer) -> None:
        accounts, password = self._accounts_for(peer), fit(password, self._password_length)
        await self._made(peer, lambda: accounts.change(account, password))

    async def _made(self, peer: Peer, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` makes of a password: this costs as much as to try one."""
        if not self._makings.take(peer.network):
            raise Refusal(ErrorCode.TOO_OFTEN)
        try:
            return await make()
        except Refusal as refusal:
            if refusal.code is ErrorCode.BUSY:
                self._makings.give_back(peer.network)
            raise

    def _accounts_for(self, peer: Peer) -> Accounts:
        accounts = self._accounts()
        self._expect_private(peer)
        return accounts

    def _accounts(self) -> Accounts:
        if self.accounts is None:
            raise Refusal(ErrorCode.NO_ACCOUNTS)
        return self.accounts

    def _expect_private(self, peer: Peer) -> None:
        if not (peer.private or self._in_clear):
            raise Refusal(ErrorCode.PASSWORD_IN_CLEAR)

    async def _proven(self, name: str, password: str, peer: Peer, guessed: str) -> str:
        """The name of the account that they have proven to be theirs. What is tried is counted as
        wrong until it proves right, since much can be tried at once; `guessed`: at whose password.
        """
        network = peer.network
        is_known = (guessed, network) in self._known
        if self._portal is None or not self._of_address.take(network):
            raise Refusal(ErrorCode.TOO_OFTEN)
        if not is_known and not self._of_account.take(guessed):
            self._of_address.give_back(network)
            raise Refusal(ErrorCode.TOO_OFTEN)
        credentials = UsernamePassword(name.encode(), password.encode("utf-8", "replace"))
        try:
            _, proven, _ = await self._portal.login(credentials, None, IMember)
        except UnauthorizedLogin:
            raise Refusal(self._wrong, name=name) from None
        except Refusal:  # it has not been looked at
            self._give_back(network, None if is_known else guessed)
            raise
        self._give_back(network, None if is_known else guessed)
        self._remember(guessed, network)
        return str(proven)

    def _give_back(self, network: str, guessed: str | None) -> None:
        self._of_address.give_back(network)
        if guessed is not None:
            self._of_account.give_back(guessed)

    def _remember(self, guessed: str, network: str) -> None:
        self._known[guessed, network] = None
        self._known.move_to_end((guessed, network))
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
