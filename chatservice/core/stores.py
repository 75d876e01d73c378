"""What the chat asks of its stores: protocols, which the modules of `storage` implement.

What takes time is awaited, and may raise `Refusal` (NOT_SAVED, BUSY). How a store fails is its own
policy. `asker` is the network that something is looked up for: askers take turns. Cancelling the
Deferred behind an answer that is awaited takes the question back.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from chatservice.core.cursor import Pages
from chatservice.core.events import Account, ErrorCode, Recalled, Refusal, Saving, Told
from chatservice.core.ignoring import Change as IgnoreChange
from chatservice.core.log import EventStore, Log, Messages, Reach
from chatservice.core.registry import RoomRecord
from chatservice.core.sanctions import Sanction

if TYPE_CHECKING:
    from chatservice.core.users import User

# What strangers can make grow: some 30 MB of names and hashes.
MAX_ACCOUNTS = 100_000
# Offline messages for one person: as many as somebody reads; and from one sender (an account, or
# the network of a guest, who may have any name), so that no single one can fill them.
MAX_OFFLINE_MESSAGES = 100
MAX_UNREAD = 20
# Reports that wait for somebody in charge: as many as somebody reads; and of one author.
MAX_REPORTS = 1000
MAX_REPORTS_OF_ORIGIN = 10
# Networks that one owner has come in from, the one longest unused forgotten first: a person's
# places, and a telephone's in some weeks.
MAX_KNOWN_NETWORKS = 16
# Tokens of one account that let its owner in without the password, those longest unused forgotten
# first: a desk, a telephone and their tabs; and for how many seconds after they were last given.
MAX_ACCOUNT_TOKENS = 16
ACCOUNT_TOKEN_SECONDS = 30 * 86400.0
# People whose read position is kept, those longest away forgotten first: some 2 MB.
MAX_READ_POSITIONS = 20_000
# More than anybody looks through.
MAX_HOOKS = 1000


class ReadPosition(NamedTuple):
    """How far somebody has read: they have heard all below the id `position`. `messages`: how many
    there had ever been until then, in each of their rooms."""

    position: int
    messages: Mapping[str, int]


class MissedCount(NamedTuple):
    """What was said while somebody was away: how many messages are kept, and how many are gone."""

    kept: int
    gone: int


class PastStore(EventStore, Protocol):
    """Commits what happens (`submit`), and knows the past.

    A `Reach` says of which rooms something is asked, and from which id on in each.
    """

    @property
    def trouble(self) -> Saving | None:
        """Why what is said is not being saved, if it is not."""

    @property
    def shows_unsaved(self) -> bool:
        """Whether what is delivered just now need not be saved."""

    @property
    def pages(self) -> Pages | None:
        """What the log no longer holds, if that is kept."""

    @property
    def first_id(self) -> int:
        """Nothing older is kept."""

    def attach(self, log: Log) -> None:
        """`log` has the newest part, and goes on where the store ends."""

    def recall(
        self, before: int, after: int | None, limit: int, reach: Reach, asker: str = ""
    ) -> Awaitable[Recalled]:
        """What happened between two ids: of more than a page the oldest, or the newest if `after`
        is None."""

    def recent(self, before: int, limit: int, reach: Reach, asker: str = "") -> Awaitable[Messages]:
        """The newest messages before that id, the oldest of them first."""

    def find(
        self, words: str, before: int, limit: int, reach: Reach, asker: str = ""
    ) -> Awaitable[Messages]:
        """The newest messages before that id that have these words (see `storage.words`). Raises
        `Refusal` (TOO_MANY_WORDS, TOO_SLOW)."""

    def missed(
        self, since: ReadPosition, before: int, reach: Reach, asker: str = ""
    ) -> Awaitable[MissedCount]:
        """How many messages there were since then, before that id."""


class ReadPositionStore(Protocol):
    """Remembers how far people had read when they left."""

    def seen(self, name: str, asker: str = "") -> Awaitable[ReadPosition | None]:
        """How far `name`, who is not here, had read."""

    def arrive(self, name: str) -> None:
        """`name` is here, and hears everything from now on."""

    def depart(self, name: str, position: ReadPosition) -> None:
        """`name` has stopped reading there; or has not read further so far, and is here."""

    def heard(self, position: int) -> None:
        """Everyone else who is here has heard everything before that id."""


class MembershipStore(Protocol):
    """Remembers the rooms of registered people. It learns of them from what is committed."""

    def memberships(self, account: Account, asker: str = "") -> Awaitable[Mapping[str, int]]:
        """The rooms that the owner of `account` is in, and since which id; none, if they have not
        been here before."""

    def enroll(
        self,
        account: Account,
        rooms: Mapping[str, int],
        founded: Iterable[RoomRecord],
        sanctions: Iterable[Sanction] = (),
    ) -> None:
        """Somebody who is in these `rooms`, has `founded` some and is held by these `sanctions` has
        registered."""


class IgnoreStore(Protocol):
    """Remembers whom the owners of accounts ignore."""

    async def keep_ignored(self, change: IgnoreChange) -> None:
        """It is kept, or no longer; so are other servers told."""

    def change_ignored(self, change: IgnoreChange) -> None:
        """The same, which nobody waits for."""


class TokenHolder(NamedTuple):
    """Whose a token is, who is here; and what it proves, if they own an account."""

    user: "User"
    proven: "Credentials | None"


class TokenStore(Protocol):
    """Remembers, for all servers of a chat, whose a token is. What it is given are hashes."""

    def keep(self, token: str, user: "User", proven: "Credentials | None") -> None:
        """It has been given to `user`, at a connection of this server. If they own an account, it
        is good for as long as the password is what they have `proven`."""

    def forget(self, token: str) -> None:
        """That connection is gone."""

    def forget_all(self, user: "User") -> None:
        """No token of `user` proves anything any longer."""

    def holder(self, token: str, asker: str) -> "Awaitable[TokenHolder | None]":
        """Whose it is, who is here on some server."""


class Whispers(Protocol):
    """Tells other servers of a chat who is typing. It is never written down, and may be lost.
    `heard` is called with what they tell."""

    heard: "Callable[[User, str, bool], None]"

    def typing(self, user: "User", room: str, on: bool) -> None:
        """`user` is typing something in `room`, or no longer."""

    def stopped(self, user: "User", room: str) -> None:
        """They have said it: nobody need be told who has not been."""


class Archive(PastStore, ReadPositionStore, MembershipStore, IgnoreStore, Protocol):
    """What a chat needs of the past; `reports`; and `tokens` and `whispers`, if there may be other
    servers."""

    @property
    def tokens(self) -> TokenStore | None: ...

    @property
    def whispers(self) -> Whispers | None: ...

    @property
    def reports(self) -> "ReportStore": ...


class Credentials(NamedTuple):
    """An account, and the hash of its password."""

    account: Account
    hash: str


def closest(found: Iterable[Credentials], name: str) -> Credentials | None:
    """Of the accounts that protect `name`, the one that is called that, or most nearly so, or else
    the oldest."""

    def likeness(each: Credentials) -> tuple[bool, bool, float, str]:
        account = each.account
        return account.name != name, not account.is_called(name), account.since, account.name

    return min(found, key=likeness, default=None)


class AccountStore(Protocol):
    """Registered names."""

    def find(self, name: str, asker: str = "") -> Awaitable[Credentials | None]:
        """The account that protects `name`, a checked name: its own may be another one like it. Of
        several it is the `closest`."""

    def owners(self, name: str, asker: str = "") -> Awaitable[frozenset[Account]]:
        """All accounts that protect `name`, a checked name; they need not be like each other."""

    def add(self, account: Account, hashed: str) -> Awaitable[None]:
        """Raises `Refusal`: NAME_REGISTERED, TOO_MANY_ACCOUNTS."""

    def change(self, account: Account, hashed: str) -> Awaitable[None]:
        """Set another password. Raises `Refusal` (NOT_REGISTERED)."""

    def remove(self, account: Account) -> Awaitable[None]:
        """With its offline messages. Raises `Refusal` (NOT_REGISTERED)."""

    def knows(self, account: Account, network: str, asker: str = "") -> Awaitable[bool]:
        """Whether its owner has come in from `network` with its present password."""

    def remember(self, account: Account, network: str) -> Awaitable[None]:
        """Its owner has come in from `network`."""

    # Tokens that are as good as the password until that is changed, also after a restart. They are
    # given as their hashes (see `token_hash`).

    def keep_token(self, owner: Credentials, token: str) -> Awaitable[None]:
        """The `owner`, who has proven to know that password, has been given it just now."""

    def token_owner(self, token: str, asker: str = "") -> Awaitable[Credentials | None]:
        """Who was, not too long ago, and may come in with it."""

    def forget_token(self, token: str) -> Awaitable[None]:
        """It lets nobody in any longer."""

    def forget_tokens(self, account: Account) -> Awaitable[None]:
        """No token of `account` does."""


class OfflineMessage(NamedTuple):
    """A private message that is kept until its recipient returns. `sender`: the account of its
    author, if their name was registered when they wrote it."""

    told: Told
    sender: Account | None


def origin_of(sender: Account | None, network: str) -> str:
    """Whom an offline message is counted for: an account, or the network of a guest."""
    return f"network {network}" if sender is None else f"account {sender.name}"


def expect_room(owner: Account, kept: int, of_origin: int) -> None:
    """`kept` messages are kept for `owner`, `of_origin` of one sender: is there room for another of
    theirs? Raises `Refusal`: TOO_MANY_UNREAD, LETTERBOX_FULL."""
    if of_origin >= MAX_UNREAD:
        raise Refusal(ErrorCode.TOO_MANY_UNREAD, name=owner.name, limit=MAX_UNREAD)
    if kept >= MAX_OFFLINE_MESSAGES:
        raise Refusal(ErrorCode.LETTERBOX_FULL, name=owner.name)


class Report(NamedTuple):
    """Somebody (`by`) has reported `name`, the owner of `account` or a guest, to those in charge of
    `room` (ALL_ROOMS: of the whole chat), and says `why`. `number`: under which it is kept."""

    at: float
    room: str
    name: str
    account: Account | None
    by: str
    why: str
    number: int = 0


def expect_place(kept: int, of_origin: int) -> None:
    """So many reports are kept, `of_origin` of one author: is there room for another of theirs?
    Raises `Refusal` (TOO_MANY_REPORTS)."""
    if of_origin >= MAX_REPORTS_OF_ORIGIN or kept >= MAX_REPORTS:
        raise Refusal(ErrorCode.TOO_MANY_REPORTS)


class ReportStore(Protocol):
    """Reports that nobody in charge has seen. Those of a room that is gone become those of the
    whole chat: whoever founds another one of that name has no right to them."""

    def keep(self, report: Report, origin: str) -> Awaitable[int]:
        """Keep `report`, which is counted for `origin` (see `origin_of`). Returns its number.
        Raises `Refusal` (TOO_MANY_REPORTS)."""

    def kept(self, asker: str = "") -> Awaitable[tuple[Report, ...]]:
        """All that are kept, oldest first."""

    def discard(self, numbers: Sequence[int]) -> Awaitable[None]:
        """Delete those. No other report ever has their numbers."""


class OfflineMessageStore(Protocol):
    """Private messages to registered people who are not here."""

    def post(self, owner: Account, message: Told, origin: str) -> Awaitable[int]:
        """Keep `message` for `owner`. `origin`: whom it is counted for (see `origin_of`). Returns
        its number. Raises `Refusal`: NOT_REGISTERED, TOO_MANY_UNREAD, LETTERBOX_FULL."""

    def offline_messages(self, owner: Account) -> Awaitable[tuple[OfflineMessage, ...]]:
        """What is kept for `owner`, oldest first."""

    def discard(self, messages: tuple[Told, ...]) -> Awaitable[None]:
        """Delete them. Their numbers may be used again."""


class AccountsAndMessages(AccountStore, OfflineMessageStore, Protocol):
    """What a server with accounts needs: removing an account removes its messages."""


class HookKind(StrEnum):
    """What a hook may do in its room."""

    SPEAK = "speak"
    LISTEN = "listen"


class Hook(NamedTuple):
    """A program's right to one room. `number` is how its operator calls it, and `shown` how its
    messages are signed. `secret`: what signs the requests, if they have to be signed; empty: they
    need not be. `created`: in seconds since 1970."""

    number: int
    kind: HookKind
    name: str
    room: str
    secret: str
    created: float

    @property
    def shown(self) -> str:
        """Its name with an ending that no person's name can have: it holds brackets."""
        return f"{self.name}[bot]"


def token_hash(token: str) -> str:
    """What is kept of a token. It is random, with 192 bits, so that one fast hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


class HookStore(Protocol):
    """Hooks. They are made and removed by a program of the operator's."""

    def find(self, token: str, asker: str = "") -> Awaitable[Hook | None]:
        """Whose token it is."""
