"""The line door in this process, with the real reactor where sockets matter."""

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure

from chatservice.core.chat import Chat
from chatservice.core.events import Account, Said
from chatservice.core.limits import REPEAT_SECONDS, WRITTEN_A_SECOND, WRITTEN_AT_ONCE, Limits
from chatservice.core.log import recalled
from chatservice.core.stores import ReadPosition
from chatservice.server.connection import CLOSE_SECONDS
from chatservice.server.factory import ChatFactory, TurnedAway
from chatservice.server.line import MAX_LINE, ChatProtocol
from chatservice.server.output import READ_SIZE
from chatservice.session.asker import Settings
from chatservice.session.session import Session
from chatservice.session.weights import BYTE_WRITTEN
from chatservice.storage.memory import MemoryArchive
from tests.support.logs import LOBBY

reactor: Any = _reactor


class Transport(StringTransport):
    """A connection that is a string. The peer does not close; aborting it is believed."""

    def __init__(self, protocol: ChatProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.protocol.connectionLost(Failure(ConnectionAborted()))


def faults(events: Any) -> list[str]:
    return [str(event["log_failure"].value) for event in events if "log_failure" in event]


class Door:
    """A factory with a clock that stands still, and connections that are strings."""

    def __init__(
        self,
        limits: Limits = Limits(),  # noqa: B008 (it is frozen)
        archive: MemoryArchive | None = None,
    ) -> None:
        self.clock = Clock()
        self.chat = Chat(self.clock, archive or MemoryArchive("epoch"))
        self.factory = ChatFactory(self.chat, Settings(), self.clock, limits)

    def said(self) -> list[Said]:
        """What has been said, by whomever."""
        happened = recalled(self.chat.log, 1000, 0, 1000, LOBBY)
        return [event for event in happened if isinstance(event, Said)]

    def connect(self, host: str = "") -> tuple[ChatProtocol, Transport]:
        protocol = self.factory.buildProtocol(IPv4Address("TCP", host, 1) if host else None)
        assert isinstance(protocol, ChatProtocol)
        transport = Transport(protocol)
        protocol.makeConnection(transport)
        return protocol, transport

    def join(self, name: str, host: str = "") -> tuple[ChatProtocol, Transport]:
        protocol, transport = self.connect(host)
        protocol.dataReceived(name.encode() + b"\n")
        self.clock.pump([0, 1, 0])
        transport.clear()
        return protocol, transport


def test_a_peer_that_does_not_close_after_goodbye_is_cut_off() -> None:
    door = Door()
    alice, transport = door.join("Alice")
    alice.dataReceived(b"/exit\n")
    door.clock.advance(CLOSE_SECONDS - 0.1)
    assert not transport.aborted
    door.clock.advance(0.2)
    assert transport.aborted


def test_an_exception_in_serving_one_costs_that_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door()
    alice, alices = door.join("Alice")
    bob, bobs = door.join("Bob")
    _, carols = door.join("Carol")
    alices.clear()

    def broken(session: Session, data: bytes) -> bytes:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patch, capturedLogs() as events:
        patch.setattr(Session, "receive", broken)
        bob.dataReceived(b"hello\n")
    assert bobs.aborted
    assert faults(events) == ["a fault"]
    door.clock.pump([0, 1, 0])
    assert set(door.factory.users) == {"Alice", "Carol"}
    alice.dataReceived(b"still here\n")
    door.clock.pump([0, 1, 0])
    assert b"Alice: still here" in carols.value()


def test_a_network_that_writes_too_much_is_slowed_down_and_nothing_is_lost() -> None:
    door = Door(Limits(rate=1000))
    host, length = "192.0.2.1", 1000
    flooders = [door.join(f"Flooder{number}", host) for number in range(20)]
    _, listener = door.join("Listener")
    lines = [f"{number} {'x' * length}\n".encode() for number in range(640)]
    unsent = {protocol: b"".join(lines) for protocol, _ in flooders}
    written: list[float] = []  # after each second

    def pass_a_second() -> None:
        for _ in range(10):
            for protocol, transport in flooders:
                if transport.producerState == "producing":
                    protocol.dataReceived(unsent[protocol][:READ_SIZE])
                    unsent[protocol] = unsent[protocol][READ_SIZE:]
            door.clock.pump([0.0, 0.1])
        written.append(listener.value().count(b"\n") * length * BYTE_WRITTEN)

    for _ in range(5):
        pass_a_second()
    colleague, _ = door.join("Colleague", host)
    colleague.dataReceived(b"I am here, too\n")
    stranger, _ = door.join("Stranger", "192.0.2.2")
    stranger.dataReceived(b"and so am I\n")
    door.clock.pump([0.0, 0.0])
    assert b"Stranger: and so am I" in listener.value()
    for _ in range(5):
        pass_a_second()
    assert b"Colleague: I am here, too" in listener.value()
    while len(set(written[-3:])) > 1:
        pass_a_second()
    assert WRITTEN_AT_ONCE * 0.8 < written[0] < WRITTEN_AT_ONCE * 1.5
    assert written[10] - written[0] < WRITTEN_A_SECOND * 10 * 1.2
    for number in range(len(flooders)):
        prefix = f"Flooder{number}: ".encode()
        said = [line for line in listener.value().splitlines() if line.startswith(prefix)]
        assert [line.removeprefix(prefix) + b"\n" for line in said] == lines


# 500 or more of what others do not hear, and how many bytes it takes.
USELESS = {
    "searches": b"/search anything\n" * 500,
    "pages": b"/history 200\n" * 500,
    "who is here": b"/who\n" * 500,
    "help": b"/help\n" * 500,
    "commands that are none": b"/nothing\n" * 500,
    "blank lines": b"\n" * 5000,
    "telnet": b"\xff\xf1" * 2000,
    "bytes": b"x" * 8000 + b"\xff\xf1" * 500,
}


@pytest.mark.parametrize("kind", USELESS)
def test_nobody_who_has_gone_stays_to_pay_for_what_they_asked(kind: str) -> None:
    door = Door()
    _, listener = door.join("Listener")
    bob, _ = door.join("Bob")
    bob.dataReceived(b"before\n" + USELESS[kind] + b"\nafter\n")
    door.clock.pump([0.0] * 50)
    assert "Bob" in door.factory.users
    bob.connectionLost(Failure(ConnectionLost()))
    door.clock.pump([0.0] * 500)
    assert "Bob" not in door.factory.users
    assert b"Bob: before\r\n" in listener.value()
    assert b"Bob: after\r\n" in listener.value()


def test_what_was_said_by_those_who_have_gone_is_heard_as_fast_as_it_may_be() -> None:
    door = Door(Limits(rate=50, burst=100))
    _, listener = door.join("Listener")
    bob, _ = door.join("Bob")
    bob.dataReceived(b"".join(b"%d\n/who\n" % number for number in range(200)))
    door.clock.pump([0.0] * 50)
    bob.connectionLost(Failure(ConnectionLost()))
    door.clock.pump([0.0] * 50)
    assert 0 < listener.value().count(b"\n") <= 110
    assert "Bob" in door.factory.users
    door.clock.pump([0.0, 0.1] * 60)
    heard = listener.value().splitlines()
    assert heard[1:201] == [b"Bob: %d" % number for number in range(200)]
    assert "Bob" not in door.factory.users


def test_an_exception_that_somebody_causes_again_and_again_is_told_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door()

    def broken(self: Any, data: bytes) -> Any:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Session, "receive", broken)
    for how_often in ("cut (None)", "(100 times since this was last said)"):
        with capturedLogs() as events:
            for _ in range(100):
                protocol, transport = door.connect()
                protocol.dataReceived(b"hello\n")
                assert transport.aborted
        (line,) = [formatEvent(event) for event in events if "log_failure" in event]
        assert line.endswith(f"{how_often}.")
        door.clock.advance(REPEAT_SECONDS)


