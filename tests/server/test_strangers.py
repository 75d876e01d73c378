"""Programs that expect another server, and people whose program sends no line end.

Somebody who is in the chat hears nothing of them.
"""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.people import HINT, PATIENCE, QUESTION, Person, Server, joined, left

FOREIGN = "This is a chat server. Connect with nc, telnet or a chat client."
NOT_ENDED = "your line has not ended: press Enter, or send a line feed (\\n)."
TLS_NEEDED = "Error: this port speaks TLS. Connect with TLS, or to a port without it."
EVIL = b"Evil\nsaid by Evil\n"
HEADERS = b"Host: localhost\r\nUser-Agent: x\r\n"


def http(method: bytes, headers: int = 0, body: bytes = b"") -> bytes:
    more = b"".join(b"X-%d: y\r\n" % number for number in range(headers))
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return method + b" / HTTP/1.1\r\n" + HEADERS * bool(headers) + more + length + body


STRANGERS: dict[str, tuple[bytes, bytes]] = {
    "HTTP": (http(b"GET", 5), b"HTTP/1.1 400 Bad Request\r\n"),
    "HTTP with few header lines": (http(b"POST", 0, EVIL), b"HTTP/1.1 400 "),
    "HTTP without any": (b"POST / HTTP/1.0\n\n" + EVIL, b"HTTP/1.1 400 "),
    "HTTP with many": (http(b"PUT", 3000, EVIL), b"HTTP/1.1 400 "),
    "HTTP 2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EVIL, b"HTTP/1.1 400 "),
    "a proxy's": (b"CONNECT example.org:443 HTTP/1.1\r\n\r\n" + EVIL, b"HTTP/1.1 400 "),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n" + EVIL, b""),
    "SMTP": (b"EHLO example.org\r\n" + EVIL, b"554 5.7.1 " + FOREIGN.encode()),
    "SMTP without a name": (b"EHLO\r\n" + EVIL, b"554 "),
    "IRC": (b"NICK bob\r\nUSER bob 0 * :Bob\r\n" + EVIL, b"ERROR :" + FOREIGN.encode()),
    "SIP": (b"OPTIONS sip:nm SIP/2.0\r\nVia: x\r\n\r\n" + EVIL, b""),
    "Redis": (b"*1\r\n$4\r\nPING\r\n" + EVIL, b"-ERR "),
    "a PROXY header": (b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n" + EVIL, b""),
    "a PROXY header, version 2": (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12) + EVIL, b""),
    "SOCKS 4": (b"\x04\x01\x04\x38\x7f\0\0\x01\0" + EVIL, b""),
    "SOCKS 5": (b"\x05\x01\0" + EVIL, b""),
    "SMB": (b"\0\0\0\x54\xffSMBr\0\0\0\0\x18\x53\xc8\0\0\n" + EVIL, b""),
    "RDP": (b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x0b\0\0\0" + EVIL, b""),
    "MQTT": (b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0" + EVIL, b""),
}


@pytest.fixture
def alice(server: Server) -> Person:
    return server.join("Alice")


def hears_nothing(person: Person) -> bool:
    person.types("/who")
    return person.next_line() == "*** Online (1): Alice"


@pytest.mark.parametrize("kind", STRANGERS)
class TestAnotherProtocol:
    def test_is_answered_in_its_way_and_never_becomes_a_name(
        self, server: Server, alice: Person, kind: str
    ) -> None:
        sent, answer = STRANGERS[kind]
        for split in (len(sent), 1, 7):
            stranger = server.connect()
            stranger.hears(QUESTION)
            stranger.sends(sent[:split])
            if rest := sent[split:]:
                stranger.sends(rest)
            heard = stranger._file.read()
            assert heard.startswith(answer)
            assert bool(heard) == bool(answer)
        assert hears_nothing(alice)

    def test_is_told_at_a_port_for_tls_that_this_is_one(
        self, secure: Server, secure_alice: Person, kind: str
    ) -> None:
        sent, answer = STRANGERS[kind]
        if sent[0] in b"\x16":
            return
        stranger = secure.connect_bare()
        stranger.sends(sent)
        heard = stranger._file.read()
        if kind.startswith(("HTTP", "a proxy's")):
            assert heard.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert TLS_NEEDED[7:].encode() in heard
        else:
            assert heard.startswith(answer)
        assert hears_nothing(secure_alice)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, tls=True) as server:
        yield server


@pytest.fixture
def secure_alice(secure: Server) -> Person:
    return secure.join("Alice")


def test_tls_at_a_port_without_it_is_closed_and_never_becomes_a_name(
    server: Server, alice: Person
) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection((server.host, server.port), PATIENCE) as raw,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(raw, server_hostname="localhost")
    stranger = server.connect(first=b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + EVIL)
    stranger.hears(QUESTION)
    assert stranger.is_cut_off()
    assert hears_nothing(alice)
    server.wait_for_log("speaks TLS: turned away")


@pytest.mark.parametrize(
    "said", ["Bob\n", "Bob", "سارا\r\n", "/help\n", "\r\n", "\ufeffBob\n", "two words\n"]
)
def test_text_at_a_port_for_tls_is_told_so(secure: Server, said: str) -> None:
    stranger = secure.connect_bare()
    stranger.sends(said.encode())
    stranger.hears(TLS_NEEDED)
    assert stranger.is_cut_off()
    secure.wait_for_log("does not speak TLS at a port that does")


def test_json_at_a_port_for_tls_is_told_so(secure: Server) -> None:
    stranger = secure.connect_bare()
    stranger.sends(b'{"type": "hello", "name": "Bob"}\n')
    assert json.loads(stranger.next_line()) | {"message": ""} == {
        "type": "error",
        "code": "tls_needed",
        "message": "",
    }
    assert stranger.is_cut_off()


@pytest.mark.parametrize(
    "name", ["Get", "GET", "HELO", "Nick", "User", "Options", "Connect", "Ping"]
)
def test_people_may_be_called_like_a_word_of_a_protocol(server: Server, name: str) -> None:
    somebody = server.join(name)
    somebody.types("GET / HTTP/1.1", "/who")
    somebody.hears(f"*** Online (1): {name}")


def test_after_the_first_line_anything_may_be_said(server: Server, alice: Person) -> None:
    bob = server.connect()
    bob.hears(QUESTION)
    lines = ["GET / HTTP/1.1", "SSH-2.0-x", "EHLO example.org", "*1", "NICK bob"]
    bob.types("Bob", *lines)
    alice.hears(joined("Bob"), *(f"Bob: {line}" for line in lines))


class TestALineWithoutAnEnd:
    @pytest.mark.parametrize("begun", [b"Bob", b"\xef\xbb\xbfBob", b"GE"])
    def test_is_answered_with_a_hint_once(
        self, server: Server, alice: Person, begun: bytes
    ) -> None:
        bob = server.connect()
        bob.hears(QUESTION)
        bob.sends(begun)
        bob.hears(f"Error: {NOT_ENDED}")
        bob.sends(b"\b\bBob\n" if begun == b"GE" else b"\n")
        bob.hears("Welcome Bob, you are connected to the server.", HINT)
        alice.hears(joined("Bob"))

    def test_in_json_too(self, server: Server) -> None:
        bot = server.connect()
        bot.hears(QUESTION)
        bot.sends(b'{"type": "hello", "name": "Bot"}')
        assert json.loads(bot.next_line()) == {
            "type": "error",
            "code": "line_not_ended",
            "message": NOT_ENDED,
        }
        bot.sends(b"\n")
        assert json.loads(bot.next_line())["type"] == "welcome"


@pytest.mark.parametrize("end", [b"\r", b"\r\0", b"\n", b"\r\n"])
def test_lines_have_any_end(server: Server, alice: Person, end: bytes) -> None:
    bob = server.connect()
    bob.hears(QUESTION)
    for text in (b"Bob", b"one", b"two"):
        bob.sends(text + end)
        if text == b"Bob":
            bob.hears("Welcome Bob, you are connected to the server.", HINT)
    alice.hears(joined("Bob"), "Bob: one", "Bob: two")
    assert bob.next_line() == "*** Online (2): Alice, Bob"


@pytest.mark.parametrize("key", [b"\b", b"\x7f"])
def test_a_backspace_deletes(server: Server, alice: Person, key: bytes) -> None:
    bob = server.connect()
    bob.hears(QUESTION)
    for each in (*b"Bop", *key, *b"b\r"):
        bob.sends(bytes([each]))
    bob.sends(2 * key + "سلا".encode() + key + "لام".encode() + b"\r")
    alice.hears(joined("Bob"), "Bob: سللام")


NC = ("nc", "-N")


@pytest.mark.parametrize(
    ("program", "typed", "heard"),
    [
        (NC, "Bob\n/who\n", ["*** Online (2): Alice, Bob", "*** Goodbye, Bob."]),
        (NC, "Bob\n/who\n/exit\n", ["*** Online (2): Alice, Bob", "*** Goodbye, Bob."]),
        (NC, "Bob\nlast words", ["*** Online (2): Alice, Bob", "*** Goodbye, Bob."]),
        (NC, "Bob", ["*** Online (2): Alice, Bob", "*** Goodbye, Bob."]),
        (NC, "\ufeffBob\r", ["*** Online (2): Alice, Bob", "*** Goodbye, Bob."]),
    ],
)
def test_nc_is_answered_to_the_end(
    server: Server, alice: Person, program: Sequence[str], typed: str, heard: list[str]
) -> None:
    done = subprocess.run(
        [*program, server.host, str(server.port)],
        input=typed.encode(),
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout.decode().split("\r\n")[-3:] == [*heard, ""]
    alice.hears(joined("Bob"), *["Bob: last words"] * ("last" in typed), left("Bob"))
