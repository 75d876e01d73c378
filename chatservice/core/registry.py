"""Names, rooms and memberships as of the last commit.

A store decides what was submitted in the order of its commits: who has a name, which rooms there
are, who is in them. What people are shown lags behind until it is delivered (see `chat.Chat`).
"""

from collections.abc import Iterable, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass, field, fields
from enum import IntEnum
from functools import lru_cache
from math import ceil
from typing import NamedTuple, Protocol

from chatservice.core import names
from chatservice.core.events import (
    ALL_ROOMS,
    LOBBY,
    Account,
    ErrorCode,
    Refusal,
    Role,
    SanctionKind,
)
from chatservice.core.lookalikes import LookAlikes
from chatservice.core.pace import Pace
from chatservice.core.sanctions import Person, Sanction, Sanctions, most_sanctions, of_kind

# Rooms that one person may be in: what a busy person follows, ten times over. Each costs some
# 100 bytes a connection.
MAX_ROOMS_JOINED = 50
# Rooms that there may be at a time: some 10 MB.
MAX_ROOMS = 10_000
# Rooms that a guest and the owner of an account may have founded at a time: a guest's go with
# their last member, an account's stay.
MAX_FOUNDED_BY_GUEST, MAX_FOUNDED_BY_ACCOUNT = 3, 20
# Seconds between the messages of one person in a slow room: six hours.
MAX_PACE = 21_600
# People whom one founder may put in charge of a room.
MAX_OPERATORS = 100


class Claimant(Protocol):
    """Somebody who has a name: `id` is theirs alone."""

    @property
    def id(self) -> int: ...

    @property
    def account(self) -> Account | None: ...


@dataclass(slots=True)
class RoomRecord:
    """A room. `founder`: an account, or the id of a guest. `operators`: whom the founder has put in
    charge, too. `open_from`: newcomers may see what was said from this id on. `control`: the id of
    the last entry that changed its rights. `slow`: seconds between the messages of one person."""

    name: str
    founder: Account | int | None = None
    topic: str = ""
    private: bool = False
    open_from: int = 0
    control: int = 0
    members: int = 0
    operators: set[Account] = field(default_factory=set)
    slow: int = 0

    def appoint(self, account: Account, role: Role) -> None:
        """The owner of `account` has that role in it from now on."""
        self.operators.discard(account)
        if role is Role.OPERATOR:
            self.operators.add(account)
        elif role is Role.FOUNDER:
            self.founder = account

    @property
    def stays(self) -> bool:
        """Whether it outlives its last member."""
        return self.name == LOBBY or isinstance(self.founder, Account)


class Rank(IntEnum):
    """Who is in charge of whom: of those who have less of it."""

    MEMBER = 0
    OPERATOR = 1  # of the room
    FOUNDER = 2
    SERVER_OPERATOR = 3  # in charge everywhere
    CONSOLE = 4  # whoever runs the server


@dataclass(slots=True)
class _Claim:
    person: Claimant = field(compare=False)
    name: str
    account: Account | None
    founder: Account | int
    rooms: tuple[str, ...] = ()  # in `room_order`
    nodes: frozenset[int] = frozenset()  # the servers where they have connections
    networks: tuple[str, ...] = ()  # that they came from
    held: frozenset[int] = frozenset()  # the keys of bans and mutes that hold them
    away: str | None = None  # what they say who do not answer for now

    @property
    def suspect(self) -> Person:
        """Who may be held by a ban or mute."""
        return Person(self.person.id, self.name, self.account, self.networks, self.held)

    @property
    def is_registered(self) -> bool:
        """Whether the name is that of the account."""
        return self.account is not None and self.account.is_called(self.name)

    def is_beside(self, name: str) -> bool:
        """Whether it may stand beside the registered `name`, which is like it: both had been
        registered before they counted as alike."""
        account = self.account
        return self.is_registered and account is not None and not account.is_called(name)


class Touched(NamedTuple):
    """What has changed since `Registry.begin`: people, by their ids, with the names that they had
    (None: they were not here); rooms; and bans and mutes: whether each holds now."""

    people: Mapping[int, str | None]
    rooms: frozenset[str]
    sanctions: Mapping[Sanction, bool]


