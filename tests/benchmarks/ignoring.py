"""What it costs that people ignore others: ``python -m tests.benchmarks.ignoring``.

In one process, without sockets: 1,000 readers hear what 300 people say, a line a batch, with nobody
ignored, and with each reader ignoring three of those people (others for each of a hundred groups of
readers), who say 1 % of the lines; in turn. Printed: CPU time for a delivery to a reader, and the
ratio. No test asserts speed.
"""

import argparse
import statistics
import time

from chatservice.core.ignoring import Ignoring
from tests.support.house import House

READERS, AUTHORS, IGNORED, GROUPS = 1_000, 300, 3, 100


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
    for session in house.sessions.values():
        session.cursor.write = _drop
    return house


def _drop(data: bytes) -> None:
    """The socket takes it."""


def measure(house: House, lines: int) -> float:
    """Nanoseconds of CPU for a delivery to one person."""
    authors = [f"author{number}" for number in range(AUTHORS)]
    speakers = [(house.chat.users[name], house.sessions[name]) for name in authors]
    began = time.process_time()
    for number in range(lines):
        house.chat.say(*speakers[number % AUTHORS], ("hello, everyone who is here",))
        house.turn()
    return (time.process_time() - began) / lines / (READERS + AUTHORS) * 1e9


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=900)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    houses = {ignoring: crowd(ignoring) for ignoring in (False, True)}
    measured: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(options.repeat):
        for ignoring, house in houses.items():
            measured[ignoring].append(measure(house, options.lines))
    without, with_them = (statistics.median(measured[each]) for each in (False, True))
    print(f"nobody ignored: {without:.0f} ns a delivery; three by each: {with_them:.0f} ns")
    print(f"ratio: {with_them / without:.2f}")


if __name__ == "__main__":
    main()
