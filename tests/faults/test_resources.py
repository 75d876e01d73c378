"""What there is of descriptors, time and memory."""

import itertools
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.conftest import LONG
from tests.faults.crowd import Crowd, Member, descriptors, rss
from tests.support.people import TWISTD, Server

DESCRIPTORS = 300
CHURN_SECONDS = 600 if LONG else 4


def limit_descriptors(server: Server, most: int) -> None:
    subprocess.run(["prlimit", f"--pid={server.process.pid}", f"--nofile={most}:"], check=True)


def test_few_descriptors(tmp_path: Path, tls: bool, figure: Callable[[str], None]) -> None:
    """More connect than there are descriptors for, first with the cap that the server takes from
    the limit, then with a limit below that; then there are enough again."""
    runner = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", sys.executable, TWISTD)
    with Server(tmp_path, tls=tls, runner=runner) as server, Crowd(server) as crowd:
        server.wait_for_log(f"With {DESCRIPTORS} descriptors there are 150 connections at most")
        [bystander, _] = crowd.join(["Bystander", "Speaker"])
        for most in (DESCRIPTORS, descriptors(server) + 20):
            limit_descriptors(server, most)
            before = server.log.count("\n")
            strangers = [server.connect_bare(f"127.0.0.{2 + number % 9}") for number in range(600)]
            for _ in range(10):
                crowd.say("Speaker", 10)
                crowd.run_for(0.1)
            crowd.hear_all("Speaker", [bystander])
            for person in strangers:
                person.leaves()
            server.forget(strangers)
            crowd.settle()
            newcomer = f"n{most}"
            crowd.join([newcomer])
            lines = server.log.splitlines()[before:]
            ours = sum("chatservice" in line for line in lines)
            figure(
                f"{most} descriptors, 600 connections: {ours} lines of ours in the log, and "
                f"{len(lines) - ours} of Twisted's about EMFILE"
            )
            assert len(lines) < 10 * 61 + 20  # for each of nine addresses, and for accepting
            crowd.cut([crowd[newcomer]])


def test_sigterm_with_much_queued(tmp_path: Path, tls: bool, figure: Callable[[str], None]) -> None:
    """Ten people are owed a megabyte each. Nine take it then, and are told; the tenth never reads,
    and does not hold the server for longer than its deadline."""
    deadline = 2
    options = ("--shutdown-timeout", str(deadline))
    with Server(tmp_path, *options, tls=tls) as server, Crowd(server) as crowd:
        owed = crowd.join(f"u{number}" for number in range(10))
        [bystander, _] = crowd.join(["Bystander", "Speaker"])
        for member in owed:
            crowd.ignore(member)
        crowd.say("Speaker", 420, 8000)  # 3.4 MB: less than the room's log holds
        crowd.hear_all("Speaker", [bystander])
        start = time.monotonic()
        server.process.terminate()
        for member in owed[:9]:
            crowd.notice(member)
        readers = [bystander, *owed[:9]]
        crowd.run(lambda: all(member.is_closed for member in readers))
        drained = time.monotonic() - start
        for member in readers:
            assert member.heard["Speaker"] == 420
            assert member.notices[-1] == "*** The server is shutting down. Goodbye."
        for member in readers:
            member.person.leaves()
        status = server.process.wait(deadline + 5)
        ended = time.monotonic() - start
        figure(f"drained after {drained:.2f} s, gone after {ended:.2f} s of {deadline}: {status}")
        assert status == 0
        assert ended < deadline + 1.5


def test_churn(server: Server, figure: Callable[[str], None]) -> None:
    """Joins, leaves, talk and stalls at random: what it cost is given back."""
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    numbers = itertools.count()
    with Crowd(server) as crowd:
        bystanders = crowd.join(["Bystander1", "Bystander2"])
        crowd.join(["Speaker"])

        def turn(seconds: float) -> None:
            people: list[Member] = []
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                crowd.say("Speaker", 20, 500)
                for _ in range(choose.randrange(8)):
                    name = f"u{next(numbers)}"
                    people.append(crowd.add(name, server.connect(), is_late=True))
                    crowd.type(name, name)
                for member in choose.sample(people, len(people) // 4):
                    crowd.type(member.name, choose.choice(("/who", "/exit", "hello", "/nick x")))
                for member in choose.sample(people, len(people) // 8):
                    crowd.ignore(member)  # for good, until they are cut
                gone = choose.sample(people, max(len(people) - 60, len(people) // 8))
                people = [member for member in people if member not in gone]
                crowd.cut(gone)
                crowd.run_for(0.05)
            crowd.cut(people)
            crowd.hear_all("Speaker", bystanders)
            crowd.settle()

        turn(CHURN_SECONDS / 2)  # the room's log is full, and caches are warm
        before, descriptors_before = rss(server), descriptors(server)
        turn(CHURN_SECONDS)
        grown = rss(server) - before
        figure(
            f"{next(numbers)} people in {CHURN_SECONDS * 1.5:.0f} s (seed {seed}): RSS {grown:+} "
            f"KiB, descriptors {descriptors(server) - descriptors_before:+}"
        )
        assert grown < 8_000
        assert descriptors(server) <= descriptors_before
        assert not any(member.missed for member in bystanders)
        crowd.type("Bystander1", "/who")
        last = "*** Online (3): Bystander1, Bystander2, Speaker"
        crowd.run(lambda: bystanders[0].notices[-1:] == [last])
