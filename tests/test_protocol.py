"""The line door in this process, with the real reactor where sockets matter."""

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from chatservice.chat import Chat
from chatservice.protocol import CLOSE_SECONDS, ChatFactory, ChatProtocol
from chatservice.session import Session, Settings

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

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.factory = ChatFactory(Chat(self.clock), Settings(**settings), self.clock)

    def connect(self) -> tuple[ChatProtocol, Transport]:
        protocol = self.factory.buildProtocol(None)
        assert isinstance(protocol, ChatProtocol)
        transport = Transport(protocol)
        protocol.makeConnection(transport)
        return protocol, transport

    def join(self, name: str) -> tuple[ChatProtocol, Transport]:
        protocol, transport = self.connect()
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
    assert set(door.factory.users) == {"Alice", "Carol"}
    alice.dataReceived(b"still here\n")
    door.clock.pump([0, 1, 0])
    assert b"Alice: still here" in carols.value()


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


class Talker(Protocol):
    """A client of the reactor's own. `lines` is what it has heard so far."""

    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data


@pytest_twisted.ensureDeferred
async def test_nobody_is_left_in_the_map() -> None:
    """Real sockets, all of which go in the middle of things, one way or the other."""
    factory = ChatFactory(Chat(reactor), Settings(), reactor)
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
    number = port.getHost().port
    talkers: list[Talker] = []
    for index in range(100):
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", number)
        talker = await endpoint.connect(Factory.forProtocol(Talker))
        talker.transport.write(f"u{index}\nhello\n".encode())
        talkers.append(talker)
    await until(lambda: len(factory.users) == 100)
    for index, talker in enumerate(talkers):
        talker.transport.write(b"more\n/msg u0 hi\n/nick v%d\n" % index)
        if index % 2:
            talker.transport.abortConnection()
        else:
            talker.transport.loseConnection()
    await until(lambda: not factory.connections)
    assert factory.users == {}
    assert factory.chat._by_key == {}
    assert factory.chat.lobby._cursors == {}
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
