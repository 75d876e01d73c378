"""What one address can make grow: memory, the database, the log, and what it leaves behind."""

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.attackers import CONNECTIONS, Attackers, guests, strangers
from tests.faults.conftest import ALL_ATTACKS, LONG, chosen
from tests.faults.crowd import rss
from tests.faults.defended import DefaultServer
from tests.support.people import PATIENCE, Person, Server

ADDRESS = "127.0.66.1"
SECONDS = 10.0 if LONG else 3.0 if ALL_ATTACKS else 2.0
LINES_OF_ADDRESS = 60  # in the log, in a minute
MEMORY_MOST = 150 * 1024  # KiB
WRITTEN_MOST = 10_000_000  # bytes a second
EMOJI = "\N{SLIGHTLY SMILING FACE}"  # takes four bytes wherever it lies


OWN = "ATTACKER"  # instead of a name


class Greedy:
    """Connections that ask that, more often than is answered at all, and take nothing."""

    def __init__(self, asked: str, *, json: bool) -> None:
        self.json = json
        self._asked = asked

    def of(self, name: str) -> bytes:
        """What the one of that name asks."""
        return (self._asked.replace(OWN, name) * 200).encode()


GREEDY = {
    "pages": Greedy('{"type": "history", "limit": 1000}\n', json=True),
    "pages of messages": Greedy("/history 200\n", json=False),
    "searches": Greedy('{"type": "search", "words": "word", "limit": 1000}\n', json=True),
    "who is here": Greedy("/who\n", json=False),
    "help": Greedy("/help\n", json=False),
    "errors": Greedy(json.dumps({"type": EMOJI * 1000}, ensure_ascii=False) + "\n", json=True),
    "marks": Greedy(
        json.dumps({"type": "who", "ref": EMOJI * 1900}, ensure_ascii=False) + "\n", json=True
    ),
    "private messages": Greedy(f"/msg {OWN} {EMOJI * 2000}\n", json=False),
    "messages": Greedy(EMOJI * 2000 + "\n", json=False),
}


@pytest.mark.parametrize("kind", chosen(GREEDY, "pages", "pages of messages"))
def test_memory(tls: bool, tmp_path: Path, figure: Callable[[str], None], kind: str) -> None:
    """What waits for them is bounded for all that one address has, as it lies in memory."""
    with Server(tmp_path, "--database", "chat.sqlite3", tls=tls) as server:
        speaker = server.join("Speaker")
        for number in range(400):
            speaker.types(f"word {number} {EMOJI * 2000}")
        speaker.types("/me has said all")
        while speaker.next_line() != "* Speaker has said all":
            pass
    greedy = GREEDY[kind]
    with (
        DefaultServer(tmp_path, tls=tls) as server,
        guests(server, ADDRESS, json=greedy.json) as attackers,
    ):
        before = most = rss(server)
        for _ in range(10):
            asked = [greedy.of(name) for name in attackers.names]
            attackers.send(asked, SECONDS / 10, again=False, takes=False)
            most = max(most, rss(server))
        figure(f"{CONNECTIONS} that take nothing: RSS {before / 1024:.0f} -> {most / 1024:.0f} MB")
        assert most - before < MEMORY_MOST


