"""How a connection ends: what had come is obeyed, what was asked is answered, and others hear why.

Over plain TCP and over TLS.
"""

import fcntl
import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from OpenSSL import SSL

from tests.support.people import HINT, QUESTION, Person, Server, joined, left

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets
SIOCOUTQ = 0x5411  # how much the peer's kernel has yet to acknowledge


def lost(name: str) -> str:
    return f"*** {name} has left the chat (connection lost)."


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def alice(server: Server) -> Person:
    return server.join("Alice")


def hang_up(person: Person) -> None:
    """Close at once, with a reset: nothing that is on its way arrives."""
    raw = person.socket
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    person.leaves()


def stop_sending(person: Person) -> None:
    """As ``nc -N`` does at the end of its input."""
    # An SSLSocket would forget TLS.
    socket.socket.shutdown(person.socket, socket.SHUT_WR)


def arrived(person: Person) -> None:
    """Wait until the server's kernel has all that was sent, which a reset would overtake."""
    while struct.unpack("i", fcntl.ioctl(person.socket, SIOCOUTQ, bytes(4))) != (0,):
        time.sleep(0.001)


def all_of(person: Person) -> list[str]:
    """What is still heard before the end."""
    lines = person._file.read().decode().split("\r\n")
    assert lines.pop() == ""
    return lines


class TestAPeerThatOnlyStopsSending:
    """It hears all that it has asked for, and leaves as by ``/exit``."""

    def test_hears_the_answers_and_goodbye(self, server: Server, alice: Person) -> None:
        bob = server.connect()
        bob.hears(QUESTION)
        bob.sends(b"Bob\n/who\n/msg Alice hello\n")
        stop_sending(bob)
        assert all_of(bob) == [
            "Welcome Bob, you are connected to the server.",
            HINT,
            "*** Online (2): Alice, Bob",
            "*** Online (2): Alice, Bob",
            "[you -> Alice] hello",
            "*** Goodbye, Bob.",
        ]
        alice.hears(joined("Bob"), "[Bob -> you] hello", left("Bob"))

    @pytest.mark.parametrize("last", [b"last words", b"last words\r", b"last words\r\n"])
    def test_is_heard_to_its_last_word(self, server: Server, alice: Person, last: bytes) -> None:
        bob = server.connect()
        bob.hears(QUESTION)
        bob.sends(b"Bob\n" + last)
        stop_sending(bob)
        assert all_of(bob)[-1] == "*** Goodbye, Bob."
        alice.hears(joined("Bob"), "Bob: last words", left("Bob"))

    def test_may_do_so_before_it_is_asked_for_a_name(self, server: Server) -> None:
        nobody = server.connect()
        stop_sending(nobody)
        assert all_of(nobody) == [QUESTION, "*** Goodbye."]

    def test_may_have_said_goodbye_already(self, server: Server, alice: Person) -> None:
        bob = server.join("Bob")
        bob.sends(b"/exit\nmore\n")
        stop_sending(bob)
        assert all_of(bob) == ["*** Goodbye, Bob."]
        alice.hears(joined("Bob"), left("Bob"))

    def test_a_program_hears_its_acknowledgements(self, tmp_path: Path, tls: bool) -> None:
        with Server(tmp_path, "--database", "chat.sqlite3", tls=tls) as server:
            bot = server.connect()
            bot.hears(QUESTION)
            asked = [{"type": "hello", "name": "Bot"}]
            asked += [{"type": "say", "text": f"{n}", "ref": f"{n}"} for n in range(20)]
            asked += [{"type": "search", "words": "7", "ref": "found"}]
            bot.sends(b"\n".join(json.dumps(request).encode() for request in asked))
            stop_sending(bot)
            heard = [json.loads(line) for line in all_of(bot)]
        assert [event["type"] for event in heard] == ["welcome", *20 * ["ack"], "history", "bye"]
        assert [event.get("ref") for event in heard[1:21]] == [str(n) for n in range(20)]
        assert heard[-1] == {"type": "bye", "name": "Bot", "reason": "exit"}

    def test_is_obeyed_though_it_is_throttled(self, tmp_path: Path, tls: bool) -> None:
        with Server(tmp_path, "--rate", "20:5", tls=tls) as server:
            alice = server.join("Alice")
            bob = server.connect()
            bob.hears(QUESTION)
            bob.sends(b"Bob\n" + b"".join(b"%d\n" % n for n in range(30)))
            stop_sending(bob)
            alice.hears(joined("Bob"), *(f"Bob: {n}" for n in range(30)), left("Bob"))
            assert all_of(bob)[-1] == "*** Goodbye, Bob."

    def test_is_told_what_it_has_missed_first(self, tmp_path: Path, tls: bool) -> None:
        options = "--database", "chat.sqlite3", "--history", "20"
        with Server(tmp_path, *options, tls=tls) as server:
            bob = server.join("Bob")
            alice = server.join("Alice")
            bob.hears(joined("Alice"))
            bob.types("/exit")
            bob.hears("*** Goodbye, Bob.")
            alice.hears(left("Bob"))
            alice.types("one", "two", "/who")
            alice.hears("*** Online (1): Alice")
            bob = server.connect()
            bob.hears(QUESTION)
            bob.sends(b"Bob")
            stop_sending(bob)
            heard = all_of(bob)
        assert [line.partition("] ")[2] for line in heard if "Alice: " in line] == [
            "Alice: one",
            "Alice: two",
        ]
        assert heard[-1] == "*** Goodbye, Bob."


