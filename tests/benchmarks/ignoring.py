"""What it costs that people ignore others: ``python -m tests.benchmarks.ignoring``.

In one process, 1,000 readers hear what 300 people say, a line a batch: with nobody ignored, and
with each reader ignoring three of those people (others for each of a hundred groups of readers),
who say 1 % of the lines; in turn. What a connection hears is sent through a socket of its own,
which is read while no time is taken. Printed: CPU time for a delivery to a reader, and the ratio;
and the same without sockets, where only our own work shows. No test asserts speed.
"""

import argparse
import resource
import socket
import statistics
import time
from collections.abc import Callable, Sequence

from chatservice.core.ignoring import Ignoring
from tests.support.house import House

READERS, AUTHORS, IGNORED, GROUPS = 1_000, 300, 3, 100
UNREAD = 100  # lines that wait in a socket, which takes some 200


def crowd(ignoring: bool) -> House:
    """Readers, and authors. (300 who say as much as each other: three say 1 %.)"""
    house = House()
    for number in range(AUTHORS):
        house.enter(f"author{number}")
    house.quiet()
    for number in range(READERS):
        house.enter(f"reader{number}")
    house.quiet()
    for number in range(READERS):
        reader = house.user(f"reader{number}")
        first = number % GROUPS * IGNORED
        for other in range(first, first + IGNORED) if ignoring else ():
            house.chat.ignoring.set(reader, Ignoring(f"author{other}", None, 0.0), on=True)
    return house


def drop(data: bytes) -> None:
    """In place of a socket."""


def write_to(house: House, writes: Sequence[Callable[[bytes], object]]) -> None:
    """What each connection hears goes there."""
    for session, write in zip(house.sessions.values(), writes, strict=True):
        session.cursor.write = write  # type: ignore[assignment]


def measure(house: House, lines: int, ends: Sequence[socket.socket]) -> float:
    """Nanoseconds of CPU for a delivery to one person."""
    authors = [f"author{number}" for number in range(AUTHORS)]
    speakers = [(house.chat.users[name], house.sessions[name]) for name in authors]
    taken = 0.0
    for first in range(0, lines, UNREAD):
        began = time.process_time()
        for number in range(first, min(first + UNREAD, lines)):
            house.chat.say(*speakers[number % AUTHORS], ("hello, everyone who is here",))
            house.turn()
        taken += time.process_time() - began
        for end in ends:
            end.recv(1 << 20)
    return taken / lines / (READERS + AUTHORS) * 1e9


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=900)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pairs = [socket.socketpair() for _ in range(READERS + AUTHORS)]
    houses = {ignoring: crowd(ignoring) for ignoring in (False, True)}
    ways: dict[str, tuple[list[Callable[[bytes], object]], list[socket.socket]]] = {
        "through sockets": ([ours.send for ours, _ in pairs], [theirs for _, theirs in pairs]),
        "without": ([drop for _ in pairs], []),
    }
    for how, (writes, ends) in ways.items():
        measured: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(options.repeat):
            for ignoring, house in houses.items():
                write_to(house, writes)
                measured[ignoring].append(measure(house, options.lines, ends))
        nobody, three = (statistics.median(measured[each]) for each in (False, True))
        print(f"{how}: nobody ignored {nobody:.0f} ns a delivery, three by each {three:.0f} ns")
        print(f"ratio: {three / nobody:.2f}")


if __name__ == "__main__":
    main()
