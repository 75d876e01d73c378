"""The rules of the chat: who is here, under which name, and who hears what."""

import secrets
import time
from bisect import bisect_left, insort
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from chatservice.core import names
from chatservice.core.cursor import Cursor
from chatservice.core.events import (
    LOBBY,
    Account,
    Announced,
    Burst,
    CloseReason,
    Emoted,
    ErrorCode,
    Recalled,
    Refusal,
    Renamed,
    Sent,
    Told,
)
from chatservice.core.log import Clock, Messages, Now
from chatservice.core.peer import Peer
from chatservice.core.requests import History, Search
from chatservice.core.room import Room
from chatservice.core.sanitize import sanitize
from chatservice.core.stores import Archive, ReadPosition


def new_secret() -> str:
    """A random text that nobody can guess: 128 bits."""
    return secrets.token_urlsafe(16)


class UserSession(Protocol):
    """What the chat needs of a user's session."""

    cursor: Cursor
    peer: Peer

    def close(self, why: CloseReason) -> None:
        """Say goodbye, and take the user out of the chat."""

    def supersede(self) -> None:
        """The user has come in again from elsewhere: say goodbye, and leave the user alone."""


class User:
    """Somebody who is here. `correspondent` is whom a reply goes to, be they here or away; `token`,
    unless empty, is what they may prove with that they are the same person; `account` is what they
    have proven to be theirs; `since` is when they came, in seconds since 1970."""

    __slots__ = (
        "account",
        "connection",
        "correspondent",
        "keys",
        "name",
        "present",
        "since",
        "token",
    )

    def __init__(self, name: str, connection: UserSession, since: float = 0.0) -> None:
        self.name = name
        self.since = since
        self.keys = names.keys(name)
        self.connection = connection
        self.token = ""
        self.account: Account | None = None
        self.correspondent: User | Account | None = None
        self.present = True

    @property
    def cursor(self) -> Cursor:
        return self.connection.cursor

    @property
    def corresponding_account(self) -> Account | None:
        """That of whom a reply goes to."""
        whom = self.correspondent
        return whom.account if isinstance(whom, User) else whom


