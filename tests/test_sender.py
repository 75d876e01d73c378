"""Who is connected over TLS hears what all hear: in order, whole, or told of what is missing."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatservice.sender import SocketBeneath
from tests.people import PATIENCE, QUESTION, Person, Server

pytest.importorskip("OpenSSL", reason="needs chatservice[tls]")


class TLSServer(Server):
    """A server that also listens over TLS."""

    def __init__(self, folder: Path) -> None:
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                ),
                *("-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate),
            ],
            check=True,
            capture_output=True,
        )
        files = f"privateKey={key}:certKey={certificate}"
        super().__init__(folder, "--port", f"ssl:0:interface=127.0.0.1:{files}")

    def join_over_tls(self, name: str) -> Person:
        """Somebody who has been let in, and to whom an end without a word of TLS is an error."""
        second = self.wait_for_log(r"(?s)listens at .*listens at \('127\.0\.0\.1', (\d+)\)")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = socket.create_connection(("127.0.0.1", int(second[1])), PATIENCE)
        person = Person(context.wrap_socket(connection, suppress_ragged_eofs=False))
        self._people.append(person)
        person.hears(QUESTION)
        person.types(name)
        person.hears(f"Welcome {name}, you are connected to the server.")
        person.next_line()
        return person


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TLSServer]:
    with TLSServer(tmp_path) as running:
        yield running


TEXT = "x" * 1000


def speak(speaker: Person, listener: Person, total: int) -> None:
    """`speaker` says so many messages that are numbered, and `listener` hears them all."""
    heard = 0
    for start in range(0, total, 100):
        speaker.types(*(f"{number} {TEXT}" for number in range(start, start + 100)))
        while heard < start + 100:
            line = listener.next_line()
            if not line.startswith("***"):
                assert line == f"Speaker: {heard} {TEXT}"
                heard += 1


def hear_all(sleeper: Person, total: int) -> int:
    """`sleeper` hears all that has been said in its order. How often it was told of a gap."""
    expected = skips = 0
    while expected < total:
        line = sleeper.next_line()
        if line.startswith("*** You missed"):
            expected += int(line.split()[3])
            skips += 1
        elif not line.startswith("***"):
            assert line == f"Speaker: {expected} {TEXT}"
            expected += 1
    return skips


def test_a_reader_that_stops_costs_the_others_nothing_and_misses_nothing_it_is_not_told_of(
    server: TLSServer,
) -> None:
    sleeper, listener = server.join_over_tls("Sleeper"), server.join_over_tls("Listener")
    speaker = server.join("Speaker")
    total = 20_000  # 20 MB: more than kernel buffers and the room's log hold together
    speak(speaker, listener, total)
    assert hear_all(sleeper, total) == 1
    speaker.types("still there?")
    sleeper.hears("Speaker: still there?")


def test_goodbye_comes_after_all_else_however_slow_the_reader(server: TLSServer) -> None:
    sleeper, listener = server.join_over_tls("Sleeper"), server.join_over_tls("Listener")
    speaker = server.join_over_tls("Speaker")
    total = 10_000
    speak(speaker, listener, total)
    sleeper.types("/exit")
    hear_all(sleeper, total)
    sleeper.hears("*** Goodbye, Sleeper.")
    assert sleeper.is_cut_off()


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
    beneath = SocketBeneath(transport)
    beneath.write(b"abc")
    beneath.write(b"defgh")
    beneath.write(b"ij")
    assert (transport.sent, transport.held) == (b"abcdef", b"ghij")
    transport.producer.resumeProducing()  # it has been sent
    beneath.write(b"kl")
    assert (transport.sent, transport.held) == (b"abcdefkl", b"ghij")
