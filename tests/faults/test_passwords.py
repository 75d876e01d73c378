"""Somebody tries out passwords."""

import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.people import QUESTION, Server
from tests.support.programs import Program

PASSWORD = "correct horse"
GUESSES = 1000
ADDRESSES = 20
# In --members-only mode, of a name that is registered and of one that is not.
TIMED = 8


def register(folder: Path) -> None:
    with Server(folder, "--database", "chat.sqlite3") as server:
        alice = server.join("Alice")
        alice.types(f"/register {PASSWORD}")
        alice.hears("*** Alice is now registered to you.")


def guess(server: Server, source: str, times: int, codes: list[str]) -> None:
    """Wrong passwords from one address, five to a connection, which ends then."""
    for start in range(0, times, 5):
        guesser = Program(server.connect(source))
        for number in range(start, min(start + 5, times)):
            guesser.asks("hello", name="Alice", password=f"guess {number}")
            codes.append(guesser.hears("error")["code"])


def test_a_thousand_wrong_passwords(tmp_path: Path, figure: Callable[[str], None]) -> None:
    register(tmp_path)
    codes: list[str] = []
    with Server(tmp_path, "--database", "chat.sqlite3") as server:
        bob = server.join("Bob")
        guessers = [
            threading.Thread(
                target=guess, args=(server, f"127.0.1.{n + 1}", GUESSES // ADDRESSES, codes)
            )
            for n in range(ADDRESSES)
        ]
        for thread in guessers:
            thread.start()
        trips: list[float] = []
        while any(thread.is_alive() for thread in guessers):
            started = time.monotonic()
            bob.types("/who")
            while not bob.next_line().startswith("*** Online"):
                pass
            trips.append(time.monotonic() - started)
            time.sleep(0.01)
    assert len(codes) == GUESSES
    assert set(codes) <= {"wrong_password", "too_often"}
    wrong = codes.count("wrong_password")
    assert wrong <= 60  # 50 for one account, and what time gives back
    figure(
        f"{GUESSES} from {ADDRESSES} addresses: {wrong} were looked at; round trips of a bystander "
        f"{statistics.median(trips) * 1000:.0f} ms, {max(trips) * 1000:.0f} ms at most"
    )


def test_whether_a_name_is_registered_does_not_show(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    register(tmp_path)
    seconds: dict[str, list[float]] = {"Alice": [], "Nobody": []}
    with Server(tmp_path, "--database", "chat.sqlite3", "--members-only") as server:
        for number in range(TIMED):
            for name, measured in seconds.items():
                person = server.connect(f"127.0.2.{number + 1}")
                person.hears(QUESTION)
                person.types(name)
                person.hears(f"Password for {name}:")
                started = time.monotonic()
                person.types("not that one")
                person.hears(f"Error: wrong name or password: {name}. Password for {name}:")
                measured.append(time.monotonic() - started)
    medians = {name: statistics.median(measured) * 1000 for name, measured in seconds.items()}
    figure(
        f"refused after {medians['Alice']:.0f} ms if it is, {medians['Nobody']:.0f} ms if it is not"
    )
