"""A real server, and people at real sockets: what they see when things go well, and when not."""

import random
import selectors
import socket
import time
import unicodedata
from pathlib import Path

import pytest

from chatservice.core.events import Helped
from chatservice.dialects.commands import COMMANDS
from chatservice.dialects.text import TEXT
from chatservice.server.line import MAX_LINE
from chatservice.session.requests import RULES
from tests.support.people import (
    HINT,
    PATIENCE,
    QUESTION,
    Person,
    Server,
    hear_all,
    joined,
    left,
    speak,
)

# Without a database there are no accounts, and no commands about them.
WITHOUT_ACCOUNTS = tuple(each.name for each in COMMANDS if not RULES[each.request].accounts)
HELP_LINES = len(TEXT.lines(Helped(WITHOUT_ACCOUNTS)))
HARMLESS = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    """Each test here is run through both."""
    return bool(request.param)


# Where TLS would add time (2,000 pairs of handshakes, many more servers) and nothing else.
tcp_alone = pytest.mark.parametrize("tls", [False], ids=["tcp"])


def two(server: Server) -> tuple[Person, Person]:
    alice = server.join("Alice")
    bob = server.join("Bob")
    alice.hears(joined("Bob"))
    return alice, bob


@pytest.mark.parametrize(
    "text", ["سلام، حال شما چطور است؟", "你好，世界", "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 👋🏽", "Füße ﷽ e\u0301"]
)
def test_text_arrives_whole_however_its_bytes_are_split(server: Server, text: str) -> None:
    alice, bob = two(server)
    alice.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line = f"{text}\r\n".encode()
    for cut in range(1, len(line)):
        alice.sends(line[:cut])
        alice.sends(line[cut:])
    for byte in line:
        alice.sends(bytes([byte]))
    bob.hears(*len(line) * [f"Alice: {text}"])


def test_lf_and_crlf_both_end_a_line(server: Server) -> None:
    alice, bob = two(server)
    alice.sends(b"one\ntwo\r\n\n\r\n  \nthree\n")
    bob.hears("Alice: one", "Alice: two", "Alice: three")


def test_no_byte_moves_anybodys_cursor(server: Server) -> None:
    alice, bob = two(server)
    for byte in range(256):
        alice.sends(b"a" + bytes([byte]) + b"z\n")
    alice.sends(b"end\n")
    heard = bob.hears_until("Alice: end")
    assert len(heard) == 257  # a line feed makes two of one
    assert all(line.isprintable() for line in heard)
    assert heard[1 + ord("~")] == "Alice: a~z"


@tcp_alone
@pytest.mark.parametrize(
    ("sent", "heard"),
    [
        (b"\x1b[2J\x1b]52;c;aGk=\x07", f"{HARMLESS}[2J{HARMLESS}]52;c;aGk={HARMLESS}"),
        ("\u009b31m".encode(), f"{HARMLESS}31m"),
        ("\u202eevil\u2066x\u200f".encode(), f"{HARMLESS}evil{HARMLESS}x{HARMLESS}"),
        ("a\u2028b\u2029c".encode(), f"a{HARMLESS}b{HARMLESS}c"),
        (b"a\rb\0c\td", f"a{HARMLESS}b{HARMLESS}c d"),
        (b"caf\xe9", f"caf{HARMLESS}"),
        (b"\xc0\xaf\xed\xa0\x80", HARMLESS * 5),
        (b"\xff\xfd\x06hi\xff\xfb\x01", "hi"),
        (b"\xff\xfa\x18junk\xff\xf0ho\xff\xf4", "ho"),
        (b"{not json", "{not json"),
    ],
)
def test_what_is_unsafe_arrives_harmless(server: Server, sent: bytes, heard: str) -> None:
    alice, bob = two(server)
    alice.sends(sent + b"\n")
    bob.hears(f"Alice: {heard}")
    alice.sends(b"/me " + sent + b"\n")
    bob.hears(f"* Alice {heard}")
    alice.sends(b"/msg Bob " + sent + b"\n")
    bob.hears(f"[Alice -> you] {heard}")
    alice.sends(b"/" + sent.replace(b" ", b"") + b"\n")
    alice.hears_until(f"[you -> Bob] {heard}")
    assert alice.next_line().isprintable()


def test_telnets_options_are_refused(server: Server) -> None:
    """After Ctrl-C telnet shows nothing until its DO TIMING-MARK has been answered."""
    alice = server.connect()
    alice.hears(QUESTION)
    alice.sends(b"\xff\xf4\xff\xfd\x06Alice\r\n")
    assert alice.reads(3) == b"\xff\xfc\x06"
    alice.hears("Welcome Alice, you are connected to the server.")


def test_telnets_ctrl_c_is_answered_before_the_next_line(server: Server) -> None:
    alice, bob = two(server)
    alice.sends(b"half\xff\xf4\xff\xfd")
    alice.sends(b"\x06")
    assert alice.reads(3) == b"\xff\xfc\x06"
    alice.sends(b" a line\n")
    bob.hears("Alice: half a line")


