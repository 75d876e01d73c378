"""A person who is in the chat, and the connections they have."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from chatservice.core.cursor import Cursor
from chatservice.core.events import Account, CloseReason
from chatservice.core.peer import Peer
from chatservice.core.registry import room_order

if TYPE_CHECKING:
    from chatservice.core.ignoring import IgnoreList


class UserSession(Protocol):
    """What the chat needs of one connection of a user."""

    cursor: Cursor
    peer: Peer

    @property
    def is_program(self) -> bool:
        """Whether it keeps its read position itself."""

    def close(self, reason: CloseReason) -> None:
        """Say goodbye, and take this connection out of the chat."""

    def supersede(self) -> None:
        """Another connection takes the place of this one: say goodbye, and leave the user alone."""


_NONE: frozenset[Any] = frozenset()  # one object for all people: an empty set takes 216 bytes
# Writers who have been told of one absence: more are told again.
MAX_TOLD = 1000


class Absence:
    """Somebody does not answer for now; what they say of it, which may be nothing."""

    __slots__ = ("_told", "text")

    def __init__(self, text: str = "") -> None:
        self.text = text
        self._told: set[int] = set()

    def is_news_to(self, writer: "User") -> bool:
        """Whether `writer` is to be told of it, as everyone who writes to them is once."""
        if writer.id in self._told:
            return False
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told.add(writer.id)
        return True


class User:
    """Somebody who is here, with one or more connections (`sessions`).

    `id` is theirs for as long as they are here. `since` is when they came, in seconds since 1970.
    `elsewhere`: the numbers of the other servers where they have connections.
    `named_from`: the id since which they have had their name.
    `held`: the keys of bans and mutes that were imposed on them while they were here.
    `account` is what they have proven to be theirs. `rooms` maps the rooms they are in to the id
    since which they hear them. `mark`: everything below it was heard by a text connection of theirs
    that is gone; 0: there was none. `correspondent` is whom a reply goes to, whether here or away.
    `farewell` is what they say when they leave. `away`: they do not answer for now.
    """

    __slots__ = (
        "account",
        "away",
        "correspondent",
        "elsewhere",
        "farewell",
        "held",
        "id",
        "ignored_by",
        "ignores",
        "mark",
        "name",
        "named_from",
        "present",
        "rooms",
        "sessions",
        "since",
    )

    def __init__(
        self, id_: int, name: str, since: float = 0.0, account: Account | None = None
    ) -> None:
        self.id = id_
        self.since = since
        self.account = account
        self.sessions: tuple[UserSession, ...] = ()
        self.rooms: dict[str, int] = {}
        self.correspondent: User | Account | None = None
        self.mark = 0
        self.elsewhere: frozenset[int] = _NONE
        self.present = True
        self.farewell = ""
        self.away: Absence | None = None
        self.held: frozenset[int] = _NONE
        self.ignores: IgnoreList | None = None
        self.ignored_by: frozenset[IgnoreList] = _NONE
        self.name = name
        self.named_from = 0

    @property
    def is_registered(self) -> bool:
        """Whether they go by the name of their account."""
        return self.account is not None and self.account.is_called(self.name)

    @property
    def identity(self) -> Account | int:
        """What stays theirs: the account; of a guest, as long as they are here, the id."""
        return self.id if self.account is None else self.account

    @property
    def cursors(self) -> list[Cursor]:
        """Those of all their connections."""
        return [session.cursor for session in self.sessions]

    @property
    def backlogged(self) -> bool:
        """Whether none of their connections takes what is addressed to them."""
        return all(cursor.backlogged for cursor in self.cursors)

    @property
    def sorted_rooms(self) -> tuple[str, ...]:
        """The rooms they are in, the lobby first."""
        return tuple(sorted(self.rooms, key=room_order))

    @property
    def corresponding_account(self) -> Account | None:
        """The account of whom a reply goes to."""
        whom = self.correspondent
        return whom.account if isinstance(whom, User) else whom


class Departing(NamedTuple):
    """Somebody who has left, for a connection of theirs that still takes what is due to it."""

    rooms: Mapping[str, int]
    ignores: "IgnoreList | None" = None