class Journal(NamedTuple):
    """As people and rooms were before they were changed; which bans and mutes have begun or ended
    since, and when who had spoken in slow rooms before, in order."""

    claims: dict[int, "_Claim | None"]
    rooms: dict[str, RoomRecord | None]
    sanctions: list[tuple[Sanction, bool]]
    spoke: list[tuple[str, Account | int, float | None]]

    @classmethod
    def begin(cls) -> "Journal":
        """One in which nothing stands."""
        return cls({}, {}, [], [])


class Registry:
    """Who has which name and is in which rooms, and who may do what. What may not be raises
    `Refusal`.

    A store of several servers decides before it knows whether others have changed something
    meanwhile: what it decides since `begin` is kept with `keep`, or undone. `node` is the number of
    the server that decides. `operators`: those of the server. `sanctions`: bans and mutes, by their
    scope.
    """

    def __init__(
        self,
        rooms: Iterable[RoomRecord] = (),
        node: int = 0,
        operators: Iterable[Account] = (),
        sanctions: Iterable[Sanction] = (),
    ) -> None:
        self.node = node
        self._here = frozenset((node,))  # one object for all people
        self.rooms: dict[str, RoomRecord] = {}
        self.operators = set(operators)
        self.sanctions: dict[str, Sanctions] = {}
        self._room_keys: dict[str, str] = {}
        self._claims: dict[int, _Claim] = {}
        self._alike: LookAlikes[int] = LookAlikes()
        self._owners: dict[Account, frozenset[int]] = {}
        self._journal: Journal | None = None
        self._pace = Pace()
        for room in (RoomRecord(LOBBY), *rooms):
            self._add(room)
        for sanction in sanctions:
            self._sanctions_of(sanction.scope).add(sanction)

    def begin(self) -> None:
        """What is changed from now on can be undone."""
        self._journal = Journal.begin()

    @property
    def touched(self) -> Touched:
        """What has been changed since."""
        claims, rooms, sanctions, _ = self._journal or Journal.begin()
        people = {id_: None if claim is None else claim.name for id_, claim in claims.items()}
        return Touched(people, frozenset(rooms), dict(sanctions))

    @property
    def touches_others(self) -> bool:
        """Whether anybody has been changed since who has connections on other servers, or had."""
        claims = self._journal.claims if self._journal is not None else {}
        both = (each for id_, was in claims.items() for each in (was, self._claims.get(id_)))
        return any(claim is not None and claim.nodes - {self.node} for claim in both)

    def keep(self, decided_from: int, first_id: int) -> "Journal":
        """What was decided with ids from `decided_from` on stands in the log from `first_id` on.
        Returns what `undo` needs, should that be lost again."""
        journal, self._journal = self._journal or Journal.begin(), None
        for name in journal.rooms:
            if (room := self.rooms.get(name)) is not None:
                _renumber(room, decided_from, first_id)
        for sanction, on in journal.sanctions:
            there = self.sanctions.get(sanction.scope)  # None: all have been lifted again
            if on and there is not None and sanction.id >= decided_from:
                there.renumber(sanction.key, decided_from, first_id)
        return journal

    def undo(self, journal: "Journal | None" = None) -> None:
        """Everyone and everything is as it was at `begin`; or before what that `journal` is of,
        which nothing has followed."""
        if journal is None:
            journal, self._journal = self._journal or Journal.begin(), None
        for id_ in journal.claims:
            if id_ in self._claims:
                self._take(id_)
        for id_, claim in journal.claims.items():
            if claim is not None:
                self._give(id_, claim)
        for name in journal.rooms:
            if name in self.rooms:
                self._drop(name)
        for room in journal.rooms.values():
            if room is not None:
                self._add(room)
        self._undo_rights(journal)

    def _undo_rights(self, journal: Journal) -> None:
        for sanction, on in reversed(journal.sanctions):
            if on:
                self._lift(sanction)
            else:
                self._sanctions_of(sanction.scope).add(sanction)
        for room, identity, before in reversed(journal.spoke):
            self._pace.take_back(room, identity, before)

    def _note_person(self, id_: int) -> None:
        if self._journal is not None and id_ not in self._journal.claims:
            self._journal.claims[id_] = copy(self._claims.get(id_))

    def _note_room(self, name: str) -> None:
        if self._journal is not None and name not in self._journal.rooms:
            self._journal.rooms[name] = deepcopy(self.rooms.get(name))

    def _note_sanction(self, sanction: Sanction, *, on: bool) -> None:
        if self._journal is not None:
            self._journal.sanctions.append((sanction, on))

    def room_to_change(self, name: str) -> RoomRecord:
        """That room, of which something is about to be changed."""
        self._note_room(name)
        return self.rooms[name]

    def claim(
        self, person: Claimant, name: str, networks: tuple[str, ...] = (), now: float = 0.0
    ) -> None:
        """`person`, who has none so far and comes from these networks, is called `name`. Raises
        NAME_TAKEN, also if the owner of their account is here already; and BANNED."""
        claim = _Claim(person, name, person.account, _identity(person), networks=networks)
        self._expect_free(person.id, claim)
        if person.account is not None and person.account in self._owners:
            raise Refusal(ErrorCode.NAME_TAKEN, name=name)
        for scope in (ALL_ROOMS, LOBBY):
            self._expect_welcome(claim, scope, now)
        self.accept(person, name, networks=networks)
        self._hold(person.id, (ALL_ROOMS,), now, newcomer=True)

    # What another server has decided is not decided again.

    def accept(
        self,
        person: Claimant,
        name: str,
        rooms: Iterable[str] = (),
        nodes: Iterable[int] | None = None,
        networks: tuple[str, ...] = (),
    ) -> None:
        """`person` is here, as `name`, in these rooms, with connections on these `nodes`, from
        these networks."""
        founder = _identity(person)
        there = self._here if nodes is None else frozenset(nodes)
        self._note_person(person.id)
        self._give(
            person.id,
            _Claim(person, name, person.account, founder, nodes=there, networks=networks),
        )
        for room in rooms:
            self.accept_member(person, room)

    def accept_nodes(self, person: Claimant, nodes: frozenset[int]) -> None:
        """`person` has connections on these."""
        self._note_person(person.id)
        self._claims[person.id].nodes = nodes

    def accept_member(self, person: Claimant, room: str) -> None:
        """`person` has come into `room`, which is there."""
        claim = self._claims[person.id]
        if room not in claim.rooms:
            self._note_person(person.id)
            claim.rooms = _shared(tuple(sorted((*claim.rooms, room), key=room_order)))
            self.room_to_change(room).members += 1

    def accept_room(self, record: RoomRecord) -> RoomRecord:
        """There is such a room."""
        self._note_room(record.name)
        return self._add(record)

    def accept_name(self, person: Claimant, name: str) -> str:
        """`person` is called `name`. Returns what they were called."""
        self._note_person(person.id)
        claim = self._take(person.id)
        old, claim.name, claim.account = claim.name, name, person.account
        self._give(person.id, claim)
        return old

    def accept_away(self, person: Claimant, text: str | None) -> None:
        """`person` is away, and says this of it; None: they are back."""
        self._note_person(person.id)
        self._claims[person.id].away = text

    def accept_sanction(self, sanction: Sanction, persons: Iterable[Claimant]) -> None:
        """It holds these persons, and whoever it is meant for."""
        self._note_sanction(sanction, on=True)
        self._sanctions_of(sanction.scope).add(sanction)
        for person in persons:
            self._hold_by(person.id, [sanction])

    def accept_spoke(self, person: Claimant, room: str, at: float) -> None:
        """`person` has said something in `room`, which may be slow."""
        record, identity = self.rooms[room], self._claims[person.id].founder
        if record.slow:  # of those who have left it is known, too
            most = 2 * record.members
            before = self._pace.note(room, identity, at, record.slow, most, self._may_return)
            if self._journal is not None:
                self._journal.spoke.append((room, identity, before))

    def _may_return(self, identity: Account | int) -> bool:
        """Guests who have left do not: they would be others."""
        return isinstance(identity, Account) or identity in self._claims

    # What is decided here.

    def set_away(self, person: Claimant, text: str | None, now: float) -> None:
        """The same. Raises GONE; and MUTED, if that would say what they must not."""
        self.expect_here(person)
        if text and ALL_ROOMS in self.sanctions:
            self._expect_voice(self._claims[person.id], ALL_ROOMS, now)
        self.accept_away(person, text)

    def rename(self, person: Claimant, name: str, now: float = 0.0) -> str:
        """`person` is called `name`. Returns what they were called. Raises NAME_TAKEN; and MUTED or
        BANNED, if a name would say what they must not, or holds them; and GONE."""
        self.expect_here(person)
        claim = self._claims[person.id]
        wanted = _Claim(person, name, person.account, claim.founder)
        self._expect_free(person.id, wanted)
        for scope in (ALL_ROOMS, *claim.rooms):
            if scope in self.sanctions:
                self._expect_voice(claim, scope, now)
                meant = self.sanctions[scope].meant(SanctionKind.BAN, wanted.suspect, now)
                if (ban := of_kind(SanctionKind.BAN, meant)) is not None:
                    raise banned(ban)
        old = self.accept_name(person, name)
        self._hold(person.id, (ALL_ROOMS, *claim.rooms), now, newcomer=False)
        return old

    def enroll(self, person: Claimant, now: float = 0.0) -> None:
        """`person` owns another account now, or none: what they founded stays theirs, what holds
        them goes on to, and what holds the account holds them."""
        if (claim := self._claims.get(person.id)) is None:
            return
        if person.account is not None:
            self._follow(claim, person.account)
        founder = _identity(person)
        self._note_person(person.id)
        for name, room in self.rooms.items():
            if room.founder == claim.founder:
                self._note_room(name)
                room.founder = founder
        self._take(person.id)
        claim.account, claim.founder = person.account, founder
        self._give(person.id, claim)
        self._hold(person.id, (ALL_ROOMS, *claim.rooms), now, newcomer=False)

    def enter_beside(self, person: Claimant) -> None:
        """`person` has connections on this server, too. Raises GONE."""
        self.expect_here(person)
        if self.node not in (nodes := self.nodes_of(person)):
            self.accept_nodes(person, nodes | {self.node})

    def withdraw(self, person: Claimant, node: int) -> bool:
        """`person` has no connections on `node` any longer. False if they have none elsewhere:
        they are to be released."""
        if not (elsewhere := self.nodes_of(person) - {node}):
            return False
        self.accept_nodes(person, elsewhere)
        return True

    def release(self, person: Claimant) -> tuple[str, ...]:
        """`person` is gone. Returns the rooms that they were in."""
        self._note_person(person.id)
        claim = self._take(person.id)
        for room in claim.rooms:
            self._lose_member(room)
        return claim.rooms

    def claim_of(self, id_: int) -> tuple[str, tuple[str, ...]] | None:
        """What the person with that id is called, and their rooms; None: they are not here."""
        claim = self._claims.get(id_)
        return None if claim is None else (claim.name, claim.rooms)

    def name_of(self, person: Claimant) -> str:
        """What `person` is called."""
        return self._claims[person.id].name

    def rooms_of(self, person: Claimant) -> tuple[str, ...]:
        """The rooms that `person` is in, the lobby first."""
        return self._claims[person.id].rooms

    def rooms_of_owner(self, account: Account) -> frozenset[str] | None:
        """Where the owner of `account` is; None: they are not here."""
        ids = self._owners.get(account)
        if ids is None:
            return None
        return frozenset(room for id_ in ids for room in self._claims[id_].rooms)

    def nodes_of(self, person: Claimant) -> frozenset[int]:
        """The servers where `person`, who is here, has connections."""
        return self._claims[person.id].nodes

    def elsewhere(self, person: Claimant) -> frozenset[int]:
        """The same, but for this one; none if they are not here."""
        claim = self._claims.get(person.id)
        return frozenset() if claim is None else claim.nodes - {self.node}

    def is_here(self, person: Claimant) -> bool:
        """Whether `person` has a name."""
        return person.id in self._claims

    def expect_member(self, person: Claimant, room: str) -> str:
        """What `person` is called, who is in `room`. Raises NOT_IN_ROOM if they are not (any
        longer)."""
        claim = self._claims.get(person.id)
        if claim is None or room not in claim.rooms:
            raise Refusal(ErrorCode.NOT_IN_ROOM, room=room)
        return claim.name

    def away_of(self, person: Claimant) -> str | None:
        """What `person` says of their absence; None: they are not away."""
        return self._claims[person.id].away

    def expect_here(self, person: Claimant) -> None:
        """Raises GONE if `person` has left the chat."""
        if person.id not in self._claims:
            raise Refusal(ErrorCode.GONE, name="")

    def is_trusted(self, person: Claimant, room: str) -> bool:
        """Whether `person` may come into `room`, though it is private: they are in charge of it."""
        claim = self._claims.get(person.id)
        if claim is None:
            return False
        return self.rank(claim.founder, room) in (Rank.FOUNDER, Rank.OPERATOR)

    def found(self, person: Claimant, name: str, id_: int) -> RoomRecord:
        """`person` makes the room `name`, with the entry that has this id. Raises NAME_TAKEN,
        TOO_MANY_ROOMS."""
        founder = self._claims[person.id].founder
        mine = sum(room.founder == founder for room in self.rooms.values())
        most = MAX_FOUNDED_BY_ACCOUNT if isinstance(founder, Account) else MAX_FOUNDED_BY_GUEST
        if mine >= most or len(self.rooms) >= MAX_ROOMS:
            raise Refusal(ErrorCode.TOO_MANY_ROOMS)
        if (like := self.like(name)) is not None:
            raise Refusal(
                ErrorCode.CANNOT_JOIN if self.rooms[like].private else ErrorCode.NAME_TAKEN,
                name="#" + name,
            )
        return self.accept_room(RoomRecord(name, founder, open_from=id_, control=id_))

    def join(self, person: Claimant, room: str, now: float = 0.0) -> bool:
        """`person` is in `room`. Returns False if they were already. Raises TOO_MANY_ROOMS,
        BANNED."""
        claim = self._claims[person.id]
        if room in claim.rooms:
            return False
        self._expect_welcome(claim, room, now)
        if len(claim.rooms) >= MAX_ROOMS_JOINED:
            raise Refusal(ErrorCode.TOO_MANY_ROOMS)
        self.accept_member(person, room)
        self._hold(person.id, (room,), now, newcomer=True)
        return True

    def ended(self, rooms: Iterable[str]) -> tuple[str, ...]:
        """Those of `rooms` that there are no longer."""
        return tuple(room for room in rooms if room not in self.rooms)

    def part(self, person: Claimant, room: str) -> None:
        """`person` is in `room` no longer. Raises NOT_IN_ROOM."""
        self.expect_member(person, room)
        claim = self._claims[person.id]
        self._note_person(person.id)
        claim.rooms = _shared(tuple(each for each in claim.rooms if each != room))
        self._lose_member(room)

    # Who may do what.

    def _sanctions_of(self, scope: str) -> Sanctions:
        """The bans and mutes of a room, or of the whole chat (ALL_ROOMS)."""
        found = self.sanctions.get(scope)
        if found is None:
            found = self.sanctions[scope] = Sanctions()
        return found

    def expect_in_charge(self, person: Claimant | None, scope: str) -> tuple[Rank, str]:
        """The rank of `person` in a room that they are in, or in the whole chat, and what they are
        called; None: whoever runs the server. Raises NOT_IN_CHARGE, UNKNOWN_ROOM, GONE."""
        if scope != ALL_ROOMS and scope not in self.rooms:
            raise Refusal(ErrorCode.UNKNOWN_ROOM, room=shown_room(scope))
        if person is None:
            return Rank.CONSOLE, ""
        self.expect_here(person)
        claim = self._claims[person.id]
        rank = self.rank(claim.founder, scope)
        if rank is Rank.MEMBER or (rank < Rank.SERVER_OPERATOR and scope not in claim.rooms):
            raise Refusal(ErrorCode.NOT_IN_CHARGE, room=shown_room(scope))
        return rank, claim.name

    def rank(self, identity: Account | int, scope: str) -> Rank:
        """That of the owner of an account, or of the guest who has that id."""
        return rank_in(self.rooms.get(scope), identity, self.operators)

    def expect_voice(self, person: Claimant, room: str, now: float) -> str:
        """What `person` is called, who may speak in `room`. Raises NOT_IN_ROOM, MUTED."""
        name = self.expect_member(person, room)
        if self.sanctions:
            claim = self._claims[person.id]
            for scope in (room, ALL_ROOMS):
                self._expect_voice(claim, scope, now)
        return name

    def expect_pace(self, person: Claimant, room: str, now: float) -> None:
        """`person` says something in `room`. Raises TOO_SOON, if that is slow; but for those in
        charge."""
        record, identity = self.rooms[room], self._claims[person.id].founder
        if record.slow and self.rank(identity, room) is Rank.MEMBER:
            if (wait := self._pace.wait(room, identity, record.slow, now)) > 0:
                raise Refusal(ErrorCode.TOO_SOON, room=shown_room(room), seconds=ceil(wait))
            self.accept_spoke(person, room, now)

    def has_voice(self, person: Claimant, now: float, *rooms: str) -> bool:
        """Whether `person` may say something in all of these rooms."""
        claim = self._claims[person.id]
        try:
            for scope in (*rooms, ALL_ROOMS):
                self._expect_voice(claim, scope, now)
        except Refusal:
            return False
        return True

    def found_persons(self, person: Person) -> list[Claimant]:
        """Those who are here and are `person`: by the id; or if that is nobody's, the owner of the
        account, or guests of that name."""
        if person.id in self._claims:
            return [self._claims[person.id].person]
        if person.account is not None:
            return [
                claim.person for claim in self._claims.values() if claim.account == person.account
            ]
        alike = sorted(self._alike.alike(person.name))
        return [self._claims[id_].person for id_ in alike if self._claims[id_].account is None]

    def person_of(self, person: Claimant) -> Person:
        """What is known of somebody who is here."""
        return self._claims[person.id].suspect

    def networks_of(self, person: Claimant) -> tuple[str, ...]:
        """Those that `person` came from; none if they have left again."""
        claim = self._claims.get(person.id)
        return () if claim is None else claim.networks

    def impose(self, sanction: Sanction, persons: Iterable[Claimant], now: float) -> list[Sanction]:
        """It holds these `persons`, and whoever it is meant for, instead of what is returned.
        Raises TOO_MANY_BANS."""
        most = most_sanctions(sanction.scope, founder := self._founder_of(sanction.scope))
        elsewhere = 0 if founder is None else self._sanctions_by(founder, sanction.scope, now)
        there = self.sanctions.get(sanction.scope) or Sanctions()
        replaced = there.make_way(sanction, now, most, elsewhere)
        for each in replaced:
            self.lift(each)
        self.accept_sanction(sanction, persons)
        return replaced

    def sanction(self, scope: str, key: int) -> Sanction | None:
        """The one with that key, if it holds."""
        there = self.sanctions.get(scope)
        return None if there is None else there.get(key)

    def _founder_of(self, scope: str) -> Account | int | None:
        return self.rooms[scope].founder if scope in self.rooms else None

    def _sanctions_by(self, founder: Account | int, beside: str, now: float) -> int:
        """How many there are in the rooms of `founder`, but for the one `beside`."""
        return sum(
            len(there.listed(now))
            for scope, there in self.sanctions.items()
            if scope != beside and self._founder_of(scope) == founder
        )

    def lift(self, sanction: Sanction) -> None:
        """It holds nobody any longer."""
        self._note_sanction(sanction, on=False)
        self._lift(sanction)

    def _lift(self, sanction: Sanction) -> None:
        if (found := self.sanctions.get(sanction.scope)) is not None:
            found.lift(sanction)
            if not found:
                del self.sanctions[sanction.scope]

    def _follow(self, claim: _Claim, account: Account) -> None:
        """What was imposed on a guest, who has registered, holds the owner of `account`."""
        for sanctions in list(self.sanctions.values()):
            for before, after in sanctions.following(claim.suspect, account):
                self.lift(before)
                self.accept_sanction(after, ())

    def _hold(self, id_: int, scopes: Iterable[str], now: float, *, newcomer: bool) -> None:
        """What is meant for somebody who comes there, or has another name, holds them."""
        for scope in scopes:
            found = self._found(self._claims[id_], scope, now, newcomer=newcomer)
            self._hold_by(id_, found)

    def _hold_by(self, id_: int, sanctions: list[Sanction]) -> None:
        if sanctions:
            self._note_person(id_)
            self._claims[id_].held |= {each.key for each in sanctions}

    def barred(self, person: Claimant, rooms: Iterable[str], now: float) -> tuple[str, ...]:
        """Those of `rooms` that `person` is banned from."""
        claim = self._claims[person.id]
        return tuple(
            room
            for room in rooms
            if of_kind(SanctionKind.BAN, self._found(claim, room, now, newcomer=True))
        )

    def _expect_welcome(self, claim: _Claim, scope: str, now: float) -> None:
        found = self._found(claim, scope, now, newcomer=True)
        if (ban := of_kind(SanctionKind.BAN, found)) is not None:
            raise banned(ban)

    def _found(self, claim: _Claim, scope: str, now: float, *, newcomer: bool) -> list[Sanction]:
        """What holds somebody there, or is meant for them. Those in charge answer for nobody else
        from their network."""
        if (sanctions := self.sanctions.get(scope)) is None:
            return []
        is_held = newcomer and self.rank(claim.founder, scope) is Rank.MEMBER
        return sanctions.found(claim.suspect, now, newcomer=is_held)

    def _expect_voice(self, claim: _Claim, scope: str, now: float) -> None:
        if scope not in self.sanctions:
            return
        mute = self.sanctions[scope].holding(SanctionKind.MUTE, claim.held, now)
        if mute is None:
            return
        until = 0 if mute.until is None else int(mute.until)
        raise Refusal(ErrorCode.MUTED, room=shown_room(scope), until=until)

    def like(self, name: str) -> str | None:
        """The room that is called `name`, or looks like it."""
        for key in names.keys(name):
            if key in self._room_keys:
                return self._room_keys[key]
        return None

    def _give(self, id_: int, claim: _Claim) -> None:
        self._claims[id_] = claim
        self._alike.add(claim.name, id_)
        if (account := claim.account) is not None:
            self._owners[account] = self._owners.get(account, frozenset()) | {id_}

    def _take(self, id_: int) -> _Claim:
        claim = self._claims.pop(id_)
        self._alike.remove(claim.name, id_)
        if (account := claim.account) is not None:
            self._owners[account] -= {id_}
            if not self._owners[account]:
                del self._owners[account]
        return claim

    def _expect_free(self, id_: int, wanted: _Claim) -> None:
        for other in self._alike.alike(wanted.name) - {id_}:
            claim = self._claims[other]
            if not (wanted.is_registered and claim.is_beside(wanted.name)):
                raise Refusal(ErrorCode.NAME_TAKEN, name=wanted.name)

    def _add(self, room: RoomRecord) -> RoomRecord:
        self.rooms[room.name] = room
        self._room_keys.update(dict.fromkeys(names.keys(room.name), room.name))
        return room

    def _lose_member(self, name: str) -> None:
        room = self.room_to_change(name)
        room.members -= 1
        if not room.members and not room.stays:
            self._drop(name)
            for identity, at in self._pace.forget(name).items():
                if self._journal is not None:
                    self._journal.spoke.append((name, identity, at))
            for sanction in self.sanctions.get(name, ()):
                self.lift(sanction)

    def _drop(self, name: str) -> None:
        del self.rooms[name]
        for key in names.keys(name):
            self._room_keys.pop(key, None)


