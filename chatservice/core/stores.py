"""What the chat asks of a store: protocols, which the modules of `storage` implement."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from chatservice.core.events import Account, Recalled, Saving, Told
from chatservice.core.log import Batch, Log, Messages

# What strangers can make grow: some 30 MB of names and hashes.
MAX_ACCOUNTS = 100_000
# Offline messages for one person: as many as somebody reads.
MAX_OFFLINE_MESSAGES = 100
# People whose place is remembered, those longest away forgotten first: some 2 MB.
MAX_READ_POSITIONS = 20_000


class ReadPosition(NamedTuple):
    """Where somebody has stopped reading: they have heard all below the id `position`."""

    position: int
    messages: int  # that there had ever been until then


class MissedCount(NamedTuple):
    """What was said while somebody was away: how many messages there are, and how many of them are
    gone."""

    kept: int
    gone: int


class Archive(Protocol):
    """What there is of the past. What takes time is awaited; it may raise `Refusal`."""

    trouble: Saving | None  # why what is said is not being saved, if it is not

    def commit(self, batch: Batch, committed: Callable[[Batch], None], /) -> None:
        """A `log.Commit`."""

    @property
    def first_id(self) -> int:
        """Nothing older is kept."""

    def attach(self, log: Log) -> None:
        """`log` has the newest part, and goes on where the archive ends."""

    def recall(self, before: int, after: int | None, limit: int) -> Awaitable[Recalled]:
        """What happened between two ids, as `recalled` has it."""

    def recent(self, before: int, limit: int) -> Awaitable[Messages]:
        """The newest messages before that id, the oldest of them first."""

    def find(self, words: str, before: int, limit: int) -> Awaitable[Messages]:
        """The newest messages before that id that have these words."""

    def seen(self, name: str) -> Awaitable[ReadPosition | None]:
        """Where `name`, who is not here, had stopped reading."""

    def arrive(self, name: str) -> None:
        """`name` is here, and hears everything from now on."""

    def depart(self, name: str, position: int) -> None:
        """`name` has stopped reading there."""

    def away(self, since: ReadPosition, before: int) -> Awaitable[MissedCount]:
        """What was said since then, before that id."""


class Credentials(NamedTuple):
    """An account, and the hash of its password."""

    account: Account
    hash: str


class OfflineMessage(NamedTuple):
    """A private message that is kept until its recipient returns. `sender`: the account of its
    author, if their name was registered when they wrote it."""

    told: Told
    sender: Account | None


class AccountStore(Protocol):
    """Accounts and their offline messages. All of it may raise `Refusal` (NOT_SAVED)."""

    def find(self, name: str) -> Awaitable[Credentials | None]:
        """The account that protects `name`, a checked name: its own may be another one like it."""

    def owners(self, name: str) -> Awaitable[frozenset[Account]]:
        """All accounts that protect `name`, a checked name; they need not be like each other."""

    def add(self, account: Account, hashed: str) -> Awaitable[None]:
        """Raises `Refusal`: NAME_REGISTERED, TOO_MANY_ACCOUNTS."""

    def change(self, account: Account, hashed: str) -> Awaitable[None]:
        """Set another password. Raises `Refusal` (NOT_REGISTERED)."""

    def remove(self, account: Account) -> Awaitable[None]:
        """With its offline messages. Raises `Refusal` (NOT_REGISTERED)."""

    def post(self, owner: Account, message: Told) -> Awaitable[int]:
        """Keep `message` for `owner`. Returns its number. Raises `Refusal`: NOT_REGISTERED,
        LETTERBOX_FULL."""

    def offline_messages(self, owner: Account) -> Awaitable[tuple[OfflineMessage, ...]]:
        """What is kept for `owner`, oldest first."""

    def discard(self, messages: tuple[Told, ...]) -> Awaitable[None]:
        """Delete them. Their numbers may be used again."""
