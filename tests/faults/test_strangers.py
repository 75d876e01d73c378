"""Those who connect and never say who they are, and those who are too many."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from chatservice.server.connection import CLOSE_SECONDS
from tests.faults.crowd import Crowd, login, milliseconds, rss
from tests.support.people import PATIENCE, QUESTION, Person, Server

LOGIN_SECONDS = 2


def closes_at(person: Person, start: float) -> float:
    """Seconds from `start` until the server closes."""
    try:
        while person.socket.recv(65536):
            pass
    except ConnectionError:
        pass
    person.leaves()
    return time.monotonic() - start


def test_a_thousand_who_are_silent(
    tmp_path: Path, tls: bool, figure: Callable[[str], None]
) -> None:
    """Over TLS they do not even begin the handshake."""
    with Server(tmp_path, "--login-timeout", str(LOGIN_SECONDS), tls=tls) as server:
        start = time.monotonic()
        silent = [server.connect_bare() for _ in range(1000)]
        connected = time.monotonic() - start
        newcomer = login(server, "Newcomer")
        ends = [closes_at(person, start) for person in silent]
        figure(
            f"the last was gone after {max(ends):.1f} s of {LOGIN_SECONDS} (and {connected:.1f} s "
            f"to connect); a newcomer was in after {milliseconds(newcomer)}"
        )
        assert newcomer < 1
        assert min(ends) > LOGIN_SECONDS - 0.1
        assert max(ends) < LOGIN_SECONDS + CLOSE_SECONDS + connected + 2
        assert login(server, "Another") < 1


def test_a_byte_now_and_then_and_never_a_newline(
    tmp_path: Path, tls: bool, figure: Callable[[str], None]
) -> None:
    """Twice as often as once a second; over TLS, one drips the handshake and one within it."""
    with Server(tmp_path, "--login-timeout", str(LOGIN_SECONDS), tls=tls) as server:
        drips = [(server.connect(), b"x")]
        if tls:
            drips.append((server.connect_bare(), b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"))
        start = time.monotonic()
        gone: list[float] = []
        for turn in range(60):
            for person, data in list(drips):
                person.socket.settimeout(0.5 / len(drips))
                try:
                    person.sends(data[turn % len(data) :][:1])
                    while person.socket.recv(4096):
                        pass
                    raise ConnectionError
                except TimeoutError:
                    pass
                except ConnectionError:
                    gone.append(time.monotonic() - start)
                    drips.remove((person, data))
                    person.leaves()
            if not drips:
                break
        figure(f"gone after {', '.join(f'{seconds:.1f}' for seconds in gone)} s")
        assert not drips
        assert max(gone) < LOGIN_SECONDS + CLOSE_SECONDS + 2


def test_a_hundred_megabytes_without_a_newline(
    server: Server, figure: Callable[[str], None]
) -> None:
    with Crowd(server) as crowd:
        [bystander, _] = crowd.join(["Bystander", "Speaker"])
        hog = server.join("Hog")
        before = most = rss(server)
        sent = 0
        try:
            while sent < 100_000_000:
                hog.sends(b"x" * 1_000_000)
                sent += 1_000_000
                most = max(most, rss(server))
        except OSError:
            pass
        figure(f"{sent / 1e6:.0f} MB were taken; RSS +{most - before} KiB")
        assert most - before < 2048
        crowd.say("Speaker", 100)
        crowd.hear_all("Speaker", [bystander])
    with_patience = server.join("Patient")
    with_patience.sends(b"x" * 100_000)
    with_patience.hears(
        "Error: a line can have at most 8192 bytes.", "*** Goodbye: that line was too long."
    )
    assert with_patience.is_cut_off()


def test_five_thousand_from_one_address(
    tmp_path: Path, tls: bool, figure: Callable[[str], None]
) -> None:
    with Server(tmp_path, "--max-per-address", "100", tls=tls) as server:
        existing = [server.join(f"u{number}") for number in range(3)]
        crowded: list[Person] = []
        for number in range(5000):
            crowded.append(server.connect_bare("127.0.0.2"))
            if number == 2500:
                another = login(server, "Another", "127.0.0.3")
        told = admitted = 0
        time.sleep(1)  # for the answers; over TLS those who are admitted get none
        for person in crowded:
            person.socket.settimeout(0)
            try:
                answer = person.socket.recv(1000)
            except BlockingIOError:
                admitted += 1
                continue
            except ConnectionError:
                continue
            admitted += answer == f"{QUESTION}\r\n".encode()
            told += answer == b"Error: there are too many connections from your address.\r\n"
        lines = server.log.count("127.0.0.2")
        figure(
            f"{admitted} admitted, {told} told why; another address was in after "
            f"{milliseconds(another)}; {lines} lines in the log"
        )
        assert admitted == 100
        assert tls or told > 4000
        assert another < 1
        assert lines <= 61
        existing[0].types("still here")
        existing[1].hears_until("u0: still here")
        for person in crowded:
            person.leaves()
        server.wait_for_log("That is enough about 127.0.0.2")
        deadline = time.monotonic() + PATIENCE
        while (refused := is_refused(server, "127.0.0.2")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not refused


def is_refused(server: Server, source: str) -> bool:
    try:
        return server.connect(source).next_line() != QUESTION
    except OSError:
        return True


def test_who_is_turned_away_is_told_why_also_after_having_spoken(tmp_path: Path) -> None:
    with Server(tmp_path, "--max-users", "1") as server:
        server.join("Alice")
        os.kill(server.process.pid, signal.SIGSTOP)
        bob = server.connect()
        bob.sends(b"Bob\r\nhello\r\n")
        os.kill(server.process.pid, signal.SIGCONT)
        bob.hears("Error: the server is full. Try again later.")
        assert bob.is_cut_off()