def test_an_exception_in_writing_to_one_costs_that_one_alone() -> None:
    door = Door()
    alice, alices = door.join("Alice")
    _, bobs = door.join("Bob")
    _, carols = door.join("Carol")

    def broken(data: bytes) -> None:
        raise RuntimeError("a fault")

    bobs.write = broken  # type: ignore[method-assign]
    with capturedLogs() as events:
        alice.dataReceived(b"hello\n")
        door.clock.advance(0)
    assert faults(events) == ["a fault"]
    assert bobs.aborted
    assert not alices.aborted
    assert carols.value().startswith(b"Alice: hello\r\n")
    assert set(door.factory.users) == {"Alice", "Carol"}


def test_a_transport_that_is_full_is_written_to_no_more_until_it_has_drained() -> None:
    door = Door()
    alice, _ = door.join("Alice")
    _, bobs = door.join("Bob")
    producer: Any = bobs.producer
    producer.pauseProducing()
    producer.pauseProducing()  # it comes again with every write
    alice.dataReceived(b"one\n")
    door.clock.advance(0)
    alice.dataReceived(b"two\n")
    door.clock.advance(0)
    assert bobs.value() == b""
    producer.resumeProducing()
    assert bobs.value() == b"Alice: one\r\nAlice: two\r\n"


