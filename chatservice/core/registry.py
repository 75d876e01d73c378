"""Names, rooms and memberships as of the last commit.

A store decides what was submitted in the order of its commits: who has a name, which rooms there
are, who is in them. What people are shown lags behind until it is delivered (see `chat.Chat`).
"""

from collections.abc import Iterable, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple, Protocol

from chatservice.core import names
from chatservice.core.events import LOBBY, Account, ErrorCode, Refusal
from chatservice.core.lookalikes import LookAlikes

# Rooms that one person may be in: what a busy person follows, ten times over. Each costs some
# 100 bytes a connection.
MAX_ROOMS_JOINED = 50
# Rooms that there may be at a time: some 10 MB.
MAX_ROOMS = 10_000
# Rooms that a guest and the owner of an account may have founded at a time: a guest's go with
# their last member, an account's stay.
MAX_FOUNDED_BY_GUEST, MAX_FOUNDED_BY_ACCOUNT = 3, 20


class Claimant(Protocol):
    """Somebody who has a name: `id` is theirs alone."""

    @property
    def id(self) -> int: ...

    @property
    def account(self) -> Account | None: ...


@dataclass(slots=True)
class RoomRecord:
    """A room. `founder`: an account, or the id of a guest. `open_from`: newcomers may see what was
    said from this id on. `control`: the id of the last entry that changed its rights."""

    name: str
    founder: Account | int | None = None
    topic: str = ""
    private: bool = False
    open_from: int = 0
    control: int = 0
    members: int = 0

    @property
    def stays(self) -> bool:
        """Whether it outlives its last member."""
        return self.name == LOBBY or isinstance(self.founder, Account)