@pytest.mark.parametrize("tls", [True], ids=["tls"])
def test_a_peer_that_says_in_tls_that_it_sends_no_more_is_answered(
    server: Server, alice: Person
) -> None:
    """Python's ssl would read nothing after that."""
    bob = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), server.connect_bare().socket)
    bob.set_connect_state()
    bob.setblocking(1)
    bob.do_handshake()
    bob.sendall(b"Bob\n/who\nlast words")
    assert not bob.shutdown()  # the server has not said so
    heard = b""
    with suppress(SSL.ZeroReturnError):  # the end
        while True:
            heard += bob.recv(1000)
    assert heard.decode().split("\r\n")[-3:] == [
        "*** Online (2): Alice, Bob",
        "*** Goodbye, Bob.",
        "",
    ]
    alice.hears(joined("Bob"), "Bob: last words", left("Bob"))


ENDS: dict[str, Callable[[Person], None]] = {"closes": Person.leaves, "is reset": hang_up}


class TestLinesThatHadCome:
    @pytest.mark.parametrize("end", ENDS)
    def test_are_obeyed_though_the_connection_has_gone(
        self, tmp_path: Path, tls: bool, end: str
    ) -> None:
        """By default 500 lines are served at once, and some more than those have come."""
        with Server(tmp_path, "--rate", "50:500", tls=tls) as server:
            alice = server.join("Alice")
            bob = server.connect()
            bob.hears(QUESTION)
            bob.sends(b"Bob\n" + b"".join(b"%d\n" % n for n in range(510)))
            arrived(bob)
            ENDS[end](bob)
            alice.hears(joined("Bob"), *(f"Bob: {n}" for n in range(510)))
            # With answers that it has not read, the kernel resets what is closed in order.
            assert alice.next_line() in {lost("Bob"), *([] if end == "is reset" else [left("Bob")])}

    @pytest.mark.parametrize("end", ENDS)
    @pytest.mark.parametrize("first", ["/nick Robert", "/search x", "/msg Nobody x", "/history"])
    def test_are_obeyed_behind_what_is_looked_up(
        self, tmp_path: Path, tls: bool, first: str, end: str
    ) -> None:
        with Server(tmp_path, "--database", "chat.sqlite3", tls=tls) as server:
            alice = server.join("Alice")
            bob = server.join("Bob")
            alice.hears(joined("Bob"))
            bob.types(first, "one", "/me waves", "two")
            arrived(bob)
            ENDS[end](bob)
            name = "Bob"
            if "nick" in first:
                name = "Robert"
                alice.hears("*** Bob is now known as Robert.")
            alice.hears(f"{name}: one", f"* {name} waves", f"{name}: two")
            assert alice.next_line() in {lost(name), *([] if end == "is reset" else [left(name)])}

    def test_but_not_the_half_of_one_at_which_it_was_reset(
        self, server: Server, alice: Person
    ) -> None:
        bob = server.join("Bob")
        bob.sends(b"whole\nhal")
        arrived(bob)
        hang_up(bob)
        alice.hears(joined("Bob"), "Bob: whole", lost("Bob"))


