"""Three servers in one process, on one PostgreSQL: they agree on who is here, whatever is done."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from chatservice.core.chat import Chat
from chatservice.core.events import (
    ALL_ROOMS,
    LOBBY,
    Account,
    Burst,
    CloseReason,
    Joined,
    LeaveReason,
    Left,
    Refusal,
    Renamed,
    Role,
    SanctionKind,
)
from chatservice.core.measures import Appoint, Impose, Kick, Lift, Warrant
from chatservice.core.moderation import person_of
from chatservice.core.room import Room
from chatservice.core.sanctions import Person, Sanctions
from chatservice.core.users import User
from tests.support import postgres
from tests.support.house import Session
from tests.support.stores import PollingTurns

pytestmark = postgres.NEEDS_POSTGRES

ACCOUNTS = [Account("Alice", 1.0), Account("Bob", 2.0)]
NAMES = ["Carol", "CAROL", "Dave"]
SERVERS = 3


class Server:
    """One server, without sockets."""

    def __init__(self, clock: PollingTurns) -> None:
        from chatservice.storage.postgres.archive import PostgresArchive  # noqa: PLC0415 (an extra)

        uri = postgres.shared().uri("postgres")
        self.archive = PostgresArchive(uri, clock, now=clock.seconds, seconds=clock.seconds)
        self.chat = Chat(clock, self.archive, now=clock.seconds)
        self.archive.told = self.chat.elsewhere.told
        self.archive.open()
        archive = self.archive
        self.chat.restore(archive.rooms, archive.people, archive.operators, archive.sanctions)
        self.there: dict[Session, User] = {}

    def enter(self, name: str, account: Account | None) -> None:
        session = Session()
        session.leaves = self.leave

        def entered(who: User | Refusal) -> None:
            if isinstance(who, User):
                self.there[session] = who

        try:
            self.chat.enter(session, name, entered, account=account, rooms={"lobby": 0, "dev": 0})
        except Refusal:
            pass

    def leave(self, session: Session) -> None:
        if (user := self.there.pop(session, None)) is not None:
            self.chat.leave(user, session, lost=False)

    def does(self, chance: random.Random) -> None:
        what = chance.choice(
            [
                *(
                    "guest",
                    "owner",
                    "owner",
                    "leave",
                    "leave",
                    "nick",
                    "join",
                    "close",
                    "say",
                    "say",
                ),
                "say",
                "measure",
                "away",
            ]
        )
        if what == "guest":
            self.enter(chance.choice(NAMES), None)
        elif what == "owner":
            account = chance.choice(ACCOUNTS)
            self.enter(account.name, account)
        elif what == "measure":
            self.takes_measure(chance)
        elif self.there:
            session = chance.choice(list(self.there))
            self.does_something(what, self.there[session], session, chance)

    def does_something(
        self, what: str, user: User, session: Session, chance: random.Random
    ) -> None:
        chat = self.chat
        nothing: Any = lambda _: None  # noqa: E731
        try:
            match what:
                case "leave":
                    self.leave(session)
                case "nick":
                    name = chance.choice([*NAMES, "Eve", "Alicia"])
                    chat.rename(user, session, name, then=nothing)
                case "join" if "dev" in user.rooms:
                    chat.part_room(user, session, "dev", then=nothing)
                case "join":
                    chat.join_room(user, session, "dev", "here", then=nothing)
                case "say":
                    chat.say(user, session, ("hello",))
                case "away":
                    text = chance.choice(["", "lunch", None])
                    chat.set_away(user, session, text, then=nothing)
                case "close":
                    chat.close(user, CloseReason.KICKED)
        except Refusal:
            pass

    def takes_measure(self, chance: random.Random) -> None:
        """Whoever runs the servers does something about somebody, who may be on another one."""
        name = chance.choice([*self.chat.users, *NAMES])
        user = self.chat.users.get(name)
        target = Person(0, name) if user is None else person_of(user)
        warrant = Warrant(self.chat.now(), None, chance.choice(["dev", ALL_ROOMS, LOBBY]))
        kind = chance.choice(list(SanctionKind))
        role = chance.choice(list(Role))
        self.chat.moderation.take(
            None,
            chance.choice(
                [
                    Kick(warrant, target),
                    Impose(warrant, kind, target, chance.choice([1, 5, None])),
                    Lift(warrant, kind, name),
                    Lift(warrant, kind, name),
                    Appoint(warrant._replace(scope="dev"), ACCOUNTS[0], "Alice", role),
                ]
            ),
        )

    @property
    def rights(self) -> dict[str, Any]:
        """Who is in charge of which room, and what holds whom there, as far as this server has
        been told."""
        directory = self.chat.directory
        return {
            name: (self.founder(room), room.operators, room.control, self.sanctions(name))
            for name, room in [*directory.rooms.items(), (ALL_ROOMS, directory.lobby)]
        }

    def founder(self, room: Room) -> Account | str | None:
        """Guests' numbers differ from server to server."""
        by_number = {user.id: user.name for user in self.chat.users.values()}
        return by_number.get(room.founder) if isinstance(room.founder, int) else room.founder

    def sanctions(self, scope: str) -> set[tuple[Any, ...]]:
        there = self.chat.directory.sanctions.get(scope) or Sanctions()
        return {
            (each.key, each.id, each.kind, each.account, each.name, each.until)
            for each in there.listed(self.chat.now())
        }

    @property
    def view(self) -> dict[str, Any]:
        """Who is here, as far as this server knows."""
        node = self.archive._commits.node
        return {
            name: (
                user.account,
                user.rooms,
                user.elsewhere | ({node} if user.sessions else frozenset()),
                None if user.away is None else user.away.text,
            )
            for name, user in self.chat.users.items()
        }


