"""Who is writing something just now."""

from itertools import pairwise

import pytest
from twisted.internet.task import Clock

from chatservice.core.events import Writing
from chatservice.core.typing import TOLD_SECONDS, WRITERS_MOST, Writers


class Notices:
    """What others are told, with the time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told: list[tuple[float, str, bool]] = []
        self.writers = Writers(self.clock, self._tell)

    def _tell(self, author: object, event: Writing) -> None:
        self.told.append((self.clock.seconds(), event.name, event.on))


@pytest.fixture
def notices() -> Notices:
    return Notices()


def test_it_ends_by_itself(notices: Notices) -> None:
    notices.writers.write(1, "Alice", True)
    notices.clock.pump([0.5] * 40)
    assert notices.told == [(0, "Alice", True), (2 * TOLD_SECONDS, "Alice", False)]
    assert not notices.clock.getDelayedCalls()


def test_others_hear_of_it_once_in_a_while_however_often_it_is_said(notices: Notices) -> None:
    for _ in range(100):
        notices.writers.write(1, "Alice", True)
        notices.clock.advance(0.1)
    times = [at for at, _, on in notices.told if on]
    assert len(times) == 4
    assert all(b - a > TOLD_SECONDS - 0.01 for a, b in pairwise(times))


def test_changing_ones_mind_does_not_make_it_more(notices: Notices) -> None:
    for number in range(100):
        notices.writers.write(1, "Alice", bool(number % 2))
        notices.clock.advance(0.1)
    times = [at for at, _, _ in notices.told]
    assert all(b - a > TOLD_SECONDS - 0.01 for a, b in pairwise(times))


def test_giving_up_is_told(notices: Notices) -> None:
    notices.writers.write(1, "Alice", True)
    notices.writers.write(1, "Alice", False)
    notices.clock.advance(TOLD_SECONDS)
    assert notices.told[1:] == [(TOLD_SECONDS, "Alice", False)]


def test_what_has_been_said_needs_no_telling(notices: Notices) -> None:
    notices.writers.write(1, "Alice", True)
    notices.writers.spoke(1)
    notices.clock.pump([1] * 20)
    assert notices.told == [(0, "Alice", True)]
    assert not notices.clock.getDelayedCalls()


def test_who_is_gone_is_forgotten(notices: Notices) -> None:
    notices.writers.write(1, "Alice", True)
    notices.writers.forget(1)
    notices.writers.forget(2)
    notices.writers.spoke(1)
    notices.clock.pump([1] * 20)
    assert len(notices.told) == 1


def test_it_ends_by_itself_though_the_writer_has_come_in_again(notices: Notices) -> None:
    notices.writers.write(1, "Alice", True)
    notices.clock.advance(1)
    notices.writers.succeed(2, predecessor=1)
    notices.writers.write(2, "Alice", True)
    notices.writers.forget(1)
    notices.clock.pump([0.5] * 40)
    assert [on for _, _, on in notices.told] == [True, True, False]
    times = [at for at, _, _ in notices.told]
    assert all(b - a > TOLD_SECONDS - 0.01 for a, b in pairwise(times))
    assert not notices.clock.getDelayedCalls()


def test_a_crowd_of_writers_is_not_told_of(notices: Notices) -> None:
    for number in range(3 * WRITERS_MOST):
        notices.writers.write(number, f"u{number}", True)
    assert len(notices.told) == WRITERS_MOST
