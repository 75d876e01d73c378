"""What people at nc are shown who come back after the network, or the server, broke."""

import re
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.people import QUESTION, Person, Server

KEPT = ("--database", "chat.sqlite3")
LINES, WIDTH = 60, 1500  # 90 KB: all of it fits into what our kernel holds for a connection
WINDOW = 4096
MISSED = re.compile(r"\*\*\* (\d+) messages? while you were away:")
TICKS = 2.5  # seconds: each connection has been asked about after it


def small_window(server: Server, name: str) -> socket.socket:
    """Somebody who has come in, and whose system takes some kilobytes."""
    bob = socket.socket()
    bob.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
    bob.connect((server.host, server.port))
    bob.sendall(f"{name}\r\n".encode())
    data = b""
    while b"*** Online" not in data or not data.endswith(b"\r\n"):
        data += bob.recv(4096)
    return bob


def talk(speaker: Person, numbers: range) -> None:
    for number in numbers:
        speaker.types(f"{number:04} " + "x" * WIDTH)


def numbers_in(lines: list[str]) -> list[int]:
    return [int(found[1]) for line in lines if (found := re.search(r"Alice: (\d{4}) x", line))]


def comes_back(server: Server, name: str) -> list[str]:
    """What `name` is shown of the past."""
    person = server.connect()
    person.hears(QUESTION)
    person.types(name)
    while not (found := MISSED.fullmatch(person.next_line())):
        pass
    return [person.next_line() for _ in range(int(found[1]))]


def taken_by(bob: socket.socket) -> list[int]:
    """The complete lines that had arrived at his system, which he has not read."""
    arrived = bob.recv(1 << 20, socket.MSG_PEEK).decode()
    return numbers_in(arrived.split("\r\n")[:-1])


@pytest.mark.parametrize("waits", [True, False], ids=["seconds before", "just now"])
def test_what_did_not_arrive_is_shown_again(
    tmp_path: Path, waits: bool, figure: Callable[[str], None]
) -> None:
    """His connection is reset with most of what was said on its way."""
    with Server(tmp_path, *KEPT) as server:
        alice = server.join("Alice")
        bob = small_window(server, "Bob")
        alice.next_line()
        talk(alice, range(LINES))
        time.sleep(TICKS if waits else 0.2)
        arrived = taken_by(bob)
        assert len(arrived) < LINES // 2
        bob.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bob.close()
        alice.hears("*** Bob has left the chat (connection lost).")
        shown = numbers_in(comes_back(server, "Bob"))
        assert set(arrived) | set(shown) == set(range(LINES))
        assert shown == sorted(set(shown))
        repeated = len(set(arrived) & set(shown))
        figure(
            f"{len(arrived)} lines had arrived, {len(shown)} were shown, {repeated} of them again"
        )
        assert not waits or repeated <= 1


def test_after_kill_9_people_read_on_where_they_were(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """One who was slow, and one who had heard everything but the last second."""
    with Server(tmp_path, *KEPT) as server:
        alice = server.join("Alice")
        carol = server.join("Carol")
        alice.next_line()
        bob = small_window(server, "Bob")
        for person in (alice, carol):
            person.next_line()
        talk(alice, range(LINES))
        while f"{LINES - 1:04} x" not in carol.next_line():
            pass
        time.sleep(TICKS)
        arrived = taken_by(bob)
        talk(alice, range(LINES, LINES + 3))
        while f"{LINES + 2:04} x" not in carol.next_line():
            pass
        server.killed = True
        server.process.kill()
        server.process.wait()
        bob.close()
    with Server(tmp_path, *KEPT) as server:
        slow = numbers_in(comes_back(server, "Bob"))
        quick = numbers_in(comes_back(server, "Carol"))
    everything = set(range(LINES + 3))
    assert set(arrived) | set(slow) == everything
    assert slow == sorted(set(slow))
    assert quick in ([], [62], [61, 62], [60, 61, 62])
    figure(f"{len(arrived)} had arrived at the slow one, {len(slow)} were shown; {quick} to Carol")
