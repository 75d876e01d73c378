"""What waits for a thread or a store: askers take turns, so that nobody waits behind all that
another asks."""

from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar

from chatservice.core.events import ErrorCode, Refusal

# Of all that waits, in bytes. Each connection asks one thing at a time, and waiting is not failing:
# this is enough for 30,000 who come back at once, and there are no more connections than that.
MAX_WAITING_SIZE = 64 * 1024 * 1024
# What one question takes while it waits, beside the text in it: its Deferreds and frames, roughly.
QUESTION_SIZE = 2048


class Waiting(Protocol):
    """A question."""

    @property
    def asker(self) -> str:
        """Whom it is counted for: a network, or empty for the server itself."""

    @property
    def size(self) -> int:
        """In bytes, roughly."""


W = TypeVar("W", bound=Waiting)


class FairQueue(Generic[W]):
    """First in, first out for each asker; the askers take turns."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[W]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, question: W) -> None:
        """Raises `Refusal` (BUSY) when too much is waiting."""
        if self._size + question.size > MAX_WAITING_SIZE:
            raise Refusal(ErrorCode.BUSY)
        self._size += question.size
        self._waiting.setdefault(question.asker, deque()).append(question)

    def next(self) -> W | None:
        """Take out the one whose turn it is."""
        if not self._waiting:
            return None
        asker, waiting = self._waiting.popitem(last=False)
        question = waiting.popleft()
        if waiting:
            self._waiting[asker] = waiting  # behind the others
        self._size -= question.size
        return question

    def remove(self, question: W) -> None:
        """Its asker has gone."""
        waiting = self._waiting[question.asker]
        waiting.remove(question)
        if not waiting:
            del self._waiting[question.asker]
        self._size -= question.size