@dataclass(slots=True)
class _Claim:
    name: str
    account: Account | None
    founder: Account | int
    rooms: tuple[str, ...] = ()  # in `room_order`
    nodes: frozenset[int] = frozenset()  # the servers where they have connections

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
    (None: they were not here); and rooms."""

    people: Mapping[int, str | None]
    rooms: frozenset[str]


class Journal(NamedTuple):
    """As people and rooms were before they were changed."""

    claims: dict[int, "_Claim | None"]
    rooms: dict[str, RoomRecord | None]


class Registry:
    """Who has which name and is in which rooms. What may not be raises `Refusal`.

    A store of several servers decides before it knows whether others have changed something
    meanwhile: what it decides since `begin` is kept with `keep`, or undone. `node` is the number of
    the server that decides.
    """

    def __init__(self, rooms: Iterable[RoomRecord] = (), node: int = 0) -> None:
        self.node = node
        self.rooms: dict[str, RoomRecord] = {}
        self._room_keys: dict[str, str] = {}
        self._claims: dict[int, _Claim] = {}
        self._alike: LookAlikes[int] = LookAlikes()
        self._owners: dict[Account, frozenset[int]] = {}
        self._journal: Journal | None = None
        for room in (RoomRecord(LOBBY), *rooms):
            self._add(room)

    def begin(self) -> None:
        """What is changed from now on can be undone."""
        self._journal = Journal({}, {})

    @property
    def touched(self) -> Touched:
        """What has been changed since."""
        claims, rooms = self._journal or Journal({}, {})
        people = {id_: None if claim is None else claim.name for id_, claim in claims.items()}
        return Touched(people, frozenset(rooms))

    @property
    def touches_others(self) -> bool:
        """Whether anybody has been changed since who has connections on other servers, or had."""
        claims = self._journal.claims if self._journal is not None else {}
        both = (each for id_, was in claims.items() for each in (was, self._claims.get(id_)))
        return any(claim is not None and claim.nodes - {self.node} for claim in both)

    def keep(self, decided_from: int, first_id: int) -> "Journal":
        """What was decided with ids from `decided_from` on stands in the log from `first_id` on.
        Returns what `undo` needs, should that be lost again."""
        journal, self._journal = self._journal or Journal({}, {}), None
        for name in journal.rooms:
            if (room := self.rooms.get(name)) is not None:
                _renumber(room, decided_from, first_id)
        return journal

    def undo(self, journal: "Journal | None" = None) -> None:
        """Everyone and everything is as it was at `begin`; or before what that `journal` is of,
        which nothing has followed."""
        if journal is None:
            journal, self._journal = self._journal or Journal({}, {}), None
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

    def _note_person(self, id_: int) -> None:
        if self._journal is not None and id_ not in self._journal.claims:
            self._journal.claims[id_] = copy(self._claims.get(id_))

    def _note_room(self, name: str) -> None:
        if self._journal is not None and name not in self._journal.rooms:
            self._journal.rooms[name] = deepcopy(self.rooms.get(name))

    def room_to_change(self, name: str) -> RoomRecord:
        """That room, of which something is about to be changed."""
        self._note_room(name)
        return self.rooms[name]

    def claim(self, person: Claimant, name: str) -> None:
        """`person`, who has none so far, is called `name`. Raises NAME_TAKEN; also if the owner of
        their account is here already."""
        self._expect_free(person.id, _Claim(name, person.account, person.id))
        if person.account is not None and person.account in self._owners:
            raise Refusal(ErrorCode.NAME_TAKEN, name=name)
        self.accept(person, name)

    # What another server has decided is not decided again.

    def accept(
        self,
        person: Claimant,
        name: str,
        rooms: Iterable[str] = (),
        nodes: Iterable[int] | None = None,
    ) -> None:
        """`person` is here, as `name`, in these rooms, with connections on these `nodes`."""
        founder = person.id if person.account is None else person.account
        there = frozenset((self.node,) if nodes is None else nodes)
        self._note_person(person.id)
        self._give(person.id, _Claim(name, person.account, founder, nodes=there))
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

    # What is decided here.

    def rename(self, person: Claimant, name: str) -> str:
        """`person` is called `name`. Returns what they were called. Raises NAME_TAKEN."""
        claim = self._claims[person.id]
        self._expect_free(person.id, _Claim(name, person.account, claim.founder))
        return self.accept_name(person, name)

    def enroll(self, person: Claimant) -> None:
        """`person` owns another account now, or none: what they founded stays theirs."""
        if (claim := self._claims.get(person.id)) is None:
            return
        founder = person.id if person.account is None else person.account
        self._note_person(person.id)
        for name, room in self.rooms.items():
            if room.founder == claim.founder:
                self._note_room(name)
                room.founder = founder
        self._take(person.id)
        claim.account, claim.founder = person.account, founder
        self._give(person.id, claim)

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

    def expect_here(self, person: Claimant) -> None:
        """Raises GONE if `person` has left the chat."""
        if person.id not in self._claims:
            raise Refusal(ErrorCode.GONE, name="")

    def founded(self, person: Claimant, room: RoomRecord) -> bool:
        """Whether `person` is the founder of `room`."""
        claim = self._claims.get(person.id)
        return claim is not None and room.founder == claim.founder

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

    def join(self, person: Claimant, room: str) -> bool:
        """`person` is in `room`. Returns False if they were already. Raises TOO_MANY_ROOMS."""
        claim = self._claims[person.id]
        if room in claim.rooms:
            return False
        if len(claim.rooms) >= MAX_ROOMS_JOINED:
            raise Refusal(ErrorCode.TOO_MANY_ROOMS)
        self.accept_member(person, room)
        return True

    def part(self, person: Claimant, room: str) -> None:
        """`person` is in `room` no longer. Raises NOT_IN_ROOM."""
        self.expect_member(person, room)
        claim = self._claims[person.id]
        self._note_person(person.id)
        claim.rooms = _shared(tuple(each for each in claim.rooms if each != room))
        self._lose_member(room)

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


def room_order(name: str) -> tuple[bool, str]:
    """The lobby first, then by name."""
    return name != LOBBY, name
