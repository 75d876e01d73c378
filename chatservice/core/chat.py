"""The chat: who is here under which name, which rooms there are, and who hears what."""

import secrets
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from heapq import nsmallest
from types import MappingProxyType
from typing import NamedTuple

from chatservice.core import names
from chatservice.core import sanctions as suspects
from chatservice.core.cursor import Cursor
from chatservice.core.deleting import Deletions
from chatservice.core.delivery import Delivery
from chatservice.core.directory import Directory
from chatservice.core.drafts import (
    Arrival,
    Barred,
    Draft,
    Enroll,
    EnterBeside,
    Join,
    Outcome,
    Part,
    Post,
    Rename,
    SetAway,
    Speak,
    Then,
    later,
)
from chatservice.core.elsewhere import Answered, Elsewhere
from chatservice.core.events import (
    ALL_ROOMS,
    LOBBY,
    Account,
    Announced,
    AwayChanged,
    CloseReason,
    Deleted,
    ErrorCode,
    Happening,
    Online,
    Person,
    PersonalEvent,
    Recalled,
    Refusal,
    RoomInfo,
    RoomList,
    SanctionKind,
    Saving,
    Sent,
    Style,
    Told,
    Typing,
)
from chatservice.core.gathering import Gathering
from chatservice.core.ignoring import Change, IgnoreLists, Ignoring, is_ignored
from chatservice.core.limits import RateLimiter
from chatservice.core.log import Batch, Clock, Dialect, Log, Messages, Now, Reach
from chatservice.core.moderation import Moderation
from chatservice.core.registry import RoomRecord, room_order, shown_room
from chatservice.core.requests import History, Search
from chatservice.core.room import Room
from chatservice.core.sanctions import Sanction
from chatservice.core.sanitize import sanitize
from chatservice.core.stores import Archive, Credentials, ReadPosition, TokenHolder, token_hash
from chatservice.core.users import Absence, Departing, User, UserSession

# Messages in one entry: a read of 32 KiB can hold 16,384 short ones, each of which is sent with the
# name before it.
MAX_BURST = 500
MAX_AWAY = 200  # characters of what somebody says of their absence
# How long the owner of a name waits for another server to take out who has it, in seconds: longer
# than it takes to notice that a server is dead; and between looks.
YIELD_SECONDS = 4.0
YIELD_LOOKS = 0.2
# Pages of the past that may hold nothing but what somebody does not hear, before they are told that
# there is nothing more: some thousand messages.
MAX_IGNORED_PAGES = 20
# New rooms from one address: so many at once, and another one after so many seconds. A class of
# students is at one address.
ROOMS_AT_ONCE, ROOM_SECONDS = 30, 60.0


def new_secret() -> str:
    """A random text that nobody can guess: 128 bits."""
    return secrets.token_urlsafe(16)


_LOBBY_ONLY: Mapping[str, int] = MappingProxyType({LOBBY: 0})
Entered = Callable[["User | Refusal"], None]


class _Arriving(NamedTuple):
    """A connection with which the owner of an account comes in, and is not here yet; and others
    that wait for that, each with what lets it in."""

    session: UserSession
    waiting: list[tuple[UserSession, Callable[[], None]]]