def test_bytes_that_drip_do_not_renew_the_login_clock() -> None:
    door = Door(Limits(login_timeout=10))
    alice, transport = door.connect()
    for _ in range(9):
        door.clock.advance(1)
        alice.dataReceived(b"x")
    assert transport.value().startswith(b"What is your name?\r\nError: your line has not ended:")
    assert transport.value().count(b"\n") == 2
    door.clock.advance(1)
    assert transport.value().endswith(b"*** Goodbye: you did not log in in time.\r\n")
    alice.dataReceived(b"\n")
    assert door.factory.users == {}
    door.clock.advance(CLOSE_SECONDS)
    assert transport.aborted


@pytest.mark.parametrize("around", ["%s", " %s ", "\r%s\r", "\t%s\r "])
@pytest.mark.parametrize("first", [*range(0x21), 0x7F, 0x85, 0xA0, 0x2028, 0x3000, 0xFEFF])
def test_blanks_and_control_characters_that_come_first_are_answered_or_ignored(
    first: int, around: str
) -> None:
    door = Door()
    protocol, transport = door.connect()
    with capturedLogs() as events:
        protocol.dataReceived((around % chr(first)).encode() + b"\n")
        door.clock.advance(1)
        protocol.dataReceived(b"Alice\n")
        door.clock.advance(1)
    assert faults(events) == []
    assert b"Welcome Alice" in transport.value()


def test_who_has_come_in_in_time_stays() -> None:
    door = Door(Limits(login_timeout=10))
    _, transport = door.join("Alice")
    door.clock.advance(1000)
    assert not transport.aborted
    assert transport.value() == b""


def throttled() -> tuple[Door, ChatProtocol, Transport, Transport]:
    """Alice, who may say 2 lines at once and 10 a second, and Bob, who hears her."""
    door = Door(Limits(rate=10, burst=2))
    alice, alices = door.join("Alice")
    _, bobs = door.join("Bob")
    door.clock.advance(10)
    alices.clear()
    bobs.clear()
    return door, alice, alices, bobs


class LateArchive(MemoryArchive):
    """One that looks up `late` when somebody comes in."""

    def __init__(self) -> None:
        super().__init__("epoch")
        self.late: Deferred[ReadPosition | None] = Deferred()

    async def seen(self, name: str, asker: str = "") -> ReadPosition | None:
        return await self.late


def test_nobody_has_heard_what_was_said_to_a_connection_that_had_gone() -> None:
    """A program of Bob's says a line, and is gone before it is in."""
    archive = LateArchive()
    door = Door(archive=archive)
    bob, _ = door.connect()
    bob.dataReceived(b"Bob\nin passing\nhal")
    bob.connectionLost(Failure(ConnectionLost()))
    assert door.factory.connections
    archive.late.callback(ReadPosition(1, {}))
    door.clock.pump([0, 1, 0])
    assert door.factory.users == {}
    assert not door.factory.connections
    assert [event.text for event in door.said()] == ["in passing"]
    assert archive._positions["Bob"].position == 1


def objects(transport: Transport) -> list[dict[str, Any]]:
    """What a program has heard since the last call."""
    heard = [json.loads(line) for line in transport.value().splitlines() if line[:1] == b"{"]
    transport.clear()
    return heard


def test_what_was_said_at_a_connection_comes_before_the_welcome_that_takes_its_place() -> None:
    """In the same turn of the reactor: a program looks for it up to there, and says the rest
    again."""
    door = Door()
    before, transport = door.connect()
    before.dataReceived(b'{"type": "hello", "name": "Robot"}\n')
    door.clock.pump([0, 1, 0])
    token = next(each for each in objects(transport) if each["type"] == "welcome")["token"]
    before.dataReceived(b'{"type": "say", "text": "once"}\n')
    after, its = door.connect()
    hello = {"type": "hello", "name": "Robot", "token": token}
    after.dataReceived(json.dumps(hello).encode() + b"\n")
    door.clock.pump([0, 1, 0])
    heard = objects(its)
    assert heard[0]["type"] == "welcome"
    assert [event["type"] for event in heard].count("said") == 0
    assert heard[0]["last_id"] >= door.said()[0].id
    assert [event.text for event in door.said()] == ["once"]