class Chat:
    """The shared user map and the room.

    `users` maps the name of everyone who is here, as it is shown, to them. Everything that is
    asked of the chat and declined raises `Refusal`. `archive` has the past; `now` is the time of
    day; `secret` makes what nobody can guess.
    """

    def __init__(
        self,
        clock: Clock,
        archive: Archive,
        *,
        echo: bool = False,
        now: Now = time.time,
        secret: Callable[[], str] = new_secret,
    ) -> None:
        self.users: dict[str, User] = {}
        self.archive = archive
        self.lobby = Room(LOBBY, clock, self.archive.commit, now)
        self.archive.attach(self.lobby.log)
        self._now = now
        self._secret = secret
        self._private_messages = 0
        self.echo = echo
        self._by_key: dict[str, set[User]] = {}  # see `_are_registered`
        self._by_token: dict[str, User] = {}
        self._sorted: list[str] = []  # by their case-folded form, which no two share
        self._online: tuple[str, ...] | None = None

    def holder(self, token: str) -> User | None:
        """Who is here and was given that token."""
        return self._by_token.get(token)

    def owner(self, account: Account) -> User | None:
        """Who is here and has proven to own it, under whatever name."""
        return next((user for user in self.users.values() if user.account == account), None)

    def unread(self, token: str, account: Account | None) -> ReadPosition | None:
        """Where the connection stopped that a `join` with these takes the place of, if it has not
        heard everything."""
        user = self._by_token.get(token)
        if user is None and account is not None:
            user = next((u for u in self._namesakes(account) if u.account == account), None)
        log = self.lobby.log
        if user is None or (position := user.cursor.read_to) >= log.next_id:
            return None
        return ReadPosition(position, log.messages_before(position))

    def join(
        self, name: str, connection: UserSession, token: str = "", account: Account | None = None
    ) -> User:
        """Somebody comes in as `name`; from then on their cursor hears the lobby.

        With the `token` of somebody who is here they are that user, whatever their name is by now,
        and the other connection ends. Who has proven to be the owner of `account` comes in under
        that name, in the place of another connection that has; guests have to give it up.
        """
        user = self._by_token.get(token)
        if user is None and account is not None:
            name = account.name
            user = self._claimed(account)
            if user is not None:
                self.forget_token(user)
        if user is not None:
            predecessor, user.connection = user.connection, connection
            self.lobby.take_over(connection.cursor, user.name, predecessor.cursor)
            predecessor.supersede()
            return user
        user = User(self._free(name, None, account), connection, self._now())
        user.account = account
        self.lobby.enter(connection.cursor, user.name)
        self.archive.arrive(user.name)
        self._map(user)  # last: whose session has no user can never be taken out again
        return user

    def token(self, user: User) -> str:
        """What `user` may prove with, from another connection, that they are the same person."""
        if not user.token:
            user.token = self._secret()
            self._by_token[user.token] = user
        return user.token

    def forget_token(self, user: User) -> None:
        """It proves nothing any longer: they have a password, or another one."""
        self._by_token.pop(user.token, None)
        user.token = ""

    def end_account(
        self, account: Account, why: CloseReason, *, spare: UserSession | None = None
    ) -> None:
        """What has been proven of `account` proves nothing any longer: its tokens, and the
        connections of its owner, but `spare`, end."""
        for user in [user for user in self.users.values() if user.account == account]:
            self.forget_token(user)
            if user.connection is not spare:
                user.connection.close(why)

    def claim(self, user: User, account: Account) -> None:
        """`user` has proven to own `account`: whoever has its name gives it up, another connection
        of theirs, too."""
        owner = self._claimed(account)
        if owner is not None and owner is not user:
            owner.connection.close(CloseReason.TAKEN_OVER)
        self.forget_token(user)
        user.account = account

    def leave(self, user: User, *, lost: bool) -> None:
        """`user` is gone; `lost`: without a goodbye. The name is free."""
        user.present = False
        user.correspondent = None
        self._by_token.pop(user.token, None)
        self._unmap(user)
        position = user.cursor.read_to
        self.archive.depart(user.name, position)
        account = user.account
        if account is not None and account.name != user.name and account.name not in self.users:
            self.archive.depart(account.name, position)
        self.lobby.leave(user.cursor, user.name, lost=lost)

    def online(self) -> tuple[str, ...]:
        """Everyone's name, sorted."""
        if self._online is None:
            self._online = tuple(self._sorted)
        return self._online

    def room(self, name: str) -> Room:
        """The room of that name."""
        if name != LOBBY:
            raise Refusal(ErrorCode.UNKNOWN_ROOM, room=name)
        return self.lobby

    def say(self, user: User, texts: tuple[str, ...], room: str = LOBBY) -> Burst:
        """`user` says one or more messages to everyone."""
        return self.room(room).say(user.cursor, user.name, texts, echo=self.echo)

    def emote(self, user: User, text: str, room: str = LOBBY) -> Emoted:
        """`user` does `text`."""
        return self.room(room).emote(user.cursor, user.name, text)

    def set_typing(self, user: User, on: bool, room: str = LOBBY) -> None:
        """`user` is writing something, or no longer."""
        self.room(room).typing.set(user.cursor, user.name, on)

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now()

    # What is looked up is looked up for `asker`, a network (see `stores`).

    def seen(self, name: str, asker: str = "") -> Awaitable[ReadPosition | None]:
        """Where `name`, who is about to come in, had stopped reading."""
        return self.archive.seen(names.well_formed(name), asker)

    def recall(self, asked: History, asker: str = "") -> Awaitable[Recalled]:
        """What has happened."""
        before = self._newest(asked.before, asked.room)
        return self.archive.recall(before, asked.after, asked.limit, asker)

    def find(self, asked: Search, asker: str = "") -> Awaitable[Messages]:
        """The messages that have those words."""
        before = self._newest(asked.before, asked.room)
        return self.archive.find(asked.words, before, asked.limit, asker)

    def recent(self, asked: History, asker: str = "") -> Awaitable[Messages]:
        """The newest messages."""
        return self.archive.recent(self._newest(asked.before, asked.room), asked.limit, asker)

    def _newest(self, before: int | None, room: str) -> int:
        log = self.room(room).log
        return log.next_id if before is None else min(before, log.next_id)

    def send_private(self, user: User, recipient: str, text: str) -> Sent:
        """`user` says `text` to `recipient` alone."""
        return self._send_private(user, self._named(recipient), text)

    def reply(self, user: User, text: str) -> Sent:
        """`user` says `text` to whoever last wrote to them, or they last wrote to."""
        correspondent = user.correspondent
        if correspondent is None:
            raise Refusal(ErrorCode.NO_CORRESPONDENT)
        if isinstance(correspondent, User) and correspondent.present:
            return self._send_private(user, correspondent, text)
        account = user.corresponding_account
        here = self.owner(account) if account is not None else None
        if here is None:
            raise Refusal(ErrorCode.GONE, name=correspondent.name)
        return self._send_private(user, here, text)

    def rename(self, user: User, name: str) -> Renamed:
        """`user` is called `name` from now on. The same name again is no event: nobody hears what
        is returned then."""
        old, new = user.name, self._free(name, user, user.account)
        if old == new:
            last_id = self.lobby.log.next_id - 1
            return Renamed(last_id, self._now(), self.lobby.name, old, new)
        self._unmap(user)
        self.archive.depart(old, user.cursor.read_to)
        self.archive.arrive(new)
        user.name, user.keys = new, names.keys(new)
        self._map(user)
        return self.lobby.rename(user.cursor, old, new)

    def announce(self, lines: Iterable[str]) -> None:
        """The operator says `lines` to everyone."""
        self.lobby.announce(Announced(tuple(map(sanitize, lines))))

    def kick(self, user: User, reason: str = "") -> None:
        """The operator ends the connection of `user`, who is told the `reason` if there is one.
        The others hear of an ordinary departure. Who has left by now is not kicked."""
        if not user.present:
            return
        if reason:
            user.cursor.send(Announced((sanitize(reason),)))
        user.connection.close(CloseReason.KICKED)

    def _claimed(self, account: Account) -> User | None:
        """Its owner, if they are here under its name or one like it. Others who are have come in
        before it was registered, and go, unless theirs is registered as well."""
        owner = None
        for user in self._namesakes(account):
            if user.account == account:
                owner = user
            elif not _are_registered(account, account.name, user):
                user.connection.close(CloseReason.CLAIMED)
        return owner

    def _namesakes(self, account: Account) -> set[User]:
        return self._alike(names.keys(account.name))

    def _alike(self, keys: Iterable[str]) -> set[User]:
        """Everyone here whose name has one of `keys`."""
        return {user for key in keys for user in self._by_key.get(key, ())}

    def _free(self, name: str, asker: User | None, account: Account | None) -> str:
        """`name`, checked, if `asker`, who owns `account`, may have it. Raises `Refusal`. (An
        operator may have registered a reserved name.)"""
        name = names.well_formed(name)
        if names.is_reserved(name) and (account is None or not account.is_called(name)):
            raise Refusal(ErrorCode.NAME_RESERVED, name=name)
        for other in self._alike(names.keys(name)) - {asker}:
            if not _are_registered(account, name, other):
                raise Refusal(ErrorCode.NAME_TAKEN, name=name)
        return name

    def _named(self, name: str) -> User:
        try:
            name = names.well_formed(name)
        except Refusal:
            raise Refusal(ErrorCode.NOBODY, name=name) from None
        if (user := self.users.get(name)) is not None:
            return user
        alike = self._alike(names.keys(name))
        if not alike:
            raise Refusal(ErrorCode.NOBODY, name=name)
        folded = name.casefold()
        return min(alike, key=lambda user: (user.name.casefold() != folded, user.since, user.name))

    def _send_private(self, sender: User, recipient: User, text: str) -> Sent:
        if recipient.cursor.backlogged:
            raise Refusal(ErrorCode.NOT_READING, name=recipient.name)
        self.lobby.introduce(sender.name)
        sender.correspondent = recipient
        recipient.correspondent = sender
        self._private_messages += 1
        told = Told(self._private_messages, self._now(), sender.name, recipient.name, text)
        recipient.cursor.send(told)
        return Sent(told.id, told.at, recipient.name, text)

    def _map(self, user: User) -> None:
        self.users[user.name] = user
        for key in user.keys:
            self._by_key.setdefault(key, set()).add(user)
        insort(self._sorted, user.name, key=str.casefold)
        self._online = None

    def _unmap(self, user: User) -> None:
        del self.users[user.name]
        for key in user.keys:
            self._by_key[key].remove(user)
            if not self._by_key[key]:
                del self._by_key[key]
        del self._sorted[bisect_left(self._sorted, user.name.casefold(), key=str.casefold)]
        self._online = None


def _are_registered(account: Account | None, name: str, other: User) -> bool:
    """Whether `name` is the name of `account`, and `other` has that of another account. These were
    registered before they counted as alike, so their owners are here side by side."""
    return (
        account is not None
        and account.is_called(name)
        and other.account is not None
        and other.account.is_called(other.name)
        and not other.account.is_called(name)
    )
