"""Who may come in under which name, and what they must prove."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred

from chatservice.accounts.accounts import Accounts
from chatservice.accounts.cred import IMember, PeerPassword
from chatservice.accounts.guesses import Guesses
from chatservice.accounts.passwords import MIN_PASSWORD, fit
from chatservice.core import names
from chatservice.core.events import Account, AccountChanged, Change, ErrorCode, Refusal
from chatservice.core.limits import (
    MAX_REMEMBERED,
    NEW_PASSWORD_SECONDS,
    PASSWORDS_OF_ADDRESS,
    RateLimiter,
)
from chatservice.core.peer import Peer
from chatservice.core.requests import AboutAccount, ChangePassword, Nick, Register, Unregister
from chatservice.core.stores import Credentials, token_hash
from chatservice.core.users import User

T = TypeVar("T")


class Authenticator:
    """The rules about passwords. What is asked in vain raises `Refusal`.

    `accounts`: the names that have a password, if the server keeps any. `portal` tells whether a
    password is right. `members_only`: nobody comes in without one. `in_clear`: passwords may come
    over connections that others can listen to. Both may be changed while the server runs.
    `password_length`: characters that a new one must have.
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
        # Called with an account, and what has become of it, when that is found out.
        self.account_changed: Callable[[Account, Change], None] = lambda account, change: None
        self._portal = portal
        self.members_only = members_only
        self.in_clear = in_clear
        self._password_length = password_length
        self._guesses = Guesses(seconds)
        # Where people have come in before, by their accounts, if those are not in a database.
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        # The hash of the password that the owner of an account has proven to know.
        self._proven_hashes: OrderedDict[Account, str] = OrderedDict()
        # Hashes of tokens that let nobody in any longer, though the database may not say so yet.
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self._makings = RateLimiter(PASSWORDS_OF_ADDRESS, NEW_PASSWORD_SECONDS, seconds)

    def takes_passwords(self, peer: Peer) -> bool:
        """Whether `peer` may send a password, and there is something that it could prove."""
        return self._portal is not None and (peer.private or self.in_clear)

    @property
    def _wrong(self) -> ErrorCode:
        return ErrorCode.NOT_A_MEMBER if self.members_only else ErrorCode.WRONG_PASSWORD

    async def admit(self, name: str, password: str, peer: Peer) -> Account | None:
        """Somebody wants to come in as `name`. Their account; None for a guest."""
        name = names.well_formed(name)
        kept = None
        if self.accounts is not None:
            kept = await self.accounts.credentials(name, peer.network)
        if not self.members_only and (kept is None or self._portal is None):
            return None
        self.expect_private(peer)
        if not password:
            raise Refusal(ErrorCode.PASSWORD_NEEDED, name=name)
        return await self._own(name, password, peer, kept)

    async def token_owner(self, token: str, peer: Peer) -> Account | None:
        """Whose account that token lets `peer` into, as the password would."""
        if not token or self.accounts is None or not self.takes_passwords(peer):
            return None
        hashed = token_hash(token)
        was_forgotten = hashed in self._forgotten  # before it is looked up
        kept = await self.accounts.token_owner(hashed, peer.network)
        if kept is None or was_forgotten or hashed in self._forgotten:
            return None
        self.note_proven(kept)
        return kept.account

    def proven(self, account: Account | None) -> Credentials | None:
        """`account`, and the hash of the password that its owner has proven to know by now."""
        hashed = None if account is None else self._proven_hashes.get(account)
        return None if account is None or hashed is None else Credentials(account, hashed)

    def note_proven(self, kept: Credentials) -> None:
        """The owner has proven that password, maybe on another server. If an earlier one of it was
        another one, those who are here with that have to go."""
        earlier = self._proven_hashes.pop(kept.account, kept.hash)
        self._proven_hashes[kept.account] = kept.hash
        if len(self._proven_hashes) > MAX_REMEMBERED:
            self._proven_hashes.popitem(last=False)
        if earlier != kept.hash:
            self.account_changed(kept.account, Change.PASSWORD)

    def keep_token(self, owner: Credentials, token: str) -> None:
        """The `owner` may come in with `token` for as long as that is their password."""
        if self.accounts is not None:
            _without_waiting(self.accounts.keep_token(owner, token_hash(token)))

    def forget_token(self, token: str) -> None:
        """It lets nobody in any longer."""
        if self.accounts is None:
            return
        hashed = token_hash(token)
        self._forgotten[hashed] = None
        if len(self._forgotten) > MAX_REMEMBERED:
            self._forgotten.popitem(last=False)
        forgetting = Deferred.fromCoroutine(self.accounts.forget_token(hashed))
        forgetting.addCallback(lambda _: self._forgotten.pop(hashed, None))
        forgetting.addErrback(lambda failure: failure.trap(Refusal))

    def forget_tokens(self, account: Account) -> None:
        """No token of `account` does."""
        if self.accounts is not None:
            _without_waiting(self.accounts.forget_tokens(account))

    async def admit_rename(
        self, request: Nick, account: Account | None, peer: Peer
    ) -> Account | None:
        """The owner of `account`, or a guest, wants to be called otherwise. Another account that
        they have proven to be theirs, if its name is meant."""
        name = names.well_formed(request.name)
        if self.accounts is not None:
            owners = await self.accounts.owners(name, peer.network)
            is_own = account in owners and account.is_called(name)
            if (others := owners - {account}) and not is_own:
                if not request.password:
                    raise Refusal(ErrorCode.NAME_REGISTERED, name=min(others).name)
                self.expect_private(peer)
                kept = await self.accounts.credentials(name, peer.network)
                return await self._own(name, request.password, peer, kept)
        if self.members_only and (
            account is None or names.keys(name).isdisjoint(names.keys(account.name))
        ):
            raise Refusal(ErrorCode.NAME_NOT_YOURS, name=name)
        return None

    async def is_current(self, account: Account) -> bool:
        """Whether the password that the owner of `account` has proven still is its password."""
        if self.accounts is None:
            return True
        kept = await self.accounts.credentials(account.name)
        return (
            kept is not None
            and kept.account == account
            and self._proven_hashes.get(account) == kept.hash
        )

    async def serve(
        self, request: AboutAccount, user: User, peer: Peer
    ) -> tuple[Account | None, AccountChanged]:
        """What `user` asks about their account, which is their name's if they have none so far.
        Returns the account that they have then."""
        name, account = user.name, user.account
        match request:
            case Register(password=password):
                registered = await self._register(name, password, peer)
                return registered, AccountChanged(name, Change.REGISTERED)
            case _ if account is None:
                raise Refusal(ErrorCode.NOT_REGISTERED)
            case ChangePassword(password=password, old=old):
                await self._change(account, password, old, peer)
                return account, AccountChanged(account.name, Change.PASSWORD)
            case Unregister(password=password):
                accounts = self._accounts_for(peer)
                await self._expect_own(account, password, peer)
                await accounts.remove(account)
                return None, AccountChanged(account.name, Change.UNREGISTERED)

    async def _register(self, name: str, password: str, peer: Peer) -> Account:
        accounts, password = self._accounts_for(peer), fit(password, self._password_length)
        account = await self._made(peer, lambda: accounts.register(name, password, peer.network))
        await self._remember_hash(accounts, account)
        return account

    async def _change(self, account: Account, password: str, old: str, peer: Peer) -> None:
        accounts, password = self._accounts_for(peer), fit(password, self._password_length)
        await self._expect_own(account, old, peer)
        await self._made(peer, lambda: accounts.change(account, password, peer.network))
        await self._remember_hash(accounts, account)

    async def _expect_own(self, account: Account, password: str, peer: Peer) -> None:
        """Whoever changes an account knows its password, and has not just found its owner's
        keyboard."""
        kept = await self._accounts().credentials(account.name, peer.network)
        if kept is None or kept.account != account:
            raise Refusal(ErrorCode.NOT_REGISTERED)
        if not password:
            raise Refusal(ErrorCode.PASSWORD_NEEDED, name=account.name)
        await self._own(account.name, password, peer, kept)

    async def _own(self, name: str, password: str, peer: Peer, kept: Credentials | None) -> Account:
        """The account that they have proven to be theirs. `kept`: the one that protects `name`."""
        proven = await self._proven(name, password, peer, None if kept is None else kept.account)
        if self.accounts is None:
            return Account(proven, 0.0)
        if (
            kept is None
            or kept.account.name != proven
            or kept != await self.accounts.credentials(name)
        ):  # it has become another's meanwhile, or has another password
            raise Refusal(self._wrong, name=name)
        self.note_proven(kept)
        return kept.account

    async def _remember_hash(self, accounts: Accounts, account: Account) -> None:
        kept = await accounts.credentials(account.name)
        if kept is not None and kept.account == account:
            self._proven_hashes[account] = kept.hash

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
        self.expect_private(peer)
        return accounts

    def _accounts(self) -> Accounts:
        if self.accounts is None:
            raise Refusal(ErrorCode.NO_ACCOUNTS)
        return self.accounts

    def expect_private(self, peer: Peer) -> None:
        """Raises `Refusal` if others could listen to a password of that peer's."""
        if not (peer.private or self.in_clear):
            raise Refusal(ErrorCode.PASSWORD_IN_CLEAR)

    async def _proven(self, name: str, password: str, peer: Peer, owner: Account | None) -> str:
        """The name of the account that they have proven to be theirs. `owner`: whose password it
        must be."""
        # Whatever likeness of a name is tried, what is guessed at is one password.
        guessed = name.casefold() if owner is None else f"{owner.name}/{owner.since}"
        is_known = await self._knows(owner, guessed, peer.network)
        attempt = self._guesses.begin(guessed, peer, is_known=is_known)
        typed = password.encode("utf-8", "replace")
        credentials = PeerPassword(name.encode(), typed, peer.network)
        if self._portal is None:
            raise Refusal(ErrorCode.NO_ACCOUNTS)
        try:
            _, proven, _ = await self._portal.login(credentials, None, IMember)
        except UnauthorizedLogin:
            raise Refusal(self._wrong, name=name) from None
        except Refusal:
            attempt.give_back()
            raise
        attempt.give_back()
        self._remember(owner, guessed, peer.network)
        return str(proven)

    async def _knows(self, owner: Account | None, guessed: str, network: str) -> bool:
        if self.accounts is None or owner is None:
            return (guessed, network) in self._known
        return await self.accounts.knows(owner, network)

    def _remember(self, owner: Account | None, guessed: str, network: str) -> None:
        if self.accounts is not None and owner is not None:
            _without_waiting(self.accounts.remember(owner, network))
            return
        self._known[guessed, network] = None
        self._known.move_to_end((guessed, network))
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)


def _without_waiting(work: Coroutine[Any, Any, None]) -> None:
    """Whoever it is done for need not wait for it, nor hear of it if the disk fails."""
    Deferred.fromCoroutine(work).addErrback(lambda failure: failure.trap(Refusal))