def said(transport: Transport) -> list[str]:
    text: str = transport.value().decode()
    return text.splitlines()


@pytest.mark.parametrize(
    "asked",
    [
        *("hello", "/join dev", "/join dev\n/part dev", "/topic new", "/nick New", "/away lunch"),
        *("hello\n/delete", "/mute Bob", "/kick Bob", "/ban Bob", "/ignore Bob", "/report Bob why"),
        *("/op Bob", "/slow 5", "/private", "/invite Bob", "/tell Bob hi", "/register swordfish"),
        *("/whois Bob", "/search hello", "/history", "/rooms", "/me waves"),
    ],
)
@pytest.mark.parametrize("turns", range(3))
def test_who_is_gone_before_the_answer_is_no_fault(asked: str, turns: int) -> None:
    """Nor before what they have asked for is carried out."""
    door = Door()
    door.join("Bob")
    alice, transport = door.join("Alice")
    with capturedLogs() as events:
        alice.dataReceived(b"/join house\n")
        door.clock.pump([0, 1, 0])
        alice.dataReceived(asked.encode() + b"\n")
        door.clock.pump([0] * turns)
        transport.abortConnection()
        door.clock.pump([0, 1, 0, 1])
    assert not faults(events)
    assert set(door.chat.users) == {"Bob"}


def test_who_talks_too_fast_is_read_from_later_and_loses_nothing() -> None:
    door, alice, alices, bobs = throttled()
    alice.dataReceived(b"".join(b"%d\n" % number for number in range(50)))
    door.clock.advance(0)
    assert said(bobs) == ["Alice: 0", "Alice: 1"]
    assert alices.producerState == "paused"
    for tenth in range(1, 49):
        door.clock.advance(0.1)
        door.clock.advance(0)
        assert len(said(bobs)) <= 2 + tenth + 1
    door.clock.advance(0.2)
    door.clock.advance(0)
    assert said(bobs) == [f"Alice: {number}" for number in range(50)]
    assert alices.producerState == "producing"


def test_who_is_owed_time_and_answers_at_once_gets_both_in_their_order() -> None:
    """A program asks much in one read and takes none of the answers for a while."""
    door = Door(Limits(rate=1000, burst=200))
    alice, alices = door.connect()
    asked = [b'{"type": "hello", "name": "Alice"}']
    asked += [b'{"type": "who", "ref": "%d"}' % number for number in range(500)]
    producer: Any = alices.producer
    alice.dataReceived(asked[0] + b"\n")
    door.clock.pump([0, 1, 0])
    producer.pauseProducing()
    alices.clear()
    alice.dataReceived(b"\n".join(asked[1:]) + b"\n")
    door.clock.pump([0.05] * 40)
    assert alices.value() == b""
    assert alices.producerState == "paused"
    producer.resumeProducing()
    door.clock.pump([0.05] * 40)
    refs = [json.loads(line)["ref"] for line in said(alices)]
    assert refs == [str(number) for number in range(500)]
    assert alices.producerState == "producing"


def test_nothing_is_left_of_a_throttled_connection_that_has_gone() -> None:
    door, alice, alices, _ = throttled()
    alice.dataReceived(b"x\n" * 50)
    alices.abortConnection()
    door.clock.pump([0, 1, 0])
    assert set(door.factory.users) == {"Bob"}
    with capturedLogs() as events:
        door.clock.pump([0.1] * 100)
    assert faults(events) == []


def test_exit_among_lines_that_are_owed_is_the_last_that_is_obeyed() -> None:
    door, alice, alices, bobs = throttled()
    alice.dataReceived(b"1\n2\n3\n/exit\n5\n")
    door.clock.pump([0.1] * 5)
    assert said(bobs) == ["Alice: 1", "Alice: 2", "Alice: 3", "*** Alice has left the chat."]
    assert said(alices) == ["*** Goodbye, Alice."]
    door.clock.advance(CLOSE_SECONDS)
    assert alices.aborted


def test_one_too_many_is_told_why_and_does_not_count() -> None:
    door = Door(Limits(max_users=1))
    _, alices = door.join("Alice")
    away = door.factory.buildProtocol(None)
    assert isinstance(away, TurnedAway)
    transport = StringTransport()
    away.makeConnection(transport)
    away.dataReceived(b"Bob\r\n")
    assert transport.value() == b"Error: the server is full. Try again later.\r\n"
    assert transport.disconnecting
    away.connectionLost(Failure(ConnectionAborted()))
    alices.abortConnection()
    assert isinstance(door.factory.buildProtocol(None), ChatProtocol)
    assert isinstance(door.factory.buildProtocol(None), TurnedAway)


