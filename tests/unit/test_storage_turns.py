"""Work on the reactor's thread: some of it in a turn, askers in turn."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatservice.storage.turns import TURN_SECONDS, Turns


def test_a_turn_is_short_and_askers_take_turns() -> None:
    due: list[Callable[[], object]] = []

    class Turning:
        def callLater(self, delay: float, call: Callable[[], object]) -> object:
            due.append(call)
            return call

    clock: Any = Turning()
    done: list[str] = []
    passed = [0.0]
    turns = Turns(clock, lambda: passed[0])

    async def work(asker: str) -> None:
        await turns.wait(asker)
        passed[0] += 0.8 * TURN_SECONDS
        done.append(asker)

    for asker in ("a", "a", "a", "b"):
        Deferred.fromCoroutine(work(asker))
    for expected in ("ab", "abaa"):
        due.pop()()  # a turn of the reactor
        assert "".join(done) == expected
    assert due == []


def test_a_turn_that_is_given_up_is_the_next_ones() -> None:
    clock = Clock()
    waiting = Turns(clock)
    first, second = waiting.wait("a"), waiting.wait("a")
    first.addErrback(lambda failure: None)
    first.cancel()
    clock.advance(0)
    assert second.called


def test_without_a_clock_it_is_always_ones_turn() -> None:
    done: Deferred[None] = Turns(None).wait("a")
    assert done.called
