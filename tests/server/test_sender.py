"""What is sent keeps its order, over TLS too, and comes whole."""

from typing import Any

import pytest

from chatservice.server.output import SocketBeneath
from tests.support.people import Server, hear_all, speak


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_goodbye_comes_after_all_else_however_slow_the_reader(server: Server) -> None:
    sleeper, listener, speaker = map(server.join, ("Sleeper", "Listener", "Speaker"))
    total = 10_000
    speak(speaker, listener, total)
    sleeper.types("/exit")
    hear_all(sleeper, total)
    sleeper.hears("*** Goodbye, Sleeper.")
    assert sleeper.is_cut_off()


class Nobody:
    """Whoever sends."""

    def stop_answering(self) -> None: ...


class Socket:
    """A transport and its socket, which takes three bytes at a time."""

    def __init__(self) -> None:
        self.socket = self
        self.sent = self.held = b""
        self.producer: Any = None

    def send(self, data: bytes) -> int:
        self.sent += data[:3]
        return min(len(data), 3)

    def write(self, data: bytes) -> None:
        self.held += data

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer
        producer.resumeProducing()  # as Twisted does

    def unregisterProducer(self) -> None:
        self.producer = None


def test_nothing_overtakes_what_the_socket_did_not_take() -> None:
    """TLS breaks if one of its records does; it may write some of its own at any time."""
    transport: Any = Socket()
    beneath = SocketBeneath(transport, Nobody())
    beneath.write(b"abc")
    beneath.write(b"defgh")
    beneath.write(b"ij")
    assert (transport.sent, transport.held) == (b"abcdef", b"ghij")
    transport.producer.resumeProducing()  # it has been sent
    beneath.write(b"kl")
    assert (transport.sent, transport.held) == (b"abcdefkl", b"ghij")
