"""Who is writing something just now."""

from itertools import pairwise

import pytest
from twisted.internet.task import Clock

from chatservice.core.events import Typing
from chatservice.core.typing import MAX_TYPING, NOTICE_SECONDS, TypingTracker


class Notices:
    """What others are told, with the time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told: list[tuple[float, str, bool]] = []
        self.typing = TypingTracker(self.clock, self._tell)

    def _tell(self, author: object, event: Typing) -> None:
        self.told.append((self.clock.seconds(), event.name, event.on))


@pytest.fixture
def notices() -> Notices:
    return Notices()


def test_it_ends_by_itself(notices: Notices) -> None:
    notices.typing.set(1, "Alice", True)
    notices.clock.pump([0.5] * 40)
    assert notices.told == [(0, "Alice", True), (2 * NOTICE_SECONDS, "Alice", False)]
    assert not notices.clock.getDelayedCalls()


def test_others_hear_of_it_once_in_a_while_however_often_it_is_said(notices: Notices) -> None:
    for _ in range(100):
        notices.typing.set(1, "Alice", True)
        notices.clock.advance(0.1)
    times = [at for at, _, on in notices.told if on]
    assert len(times) == 4
    assert all(b - a > NOTICE_SECONDS - 0.01 for a, b in pairwise(times))


def test_changing_ones_mind_does_not_make_it_more(notices: Notices) -> None:
    for number in range(100):
        notices.typing.set(1, "Alice", bool(number % 2))
        notices.clock.advance(0.1)
    times = [at for at, _, _ in notices.told]
    assert all(b - a > NOTICE_SECONDS - 0.01 for a, b in pairwise(times))


def test_giving_up_is_told(notices: Notices) -> None:
    notices.typing.set(1, "Alice", True)
    notices.typing.set(1, "Alice", False)
    notices.clock.advance(NOTICE_SECONDS)
    assert notices.told[1:] == [(NOTICE_SECONDS, "Alice", False)]


def test_what_has_been_said_needs_no_telling(notices: Notices) -> None:
    notices.typing.set(1, "Alice", True)
    notices.typing.spoke(1)
    notices.clock.pump([1] * 20)
    assert notices.told == [(0, "Alice", True)]
    assert not notices.clock.getDelayedCalls()


def test_who_is_gone_is_forgotten(notices: Notices) -> None:
    notices.typing.set(1, "Alice", True)
    notices.typing.forget(1)
    notices.typing.forget(2)
    notices.typing.spoke(1)
    notices.clock.pump([1] * 20)
    assert len(notices.told) == 1


def test_it_ends_by_itself_though_the_writer_has_come_in_again(notices: Notices) -> None:
    notices.typing.set(1, "Alice", True)
    notices.clock.advance(1)
    notices.typing.take_over(2, predecessor=1)
    notices.typing.set(2, "Alice", True)
    notices.typing.forget(1)
    notices.clock.pump([0.5] * 40)
    assert [on for _, _, on in notices.told] == [True, True, False]
    times = [at for at, _, _ in notices.told]
    assert all(b - a > NOTICE_SECONDS - 0.01 for a, b in pairwise(times))
    assert not notices.clock.getDelayedCalls()


def test_a_crowd_of_writers_is_not_told_of(notices: Notices) -> None:
    for number in range(3 * MAX_TYPING):
        notices.typing.set(number, f"u{number}", True)
    assert len(notices.told) == MAX_TYPING
