"""What those in charge do, as drafts: whether they may is decided when they are committed.

A measure is taken in a room, or in the whole chat (ALL_ROOMS), by a `user` who is in charge there;
None: by whoever runs the server. It is told in that room, or in the lobby.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from chatservice.core.drafts import Draft, Entry, Then
from chatservice.core.events import (
    ALL_ROOMS,
    LOBBY,
    Account,
    Banned,
    ErrorCode,
    LeaveReason,
    Left,
    Muted,
    Refusal,
    Role,
    RoleChanged,
    RoomEvent,
    SanctionKind,
)
from chatservice.core.registry import (
    MAX_FOUNDED_BY_ACCOUNT,
    MAX_OPERATORS,
    Claimant,
    Rank,
    Registry,
    RoomRecord,
    room_order,
    shown_room,
)
from chatservice.core.sanctions import MAX_NETWORKS, Person, Sanction

if TYPE_CHECKING:
    from chatservice.core.cursor import Cursor
    from chatservice.core.users import User

CONSOLE = "*"  # the name of whoever runs the server, in what is told


class Imposed(NamedTuple):
    """The effect of a ban or mute: it holds, and these `persons`, who are here; those that it has
    `replaced` do no longer."""

    sanction: Sanction
    persons: tuple[Claimant, ...]
    replaced: tuple[Sanction, ...] = ()


class Lifted(NamedTuple):
    """The effect of its end: these hold no longer."""

    sanctions: tuple[Sanction, ...]


class Appointed(NamedTuple):
    """The effect of another role: whose it is. `record`: the room, if it has another founder."""

    account: Account
    record: RoomRecord | None = None


class Warrant(NamedTuple):
    """Who takes a measure, where (a room, or ALL_ROOMS), and when; the rest as in a draft."""

    at: float
    user: "User | None"
    scope: str
    connection: "Cursor | None" = None
    ref: str | None = None
    then: Then | None = None


class Measure(Draft):
    """Something that somebody in charge does."""

    __slots__ = ("scope", "user")

    def __init__(self, warrant: Warrant) -> None:
        super().__init__(warrant.at, warrant.connection, ref=warrant.ref, then=warrant.then)
        self.user = warrant.user
        self.scope = warrant.scope

    @property
    def room(self) -> str:
        """Where it is told."""
        return LOBBY if self.scope == ALL_ROOMS else self.scope

    def decide(self, registry: Registry, id_: int) -> Entry | None:
        rank, name = registry.expect_in_charge(self.user, self.scope)
        return self.carry_out(registry, id_, rank, name or CONSOLE)

    def carry_out(self, registry: Registry, id_: int, rank: Rank, by: str) -> Entry | None:
        """What becomes of it, which somebody of that `rank` has asked for."""
        raise NotImplementedError

    def _entry(self, event: RoomEvent, effect: object) -> Entry:
        size = sum(len(text) for text in (event.room, getattr(event, "name", "")))
        return Entry(
            event,
            (self.room,),
            connections=self._connections(),
            size=size + len(getattr(event, "why", "")),
            ref=self.ref,
            effect=effect,
        )

    def _note(self, registry: Registry, id_: int) -> None:
        """Rights have changed: what was decided with those from before is decided again."""
        if self.scope in registry.rooms:
            registry.room_to_change(self.scope).control = id_


class Kick(Measure):
    """`target` is removed from the room, or has to leave the chat."""

    __slots__ = ("target", "why")

    def __init__(self, warrant: Warrant, target: Person, why: str = "") -> None:
        super().__init__(warrant)
        self.target = target
        self.why = why

    def carry_out(self, registry: Registry, id_: int, rank: Rank, by: str) -> Entry | None:
        there = _there(registry, registry.found_persons(self.target), self.scope)
        if not there:
            raise Refusal(ErrorCode.NOBODY, name=self.target.name)
        for person in there:
            _expect_below(registry, rank, registry.person_of(person), self.scope)
        left = _removed(registry, there, self, id_, by, self.why)
        return left._replace(connections=self._connections(), ref=self.ref)


class Impose(Measure):
    """`target`, who need not be here, is banned or muted for so many `seconds`; None: for good."""

    __slots__ = ("key", "kind", "persons", "seconds", "target", "why")

    def __init__(
        self,
        warrant: Warrant,
        kind: SanctionKind,
        target: Person,
        seconds: int | None = None,
        why: str = "",
    ) -> None:
        super().__init__(warrant)
        self.key = secrets.randbits(63)
        self.kind = kind
        self.target = target
        self.seconds = seconds
        self.why = why
        self.persons: list[Claimant] = []  # who are here, once it is decided

    def decide(self, registry: Registry, id_: int) -> Entry | None:
        self.persons = []
        return super().decide(registry, id_)

    def carry_out(self, registry: Registry, id_: int, rank: Rank, by: str) -> Entry | None:
        persons = registry.found_persons(self.target)
        target = registry.person_of(persons[0]) if persons else self.target
        _expect_below(registry, rank, target, self.scope)
        until = None if self.seconds is None else self.at + self.seconds
        account = target.account
        sanction = Sanction(
            self.key,
            id_,
            self.kind,
            self.scope,
            target.name if account is None else account.name,
            account,
            (self.target.networks or target.networks)[:MAX_NETWORKS],
            by,
            self.at,
            until,
            self.why,
            target.id,
        )
        replaced = registry.impose(sanction, persons, self.at)
        self.persons = persons
        self._note(registry, id_)
        everywhere = self.scope == ALL_ROOMS
        event_of = Banned if self.kind is SanctionKind.BAN else Muted
        event = event_of(
            id_, self.at, self.room, target.name, by, True, until, self.why, everywhere
        )
        return self._entry(event, Imposed(sanction, tuple(persons), tuple(replaced)))


class Expel(Draft):
    """Those whom `ban` holds are removed. It is submitted with that, and nothing is between."""

    __slots__ = ("ban",)

    def __init__(self, ban: Impose) -> None:
        super().__init__(ban.at, ban.connection)
        self.ban = ban

    def decide(self, registry: Registry, id_: int) -> Entry | None:
        ban = self.ban
        there = _there(registry, ban.persons, ban.scope)
        if not there:
            return None
        by = CONSOLE if ban.user is None else registry.name_of(ban.user)
        return _removed(registry, there, ban, id_, by, ban.why)


class Lift(Measure):
    """Whoever is called `name` is banned or muted no longer."""

    __slots__ = ("kind", "name")

    def __init__(self, warrant: Warrant, kind: SanctionKind, name: str) -> None:
        super().__init__(warrant)
        self.kind = kind
        self.name = name

    def carry_out(self, registry: Registry, id_: int, rank: Rank, by: str) -> Entry | None:
        here = registry.found_persons(Person(0, self.name))
        person = registry.person_of(here[0]) if here else Person(0, self.name)
        is_ban = self.kind is SanctionKind.BAN
        sanctions = registry.sanctions.get(self.scope)
        meant = [] if sanctions is None else sanctions.imposed_on(self.kind, person, self.at)
        if not meant:
            other = sanctions and sanctions.holding(self.kind, person.held, self.at)
            if other:
                raise Refusal(ErrorCode.HELD_WITH, name=self.name, other=other.name)
            code = ErrorCode.NOT_BANNED if is_ban else ErrorCode.NOT_MUTED
            raise Refusal(code, name=self.name)
        for sanction in meant:
            registry.lift(sanction)
        self._note(registry, id_)
        event_of = Banned if is_ban else Muted
        everywhere = self.scope == ALL_ROOMS
        event = event_of(
            id_, self.at, self.room, meant[0].name, by, on=False, everywhere=everywhere
        )
        return self._entry(event, Lifted(tuple(meant)))


class Appoint(Measure):
    """The owner of `account`, who is called `name`, has another role in the room."""

    __slots__ = ("account", "name", "role")

    def __init__(self, warrant: Warrant, account: Account, name: str, role: Role) -> None:
        super().__init__(warrant)
        self.account = account
        self.name = name
        self.role = role

    def carry_out(self, registry: Registry, id_: int, rank: Rank, by: str) -> Entry | None:
        if self.scope == ALL_ROOMS:
            raise Refusal(ErrorCode.UNKNOWN_ROOM, room=shown_room(self.scope))
        record, account = registry.room_to_change(self.scope), self.account
        resigns = self.user is not None and self.user.account == account
        match self.role:
            case Role.FOUNDER:
                self._hand_over(registry, record, rank)
            case Role.OPERATOR:
                _expect_founder(rank, self.scope)
                if registry.rank(account, self.scope) is not Rank.MEMBER:
                    return None  # they are in charge already
                if len(record.operators) >= MAX_OPERATORS:
                    raise Refusal(ErrorCode.TOO_MANY_OPERATORS, limit=MAX_OPERATORS)
                record.operators.add(account)
            case Role.MEMBER:
                if not resigns:
                    _expect_founder(rank, self.scope)
                if account not in record.operators:
                    if registry.rank(account, self.scope) is not Rank.MEMBER:
                        raise Refusal(ErrorCode.PROTECTED, name=self.name)
                    return None
                record.operators.discard(account)
        self._note(registry, id_)
        event = RoleChanged(id_, self.at, self.room, self.name, by, self.role)
        founded = None
        if self.role is Role.FOUNDER:
            founded = replace(record, operators=set(record.operators))
        return self._entry(event, Appointed(account, founded))

    def _hand_over(self, registry: Registry, record: RoomRecord, rank: Rank) -> None:
        if rank < Rank.SERVER_OPERATOR or self.scope == LOBBY:
            raise Refusal(ErrorCode.NOT_IN_CHARGE, room=shown_room(self.scope))
        theirs = sum(room.founder == self.account for room in registry.rooms.values())
        if theirs >= MAX_FOUNDED_BY_ACCOUNT:
            raise Refusal(ErrorCode.TOO_MANY_ROOMS)
        record.founder = self.account
        record.operators.discard(self.account)


class Commission(Draft):
    """The owner of `account` is an operator of the server (`on`), or no longer. Nobody hears of
    it."""

    __slots__ = ("account", "on")

    def __init__(self, at: float, account: Account, on: bool, then: Then | None = None) -> None:
        super().__init__(at, then=then)
        self.account = account
        self.on = on

    def decide(self, registry: Registry, id_: int) -> None:
        if self.on:
            registry.operators.add(self.account)
        else:
            registry.operators.discard(self.account)


def _expect_below(registry: Registry, rank: Rank, target: Person, scope: str) -> None:
    """Nobody acts on somebody who is as much in charge. Raises PROTECTED."""
    identity = target.id if target.account is None else target.account
    if registry.rank(identity, scope) >= rank:
        raise Refusal(ErrorCode.PROTECTED, name=target.name)


def _expect_founder(rank: Rank, scope: str) -> None:
    if rank < Rank.FOUNDER:
        raise Refusal(ErrorCode.NOT_FOUNDER, room=shown_room(scope))


def _there(registry: Registry, persons: Sequence[Claimant], scope: str) -> list[Claimant]:
    """Those of `persons` who are in that room; or in the chat, which begins in the lobby."""
    here = [person for person in persons if registry.is_here(person)]
    if scope in (ALL_ROOMS, LOBBY):
        return here
    return [person for person in here if scope in registry.rooms_of(person)]


def _removed(  # noqa: PLR0917
    registry: Registry, persons: Sequence[Claimant], measure: Measure, id_: int, by: str, why: str
) -> Entry:
    """`persons` are removed from the room; or from all of them, with the lobby."""
    at, room = measure.at, measure.room
    names = tuple(registry.name_of(person) for person in persons)
    if measure.scope in (ALL_ROOMS, LOBBY):
        left = {each for person in persons for each in registry.release(person)}
        rooms = tuple(sorted(left, key=room_order)) or (room,)
        several = rooms if len(rooms) > 1 else ()
        event = Left(id_, at, rooms[0], names, LeaveReason.LEFT, several, by, why)
    else:
        rooms = (room,)
        for person in persons:
            registry.part(person, room)
        event = Left(id_, at, room, names, LeaveReason.PARTED, (), by, why)
    size = sum(map(len, names)) + len(why)
    return Entry(event, rooms, tuple(persons), size=size, ended=registry.ended(rooms))
