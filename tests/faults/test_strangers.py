"""Those who connect and never say who they are, and those who are too many."""

import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.crowd import Crowd, login, milliseconds, rss
from tests.people import PATIENCE, QUESTION, Server, trusting

LOGIN_SECONDS = 3


def bare(server: Server, source: str = "") -> socket.socket:
    """A connection without TLS, at whatever port."""
    return socket.create_connection(
        (server.host, server.port), PATIENCE, (source, 0) if source else None
    )


def closes_at(connection: socket.socket, start: float) -> float:
    """Seconds from `start` until the server closes."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    connection.close()
    return time.monotonic() - start


def test_a_thousand_who_are_silent(
    tmp_path: Path, tls: bool, figure: Callable[[str], None]
) -> None:
    """Over TLS they do not even begin the handshake."""
    with Server(tmp_path, "--login-timeout", str(LOGIN_SECONDS), tls=tls) as server:
        start = time.monotonic()
        silent = [bare(server) for _ in range(1000)]
        connected = time.monotonic() - start
        newcomer = login(server, "Newcomer")
        ends = [closes_at(connection, start) for connection in silent]
        figure(
            f"the last was gone after {max(ends):.1f} s of {LOGIN_SECONDS} (and {connected:.1f} s "
            f"to connect); a newcomer was in after {milliseconds(newcomer)}"
        )
        assert newcomer < 1
        assert min(ends) > LOGIN_SECONDS - 0.1
        assert max(ends) < LOGIN_SECONDS + connected + 2
        assert login(server, "Another") < 1


def test_a_byte_now_and_then_and_never_a_newline(
    tmp_path: Path, tls: bool, figure: Callable[[str], None]
) -> None:
    """Twice as often as once a second; over TLS, one drips the handshake and one within it."""
    with Server(tmp_path, "--login-timeout", str(LOGIN_SECONDS), tls=tls) as server:
        person = server.connect()
        drips = [(person.socket, b"x")]
        if tls:
            drips.append((bare(server), b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"))
        start = time.monotonic()
        gone: list[float] = []
        for turn in range(60):
            for connection, data in list(drips):
                connection.settimeout(0.5 / len(drips))
                try:
                    connection.sendall(data[turn % len(data) :][:1])
                    while connection.recv(4096):
                        pass
                    raise ConnectionError
                except TimeoutError:
                    pass
                except ConnectionError:
                    gone.append(time.monotonic() - start)
                    drips.remove((connection, data))
                    connection.close()
            if not drips:
                break
        figure(f"gone after {', '.join(f'{seconds:.1f}' for seconds in gone)} s")
        assert not drips
        assert max(gone) < LOGIN_SECONDS + 3 + 2  # three seconds to close for who is told


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
    with_patience = server.join("Hog")
    with_patience.sends(b"x" * 100_000)
    with_patience.hears(
        "Error: a line can have 8192 bytes at most.", "*** Goodbye: that line was too long."
    )
    assert with_patience.is_cut_off()


def test_five_thousand_from_one_address(
    tmp_path: Path, tls: bool, figure: Callable[[str], None]
) -> None:
    with Server(tmp_path, "--max-per-address", "100", tls=tls) as server:
        existing = [server.join(f"u{number}") for number in range(3)]
        crowded: list[socket.socket] = []
        for number in range(5000):
            crowded.append(bare(server, "127.0.0.2"))
            if number == 2500:
                another = login(server, "Another", "127.0.0.3")
        told = admitted = 0
        for connection in crowded:
            connection.settimeout(0)
            try:
                answer = connection.recv(1000)
            except BlockingIOError:
                admitted += 1  # a handshake is expected of it
                continue
            except ConnectionError:
                continue
            admitted += answer == f"{QUESTION}\r\n".encode()
            told += answer == b"Error: there are too many connections from your address.\r\n"
        lines = server.log.count("turned away")
        figure(
            f"{admitted} admitted, {told} told why; another address was in after "
            f"{milliseconds(another)}; {lines} lines in the log"
        )
        assert admitted == 100
        assert tls or told > 4000
        assert another < 1
        assert lines <= 60
        existing[0].types("still here")
        existing[1].hears_until("u0: still here")
        for connection in crowded:
            connection.close()
        server.wait_for_log("That is enough about 127.0.0.2")
        deadline = time.monotonic() + PATIENCE
        while login_is_refused(server) and time.monotonic() < deadline:
            time.sleep(0.05)
        login(server, "Someone", "127.0.0.2")


def login_is_refused(server: Server) -> bool:
    with bare(server, "127.0.0.2") as connection:
        if not server.tls:
            return b"Error" in connection.recv(100)
        try:
            with trusting(server.certificate).wrap_socket(
                connection, server_hostname="localhost", suppress_ragged_eofs=False
            ):
                return False
        except OSError:
            return True


def test_who_is_turned_away_is_told_why_also_after_having_spoken(tmp_path: Path) -> None:
    """What has been sent to a connection that is closed unread is answered with a reset, which
    overtakes our words."""
    with Server(tmp_path, "--max-users", "1") as server:
        server.join("Alice")
        for _ in range(50):
            with bare(server) as connection:
                connection.sendall(b"Bob\r\nhello\r\n")
                heard = b""
                while data := connection.recv(1000):
                    heard += data
                assert re.fullmatch(rb"Error: the server is full.*\r\n", heard)