@contextmanager
def servers() -> Iterator[tuple[PollingTurns, list[Server]]]:
    postgres.shared().empty()
    clock = PollingTurns()
    clock.advance(1e9)
    with ExitStack() as ends:
        made = []
        for _ in range(SERVERS):
            made.append(Server(clock))
            ends.callback(lambda archive: clock.wait_for(archive.close()), made[-1].archive)
        yield clock, made


def settle(clock: PollingTurns) -> None:
    clock.patience = PollingTurns.patience
    clock.turn(20)
    for _ in range(12):
        clock.advance(0.5)
        clock.turn(10)


def check(clock: PollingTurns, made: list[Server]) -> None:
    views = [server.view for server in made]
    assert views[0] == views[1] == views[2]
    rights = [server.rights for server in made]
    assert rights[0] == rights[1] == rights[2]
    for server in made:
        registry = server.archive._commits.presence.registry
        assert {name: room.operators for name, room in registry.rooms.items()} == {
            name: room.operators for name, room in server.chat.directory.rooms.items()
        }
        for scope in rights[0]:
            there = registry.sanctions.get(scope) or Sanctions()
            held = {(each.key, each.id) for each in there.listed(clock.seconds())}
            assert held == {each[:2] for each in server.sanctions(scope)}
    kept = clock.wait_for(
        made[0].archive._questions.ask(
            f"SELECT key, id FROM sanctions WHERE until IS NULL OR until > {clock.seconds()}"
        )
    )
    assert {(int(key), int(id_)) for key, id_ in kept} == {
        each[:2] for _, _, _, sanctions in rights[0].values() for each in sanctions
    }
    nodes: dict[str, set[int]] = {}
    for server in made:
        for user in server.there.values():
            nodes.setdefault(user.name, set()).add(server.archive._commits.node)
    assert nodes == {name: set(view[2]) for name, view in views[0].items()}
    for server in made:
        for session, user in server.there.items():
            assert session in user.sessions
            assert server.chat.users[user.name] is user
            assert set(session.cursor.rooms) == set(user.rooms)
        owners = {user.account for user in server.chat.users.values() if user.account}
        assert set(server.chat._owners) == owners
    rows = clock.wait_for(
        made[0].archive._questions.ask("SELECT name, to_json(nodes), away FROM people")
    )
    assert {name: set(map(int, at[1:-1].split(","))) for name, at, _ in rows} == nodes
    assert {name: away for name, _, away in rows} == {n: view[3] for n, view in views[0].items()}


def told(server: Server) -> list[Any]:
    """What has happened, as it was told: people come once, go once, and speak in between under the
    name that they have."""
    happened: list[Any] = []
    here: set[str] = set()
    for batch in server.chat.log._batches:
        for entry in batch.entries:
            happened.append(entry.event)
            match entry.event:
                case Joined(arrived=True, names=names):
                    assert here.isdisjoint(names)
                    here |= set(names)
                case Left(names=names, reason=reason) if reason is not LeaveReason.PARTED:
                    assert here.issuperset(names)
                    here -= set(names)
                case Renamed(old=old, new=new):
                    here.remove(old)
                    here.add(new)
                case Burst(name=name) | Joined(names=(name,)) | Left(names=(name,)):
                    assert name in here
    assert here == set(server.chat.users)
    return happened


@pytest.mark.parametrize("seed", range(3))
def test_all_agree_on_who_is_here(seed: int) -> None:
    chance = random.Random(seed)
    with servers() as (clock, made):
        for _ in range(6):
            for _ in range(25):
                server = chance.choice(made)
                server.does(chance)
                if chance.random() < 0.03:
                    server.archive._connections.drop("the test")
                if chance.random() < 0.5:
                    clock.patience = chance.choice([0.0, 0.0005, 0.005])
                    clock.advance(chance.choice([0.0, 0.0, 0.1]))
            settle(clock)
            check(clock, made)
            assert told(made[0]) == told(made[1]) == told(made[2])
        for server in made:
            for session in list(server.there):
                server.leave(session)
        settle(clock)
        assert [server.view for server in made] == [{}] * SERVERS
