"""What waits: askers in turn."""

from typing import NamedTuple

import pytest

from chatservice.core import fair_queue
from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.fair_queue import FairQueue


class Question(NamedTuple):
    asker: str
    number: int
    size: int = 10


@pytest.fixture
def queue() -> FairQueue[Question]:
    return FairQueue()


def taken(queue: FairQueue[Question]) -> list[tuple[str, int]]:
    found = []
    while (question := queue.next()) is not None:
        found.append((question.asker, question.number))
    return found


def test_askers_take_turns(queue: FairQueue[Question]) -> None:
    for number in range(3):
        queue.add(Question("a", number))
    queue.add(Question("b", 0))
    queue.add(Question("c", 0))
    assert queue.next() == Question("a", 0)
    queue.add(Question("d", 0))
    assert taken(queue) == [("b", 0), ("c", 0), ("a", 1), ("d", 0), ("a", 2)]
    assert len(queue) == 0


def test_what_is_taken_back_is_not_taken(queue: FairQueue[Question]) -> None:
    questions = [Question("a", number) for number in range(3)]
    for question in questions:
        queue.add(question)
    queue.remove(questions[1])
    assert taken(queue) == [("a", 0), ("a", 2)]
    queue.add(questions[1])
    queue.remove(questions[1])
    assert queue.next() is None


def test_what_waits_is_bounded_by_its_size_not_by_its_number(
    queue: FairQueue[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three thousand who come back at once wait, and are not refused."""
    for number in range(3000):
        queue.add(Question("office", number))
    monkeypatch.setattr(fair_queue, "MAX_WAITING_SIZE", 30_005)
    with pytest.raises(Refusal) as refused:
        queue.add(Question("office", 3000))
    assert refused.value.code is ErrorCode.BUSY
    queue.next()
    queue.add(Question("office", 3000))
    assert len(taken(queue)) == 3000