class TestHowADepartureIsTold:
    """Whatever is just being sent to the one who goes."""

    def test_a_reset_is_a_connection_that_was_lost(self, server: Server, alice: Person) -> None:
        speaker = server.join("Speaker")
        alice.hears(joined("Speaker"))
        for number in range(20):
            victim = server.join(f"Victim{number}")
            alice.hears(joined(victim_name := f"Victim{number}"))
            speaker.types(*50 * ["hello"])
            hang_up(victim)
            speaker.types(*50 * ["hello"])
            heard = [alice.next_line() for _ in range(101)]
            assert [line for line in heard if line != "Speaker: hello"] == [lost(victim_name)]

    def test_one_that_stops_sending_and_reads_on_has_left(
        self, server: Server, alice: Person
    ) -> None:
        speaker = server.join("Speaker")
        alice.hears(joined("Speaker"))
        for number in range(10):
            name = f"Leaver{number}"
            leaver = server.join(name)
            alice.hears(joined(name))
            speaker.types(*50 * ["hello"])
            stop_sending(leaver)
            speaker.types(*50 * ["hello"])
            assert all_of(leaver)[-1] == f"*** Goodbye, {name}."
            heard = [alice.next_line() for _ in range(101)]
            assert [line for line in heard if line != "Speaker: hello"] == [left(name)]


def asking(server: Server, alice: Person) -> Person:
    """Somebody who has sent requests that are looked up one after the other, and lines."""
    bob = server.join("Bob")
    bob.types(*20 * ["/search x", "/history 1000"], "/nick Rob", "line", *20 * ["/search a"])
    return bob


def throttled(server: Server, alice: Person) -> Person:
    """Somebody whose lines are allowed one by one."""
    carol = server.join("Carol")
    carol.types(*(f"{number}" for number in range(2000)))
    return carol


def stalled(server: Server, alice: Person) -> Person:
    """Somebody who asks for much and reads nothing."""
    dave = server.join("Dave")
    alice.types(*200 * ["/me " + 900 * "x"])
    dave.types(*200 * ["/history 1000"])
    return dave


def nameless(server: Server, alice: Person) -> Person:
    """Somebody who has begun a line."""
    stranger = server.connect()
    stranger.sends(b"Str")
    return stranger


def foreign(server: Server, alice: Person) -> Person:
    """A program that does not speak to us, and not in TLS either, and waits."""
    program = server.connect_bare()
    program.sends(b"GET / HTTP/1.0\r\n\r\n")
    return program


STATES = (asking, throttled, stalled, nameless, foreign)
WAYS: dict[str, Callable[[Person], None]] = {
    **ENDS,
    "stops sending": stop_sending,
    "stays": lambda _: None,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_server_ends_whatever_its_connections_wait_for(
    tmp_path: Path, tls: bool, way: str
) -> None:
    """Just after that, and a moment later."""
    options = ("--database", "chat.sqlite3", "--rate", "50:100", "--shutdown-timeout", "2")
    for pause in (0, 0.3):
        with Server(tmp_path, *options, tls=tls) as server:
            alice = server.join("Alice")
            people = [state(server, alice) for state in STATES]
            time.sleep(pause)
            for person in people:
                WAYS[way](person)
            time.sleep(pause)
            assert server.stop() == 0