def test_telnets_bytes_end_no_line_and_eat_none(server: Server) -> None:
    alice, bob = two(server)
    alice.sends(b"\xff\nhi\xff\nthere\n\xff\xfaopen\nstill\n\xff\xfb\nhere\n")
    bob.hears("Alice: hi", "Alice: there", "Alice: still", "Alice: here")


def test_a_storm_of_options_that_nobody_reads_the_answers_to(server: Server) -> None:
    storm = server.connect()
    storm.hears(QUESTION)
    storm.socket.settimeout(0.5)
    for _ in range(500):
        try:
            storm.sends(b"\xff\xfd\x01" * 2700 + b"\n")  # 4 MB in all; the faults send 2 GB
        except TimeoutError:
            break
    assert rss(server) < 100_000
    bob = server.join("Bob")
    bob.types("/who")
    bob.hears("*** Online (1): Bob")


def rss(server: Server) -> int:
    """Its resident memory in KiB; a server that has just been started has some 45,000."""
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("no /proc here")
    return int(status.read_text().partition("VmRSS:")[2].split()[0])


def test_a_line_that_is_too_long_is_refused_and_ends_it(server: Server) -> None:
    alice, bob = two(server)
    try:
        for _ in range(16):
            alice.sends(b"x" * 65536)  # 1 MiB without a newline
    except ConnectionError:
        pass
    alice.hears(
        f"Error: a line can have at most {MAX_LINE} bytes.",
        "*** Goodbye: that line was too long.",
    )
    assert alice.is_cut_off()
    bob.hears(left("Alice"))


def test_the_longest_line_there_may_be_is_heard(server: Server) -> None:
    alice, bob = two(server)
    alice.types("x" * (MAX_LINE - 1), "y")
    bob.hears("Alice: " + "x" * (MAX_LINE - 1), "Alice: y")
    alice.types("z", "x" * (MAX_LINE + 1))
    bob.hears("Alice: z", left("Alice"))


def test_nothing_is_obeyed_after_exit(server: Server) -> None:
    alice, bob = two(server)
    alice.types("/exit", "still here?", "/nick Mallory")
    alice.hears("*** Goodbye, Alice.")
    assert alice.is_cut_off()
    bob.hears(left("Alice"))
    bob.types("/who")
    bob.hears("*** Online (1): Bob")


def test_a_connection_that_breaks_is_said_to_be_lost(server: Server) -> None:
    alice, bob = two(server)
    linger_zero = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
    alice.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
    alice.leaves()
    bob.hears("*** Alice has left the chat (connection lost).")
    server.wait_for_log(r"Alice has left from 127\.0\.0\.1:\d+")


def test_a_name_is_free_again_when_its_owner_has_left(server: Server) -> None:
    alice, bob = two(server)
    bob.leaves()
    alice.hears(left("Bob"))
    server.join("Bob")


@tcp_alone
def test_two_who_ask_for_one_name_at_once(server: Server) -> None:
    """500 times: exactly one has it each time."""
    for first in range(0, 500, 25):
        pairs = {f"n{n}": (server.connect(), server.connect()) for n in range(first, first + 25)}
        people = [person for pair in pairs.values() for person in pair]
        for person in people:
            person.hears(QUESTION)
        for name, pair in pairs.items():
            for person in pair:
                person.types(name)
        for name, pair in pairs.items():
            assert sorted(person.next_line() for person in pair) == [
                f"Error: {name} is taken. {QUESTION}",
                f"Welcome {name}, you are connected to the server.",
            ]
        for person in people:
            person.leaves()
        server.forget(people)


def who(person: Person) -> str:
    """The answer to /who, which departures may come before."""
    person.types("/who")
    while not (line := person.next_line()).startswith("*** Online ("):
        pass
    return line


def test_two_hundred_leave_at_random_inside_broadcasts(server: Server) -> None:
    """Nobody else loses a line, and in the end nobody is there."""
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    listener, speaker = server.join("Listener"), server.join("Speaker")
    crowd = [server.join(f"u{number}") for number in range(200)]
    said = 0
    while crowd:
        speaker.types(*(f"message {said + number}" for number in range(10)))
        said += 10
        for _ in range(choose.randrange(3)):
            if crowd:
                crowd.pop(choose.randrange(len(crowd))).leaves()
    speaker.types("end")
    heard = [line for line in listener.hears_until("Speaker: end") if not line.startswith("***")]
    assert heard == [f"Speaker: message {number}" for number in range(said)], f"seed {seed}"
    # The server may read the question before the last of the ends.
    deadline = time.monotonic() + PATIENCE
    while (online := who(speaker)) != "*** Online (2): Listener, Speaker":
        assert time.monotonic() < deadline, online
        time.sleep(0.05)


def test_a_reader_that_stops_costs_the_others_nothing_and_misses_nothing_it_is_not_told_of(
    server: Server,
) -> None:
    sleeper, listener, speaker = (server.join(name) for name in ("Sleeper", "Listener", "Speaker"))
    total = 30_000  # 30 MB: more than kernel buffers and the room's log hold together
    speak(speaker, listener, total)
    skips = hear_all(sleeper, total)
    assert 1 <= skips <= 5  # the kernel may take some more in the meantime


