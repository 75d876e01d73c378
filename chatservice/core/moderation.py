"""Those in charge: what they may do in rooms and in the whole chat, and what comes of it.

Whether somebody may is decided when it is committed (see `measures`). What is committed comes true
here, before anybody hears of it.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from chatservice.core import names
from chatservice.core.directory import Directory
from chatservice.core.drafts import Control, Draft, Entry, Outcome, Stale, Then
from chatservice.core.elsewhere import Elsewhere
from chatservice.core.events import (
    ALL_ROOMS,
    Account,
    CloseReason,
    ErrorCode,
    Invited,
    LeaveReason,
    Left,
    Refusal,
    Removed,
    Reported,
    Role,
    RoleChanged,
    RoomEvent,
    RoomLeft,
    SanctionKind,
)
from chatservice.core.ignoring import is_ignored
from chatservice.core.log import Now
from chatservice.core.measures import (
    Appointed,
    Commission,
    Expel,
    Impose,
    Imposed,
    Lifted,
    Measure,
)
from chatservice.core.registry import Rank, banned, rank_in, shown_room
from chatservice.core.sanctions import Person, Sanction, Sanctions, expect_reason, of_kind
from chatservice.core.stores import Archive, Report
from chatservice.core.users import User, UserSession

if TYPE_CHECKING:
    from chatservice.core.deleting import Deletion
    from chatservice.core.room import Room

MAX_TOPIC = 200  # characters: a line


class Moderation:
    """The rights of those who are here, as everyone has been told. `submit` submits a draft; `now`
    is the time of day."""

    def __init__(
        self,
        directory: Directory,
        archive: Archive,
        elsewhere: Elsewhere,
        *,
        submit: Callable[[UserSession | None, Draft], None],
        now: Now,
    ) -> None:
        self._directory = directory
        self._archive = archive
        self._elsewhere = elsewhere
        self._submit = submit
        self._now = now

    def restore(self, operators: Iterable[Account], sanctions: Iterable[Sanction]) -> None:
        """The operators of the server, and the bans and mutes, that the archive has kept."""
        self._directory.operators = set(operators)
        for each in sanctions:
            self._sanctions_of(each.scope).add(each)

    # Who may do what.

    def rank(self, user: User, room: "Room | None") -> Rank:
        """That of `user` in `room`, or in the whole chat."""
        return rank_in(room, user.identity, self._directory.operators)

    def is_in_charge(self, user: User, room: "Room | None") -> bool:
        """Whether `user` is in charge of `room`, or of the whole chat."""
        return self.rank(user, room) > Rank.MEMBER

    def is_open_to(self, user: User, room: "Room") -> bool:
        """Whether `user` may know of `room`."""
        if user in room.members:
            return True
        if not room.is_open_to(user, self._now()):
            return False
        return self.holding(SanctionKind.BAN, user, room.name) is None

    def holding(self, kind: SanctionKind, user: User, scope: str) -> Sanction | None:
        """The ban or mute that holds `user` in a room, or in the whole chat."""
        sanctions = self._directory.sanctions.get(scope)
        if not sanctions:
            return None
        person, now = person_of(user), self._now()
        meant = sanctions.found(person, now, newcomer=False)
        if self.is_in_charge(user, self._directory.rooms.get(scope)):
            return of_kind(kind, meant)
        for each in sanctions.found(person, now, newcomer=True):
            came_later = (
                user.since > each.at
                if scope == ALL_ROOMS
                else user.rooms.get(scope, each.id) >= each.id
            )
            if each not in meant and came_later:
                meant.append(each)
        return of_kind(kind, meant)

    def expect_welcome(self, account: Account, rooms: Iterable[str]) -> None:
        """Raises BANNED if the owner of `account` is banned from the whole chat, or from one of
        these rooms."""
        owner, now = Person(0, account.name, account), self._now()
        for scope in (ALL_ROOMS, *rooms):
            if (sanctions := self._directory.sanctions.get(scope)) is not None:
                found = sanctions.found(owner, now, newcomer=False)
                if (ban := of_kind(SanctionKind.BAN, found)) is not None:
                    raise banned(ban)

    def is_muted(self, user: User, room: str) -> bool:
        """Whether `user` must not speak in `room`."""
        return any(self.holding(SanctionKind.MUTE, user, each) for each in (room, ALL_ROOMS))

    def expect_voice(self, user: User, *rooms: str) -> None:
        """Raises MUTED if `user` must not speak to anybody, or in these rooms."""
        for scope in (ALL_ROOMS, *rooms):
            if (mute := self.holding(SanctionKind.MUTE, user, scope)) is not None:
                until = 0 if mute.until is None else int(mute.until)
                raise Refusal(ErrorCode.MUTED, room=shown_room(scope), until=until)

    def listed(self, user: User | None, room: "Room | None") -> list[Sanction]:
        """The bans and mutes of `room`, or of the whole chat, for somebody in charge. None:
        whoever runs the server."""
        if user is not None:
            self.expect_in_charge(user, room)
        sanctions = self._directory.sanctions.get(ALL_ROOMS if room is None else room.name)
        return [] if sanctions is None else sanctions.listed(self._now())

    def expect_in_charge(self, user: User, room: "Room | None") -> None:
        """Raises NOT_IN_CHARGE."""
        if not self.is_in_charge(user, room):
            name = ALL_ROOMS if room is None else room.name
            raise Refusal(ErrorCode.NOT_IN_CHARGE, room=shown_room(name))

    def is_in_charge_of_any(self, user: User) -> bool:
        """Whether `user` is in charge of the whole chat, or of a room that they are in."""
        rooms = [self._directory.rooms[name] for name in user.rooms]
        return any(self.is_in_charge(user, room) for room in (None, *rooms))

    # Reports.

    def may_read(self, user: User, report: Report) -> bool:
        """Whether `report` is for `user`, who is in charge there; but not if they are whom it is
        about, or its author."""
        room = self._directory.rooms.get(report.room)
        rank = self.rank(user, room)
        if rank is Rank.MEMBER or (rank < Rank.SERVER_OPERATOR and report.room not in user.rooms):
            return False
        if report.account is not None and report.account == user.account:
            return False
        return not any(
            set(names.keys(user.name)) & set(names.keys(each)) for each in (report.name, report.by)
        )

    def pass_on(self, report: Report) -> bool:
        """Those in charge who are on other servers are told of it. Whether there are any."""
        found = any(
            user.elsewhere and self.may_read(user, report)
            for user in self._directory.users.values()
        )
        if found:
            self._elsewhere.report(report)
        return found

    def tell_report(self, report: Report) -> bool:
        """Those in charge who are here on this server are told of it. Whether any was."""
        told = False
        event = Reported(report.at, report.room, report.name, report.by, report.why)
        for user in list(self._directory.users.values()):
            for cursor in user.cursors if self.may_read(user, report) else ():
                if cursor.backlogged:
                    continue
                try:
                    cursor.send(event)
                    told = True
                except Exception:
                    cursor.fail()
        return told

    # What they do.

    def take(self, session: UserSession | None, measure: "Measure | Deletion") -> None:
        """Submit `measure`, which somebody takes at `session`; or whoever runs the server."""
        self._expect_saving()
        expect_reason(getattr(measure, "why", ""))
        self._submit(session, measure)
        if isinstance(measure, Impose) and measure.kind is SanctionKind.BAN:
            self._submit(session, Expel(measure))

    def commission(self, account: Account, on: bool) -> None:
        """The owner of `account` is an operator of the server, or no longer."""
        operators = self._directory.operators

        def decided(outcome: Outcome) -> None:
            if on:
                operators.add(account)
            else:
                operators.discard(account)

        self._submit(None, Commission(self._now(), account, on, decided))

    def set_topic(
        self,
        user: User,
        session: UserSession,
        room: "Room",
        topic: str,
        *,
        ref: str | None = None,
        then: Then,
    ) -> None:
        """`user` sets the topic of `room`."""
        if len(topic) > MAX_TOPIC:
            raise Refusal(ErrorCode.TOPIC_TOO_LONG, limit=MAX_TOPIC)
        self._control(user, session, room, ref, then, topic=topic)

    def set_private(
        self,
        user: User,
        session: UserSession,
        room: "Room",
        private: bool,
        *,
        ref: str | None = None,
        then: Then,
    ) -> None:
        """`user` makes `room` private, or public."""
        self._control(user, session, room, ref, then, private=private)

    def set_pace(
        self,
        user: User,
        session: UserSession,
        room: "Room",
        seconds: int,
        *,
        ref: str | None = None,
        then: Then,
    ) -> None:
        """Each person may say one message in `room` in so many `seconds`; 0: as many as they
        like."""
        self._control(user, session, room, ref, then, slow=seconds)

    def invite(self, user: User, room: "Room", whom: str) -> User:
        """`user` invites `whom` into `room`, and they are told. Returns who that is."""
        self._expect_control(user, room)
        self.expect_voice(user)
        invited = self._directory.user(whom)
        if not room.invite(invited, self._now()):
            raise Refusal(ErrorCode.TOO_MANY_INVITATIONS, room=shown_room(room.name))
        if invited.elsewhere:
            self._elsewhere.invite(room.name, invited, user.name)
        for cursor in invited.cursors if not is_ignored(user, invited) else ():
            if not cursor.backlogged:
                cursor.send(Invited(room.name, user.name))
        return invited

    def _control(
        self,
        user: User,
        session: UserSession,
        room: "Room",
        ref: str | None,
        then: Then,
        *,
        topic: str | None = None,
        private: bool | None = None,
        slow: int | None = None,
    ) -> None:
        self._expect_saving()
        self._expect_control(user, room)

        def decided(outcome: Outcome) -> None:
            if not isinstance(outcome, Stale):
                then(outcome)
                return
            try:
                self._control(
                    user, session, room, ref, then, topic=topic, private=private, slow=slow
                )
            except Refusal as refusal:
                then(refusal)

        draft = Control(
            self._now(),
            session.cursor,
            user,
            room.name,
            room.control,
            topic=topic,
            private=private,
            slow=slow,
            ref=ref,
            then=decided,
        )
        self._submit(session, draft)

    def _expect_control(self, user: User, room: "Room") -> None:
        """Raises NOT_FOUNDER: so programs have known it since before there were operators."""
        if not self.is_in_charge(user, room):
            raise Refusal(ErrorCode.NOT_FOUNDER, room=shown_room(room.name))

    def _expect_saving(self) -> None:
        """Rights do not change while they cannot be saved."""
        if self._archive.trouble is not None:
            raise Refusal(ErrorCode.NOT_SAVED)

    # What is committed.

    def apply(self, entry: Entry) -> None:
        """What somebody in charge has done is true from now on."""
        event = entry.event
        match entry.effect:
            case Imposed() as imposed:
                self._impose(imposed, event.id)
            case Lifted(sanctions=sanctions):
                self._lift(sanctions)
            case Appointed() as appointed:
                self._appoint(appointed, event)
            case _:
                pass
        if isinstance(event, Left):
            for user in entry.people if event.by else ():
                self._removed(user, event)
        elif (room := self._directory.rooms.get(event.room)) is not None:
            room.control = event.id

    def _impose(self, imposed: Imposed, id_: int) -> None:
        sanction = replace(imposed.sanction, id=id_)
        self._lift(imposed.replaced)
        self._sanctions_of(sanction.scope).add(sanction)
        for person in imposed.persons:
            if isinstance(person, User):
                person.held |= {sanction.key}

    def _lift(self, sanctions: Iterable[Sanction]) -> None:
        for each in sanctions:
            self._sanctions_of(each.scope).lift(each)

    def _sanctions_of(self, scope: str) -> Sanctions:
        return self._directory.sanctions.setdefault(scope, Sanctions())

    def _appoint(self, appointed: Appointed, event: RoomEvent) -> None:
        room = self._directory.rooms[event.room]
        room.operators.discard(appointed.account)
        if appointed.record is not None:
            room.founder = appointed.account
        elif isinstance(event, RoleChanged) and event.role is Role.OPERATOR:
            room.operators.add(appointed.account)

    def follow(self, user: User, account: Account) -> list[Sanction]:
        """`user` has registered: what was imposed on them holds the owner of `account` from now on.
        Returns what has changed."""
        changed = []
        for there in self._directory.sanctions.values():
            for before, after in there.following(person_of(user), account):
                there.lift(before)
                there.add(after)
                changed.append(after)
        return changed

    def _removed(self, user: User, event: Left) -> None:
        """Tell `user`; who has to leave the chat if that is what they were removed from."""
        for session in user.sessions:
            cursor = session.cursor
            try:
                if event.reason is LeaveReason.PARTED:
                    cursor.send(Removed(event.room, event.by, event.why))
                    if cursor.dialect.labels_rooms:
                        cursor.send(RoomLeft(event.room, cursor.current))
                else:
                    cursor.send(Removed(ALL_ROOMS, event.by, event.why))
                    session.close(CloseReason.KICKED)
            except Exception:
                cursor.fail()


def person_of(user: User) -> Person:
    """Who `user` is to a ban or mute."""
    networks = tuple(dict.fromkeys(each.peer.network for each in user.sessions))
    return Person(user.id, user.name, user.account, tuple(filter(None, networks)), user.held)