def test_who_takes_nothing_for_too_long_is_cut_off_and_who_takes_a_little_is_not() -> None:
    door = Door(Limits(ping=40))
    alice, _ = door.join("Alice")
    _, bobs = door.join("Bob")
    _, carols = door.join("Carol")
    door.factory.startFactory()
    stuck: Any = bobs.producer
    slow: Any = carols.producer
    stuck.pauseProducing()
    slow.pauseProducing()
    with capturedLogs() as events:
        for _ in range(6):
            alice.dataReceived(b"hello\n")
            door.clock.pump([0, 10])
            slow.resumeProducing()
            slow.pauseProducing()
    assert bobs.aborted
    assert not carols.aborted
    assert set(door.factory.users) == {"Alice", "Carol"}
    lines = [formatEvent(event) for event in events]
    assert sum("has taken nothing for 40 s: cut off." in line for line in lines) == 1
    door.factory.stopFactory()


def test_who_takes_a_little_of_what_is_said_to_them_alone_is_not_cut_off() -> None:
    door = Door(Limits(ping=40))
    alice, _ = door.join("Alice")
    _, bobs = door.join("Bob")
    door.factory.startFactory()
    slow: Any = bobs.producer
    slow.pauseProducing()
    for _ in range(6):
        alice.dataReceived(b"/msg Bob hello\n")
        door.clock.pump([0, 10])
        slow.resumeProducing()
        slow.pauseProducing()
    assert not bobs.aborted
    door.factory.stopFactory()


def test_an_exception_in_the_login_clock_costs_that_connection_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door(Limits(login_timeout=10))
    _, alices = door.join("Alice")
    door.clock.advance(1)

    def broken(session: Session, why: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Session, "close", broken)
    _, transport = door.connect()
    with capturedLogs() as events:
        door.clock.advance(10)
    assert faults(events) == ["a fault"]
    assert transport.aborted
    assert not alices.aborted


class Talker(Protocol):
    """A client of the reactor's own. `lines` is what it has heard so far."""

    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data


@pytest_twisted.ensureDeferred
async def test_nobody_is_left_in_the_map() -> None:
    """Real sockets, all of which go in the middle of things, one way or the other."""
    factory = ChatFactory(Chat(reactor, MemoryArchive("epoch")), Settings(), reactor)
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
    number = port.getHost().port
    talkers: list[Any] = []  # their transports are those of sockets
    for index in range(100):
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", number)
        talker: Any = await endpoint.connect(Factory.forProtocol(Talker))
        talker.transport.write(f"u{index}\nhello\n".encode())
        talkers.append(talker)
    await until(lambda: len(factory.users) == 100)
    for index, talker in enumerate(talkers):
        talker.transport.write(b"more\n/msg u0 hi\n/nick v%d\n" % index)
        if index % 2:
            talker.transport.abortConnection()
        else:
            talker.transport.loseConnection()
    await until(lambda: not factory.connections and not factory.users)
    for index in range(100):
        assert not factory.chat.directory.namesakes(Account(f"u{index}", 0.0))
        assert not factory.chat.directory.namesakes(Account(f"v{index}", 0.0))
    assert factory.chat.directory.lobby.cursors == {}
    await factory.close_all()
    await Deferred.fromCoroutine(stop(port))


async def stop(port: Any) -> None:
    await port.stopListening()