def test_a_flood_of_questions_from_somebody_who_does_not_read_is_not_answered(
    server: Server,
) -> None:
    """Nor does it cost others anything; and when they read again, all answers come."""
    alice, bob = two(server)
    alice.socket.setblocking(False)
    asked = b""
    question = (b"/help" + 250 * b" " + b"\n") * 200
    selector = selectors.DefaultSelector()
    selector.register(alice.socket, selectors.EVENT_WRITE)
    while selector.select(1):
        asked += question[: alice.sends_some(question[len(asked) % len(question) :])]
    selector.close()
    bob.types("/who")
    bob.hears("*** Online (2): Alice, Bob")
    assert len(asked) < 50_000_000
    alice.socket.settimeout(10)
    complete = asked.count(b"\n")
    lines = sum(alice.next_line().startswith("*** /me") for _ in range(complete * HELP_LINES))
    assert lines == complete


@tcp_alone
@pytest.mark.parametrize("blank", ["\u3000", "\u00a0", " ", "\t", "\u2003 "])
def test_blank_lines_are_ignored_however_they_arrive(server: Server, blank: str) -> None:
    alice, bob = two(server)
    alice.types(blank)
    alice.types(blank, "/who", blank, "heard", blank)
    alice.types(blank, "heard too")
    bob.hears("Alice: heard", "Alice: heard too")


def test_after_exit_there_is_nothing_but_goodbye(server: Server) -> None:
    alice, bob = two(server)
    alice.sends(b"hello\n/exit\n" + b"x" * 9000)
    alice.hears("*** Goodbye, Alice.")
    bob.hears("Alice: hello")
    bob.types("are you still there?")
    assert alice.is_cut_off()


class TestOptions:
    def test_the_message_of_the_day(self, tmp_path: Path) -> None:
        (tmp_path / "motd").write_text("Be kind.\n\nخوش آمدید \x1b[1m\n")
        with Server(tmp_path, "--motd", "motd") as server:
            alice = server.join("Alice")
            alice.hears("*** Be kind.", "***", f"*** خوش آمدید {HARMLESS}[1m")

    def test_echo(self, tmp_path: Path) -> None:
        with Server(tmp_path, "--echo") as server:
            alice, bob = two(server)
            alice.types("hello")
            alice.hears("Alice: hello")
            bob.hears("Alice: hello")

    def test_messages_are_logged_when_asked_for_and_private_ones_never(
        self, tmp_path: Path
    ) -> None:
        with Server(tmp_path, "--log-messages") as server:
            alice, bob = two(server)
            alice.types("public \u202e text", "/me acts", "/msg Bob secret")
            bob.hears_until("[Alice -> you] secret")
            server.wait_for_log(r"Alice: 'public . text'")
            server.wait_for_log(r"\* Alice 'acts'")
            assert "secret" not in server.log

    def test_several_ports(self, tmp_path: Path) -> None:
        with Server(tmp_path, "--port", "unix:chat.sock") as server:
            server.wait_for_log("Listening on unix:.*chat.sock")
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(tmp_path / "chat.sock"))
            bob = Person(connection)
            bob.hears(QUESTION)
            bob.types("Bob")
            bob.hears("Welcome Bob, you are connected to the server.", HINT)
            bob.hears("*** Online (1): Bob")
            alice = server.join("Alice")
            bob.hears(joined("Alice"))
            alice.types("hello")
            bob.hears("Alice: hello")
            bob.leaves()


class TestTheLog:
    def test_says_who_came_and_went(self, server: Server) -> None:
        server.wait_for_log(r"Listening on 127\.0\.0\.1:\d+")
        alice, bob = two(server)
        server.wait_for_log(r"127\.0\.0\.1:\d+ has connected\.")
        server.wait_for_log(r"Alice has joined from 127\.0\.0\.1:\d+\.")
        alice.types("/nick Carol")
        server.wait_for_log(r"Alice is now known as Carol\.")
        bob.types("/exit")
        server.wait_for_log(r"Bob has left from 127\.0\.0\.1:\d+: exit")
        alice.types("a quiet word")
        bob.leaves()
        server.wait_for_log(r"has disconnected: ")
        assert "a quiet word" not in server.log

    def test_has_nothing_in_it_that_a_terminal_obeys(self, server: Server) -> None:
        alice = server.connect()
        alice.hears(QUESTION)
        for byte in (*range(32), 127):
            alice.sends(b"a" + bytes([byte]) + b"z\n")
        assert alice.next_line().startswith("Error: ")
        bob = server.join("Bob")
        bob.types("\x1b[2J", "/\x1b[2J", "/nick \x1b", "/exit")
        server.wait_for_log("Bob has left")
        for character in server.log:
            assert character == "\n" or unicodedata.category(character)[0] != "C"


def test_a_stopping_server_says_so_and_ends_well(server: Server) -> None:
    alice, bob = two(server)
    alice.types("last words")
    bob.hears("Alice: last words")
    server.process.terminate()
    for person in (alice, bob):
        person.hears("*** The server is shutting down. Goodbye.")
        assert person.is_cut_off()
    assert server.process.wait(10) == 0
