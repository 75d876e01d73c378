"""Somebody sets the machine's clock while the server runs: nothing comes late for it, or early."""

import json
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from twisted.internet.base import ReactorBase

from chatservice.monotonic import use_monotonic_clock
from tests.support.people import PATIENCE, QUESTION, Server, joined
from tests.support.shifted_clock import HOUR, RESTLESS, SHIFTED

# The clock is changed before anything is imported.
pytestmark = pytest.mark.usefixtures("own_starts")

BACK, FORWARD = signal.SIGUSR1, signal.SIGUSR2


@pytest.fixture
def options() -> tuple[str, ...]:
    return ()


@pytest.fixture
def server(tmp_path: Path, options: tuple[str, ...]) -> Iterator[Server]:
    with Server(tmp_path, *options, runner=SHIFTED) as running:
        yield running


def test_talk_goes_on_while_the_clock_is_set_back_again_and_again(tmp_path: Path) -> None:
    with Server(tmp_path, runner=RESTLESS) as server:
        alice, bob = server.join("Alice"), server.join("Bob")
        alice.hears(joined("Bob"))
        for number in range(100):
            bob.types(f"{number}")
            alice.hears(f"Bob: {number}")


def test_arrivals_are_told_though_the_clock_is_set_back_while_they_are_gathered(
    server: Server,
) -> None:
    alice = server.join("Alice")
    for number in range(5):
        server.join(f"guest{number}")
        server.process.send_signal(BACK)
        alice.hears(joined(f"guest{number}"))


@pytest.mark.parametrize("options", [("--login-timeout", "1")])
def test_the_time_to_log_in_ends_though_the_clock_is_set_back(server: Server) -> None:
    nobody = server.connect()
    nobody.hears(QUESTION)
    server.process.send_signal(BACK)
    nobody.hears("*** Goodbye: you did not log in in time.")
    assert nobody.is_cut_off()


@pytest.mark.parametrize("options", [("--login-timeout", str(PATIENCE * 10))])
def test_a_clock_that_is_set_forward_ends_no_time_to_log_in(server: Server) -> None:
    alice = server.connect()
    alice.hears(QUESTION)
    server.process.send_signal(FORWARD)
    server.join("Bob")  # by then it would have been seen
    alice.types("Alice")
    alice.hears("Welcome Alice, you are connected to the server.")


@pytest.mark.parametrize("options", [("--rate", "10:2")])
def test_a_throttled_speaker_is_heard_though_the_clock_is_set_back(server: Server) -> None:
    alice, bob = server.join("Alice"), server.join("Bob")
    alice.hears(joined("Bob"))
    time.sleep(0.2)
    bob.types(*map(str, range(10)))
    alice.hears("Bob: 0")
    server.process.send_signal(BACK)
    alice.hears(*(f"Bob: {number}" for number in range(1, 10)))


def test_what_happens_has_the_time_of_day(server: Server) -> None:
    bob = server.join("Bob")
    program = server.connect()
    program.hears(QUESTION)
    program.types('{"type": "hello", "name": "Program"}')
    program.next_line()
    for shift in (0, -HOUR):
        bob.types("what time is it?")
        at = datetime.fromisoformat(json.loads(program.next_line())["at"]).timestamp()
        assert abs(at - (time.time() + shift)) < PATIENCE
        server.process.send_signal(BACK)


class Reactor(ReactorBase):
    """One that nothing wakes but the time."""

    seconds = time.time

    def installWaker(self) -> None: ...


def test_calls_that_wait_when_the_clock_is_changed_are_made_in_time() -> None:
    reactor = Reactor()
    made: list[str] = []
    reactor.callLater(0, made.append, "now")
    for seconds in (1000, 3000, 2000):
        reactor.callLater(seconds, made.append, "later")
    use_monotonic_clock(reactor)
    reactor.callLater(0, made.append, "then")
    reactor.runUntilCurrent()
    assert made == ["now", "then"]
    left = sorted(call.getTime() - time.monotonic() for call in reactor.getDelayedCalls())
    assert [round(seconds, -1) for seconds in left] == [1000, 2000, 3000]