def test_what_is_written_to_the_database(
    tls: bool, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    with DefaultServer(tmp_path, tls=tls) as server, guests(server, ADDRESS) as attackers:
        attackers.send(b"x" * 8000 + b"\n", SECONDS, takes=False)
        written = sum(file.stat().st_size for file in tmp_path.glob("chat.sqlite3*"))
        figure(f"{written / 1e6:.0f} MB in {SECONDS:.0f} s: {written / SECONDS / 1e6:.1f} MB/s")
        assert written / SECONDS < WRITTEN_MOST


def test_names_that_come_and_go(tls: bool, tmp_path: Path, figure: Callable[[str], None]) -> None:
    """Each is another, and as long as a name can be; where it stopped reading is remembered."""
    numbers = itertools.count()
    letters = str.maketrans("0123456789", "абвгдежзик")

    def come_and_go() -> bytes:
        number = f"{next(numbers):06}".translate(letters)
        return f"{number * 5}\n/exit\n".encode()

    with DefaultServer(tmp_path, tls=tls) as server:
        before = rss(server)
        with strangers(server, ADDRESS) as attackers:
            attackers.send(come_and_go, SECONDS, again=False)
        written = sum(file.stat().st_size for file in tmp_path.glob("chat.sqlite3*"))
        figure(
            f"{next(numbers)} names: RSS +{(rss(server) - before) / 1024:.1f} MB, "
            f"{written / 1e6:.1f} MB in the database"
        )
        assert rss(server) - before < MEMORY_MOST
        assert written / SECONDS < WRITTEN_MOST


def lines_about(server: Server) -> int:
    """In the log, since it listens."""
    return server.log.count("\n")


# Lines of the log about one address, and about all of it: its sum and what is left out.
LOGGED_MOST = LINES_OF_ADDRESS + 20


def test_log_of_connections(tls: bool, tmp_path: Path, figure: Callable[[str], None]) -> None:
    with DefaultServer(tmp_path, tls=tls) as server:
        before = lines_about(server)
        count = 0
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            server.connect_bare(ADDRESS).leaves()
            count += 1
        time.sleep(0.5)
        lines = lines_about(server) - before
        figure(f"{lines} lines about {count} connections")
        assert lines < LOGGED_MOST


FIRST = {
    "text that is no handshake": b"GET / HTTP/1.0\r\n\r\n",
    "a handshake that breaks off": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
    "a PROXY header of a stranger": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "a bad PROXY header": b"PROXY NONSENSE\r\n",
    "a PROXY header for somebody": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nx\r\n/exit\r\n",
    "no PROXY header for long": b"",
}


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
@pytest.mark.parametrize("kind", chosen(FIRST, "a bad PROXY header"))
def test_log_of_first_bytes(
    tls: bool, tmp_path: Path, figure: Callable[[str], None], kind: str, proxied: bool
) -> None:
    """Also of those who claim to be a proxy, or are one."""
    options = ("--proxy-protocol", ADDRESS) if proxied else ("--proxy-protocol", "192.0.2.1")
    with DefaultServer(tmp_path, *options, tls=tls) as server:
        before = lines_about(server)
        count = 0

        def come(its: Attackers) -> Person:
            nonlocal count
            count += 1
            return its.server.connect_bare(its.source)

        with Attackers(server, ADDRESS, come).gather(20) as attackers:
            attackers.send(FIRST[kind], SECONDS / 2, again=False)
        time.sleep(0.5)
        lines = lines_about(server) - before
        figure(f"{lines} lines about {count} connections")
        assert lines < LOGGED_MOST
        assert server.log.count("Traceback") == 0


LOGGED = {
    "names": lambda t: f"/nick attacker{'ab'[t % 2]}",
    "a search for 1,000 words": lambda t: "/search " + "ab " * 1000,
    "a search for a word of 1,000 words": lambda t: "/search " + "ab." * 1000,
    "a search for punctuation": lambda t: '/search "*" ^ NEAR( AND OR NOT : - + \\ %',
    "pages": lambda t: "/history 200",
    "accounts": lambda t: "/register secret" if t % 2 else "/unregister",
    "long lines": lambda t: "x" * 8000,
    "bytes that are not text": lambda t: "\udcff\udcfe",
}


@pytest.mark.parametrize("kind", chosen(LOGGED, "names", "a search for a word of 1,000 words"))
@pytest.mark.parametrize("tls", [False], ids=["tcp"])
def test_log_of_requests(
    tls: bool, tmp_path: Path, figure: Callable[[str], None], kind: str
) -> None:
    with DefaultServer(tmp_path, tls=tls) as server, guests(server, ADDRESS, 20) as attackers:
        before = lines_about(server)
        asked = "".join(LOGGED[kind](turn) + "\n" for turn in range(300))
        attackers.send(asked.encode("utf-8", "surrogateescape"), SECONDS, again=False)
        lines, tracebacks = lines_about(server) - before, server.log.count("Traceback")
        figure(f"{lines} lines, {tracebacks} tracebacks")
        server.log_file.write_text("")  # looked at here
        assert lines < LOGGED_MOST
        assert not tracebacks


def test_log_of_a_damaged_database(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """What is wrong with it is told once."""
    with Server(tmp_path, "--database", "chat.sqlite3") as server:
        speaker = server.join("Speaker")
        for number in range(20_000):
            speaker.sends(f"{number} is said\n".encode())
        speaker.types("/me has said all")
        while speaker.next_line() != "* Speaker has said all":
            pass
    database = tmp_path / "chat.sqlite3"
    with DefaultServer(tmp_path) as server:
        with guests(server, ADDRESS, 20) as attackers:
            with database.open("r+b") as file:
                file.seek(8192)
                file.write(b"\xa5" * (database.stat().st_size - 8192))
            attackers.send(b"/history 200\n/search said\n" * 100, SECONDS, again=False)
        tracebacks = server.log.count("Traceback")
        lines = lines_about(server)
        figure(f"{lines} lines, {tracebacks} tracebacks")
        server.log_file.write_text("")
        server.killed = True
        server.process.kill()
        assert tracebacks < 10
        assert lines < LOGGED_MOST + 10 * 50


def test_what_those_leave_behind_who_flood_and_go(
    tls: bool, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Nothing: others from their address may come at once, and no more of it is served."""
    with DefaultServer(tmp_path, tls=tls) as server:
        with guests(server, ADDRESS) as attackers:
            attackers.send(b"\n" * 65536, SECONDS / 2)
        start = time.monotonic()
        while time.monotonic() - start < PATIENCE:
            with strangers(server, ADDRESS) as others:
                if all(is_asked(person) for person in others.people):
                    break
        seconds = time.monotonic() - start
        figure(f"their address could be used again after {seconds:.1f} s")
        assert seconds < PATIENCE


def is_asked(person: Person) -> bool:
    try:
        return person.next_line() == "What is your name?"
    except (OSError, AssertionError):
        return False
