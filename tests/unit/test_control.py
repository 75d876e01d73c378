"""The operator's socket, with more people than anybody would connect for a test."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from chatservice.control.commands import Commands
from chatservice.control.door import IDLE_SECONDS, ControlFactory, ControlProtocol
from chatservice.control.wire import PAGE
from chatservice.core.chat import Chat
from chatservice.core.events import LOBBY
from chatservice.core.users import User
from chatservice.operate import safe, table
from chatservice.server.factory import ChatFactory
from chatservice.storage.memory import MemoryArchive

PEOPLE = 10_000


class Wire(StringTransport):
    """A transport with a real socket, of which the system says whose it is."""

    def __init__(self, mine: socket.socket) -> None:
        super().__init__()
        self.socket = mine
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Desk:
    """An operator at the socket of a crowded chat."""

    def __init__(self, clock: Clock, mine: socket.socket) -> None:
        self.clock = clock
        self.chat = Chat(clock, MemoryArchive("s", clock))
        factory = ChatFactory(self.chat, settings=None, clock=clock)  # type: ignore[arg-type]

        async def reload() -> list[str]:
            return []

        commands = Commands(factory, reload, "none")
        self.wire = Wire(mine)
        self.protocol: ControlProtocol = ControlFactory(clock, commands).buildProtocol(None)
        self.protocol.makeConnection(self.wire)
        self.objects()

    def asks(self, **fields: object) -> None:
        self.protocol.dataReceived(json.dumps(fields).encode() + b"\n")

    def objects(self) -> list[dict[str, Any]]:
        """What has been written since the last call."""
        data = self.wire.value()
        self.wire.clear()
        return [json.loads(line) for line in data.splitlines()]

    def turns(self, count: int) -> None:
        """So many turns of the reactor, each of which leaves to the next what it has called for."""
        for _ in range(count):
            for call in [each for each in self.clock.calls if each.time <= self.clock.seconds()]:
                self.clock.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


@pytest.fixture
def desk() -> Iterator[Desk]:
    mine, theirs = socket.socketpair()
    clock = Clock()
    desk = Desk(clock, mine)
    people = [User(number + 1, f"Person{number:05}") for number in range(PEOPLE)]
    for person in people:
        person.elsewhere = frozenset({2})
        person.rooms = {LOBBY: 0}
    desk.chat.restore((), people)
    yield desk
    mine.close()
    theirs.close()


def test_ten_thousand_people_come_in_pages_between_which_others_are_served(desk: Desk) -> None:
    desk.asks(type="who")
    first = desk.objects()
    assert [len(page["people"]) for page in first] == [PAGE]
    seen = [each["name"] for each in first[0]["people"]]
    pages = 1
    while first[-1].get("more"):
        desk.turns(1)
        first = desk.objects()
        assert len(first) == 1
        seen += [each["name"] for each in first[0]["people"]]
        pages += 1
    assert pages == PEOPLE / PAGE
    assert seen == [f"Person{number:05}" for number in range(PEOPLE)]


def test_who_does_not_read_gets_no_more_and_is_cut_off(desk: Desk) -> None:
    desk.asks(type="who")
    desk.asks(type="who")
    assert len(desk.objects()) == 1
    producer: Any = desk.wire.producer
    producer.pauseProducing()
    desk.turns(1)
    desk.objects()
    desk.turns(100)
    assert desk.objects() == []
    producer.resumeProducing()
    desk.turns(100)
    assert sum(len(page["people"]) for page in desk.objects()) > PEOPLE
    producer.pauseProducing()
    desk.asks(type="who")
    desk.turns(2)
    desk.clock.advance(IDLE_SECONDS)
    assert desk.wire.aborted


def test_who_leaves_between_two_pages_is_left_out(desk: Desk) -> None:
    desk.asks(type="who")
    desk.chat.users[f"Person{PEOPLE - 1:05}"].present = False
    desk.turns(PEOPLE // PAGE + 1)
    names = [each["name"] for page in desk.objects() for each in page["people"]]
    assert len(names) == PEOPLE - 1


def test_a_table_keeps_its_columns_whatever_stands_in_it() -> None:
    lines = table(("A", "B"), [("東京", "x"), ("a\x1b[2J\r\n", "y\u202e")])
    assert lines == ["A        B", "東京     x", "a�[2J��  y�"]
    assert safe("e" + "\u0301" * 50) == "e" + "\u0301" * 8