async def until(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("it does not come to pass")


class TestBytesThatAreNotLines:
    """They cost a peer of its allowance, from the first byte on."""

    @pytest.mark.parametrize("who", ["nameless", "in"])
    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"\xff\xf1", id="commands of telnet"),
            pytest.param(b"\xff\xfa", id="subnegotiations without an end"),
            pytest.param(b"\xff\xfa" + b"x" * 100, id="long ones"),
            pytest.param(b"\xff", id="halves of commands"),
            pytest.param(b"\xff\xfb\x1f", id="options"),
            pytest.param(b"x", id="text"),
            pytest.param(b"\n", id="blank lines"),
            pytest.param(b"\r", id="blank lines of another kind"),
        ],
    )
    def test_are_read_no_faster_than_lines(self, data: bytes, who: str) -> None:
        door = Door(Limits(rate=10, burst=20))
        protocol, transport = door.connect() if who == "nameless" else door.join("Alice")
        door.clock.advance(10)
        for _ in range(21):  # each by itself: a read
            assert transport.producerState == "producing"
            protocol.dataReceived(data)
        assert transport.producerState == "paused"
        door.clock.pump([0.1] * 2)
        assert transport.producerState == "producing"
        assert not transport.aborted

    def test_many_in_one_read_cost_more_than_one(self) -> None:
        door = Door(Limits(rate=10, burst=20))
        protocol, transport = door.join("Alice")
        protocol.dataReceived(b"\xff\xf1" * 120)  # 100 more than there are
        door.clock.pump([0.5] * 19)
        assert transport.producerState == "paused"
        door.clock.pump([0.5] * 3)
        assert transport.producerState == "producing"

    def test_no_more_of_a_subnegotiation_is_kept_than_of_a_line(self) -> None:
        door = Door(Limits(rate=0))
        alice, _ = door.join("Alice")
        _, bobs = door.join("Bob")
        for _ in range(1000):
            alice.dataReceived(b"\xff\xfa" + b"x" * 10_000)
        alice.dataReceived(b"\xff\xf0hello\n")
        door.clock.advance(0)
        assert said(bobs) == ["Alice: hello"]

    def test_a_line_that_is_long_costs_more_than_a_short_one(self) -> None:
        door = Door(Limits(rate=10, burst=20))
        alice, transport = door.join("Alice")
        door.clock.advance(10)
        alice.dataReceived(b"x" * 8000 + b"\n")
        alice.dataReceived(b"x" * 8000 + b"\n")
        assert transport.producerState == "producing"
        alice.dataReceived(b"x" * 8000 + b"\n")
        assert transport.producerState == "paused"

    def test_are_free_where_lines_are(self) -> None:
        door = Door(Limits(rate=0))
        alice, transport = door.join("Alice")
        for _ in range(1000):
            alice.dataReceived(b"\xff\xf1")
        assert transport.producerState == "producing"


HELLO = "Alice: hello"


class TestLines:
    @pytest.mark.parametrize(
        ("reads", "heard"),
        [
            ([b"hello\n"], [HELLO]),
            ([b"hello\r\n"], [HELLO]),
            ([b"hello\r\0"], [HELLO]),
            ([b"hello\r"], [HELLO]),
            ([b"hello\r", b"\n"], [HELLO]),
            ([b"hello\r", b"\0"], [HELLO]),
            ([b"hello\r", b"\nhello\r", b"\n"], [HELLO, HELLO]),
            ([b"hello\r", b"hello\r"], [HELLO, HELLO]),
            ([b"hello\rhello\r"], [HELLO, HELLO]),
            ([b"hello\r\0hello\r\0"], [HELLO, HELLO]),
            ([b"hello\rhel", b"lo\r"], [HELLO, HELLO]),
            ([b"hello\r\nhello\r"], [HELLO, HELLO]),
            ([b"\r\r\n\n\r\0hello\n"], [HELLO]),
            ([b"he\rllo\n"], ["Alice: he\ufffdllo"]),
            ([b"he\0llo\n"], ["Alice: he\ufffdllo"]),
            ([bytes([byte]) for byte in b"hello\r\nhello\r\n"], [HELLO, HELLO]),
        ],
    )
    def test_end_as_clients_end_them(self, reads: list[bytes], heard: list[str]) -> None:
        door = Door()
        alice, _ = door.join("Alice")
        _, bobs = door.join("Bob")
        for read in reads:
            alice.dataReceived(read)
        door.clock.advance(0)
        assert said(bobs) == heard

    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\0"])
    @pytest.mark.parametrize("in_pieces", [False, True])
    def test_may_have_so_many_bytes_without_their_end(self, end: bytes, in_pieces: bool) -> None:
        for size, is_allowed in ((MAX_LINE, True), (MAX_LINE + 1, False)):
            door = Door()
            alice, alices = door.join("Alice")
            _, bobs = door.join("Bob")
            alices.clear()
            data = b"first" + end + b"x" * size + end
            for piece in (
                [data[:99], data[99:5000], data[5000:-1], data[-1:]] if in_pieces else [data]
            ):
                alice.dataReceived(piece)
            door.clock.pump([0, 1, 0])
            assert said(bobs)[0] == "Alice: first"
            assert (said(bobs)[1] == "Alice: " + "x" * size) is is_allowed
            assert (
                b"Error: a line can have at most 8192 bytes." in alices.value()
            ) is not is_allowed
