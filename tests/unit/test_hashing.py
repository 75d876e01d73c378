"""Hashing passwords: in turns, and no longer than the server runs."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatservice.accounts.hashing import THREADS, Argon2
from chatservice.core.events import ErrorCode, Refusal
from tests.unit.test_reader import Loop, outcome


class Slow:
    """Takes its time, and notes what it was asked."""

    def __init__(self) -> None:
        self.hashed: list[str] = []

    def hash(self, password: str) -> str:
        self.hashed.append(password)
        time.sleep(0.02)
        return f"hash of {password}"


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def hashing(loop: Loop, slow: Slow) -> Iterator[Argon2]:
    made = Argon2(loop, slow)  # type: ignore[arg-type]
    made.start()
    yield made
    if not made._pool.joined:
        made.stop()


def test_a_newcomer_does_not_wait_behind_all_that_somebody_tries(
    hashing: Argon2, loop: Loop, slow: Slow
) -> None:
    for number in range(100):
        hashing.hash(f"guess {number}", "192.0.2.1").addErrback(lambda _: None)
    newcomer = outcome(hashing.hash("newcomer", "198.51.100.1"))
    loop.run(lambda: bool(newcomer))
    assert newcomer == ["hash of newcomer"]
    assert slow.hashed.index("newcomer") < 2 * THREADS


def test_the_end_is_not_held_up_by_what_waits(hashing: Argon2, slow: Slow) -> None:
    waiting: list[Deferred[Any]] = [hashing.hash(f"guess {number}") for number in range(500)]
    begun = time.monotonic()
    hashing.stop()
    assert time.monotonic() - begun < 5
    assert len(slow.hashed) <= THREADS
    (failure,) = outcome(waiting[-1])
    assert isinstance(failure, Failure)
    assert isinstance(failure.value, Refusal)
    assert failure.value.code is ErrorCode.BUSY
    for each in waiting:
        each.addErrback(lambda _: None)


def test_thousands_who_log_in_at_once_wait(hashing: Argon2) -> None:
    waiting = [hashing.hash("x", f"198.51.100.{number % 7}") for number in range(3000)]
    assert not any(each.called for each in waiting)
    for each in waiting:
        each.addErrback(lambda _: None)