class Chat:
    """The shared user map, the rooms and the log.

    What is asked of the chat and declined raises `Refusal`, or gives it to the `then` of what was
    submitted. `archive` has the past; `secret` makes what nobody can guess; `now` is the time of
    day. With `one_connection`, a person has one, and a new one ends it.
    """

    def __init__(
        self,
        clock: Clock,
        archive: Archive,
        *,
        echo: bool = False,
        one_connection: bool = False,
        secret: Callable[[], str] = new_secret,
        now: Now = time.time,
    ) -> None:
        self.directory = Directory(clock, self._tell_typing)
        self.archive = archive
        self.elsewhere = Elsewhere(self, secret)
        self.moderation = Moderation(
            self.directory, archive, self.elsewhere, submit=self._submit, now=now
        )
        self._owners: dict[Account, User] = {}
        self.ignoring = IgnoreLists(self.directory.alike, self._owners.get)
        delivery = Delivery(
            self.directory,
            arrived=self._arrived,
            renamed=self._renamed,
            departed=self._departed,
            stays=self._stays,
            measured=self.moderation.apply,
            erased=self._erased,
            known_as=self.ignoring.find,
        )
        self._delivery = delivery
        self.log = Log(clock, archive, self._apply, delivery.fan_out)
        self.deletions = Deletions(self.log, archive, self.moderation, now)
        # Each is called with every batch that has come true, before anybody hears it.
        self.watchers: list[Callable[[Batch], None]] = []
        # Each is called with somebody who is away from now on, or back; and where they said so.
        self.away_watchers: list[Callable[[User, UserSession | None], None]] = []
        # What the owner of an account has proven on this server.
        self.proven: Callable[[Account | None], Credentials | None] = lambda account: None
        self.now = now
        self.echo = echo
        self.one_connection = one_connection
        self._clock = clock
        self._secret = secret
        self._gathering = Gathering(clock, now, self.log.submit)
        self._foundings = RateLimiter(ROOMS_AT_ONCE, ROOM_SECONDS, clock.seconds)
        self._founded: set[str] = set()  # rooms that are being made
        self._ids = 0
        self._private_messages = 0
        self._arriving: dict[Account, _Arriving] = {}
        # What notes where people have stopped reading, should they be on no other server either.
        self._stopped: dict[User, Callable[[], None]] = {}
        self._by_token: dict[str, tuple[User, UserSession]] = {}
        self._tokens: dict[UserSession, str] = {}
        if archive.whispers is not None:
            archive.whispers.heard = self._hear_typing
        archive.attach(self.log)

    @property
    def users(self) -> dict[str, User]:
        """Everyone who is here, by the name that is shown."""
        return self.directory.users

    def restore(
        self,
        rooms: Iterable[RoomRecord],
        people: Iterable[User] = (),
        operators: Iterable[Account] = (),
        sanctions: Iterable[Sanction] = (),
        ignored: Iterable[tuple[Account, Ignoring]] = (),
    ) -> None:
        """The rooms that the archive has kept, who is on other servers, the operators of the
        server, bans and mutes, and who is ignored."""
        self.ignoring.restore(ignored)
        for record in rooms:
            self.directory.add_room(record)
        for user in people:
            self.directory.add(user)
            user.named_from = self.log.end  # or before; nobody knows
            self._note_owner(user)
            self.ignoring.arrived(user)
            for name in user.rooms:
                self.directory.rooms[name].members[user] = None
        self.moderation.restore(operators, sanctions)

    def begin_anew(self) -> None:
        """Nobody is here; the archive is about to begin anew."""
        self.directory.clear()
        self.ignoring.clear()
        self._gathering.clear()
        for each in (self._owners, self._arriving, self._stopped, self._by_token, self._tokens):
            each.clear()

    # Coming and going.

    def holder(self, token: str) -> tuple[User, UserSession] | None:
        """Who was given this token at which connection, if that is on this server."""
        return self._by_token.get(token_hash(token)) if token else None

    async def holder_anywhere(self, token: str, asker: str = "") -> TokenHolder | None:
        """Who was given this token on any server of several, and is here."""
        tokens = self.archive.tokens
        return await tokens.holder(token_hash(token), asker) if token and tokens else None

    def owner(self, account: Account) -> User | None:
        """Whoever is here and has proven to own it, under whatever name."""
        return self._owners.get(account)

    def enter(
        self,
        session: UserSession,
        name: str,
        then: Entered,
        *,
        token: str = "",
        beside: bool = False,
        account: Account | None = None,
        keep_name: bool = False,
        rooms: Mapping[str, int] = _LOBBY_ONLY,
        holder: User | None = None,
    ) -> None:
        """Somebody comes in at `session` as `name`, into these `rooms`, where they have been since
        an id (0: they have not been there before); `then` is called with who
        they are. From then on their cursor hears what happens there.

        With the `token` of somebody who is here they are that user, whatever their name is by now,
        and the connection that had it ends, unless this one stands `beside` it; `holder`: who that
        is, if they were given it on another server. The owner of
        `account` comes in under its name (with `keep_name`, under `name`), beside connections of
        theirs that are here; guests who have the name have to give it up.
        """
        if (found := self.holder(token)) is not None:
            user, predecessor = found
            self._attach(user, session, None if beside else predecessor)
            then(user)
            return
        if holder is not None:
            self._take_over(session, holder, "" if beside else token, then)
            return
        if account is None:
            self._arrive(session, _allowed(name, None), None, rooms, then)
            return

        def enter_again() -> None:
            self.enter(session, name, then, account=account, keep_name=keep_name, rooms=rooms)

        self._expel_namesakes(account)
        if (arriving := self._arriving.get(account)) is not None:
            arriving.waiting.append((session, enter_again))
            return
        owner = self._owners.get(account)
        if owner is not None and owner.sessions:
            self._attach(owner, session, None)
            then(owner)
            return
        called = "" if owner is not None else _allowed(name if keep_name else account.name, account)
        self._arriving[account] = _Arriving(session, [])

        def entered(who: User | Refusal) -> None:
            waiting = self._arriving.pop(account).waiting
            if isinstance(who, Refusal) and (
                who.code is ErrorCode.GONE or (account in self._owners and owner is None)
            ):  # they have left meanwhile, or come in on another server
                enter_again()
            else:
                then(who)
            for _, enter in waiting:
                enter()

        if owner is not None:
            self._enter_beside(session, owner, entered)
        else:
            self._arrive(session, called, account, rooms, entered)

    def _arrive(
        self,
        session: UserSession,
        name: str,
        account: Account | None,
        rooms: Mapping[str, int],
        then: Entered,
    ) -> None:
        """Somebody comes in who is nowhere so far."""
        self._ids += 1
        user = User(self._ids, name, self.now(), account)
        user.sessions = (session,)
        there = tuple(sorted(self.directory.rooms.keys() & rooms.keys(), key=room_order))
        since = {room: rooms[room] for room in there if rooms[room]}

        def gather(rooms: tuple[str, ...]) -> None:
            network = session.peer.network
            self._gathering.arrive(
                Arrival(user, session.cursor, user.name, rooms, since, arrived, network)
            )

        deadline = self._clock.seconds() + YIELD_SECONDS

        def arrived(outcome: Outcome) -> None:
            if isinstance(outcome, Barred):
                gather(tuple(room for room in there if room not in outcome.rooms))
            elif not isinstance(outcome, Refusal):
                then(user)
            elif (
                account is not None
                and account not in self._owners
                and self._clock.seconds() < deadline
                and any(other.elsewhere for other in self.directory.namesakes(account))
            ):  # who has to give up the name is on another server
                self._clock.callLater(YIELD_LOOKS, lambda: gather(there))
            else:
                then(outcome)

        gather(there)

    def _take_over(self, session: UserSession, user: User, token: str, then: Entered) -> None:
        """`user` comes in, in place of the connection with that `token`, if there is one."""

        def entered(who: User | Refusal) -> None:
            if isinstance(who, User) and token:
                self._give_token(token, who, session)
                self.elsewhere.supersede(who, token_hash(token))
            then(who)

        if user.sessions:
            self._attach(user, session, None)
            entered(user)
        else:
            self._enter_beside(session, user, entered)

    def supersede(self, token: str) -> None:
        """A connection of another server has taken the place of that with this token (hashed)."""
        if (found := self._by_token.get(token)) is None:
            return
        user, session = found
        del self._tokens[session], self._by_token[token]  # it is the other server's now
        self._end_connection(user, session)
        if not user.sessions:
            self._depart(user, lost=False)

    def _enter_beside(self, session: UserSession, user: User, then: Entered) -> None:
        """`user`, who is on other servers, comes in on this one, too; or is here no longer."""

        def entered(outcome: Outcome) -> None:
            if isinstance(outcome, Refusal):
                then(outcome)
                return
            self._stopped.pop(user, None)
            self.archive.arrive(user.name)
            self._attach(user, session, None)
            if self.one_connection:
                self.elsewhere.close(user, CloseReason.TAKEN_OVER)
            then(user)

        self._gathering.flush()  # they may have left this server just now
        self._submit(session, EnterBeside(self.now(), session.cursor, user, entered))

    def token(self, user: User, session: UserSession) -> str:
        """What proves, from another connection, that somebody is `user`."""
        token = self._tokens.get(session)
        if token is None:
            token = self._secret()
            self._give_token(token, user, session)
        return token

    def token_of(self, session: UserSession) -> str:
        """The token that was given at `session`; empty: there is none."""
        return self._tokens.get(session, "")

    def restore_token(self, token: str, user: User, session: UserSession) -> None:
        """`user` has come in at `session` with a `token` of before: it goes on to be theirs."""
        if self.holder(token) is None:
            self._give_token(token, user, session)

    def _give_token(self, token: str, user: User, session: UserSession) -> None:
        self._tokens[session] = token
        self._by_token[token_hash(token)] = user, session
        if self.archive.tokens is not None:
            self.archive.tokens.keep(token_hash(token), user, self.proven(user.account))

    def set_account(self, user: User, account: Account | None) -> None:
        """`user` owns `account` from now on, or none any longer: they stay in their rooms, and what
        they founded stays theirs."""
        before = user.identity
        if user.account is not None and self._owners.get(user.account) is user:
            del self._owners[user.account]
        user.account = account
        if account is not None and user.present:
            self._owners[account] = user
        founded = self._keep_founded(user, before)
        for change in self.ignoring.has_account(user):
            self.archive.change_ignored(change)

        def enrolled(outcome: Outcome) -> None:
            if account is not None:
                followed = self.moderation.follow(user, account)
                records = [room.record for room in founded]
                self.archive.enroll(account, user.rooms, records, followed)
                self._expel(user)

        self.log.submit(Enroll(self.now(), user, enrolled))

    def _expel(self, user: User) -> None:
        """`user` is no longer where a ban of their account, which was not known before, holds."""
        for name in (ALL_ROOMS, *user.rooms):
            if self.moderation.holding(SanctionKind.BAN, user, name) is None:
                continue
            if name in (ALL_ROOMS, LOBBY):
                self.close(user, CloseReason.KICKED)
                return
            cursor = user.sessions[0].cursor if user.sessions else None
            self.log.submit(Part(self.now(), cursor, user, name))

    def end_account(self, account: Account, why: CloseReason) -> None:
        """What has been proven of `account` proves nothing any longer."""
        if (arriving := self._arriving.get(account)) is not None:
            for session in (arriving.session, *(each for each, _ in arriving.waiting)):
                session.close(why)
        if (owner := self._owners.get(account)) is not None:
            self.end_proofs(owner, why)

    def end_proofs(self, user: User, why: CloseReason, *, spare: UserSession | None = None) -> None:
        """What `user` has proven proves nothing any longer: their tokens, and their connections,
        but `spare`, end. Without one, other servers are told by whoever has changed that."""
        self.forget_tokens(user)
        if spare is not None and user.elsewhere:
            self.elsewhere.close(user, why)
        for session in user.sessions:
            if session is not spare:
                session.close(why)

    def claim(self, user: User, account: Account) -> None:
        """`user` has proven to own `account`: whoever has its name gives it up; so does an owner
        who is here otherwise. Raises BANNED if the owner must not be where `user` is."""
        self.moderation.expect_welcome(account, user.rooms)
        self._expel_namesakes(account, user)
        if (owner := self._owners.get(account)) is not None and owner is not user:
            self.close(owner, CloseReason.TAKEN_OVER)
        self.forget_tokens(user)
        self.set_account(user, account)

    def _expel_namesakes(self, account: Account, spare: User | None = None) -> None:
        """Guests who have the name of `account` have to give it up."""
        for user in self.directory.namesakes(account):
            if user is not spare and user.account != account:
                self.close(user, CloseReason.CLAIMED)

    def forget_tokens(self, user: User) -> None:
        """They prove nothing any longer: `user` has a password, or another one."""
        if self.archive.tokens is not None:
            self.archive.tokens.forget_all(user)
        for session in user.sessions:
            self._forget_token(session)

    def leave(self, user: User, session: UserSession, *, lost: bool) -> None:
        """One connection of `user` is gone; `lost`: without a goodbye. With the last one `user`
        has left the chat."""
        if session not in user.sessions:
            return
        self._forget_token(session)
        self._keep_position(user, session)
        user.sessions = tuple(other for other in user.sessions if other is not session)
        if not user.sessions:  # first: somebody without a connection can never be taken out again
            self._depart(user, lost=lost)
        for room in user.rooms:
            self.directory.rooms[room].typing.forget(session.cursor)
        self._hear_to_the_end(user, session.cursor)

    def _depart(self, user: User, *, lost: bool) -> None:
        if not user.elsewhere:
            if self.users.get(user.name) is user:
                self.directory.remove(user)
            self._end_presence(user)
        self._gathering.depart(user, user.sorted_rooms, lost=lost)

    def _end_presence(self, user: User) -> None:
        user.present = False
        self.ignoring.departed(user)
        user.correspondent = None
        self._stopped.pop(user, None)
        if user.account is not None and self._owners.get(user.account) is user:
            del self._owners[user.account]

    def is_elsewhere(self, user: User, nodes: frozenset[int]) -> None:
        """`user` has connections on these other servers; those here may be gone, or about to be."""
        user.elsewhere = nodes
        self.elsewhere.has_changed(user)
        if nodes and not user.present:  # they have left here, and are about to hear that they stay
            user.present = True
            self.directory.add(user)
            self._note_owner(user)
            self.ignoring.arrived(user)

    def _note_owner(self, user: User) -> None:
        if user.account is not None:
            self._owners[user.account] = user

    def enrolled(self, user: User, before: Account | int) -> None:
        """`user` owns another account now, or none, as another server has told; who they had been
        before."""
        if isinstance(before, Account) and self._owners.get(before) is user:
            del self._owners[before]
        self._note_owner(user)
        self.forget_tokens(user)
        self._keep_founded(user, before)
        self.ignoring.has_account(user)
        if user.account is not None:
            self.moderation.follow(user, user.account)

    def _keep_founded(self, user: User, before: Account | int) -> list[Room]:
        """What `user` founded as whom they were `before` stays theirs: these rooms."""
        founded = [room for room in self.directory.rooms.values() if room.founder == before]
        for room in founded:
            room.founder = user.identity
        return founded

    def _hear_to_the_end(self, user: User, cursor: Cursor) -> None:
        """What is pending comes before the last word; otherwise `cursor` hears nothing more."""
        departing = Departing(dict(user.rooms), user.ignores)
        pending = later(self.log.newest, cursor.submitted)
        cursor.user = departing
        if cursor.closing and pending is not None and not pending.heard:
            pending.when_heard(lambda: self.directory.hear_no_more(departing, cursor))
        else:
            self.directory.hear_no_more(departing, cursor)

    def close(self, user: User, reason: CloseReason) -> None:
        """End all connections of `user`."""
        if user.elsewhere:
            self.elsewhere.close(user, reason)
        self.close_here(user, reason)

    def close_here(self, user: User, reason: CloseReason, lines: tuple[str, ...] = ()) -> None:
        """End those that they have on this server; the operator says `lines` before."""
        for session in user.sessions:
            if lines:
                session.cursor.send(Announced(lines))
            session.close(reason)

    def hear_all(self, user: User, session: UserSession) -> None:
        """`session` hears all rooms of `user` from now on, not only the lobby."""
        session.cursor.hears_all = True
        self.directory.hear(user, session.cursor)

    def _attach(self, user: User, session: UserSession, predecessor: UserSession | None) -> None:
        """Another connection of `user`; it takes the place of `predecessor`, if there is one."""
        session.cursor.enter(self.log, user, self.log.end, self.archive.pages)
        self.directory.hear(user, session.cursor)
        user.sessions = (*user.sessions, session)
        ended = [predecessor] if predecessor is not None else []
        if self.one_connection:
            ended = [other for other in user.sessions if other is not session]
        for other in ended:
            for room in user.rooms:
                self.directory.rooms[room].typing.take_over(session.cursor, other.cursor)
            if other is predecessor and (token := self._tokens.pop(other, "")):
                self._give_token(token, user, session)
            self._end_connection(user, other)

    def _end_connection(self, user: User, session: UserSession) -> None:
        """Another connection has taken its place."""
        self.directory.hear_no_more(user, session.cursor)
        self._forget_token(session)
        user.sessions = tuple(each for each in user.sessions if each is not session)
        session.supersede()

    # Who is here.

    def set_away(self, user: User, session: UserSession, text: str | None, *, then: Then) -> None:
        """`user` does not answer for now, and says this of it; None: they are back."""
        if len(text or "") > MAX_AWAY:
            raise Refusal(ErrorCode.AWAY_TOO_LONG, limit=MAX_AWAY)

        def decided(outcome: Outcome) -> None:
            if outcome is None:
                self.is_away(user, text, session)
            then(outcome)

        self._submit(session, SetAway(self.now(), session.cursor, user, text, decided))

    def is_away(self, user: User, text: str | None, session: UserSession | None = None) -> None:
        """They are, or are back: so they have said at `session`, or on another server."""
        if text == (None if user.away is None else user.away.text):
            return
        self.directory.set_away(user, None if text is None else Absence(text))
        lines: dict[Dialect, bytes] = {}
        event = AwayChanged(user.name, text is not None)
        for cursor in self.directory.readers(user.rooms):
            if (line := lines.get(cursor.dialect)) is None:
                line = lines[cursor.dialect] = cursor.dialect.render(event)
            if line:
                try:
                    cursor.send_ephemeral(line)
                except Exception:
                    cursor.fail()
        for watch in self.away_watchers:
            watch(user, session)

    def online(self, room: Room | None = None) -> Online:
        """Who is online, or in `room`, and who of them is away."""
        if room is None:
            return Online(self.directory.online(), away=self.directory.away())
        away = self.directory.away_in(room)
        return Online(self.directory.people_in(room), room.name, away)

    def whois(self, asker: User, name: str) -> Person:
        """What `asker` may know of `name`."""
        user = self.directory.user(name)
        shared = tuple(room for room in user.sorted_rooms if room in asker.rooms)
        away = None if user.away is None else user.away.text
        return Person(user.name, user.since, user.account is not None, shared, away)

    # Whom somebody ignores.

    async def ignore(self, user: User, who: suspects.Person, *, on: bool) -> None:
        """`user` does not hear from now on what `who` says, or hears it again. Raises NOT_YOURSELF,
        TOO_MANY_IGNORED, NOT_IGNORED."""
        meant = [] if user.ignores is None else user.ignores.meant(who)
        if not on:
            if not meant:
                raise Refusal(ErrorCode.NOT_IGNORED, name=who.name)
            for each in meant:
                await self._set_ignored(user, each.what, on=False)
            return
        if who.id == user.id or (who.account is not None and who.account == user.account):
            raise Refusal(ErrorCode.NOT_YOURSELF)
        if not meant:
            self.ignoring.expect_room(user)
            name = who.name if who.account is None else who.account.name
            await self._set_ignored(user, Ignoring(name, who.account, self.now()), on=True)

    async def _set_ignored(self, user: User, ignoring: Ignoring, *, on: bool) -> None:
        """It is so from now on, and stays so for the owner of an account."""
        if (account := user.account) is not None:
            self._expect_saving()
            await self.archive.keep_ignored(Change(account, ignoring, on))
            self.ignoring.set(account, ignoring, on=on)
        else:
            self.ignoring.set(user, ignoring, on=on)
            if user.elsewhere:
                self.elsewhere.ignored(user, ignoring, on)

    # Rooms.

    def room_for(self, user: User, name: str) -> Room:
        """The room of that name, if `user` may know of it. Raises UNKNOWN_ROOM."""
        room = self.directory.room(name)
        if room is None or not self.moderation.is_open_to(user, room):
            raise Refusal(ErrorCode.UNKNOWN_ROOM, room=shown_room(name))
        return room

    def own_room(self, user: User, name: str) -> Room:
        """The same, of those that `user` is in. Raises NOT_IN_ROOM, too."""
        if name in user.rooms:
            return self.directory.rooms[name]
        room = self.room_for(user, name)
        if room.name not in user.rooms:
            raise Refusal(ErrorCode.NOT_IN_ROOM, room=shown_room(room.name))
        return room

    def info(self, room: Room, *, users: bool = False) -> RoomInfo:
        """What is told of `room` to those who may know of it."""
        return RoomInfo(
            room.name,
            room.topic,
            room.private,
            len(room.members),
            self.directory.people_in(room) if users else (),
            room.slow,
        )

    def rooms_for(self, user: User) -> tuple[RoomInfo, ...]:
        """The rooms that `user` may know of, the lobby first."""
        return self.list_rooms(user, None, len(self.directory.rooms)).rooms

    def list_rooms(self, user: User, after: str | None, limit: int) -> RoomList:
        """At most `limit` of the rooms that `user` may know of: the first ones, or those after the
        room `after`."""
        rooms = self.directory.rooms
        last = None if after is None else room_order(after.removeprefix("#"))
        known = [
            name
            for name, room in rooms.items()
            if (last is None or room_order(name) > last) and self.moderation.is_open_to(user, room)
        ]
        page = nsmallest(limit, known, key=room_order)
        return RoomList(tuple(self.info(rooms[name]) for name in page), len(known) - len(page))

    def rooms_of(self, user: User) -> tuple[RoomInfo, ...]:
        """The rooms that `user` is in, the lobby first."""
        return tuple(self.info(self.directory.rooms[name]) for name in user.sorted_rooms)

    def join_room(
        self,
        user: User,
        session: UserSession,
        name: str,
        network: str,
        *,
        then: Then,
    ) -> None:
        """`user` comes into the room `name`, which is made if there is none."""
        self._expect_saving()
        name = names.checked_room(name)
        room = self.directory.room(name)
        now = self.now()
        if room is not None and not room.is_open_to(user, now):
            raise Refusal(ErrorCode.CANNOT_JOIN)
        if room is None and name not in self._founded:  # several may come into it at once
            if not self._foundings.take(network):
                raise Refusal(ErrorCode.TOO_OFTEN)
            self._founded.add(name)
        invited = room is not None and room.is_invited(user, now)
        wanted = name if room is None else room.name

        def settled(outcome: Outcome) -> None:
            self._founded.discard(name)
            then(outcome)

        self._submit(
            session,
            Join(now, session.cursor, user, wanted, invited=invited, then=settled),
        )

    def part_room(
        self,
        user: User,
        session: UserSession,
        name: str,
        *,
        farewell: str = "",
        ref: str | None = None,
        then: Then,
    ) -> None:
        """`user` leaves the room `name`, and may say something in leaving."""
        self._expect_saving()
        room = self.own_room(user, name)
        at, cursor = self.now(), session.cursor
        self._submit(
            session, Part(at, cursor, user, room.name, farewell=farewell, ref=ref, then=then)
        )

    def _expect_saving(self) -> None:
        """Names, rooms and memberships do not change while they cannot be saved."""
        if self.archive.trouble is not None:
            raise Refusal(ErrorCode.NOT_SAVED)

    # Talk.

    def say(
        self,
        user: User,
        session: UserSession,
        texts: tuple[str, ...],
        room: str = LOBBY,
        *,
        style: Style | None = None,
        ref: str | None = None,
        then: Then | None = None,
    ) -> None:
        """`user` says one or more messages to everyone in `room`. `then` is called with what
        becomes of the last of them."""
        here = self.own_room(user, room)
        self._has_spoken(user, session, here)
        name, at, count = here.name, self.now(), len(texts)
        most = 1 if here.slow else MAX_BURST  # in a slow room the first may be heard
        while texts:
            part, texts = texts[:most], texts[most:]
            self._submit(
                session,
                Speak(
                    at,
                    session.cursor,
                    user,
                    name,
                    part,
                    echo=self.echo,
                    acknowledged=0 if texts else count,
                    style=style,
                    ref=None if texts else ref,
                    then=None if texts else then,
                ),
            )

    def emote(
        self,
        user: User,
        session: UserSession,
        texts: tuple[str, ...],
        room: str = LOBBY,
        *,
        ref: str | None = None,
        then: Then | None = None,
    ) -> None:
        """`user` does each of `texts`; the rest as in `say`."""
        here = self.own_room(user, room)
        self._has_spoken(user, session, here)
        name = here.name
        at, count = self.now(), len(texts)
        for number, text in enumerate(texts, 1):
            is_last = number == count
            self._submit(
                session,
                Speak(
                    at,
                    session.cursor,
                    user,
                    name,
                    (text,),
                    emote=True,
                    acknowledged=count if is_last else 0,
                    ref=ref if is_last else None,
                    then=then if is_last else None,
                ),
            )

    def post(self, room: str, name: str, texts: tuple[str, ...], then: Then) -> None:
        """A hook says something in `room`, under a `name` that no person can have."""
        self._expect_saving()
        self.log.submit(Post(self.now(), room, name, texts, then=then))

    def set_typing(self, user: User, session: UserSession, on: bool, room: str = LOBBY) -> None:
        """`user` is typing something, or no longer."""
        here = self.own_room(user, room)
        if not self.moderation.is_muted(user, here.name):
            here.typing.set(session.cursor, user.name, on)

    def _has_spoken(self, user: User, session: UserSession, room: Room) -> None:
        room.typing.spoke(session.cursor)
        if self.archive.whispers is not None:
            self.archive.whispers.stopped(user, room.name)

    def _tell_typing(self, author: Hashable, event: Typing) -> None:
        """Other servers, of whoever is typing on this one."""
        user = author.user if isinstance(author, Cursor) else None
        if self.archive.whispers is not None and isinstance(user, User):
            self.archive.whispers.typing(user, event.room, event.on)

    def _hear_typing(self, user: User, name: str, on: bool) -> None:
        """Another server tells of it."""
        room = self.directory.rooms.get(name)
        if room is not None and user in room.members:
            room.typing.set(user, user.name, on)

    def rename(
        self,
        user: User,
        session: UserSession,
        name: str,
        *,
        ref: str | None = None,
        then: Then,
    ) -> None:
        """`user` is called `name` from now on. The same name again is no event."""
        self._expect_saving()
        name = _allowed(name, user.account)
        if name == user.name:
            then(None)
            return
        for room in user.rooms:
            self._has_spoken(user, session, self.directory.rooms[room])
        self._gathering.flush()  # whoever has had that name has left
        self._submit(session, Rename(self.now(), session.cursor, user, name, ref=ref, then=then))

    def send_private(
        self,
        user: User,
        session: UserSession,
        recipient: str,
        text: str,
        *,
        style: Style | None = None,
        then: Answered | None = None,
    ) -> Sent | None:
        """`user` says `text` to `recipient` only. Returns None if `then` is called later: they are
        on another server."""
        self.moderation.expect_voice(user)
        there = self.directory.user(recipient)
        return self._send_private(user, session, there, text, style=style, then=then)

    def reply(
        self, user: User, session: UserSession, text: str, *, then: Answered | None = None
    ) -> Sent | None:
        """`user` says `text` to whoever last wrote to them, or they last wrote to; the rest as in
        `send_private`."""
        self.moderation.expect_voice(user)
        correspondent = user.correspondent
        if correspondent is None:
            raise Refusal(ErrorCode.NO_CORRESPONDENT)
        if isinstance(correspondent, User) and correspondent.present:
            return self._send_private(user, session, correspondent, text, then=then)
        account = user.corresponding_account
        here = self.owner(account) if account is not None else None
        if here is None:
            raise Refusal(ErrorCode.GONE, name=correspondent.name)
        return self._send_private(user, session, here, text, then=then)

    def announce(self, lines: Iterable[str], room: Room | None = None) -> None:
        """The operator says `lines` to everyone, or to everyone who hears `room`."""
        texts = tuple(map(sanitize, lines))
        self.announce_here(texts, room)
        self.elsewhere.announce(texts, room)

    def announce_here(self, texts: tuple[str, ...], room: Room | None) -> None:
        """The same to those on this server."""
        if room is None:
            self.tell_all(Announced(texts))
        else:
            _tell(list(room.cursors), Announced(texts, room.name))

    def tell_all(self, event: PersonalEvent) -> None:
        """Everyone is told of `event`, after what they have heard until now; but not those who have
        stopped reading for so long that nothing more should be addressed to them."""
        _tell(self._cursors(), event)

    def tell_trouble(self, saving: Saving) -> None:
        """Whether what is said is saved, or is again: it waits for nothing."""
        _tell(self._cursors(), saving, Cursor.send_at_once)

    def _cursors(self) -> list[Cursor]:
        return [cursor for user in self.users.values() for cursor in user.cursors]

    def kick(self, user: User, reason: str = "") -> None:
        """The operator ends the connections of `user`, who is told the `reason` if there is one.
        The others hear of an ordinary departure."""
        lines = (sanitize(reason),) if reason else ()
        if user.elsewhere:
            self.elsewhere.close(user, CloseReason.KICKED, lines)
        self.close_here(user, CloseReason.KICKED, lines)

    # The past.

    # What is looked up is looked up for `asker`, a network (see `stores`).

    def seen(self, name: str, asker: str = "") -> Awaitable[ReadPosition | None]:
        """Where `name`, who is about to come in, had stopped reading."""
        return self.archive.seen(names.well_formed(name), asker)

    def unread(self, user: User) -> ReadPosition | None:
        """Where the text connections of `user` have stopped, or programs, if these are all that
        they had; None if one has heard everything."""
        position = self.heard(user)
        return None if position >= self.log.end else self.position_of(user, position)

    def heard(self, user: User) -> int:
        """How far one of the text connections of `user` has heard, or another if they have none.
        On other servers they hear everything."""
        if user.elsewhere:
            return self.log.end
        return max(self._text_positions(user) or self._positions(user), default=self.log.end)

    def position_of(self, user: User, position: int) -> ReadPosition:
        """`position`, with the number of messages before it in each room of `user`."""
        counts = {room: self.log.messages_before(position, room) for room in user.rooms}
        return ReadPosition(position, counts)

    def recall(self, user: User, asked: History, asker: str = "") -> Awaitable[Recalled]:
        """What has happened."""
        reach = self.reach(user, asked.room)
        before = self._newest(asked.before)
        return self._recalled(user, before, asked.after, asked.limit, reach, asker)

    def find(self, user: User, asked: Search, asker: str = "") -> Awaitable[Messages]:
        """The messages that have those words."""
        reach = self.reach(user, asked.room)

        def find(before: int) -> Awaitable[Messages]:
            return self.archive.find(asked.words, before, asked.limit, reach, asker)

        return _heard(user, find, self._newest(asked.before))

    def recent(self, user: User, asked: History, asker: str = "") -> Awaitable[Messages]:
        """The newest messages."""
        reach = self.reach(user, asked.room)

        def recent(before: int) -> Awaitable[Messages]:
            return self.archive.recent(before, asked.limit, reach, asker)

        return _heard(user, recent, self._newest(asked.before))

    async def _recalled(  # noqa: PLR0917
        self,
        user: User,
        before: int,
        after: int | None,
        limit: int,
        reach: Reach,
        asker: str,
    ) -> Recalled:
        """What has happened, but for what `user` does not hear. Of a page of which nothing is left
        the next one, since an empty page says that there is nothing more."""
        gone = 0
        heard: tuple[Happening, ...] = ()
        page = Recalled((), self.archive.first_id)
        for _ in range(MAX_IGNORED_PAGES):
            page = await self.archive.recall(before, after, limit, reach, asker)
            gone += page.gone
            heard = page.events if user.ignores is None else user.ignores.heard(page.events)
            if heard or not page.events:
                break
            if after is None:
                before = page.events[0].id
            else:
                after = page.events[-1].id
        return replace(page, events=heard, gone=gone)

    def reach(self, user: User, room: str) -> Reach:
        """Since which id `user` may see the past of `room`; or, for ALL_ROOMS, of all theirs."""
        rooms = user.sorted_rooms if room == ALL_ROOMS else (self.own_room(user, room).name,)
        return {name: self._reaches(user, self.directory.rooms[name]) for name in rooms}

    def _reaches(self, user: User, room: Room) -> int:
        if room.private and not room.is_founder(user):
            return user.rooms[room.name]
        return room.open_from

    def _newest(self, before: int | None) -> int:
        return self.log.end if before is None else min(before, self.log.end)

    def _submit(self, session: UserSession | None, draft: Draft) -> None:
        if session is not None:
            session.cursor.submitted = draft
        self.log.submit(draft)

    def _keep_position(self, user: User, session: UserSession) -> None:
        """Note where `session` stops reading, unless another one of `user` has read further. A
        program keeps its own position: it moves that of a person who has been here with nothing
        else."""
        texts = self._text_positions(user)
        if session.is_program and texts:
            return
        cursor = session.cursor
        others = texts or self._positions(user)
        is_due = cursor.closing and not cursor.stalled  # all that is pending, before the last word
        counted = tuple(user.rooms)
        called = {user.name}
        if user.account is not None and user.account.name not in self.users:
            called.add(user.account.name)

        def note(position: int, *, again: bool = False) -> None:
            position = self.log.past_own(max(position, *others), cursor.number)
            if not session.is_program:
                user.mark = position
            noted = ReadPosition(
                position, {room: self.log.messages_before(position, room) for room in counted}
            )

            def stopped() -> None:
                for name in called:
                    if name not in self.users or self.users[name] is user:
                        self.archive.depart(name, noted)

            if not user.elsewhere:
                stopped()
            elif not again or user in self._stopped:  # otherwise they read on elsewhere
                self._stopped[user] = stopped

        note(cursor.position)
        pending = self.log.newest if is_due else cursor.submitted
        if pending is not None and not pending.heard:
            halted = cursor.position
            pending.when_heard(lambda: note(pending.position if is_due else halted, again=True))

    def _text_positions(self, user: User) -> list[int]:
        """What the text connections of `user` have heard, those that are gone included."""
        here = [each.cursor.position for each in user.sessions if not each.is_program]
        return [*here, user.mark] if user.mark else here

    def _positions(self, user: User) -> list[int]:
        return [each.cursor.position for each in user.sessions]

    def _send_private(
        self,
        sender: User,
        session: UserSession,
        recipient: User,
        text: str,
        *,
        style: Style | None = None,
        then: Answered | None = None,
    ) -> Sent | None:
        taking = [cursor for cursor in recipient.cursors if not cursor.backlogged]
        if not recipient.present or (recipient.elsewhere and then is None):
            raise Refusal(ErrorCode.NOBODY, name=recipient.name)
        if not taking and not recipient.elsewhere:
            raise Refusal(ErrorCode.NOT_READING, name=recipient.name)
        sender.correspondent = recipient
        self._private_messages += 1
        told = Told(
            self._private_messages, self.now(), sender.name, recipient.name, text, style=style
        )
        if is_ignored(sender, recipient):  # which they are not told
            return Sent(told.id, told.at, recipient.name, text)
        recipient.correspondent = sender
        for cursor in taking:
            cursor.send(told, session.cursor.submitted)
        if recipient.elsewhere and then is not None:
            self.elsewhere.send(session, recipient, told, None if taking else then)
            if not taking:
                return None
        return Sent(told.id, told.at, recipient.name, text)

    # What is committed.

    def _apply(self, batch: Batch) -> None:
        self._delivery.apply(batch)
        for watch in self.watchers:
            try:
                watch(batch)
            except Exception as error:
                self.log.report(error)

    def _erased(self, deleted: Deleted, batch: Batch) -> None:
        self.log.erase(deleted, batch)

    def _arrived(self, user: User, since: int) -> None:
        self._note_owner(user)
        self.ignoring.arrived(user)
        if user.sessions:
            self.archive.arrive(user.name)
        for session in user.sessions:
            session.cursor.enter(self.log, user, since, self.archive.pages)

    def _renamed(self, user: User, new: str) -> None:
        if not user.sessions:
            return
        position = max((cursor.position for cursor in user.cursors), default=self.log.end)
        self.archive.depart(user.name, self.position_of(user, position))
        self.archive.arrive(new)

    def _departed(self, user: User) -> None:
        """They had connections on other servers, and have none anywhere any longer."""
        note = self._stopped.get(user)
        user.elsewhere = frozenset()
        self._end_presence(user)
        if note is not None:
            note()
        self.elsewhere.gone(user)

    def _stays(self, user: User, nodes: frozenset[int]) -> None:
        """A server has lost them, but they have connections on others."""
        self._stopped.pop(user, None)
        self.is_elsewhere(user, nodes)

    def _forget_token(self, session: UserSession) -> None:
        if token := self._tokens.pop(session, ""):
            del self._by_token[token_hash(token)]
            if self.archive.tokens is not None:
                self.archive.tokens.forget(token_hash(token))


async def _heard(user: User, find: Callable[[int], Awaitable[Messages]], before: int) -> Messages:
    """The messages that `find` finds before that id, but for what `user` does not hear; as many of
    the next ones as there are pages with nothing else."""
    heard: Messages = ()
    for _ in range(MAX_IGNORED_PAGES):
        found = await find(before)
        heard = found if user.ignores is None else user.ignores.heard(found)
        if heard or not found:
            break
        before = found[0].id
    return heard


def _tell(
    cursors: Iterable[Cursor],
    event: PersonalEvent,
    send: Callable[[Cursor, PersonalEvent], None] = Cursor.send,
) -> None:
    for cursor in cursors:
        if cursor.backlogged:
            continue
        try:
            send(cursor, event)
        except Exception:
            cursor.fail()


def _allowed(name: str, account: Account | None) -> str:
    """`name`, checked; a reserved one is for the owner of an account that is called so. Raises
    `Refusal`."""
    name = names.well_formed(name)
    if names.is_reserved(name) and (account is None or not account.is_called(name)):
        raise Refusal(ErrorCode.NAME_RESERVED, name=name)
    return name
