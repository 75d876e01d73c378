"""What bans cost those who come in: ``python -m tests.benchmarks.bans``.

A real server on a file, with none and with 10,000 bans and mutes of the whole chat and 1,000 of a
room, in turn. People come in (by text, 50 at a time), join that room, and leave the chat; then 50
join it and leave it again and again. Printed: how many a second, and the server's CPU time for
each. No test asserts speed.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from chatservice.core.events import ALL_ROOMS, Account, SanctionKind
from chatservice.core.registry import RoomRecord
from chatservice.core.sanctions import MAX_SANCTIONS, MAX_SANCTIONS_IN_ROOM, Sanction
from chatservice.storage.sqlite import accounts, moderation
from chatservice.storage.sqlite.database import open_for_server, transaction
from tests.benchmarks.measure import enough_cores, on_core
from tests.faults.defended import cpu_seconds
from tests.support.people import Person, Server

ROOM = "dev"
AT_ONCE = 50


def sanction(number: int, scope: str) -> Sanction:
    """Every other one of an account; every third a mute; each from a network of its own."""
    name = f"troll{number}"
    return Sanction(
        number,
        number,
        SanctionKind.MUTE if number % 3 == 0 else SanctionKind.BAN,
        scope,
        name,
        Account(name, 1.0) if number % 2 else None,
        (f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",),
        "Alice",
        time.time(),
        None,
        "spam",
    )


def fill(path: Path, bans: int) -> None:
    """A room that stays, and so many bans of the whole chat; a tenth as many of the room."""
    opened = open_for_server(path)
    founder = Account("Alice", 1.0)
    accounts.add(opened.connection, founder, "no password has this hash")
    with transaction(opened.connection):
        moderation.hand_over(opened.connection, founder, RoomRecord(ROOM, founder))
        imposed = [sanction(number, ALL_ROOMS) for number in range(1, bans + 1)]
        imposed += [sanction(bans + number, ROOM) for number in range(1, bans // 10 + 1)]
        moderation.impose(opened.connection, imposed)
    opened.close()


def come_and_go(server: Server, total: int) -> None:
    """So many people come in, join the room, and leave."""
    for start in range(0, total, AT_ONCE):
        people: list[Person] = []
        for number in range(start, start + AT_ONCE):
            person = server.connect()
            person.types(f"guest{number}", f"/join {ROOM}", "/exit")
            people.append(person)
        for person in people:
            lines = person.reads(1 << 20).decode()  # to the end
            assert f"In #{ROOM} (" in lines, lines
            person.leaves()
        server.forget(people)


def join_and_part(server: Server, total: int) -> None:
    """People who are in join the room and leave it, so many times in all."""
    people = [server.connect() for _ in range(AT_ONCE)]
    for number, person in enumerate(people):
        turns = (f"/join {ROOM}", f"/part {ROOM}") * (total // AT_ONCE)
        person.types(f"member{number}", *turns, "/exit")
    for person in people:
        assert f"You have left #{ROOM}." in person.reads(1 << 24).decode()
        person.leaves()
    server.forget(people)


def measure(bans: int, total: int) -> dict[str, tuple[float, float]]:
    """Of each: how many a second, and milliseconds of the server's CPU for one."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder) / "chat.sqlite3", bans)
        with on_core(0):
            server = Server(Path(folder), "--database", "chat.sqlite3")
        with server, on_core(1):
            come_and_go(server, AT_ONCE)  # to warm up
            for does in (come_and_go, join_and_part):
                before, began = cpu_seconds(server), time.monotonic()
                does(server, total)
                seconds, cpu = time.monotonic() - began, cpu_seconds(server) - before
                figures[does.__name__] = total / seconds, 1000 * cpu / total
    return figures


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if not enough_cores():
        raise SystemExit("This takes two cores.")
    assert MAX_SANCTIONS_IN_ROOM * 10 == MAX_SANCTIONS
    measured: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.repeat):
        for bans in (0, MAX_SANCTIONS):
            for what, (rate, cpu) in measure(bans, options.people).items():
                print(f"{what:14} {bans:6} bans: {rate:6.0f} a second, {cpu:.2f} ms of CPU each")
                measured.setdefault((what, bans), []).append(cpu)
    for what in ("come_and_go", "join_and_part"):
        without, with_them = (statistics.median(measured[what, b]) for b in (0, MAX_SANCTIONS))
        print(f"{what}: with {MAX_SANCTIONS} bans / with none, CPU: {with_them / without:.2f}")


if __name__ == "__main__":
    main()
