"""Who is in the chat on all servers, and which rooms there are: as of what has been appended.

What changes is told to the other servers by the entries of the log, and kept in tables for those
that start later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from chatservice.core.drafts import (
    Committed,
    Depart,
    Draft,
    Enroll,
    EnterBeside,
    Entry,
    SetAway,
    Tell,
)
from chatservice.core.events import (
    LOBBY,
    Account,
    Banned,
    Burst,
    Deleted,
    Emoted,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Muted,
    PaceChanged,
    Renamed,
    RoleChanged,
    RoomEvent,
    Style,
    Tombstone,
    TopicChanged,
)
from chatservice.core.registry import Journal, Registry, RoomRecord
from chatservice.core.users import Absence, User
from chatservice.storage.postgres.measures import Measures, sanction_of
from chatservice.storage.postgres.undecided import UNDECIDED, relative_id


class Kept(NamedTuple):
    """How everything was before an append."""

    journal: Journal
    people: dict[str, User]
    since: dict[int, dict[str, int] | None]
    uids: dict[int, str]


class Presence:
    """Everyone who is here, and the rooms. `node` is this server.

    People who came in on other servers have numbers below 0 (`User.id`); in the tables everyone has
    an id that no two servers give. On which servers somebody has connections is in the registry.
    """

    def __init__(self, node: int) -> None:
        self.registry = Registry(node=node)
        self.people: dict[str, User] = {}
        self.measures = Measures(self.registry, self._id, self.person)
        self._node = node
        self._newcomers = 0
        self._uids: dict[int, str] = {}  # their ids in the tables
        self._users: dict[str, User] = {}  # by those
        self._since: dict[int, dict[str, int]] = {}  # since which id people are in their rooms
        self._changing: dict[int, tuple[User, dict[str, int]]] = {}

    def restore(
        self,
        people: Iterable[Mapping[str, Any]],
        rooms: Sequence[Mapping[str, Any]],
        operators: Iterable[Sequence[Any]],
        sanctions: Iterable[Mapping[str, Any]],
    ) -> None:
        """What the tables have."""
        registry = self.registry
        registry.operators = {Account(*each) for each in operators}
        for each in sanctions:
            registry.accept_sanction(sanction_of(each), ())
        for row in rooms:
            if row["name"] != LOBBY:
                registry.accept_room(RoomRecord(row["name"]))
        for row in people:
            account = _account(row["account"], row["account_since"])
            nodes = frozenset[int](row["nodes"])
            user = self._newcomer(row["id"], nodes, row["name"], row["since"], account)
            user.rooms = dict(row["rooms"])
            registry.accept(user, user.name, user.rooms, nodes, tuple(row["networks"]))
            registry.accept_away(user, row["away"])
            user.away = None if row["away"] is None else Absence(row["away"])
            self._since[user.id] = dict(user.rooms)
        for row in rooms:
            record = registry.rooms[row["name"]]
            record.topic, record.private = row["topic"], row["private"]
            record.open_from, record.control = row["open_from"], row["control"]
            record.slow = row["slow"]
            record.operators = {Account(*each) for each in row["operators"]}
            record.founder = _account(row["founder"], row["founder_since"])
            if row["guest"] is not None:
                founder = self._users.get(row["guest"])
                record.founder = None if founder is None else founder.id

    def id_of(self, user: User) -> str:
        """That of `user` in the tables."""
        return self._id(user.id)

    def person(self, id_: str) -> User | None:
        """Who has that one."""
        return self._users.get(id_)

    def people_of(self, node: int) -> list[User]:
        """Those who have connections on that server."""
        return [u for u in self.people.values() if node in self.registry.nodes_of(u)]

    # What others have appended.

    def more_about(self, entry: Entry) -> list[Any] | None:
        """What other servers have to know of an entry, beside what everyone hears."""
        match entry.event:
            case Banned() | Muted() | RoleChanged():
                return self.measures.more_about(entry.effect)
            case Joined(arrived=True):
                return [
                    [
                        self._id(user.id),
                        *(user.account or (None, 0.0)),
                        user.since,
                        dict(user.rooms),
                        self.registry.networks_of(user),
                    ]
                    for user in entry.people
                ]
            case Burst(style=style) if style is not None:
                return list(style)
            case Left(farewells=farewells) if farewells:
                return list(farewells)
            case _:
                return None

    def heard(self, entry: Entry, more: Sequence[Any] | None, node: int) -> Entry:  # noqa: PLR0912 (a case each)
        """What another server has appended is so. Returns `entry`, with whom it is about."""
        registry = self.registry
        people: tuple[User, ...] = ()
        effect: object = None
        match entry.event:
            case Joined(arrived=True, names=names, id=id_):
                people = tuple(
                    self._arrived(name, each, node, entry.rooms, id_)
                    for name, each in zip(names, more or (), strict=True)
                )
            case Joined(names=names, room=room, id=id_):
                people = (self.people[names[0]],)
                if room not in registry.rooms:
                    founder = people[0].identity
                    registry.accept_room(RoomRecord(room, founder, open_from=id_, control=id_))
                registry.accept_member(people[0], room)
                self._since[people[0].id][room] = id_
            case Left(reason=LeaveReason.PARTED, names=names, room=room):
                people = tuple(self.people[name] for name in names)
                for user in people:
                    registry.part(user, room)
                    self._since[user.id].pop(room, None)
            case Left(names=names):
                people = tuple(self.people[name] for name in names)
                for name, user in zip(names, people, strict=True):
                    registry.release(user)
                    self._forget(user, name)
            case Renamed(old=old, new=new):
                people = (self.people.pop(old),)
                registry.accept_name(people[0], new)
                self.people[new] = people[0]
            case TopicChanged(room=room, topic=topic):
                registry.rooms[room].topic = topic
            case ModeChanged(room=room, private=private, id=id_):
                record = registry.rooms[room]
                if record.private and not private:
                    record.open_from = id_
                record.private, record.control = private, id_
            case PaceChanged(room=room, seconds=seconds):
                registry.rooms[room].slow = seconds
            case Burst(room=room, name=name, at=at) | Emoted(room=room, name=name, at=at):
                if name in self.people:  # a hook's is nobody's
                    people = (self.people[name],)
                    registry.accept_spoke(self.people[name], room, at)
            case Banned() | Muted() | RoleChanged():
                effect = self.measures.heard(entry.event, more or ())
            case Deleted() | Tombstone():
                pass
        return entry._replace(
            people=people, event=_told_more(entry.event, more), effect=effect or entry.effect
        )

    def told(self, kind: str, data: dict[str, Any], node: int) -> dict[str, Any] | None:
        """What another server tells, with the `user` whom it is about (None: they are gone); None:
        that is of no meaning any longer."""
        told = {**data, "node": node}
        if "id" not in data:
            return told
        user = told["user"] = self._users.get(data["id"])
        if kind == "enrolled":
            if user is None:
                return None
            told["before"] = user.identity
            account, since = data["account"] or (None, None)
            user.account = _account(account, since)
            self.registry.enroll(user)
        elif kind == "away":
            if user is None:
                return None
            self.registry.accept_away(user, data["text"])
        elif kind == "elsewhere":
            if user is None:
                return None
            self.registry.accept_nodes(user, frozenset(data["nodes"]))
            told["nodes"] = self.registry.elsewhere(user)
        return told

    def signals(  # noqa: PLR0911 (a case each)
        self, draft: Draft | None
    ) -> list[tuple[str, dict[str, Any]]]:
        """What other servers have to know of `draft`, which has been decided, though nobody hears
        of it."""
        registry = self.registry
        match draft:
            case Enroll(user=user) if registry.is_here(user):
                return [("enrolled", {"id": self._id(user.id), "account": user.account})]
            case SetAway(user=user, text=text) if registry.is_here(user):
                return [("away", {"id": self._id(user.id), "text": text})]
            case EnterBeside(user=user) if registry.is_here(user):
                return [self._whereabouts(user)]
            case Depart(staying=staying):
                return [self._whereabouts(user) for user in staying if registry.is_here(user)]
            case Tell(kind=kind, data=data, user=None):
                return [(kind, dict(data))]
            case Tell(kind=kind, data=data, user=user) if user is not None:
                return [(kind, {**data, "id": self._id(user.id)})] if registry.is_here(user) else []
            case _:
                return []

    def _whereabouts(self, user: User) -> tuple[str, dict[str, Any]]:
        nodes = sorted(self.registry.nodes_of(user))
        return "elsewhere", {"id": self._id(user.id), "nodes": nodes}

    # What this server appends.

    def changes(self, decided: Sequence[Committed]) -> dict[str, Any]:
        """What `decided`, since `Registry.begin`, changes in the tables."""
        registry, touched = self.registry, self.registry.touched
        self._changing = {}
        for draft, outcome, _ in decided:
            if isinstance(draft, Enroll | EnterBeside | SetAway):
                self._change(draft.user)
            elif isinstance(draft, Depart):
                for user in draft.staying:
                    self._change(user)
            if isinstance(outcome, Entry):
                for user in outcome.people:
                    since = self._change(user)
                    if isinstance(outcome.event, Joined):
                        for room in outcome.rooms:
                            since[room] = user.rooms.get(room, outcome.event.id)
        gone, people = [], []
        for number, before in touched.people.items():
            now = registry.claim_of(number)
            if before is not None and (now is None or now[0] != before):
                gone.append(before)
            if now is not None and number in self._changing:
                people.append(self._person(*now, *self._changing[number]))
        there = [registry.rooms[name] for name in touched.rooms if name in registry.rooms]
        ruled = touched.sanctions.items()
        return {
            "lifted": [each.key for each, on in ruled if not on],
            "imposed": [self.measures.values(each) for each, on in ruled if on],
            "gone": gone,
            "people": people,
            "changed": [self._room(room) for room in there],
            "dropped": [name for name in touched.rooms if name not in registry.rooms],
            "founded": [
                each.outcome.rooms[0]
                for each in decided
                if isinstance(each.outcome, Entry) and each.outcome.founded
            ],
        }

    def keep(self, first_id: int) -> "Kept":
        """All of that is appended, from `first_id` on. Returns what `lose` needs."""
        touched = self.registry.touched
        changing, self._changing = self._changing, {}
        before_it = Kept(
            self.registry.keep(UNDECIDED, first_id),
            {name: self.people[name] for name in touched.people.values() if name in self.people},
            {number: self._since.get(number) for number in changing},
            {number: self._uids[number] for number in changing if number in self._uids},
        )
        for number, before in touched.people.items():
            now = self.registry.claim_of(number)
            if before is not None and (now is None or now[0] != before):
                self.people.pop(before, None)
        for number, (user, since) in changing.items():
            now = self.registry.claim_of(number)
            if now is None:
                self._forget(user, None)
                continue
            name, rooms = now
            self.people[name] = user
            self._users[self._id(number)] = user
            there = {room: since[room] for room in rooms if room in since}
            self._since[number] = {
                room: id_ if id_ < UNDECIDED else id_ - UNDECIDED + first_id
                for room, id_ in there.items()
            }
        return before_it

    def lose(self, kept: "Kept") -> None:
        """What was appended last is lost: all is as it was before."""
        for number in kept.since:
            if (now := self.registry.claim_of(number)) is not None:
                gone = self.people.pop(now[0], None)
                if gone is not None and number not in kept.journal.claims:
                    self.people[now[0]] = gone
        self.registry.undo(kept.journal)
        self.people.update(kept.people)
        self._uids.update(kept.uids)
        self._users.update({self._id(user.id): user for user in kept.people.values()})
        for number, since in kept.since.items():
            self._since.pop(number, None)
            if since is not None:
                self._since[number] = since

    def undo(self) -> None:
        """Nothing of that was appended."""
        self.registry.undo()
        self._changing = {}

    def _change(self, user: User) -> dict[str, int]:
        _, since = self._changing.setdefault(user.id, (user, dict(self._since.get(user.id, {}))))
        return since

    def _arrived(
        self, name: str, told: Sequence[Any], node: int, rooms: Iterable[str], id_: int
    ) -> User:
        uid, account, account_since, since, before, networks = told
        nodes = frozenset({node})
        user = self._newcomer(uid, nodes, name, since, _account(account, account_since))
        user.rooms = before
        self.registry.accept(user, name, rooms, nodes, tuple(networks))
        self._since[user.id] = {room: before.get(room, id_) for room in rooms}
        return user

    def _newcomer(
        self, uid: str, nodes: frozenset[int], name: str, since: float, account: Account | None
    ) -> User:
        self._newcomers += 1
        user = self.people[name] = self._users[uid] = User(-self._newcomers, name, since, account)
        user.elsewhere = nodes
        self._uids[user.id] = uid
        return user

    def _forget(self, user: User, name: str | None) -> None:
        if name is not None:
            self.people.pop(name, None)
        self._since.pop(user.id, None)
        self._users.pop(self._id(user.id), None)
        self._uids.pop(user.id, None)

    def _id(self, number: int) -> str:
        """That of a person in the tables."""
        return self._uids.get(number) or f"{self._node}:{number}"

    def _person(
        self, name: str, rooms: Sequence[str], user: User, since: Mapping[str, int]
    ) -> dict[str, Any]:
        account, account_since = user.account or (None, None)
        return {
            "name": name,
            "id": self._id(user.id),
            "nodes": sorted(self.registry.nodes_of(user)),
            "account": account,
            "account_since": account_since,
            "since": user.since,
            "networks": self.registry.networks_of(user),
            "away": self.registry.away_of(user),
            "rooms": {room: relative_id(since.get(room, 0)) for room in rooms},
        }

    def _room(self, room: RoomRecord) -> dict[str, Any]:
        account = room.founder if isinstance(room.founder, Account) else (None, None)
        return {
            "name": room.name,
            "founder": account[0],
            "founder_since": account[1],
            "guest": self._id(room.founder) if isinstance(room.founder, int) else None,
            "topic": room.topic,
            "private": room.private,
            "open_from": relative_id(room.open_from),
            "control": relative_id(room.control),
            "operators": sorted(room.operators),
            "slow": room.slow,
        }


def _told_more(event: RoomEvent, more: Sequence[Any] | None) -> RoomEvent:
    if isinstance(event, Burst) and more:
        return replace(event, style=Style.of(more))
    if isinstance(event, Left) and more:
        return replace(event, farewells=tuple((name, words) for name, words in more))
    return event


def _account(name: str | None, since: float | None) -> Account | None:
    return None if name is None else Account(name, float(since or 0.0))