def _renumber(room: RoomRecord, decided_from: int, first_id: int) -> None:
    """Ids that were given from `decided_from` on are from `first_id` on."""
    for each in fields(room):
        value = getattr(room, each.name)
        if isinstance(value, int) and value >= decided_from:
            setattr(room, each.name, value - decided_from + first_id)


@lru_cache(maxsize=1024)
def _shared(rooms: tuple[str, ...]) -> tuple[str, ...]:
    """The same object for all who are in the same rooms, as most are."""
    return rooms


def _identity(person: Claimant) -> Account | int:
    """What stays theirs."""
    return person.id if person.account is None else person.account


class _HasRoles(Protocol):
    @property
    def founder(self) -> Account | int | None: ...

    @property
    def operators(self) -> set[Account]: ...


def rank_in(room: _HasRoles | None, identity: Account | int, operators: set[Account]) -> Rank:
    """That of the owner of an account, or of the guest who has that id, in `room` (None: in the
    whole chat). `operators`: those of the server."""
    if identity in operators:
        return Rank.SERVER_OPERATOR
    if room is None:
        return Rank.MEMBER
    if identity == room.founder:
        return Rank.FOUNDER
    return Rank.OPERATOR if identity in room.operators else Rank.MEMBER


def banned(ban: Sanction) -> Refusal:
    """Why somebody whom `ban` holds may not come in."""
    until = 0 if ban.until is None else int(ban.until)
    return Refusal(ErrorCode.BANNED, room=shown_room(ban.scope), until=until)


def shown_room(name: str) -> str:
    """As people see it: ``#dev``. The whole chat is ALL_ROOMS."""
    return name if name == ALL_ROOMS else "#" + name.removeprefix("#")


def room_order(name: str) -> tuple[bool, str]:
    """The lobby first, then by name."""
    return name != LOBBY, name
