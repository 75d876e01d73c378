"""Questions to the database, one at a time; askers take turns."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatservice.complaints import Complaints
from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.fair_queue import QUESTION_SIZE, FairQueue
from chatservice.storage.postgres.connection import QueryFailed, Unreachable
from chatservice.storage.postgres.database import Connections

_CANCELED = "57014"  # it took longer than it may


class _Asked:
    __slots__ = ("answer", "asker", "parameters", "size", "text")

    def __init__(
        self, text: str, parameters: tuple[str | None, ...], asker: str, size: int
    ) -> None:
        self.text = text
        self.parameters = parameters
        self.asker = asker
        self.size = QUESTION_SIZE + size
        self.answer: Deferred[Any]


class Questions:
    """Asks the connection `role`. One that takes too long is refused with `too_slow`. Cancelling
    the Deferred of a question takes it back."""

    def __init__(
        self,
        connections: Connections,
        role: str,
        complaints: Complaints,
        too_slow: ErrorCode = ErrorCode.BUSY,
    ) -> None:
        self._connections = connections
        self._role = role
        self._complaints = complaints
        self._too_slow = too_slow
        self._waiting: FairQueue[_Asked] = FairQueue()
        self._asked: _Asked | None = None  # that is being answered

    def ask(
        self, text: str, *parameters: str | None, asker: str = "", size: int = 0
    ) -> "Deferred[Any]":
        """The answer to a query. `asker`: the network that it is asked for; `size`: bytes of text
        in it. Fails with `Refusal` (NOT_SAVED, BUSY, TOO_SLOW)."""
        asked = _Asked(text, parameters, asker, size)
        asked.answer = Deferred(lambda _: self._take_back(asked))
        try:
            self._waiting.add(asked)
        except Refusal as refusal:
            asked.answer.errback(refusal)
        else:
            self._go_on()
        return asked.answer

    def _go_on(self) -> None:
        if self._asked is not None or (asked := self._waiting.next()) is None:
            return
        self._asked = asked
        answer = self._connections.ask(self._role, asked.text, *asked.parameters)
        answer.addBoth(self._answered, asked)

    def _answered(self, result: Any, asked: _Asked) -> None:
        self._asked = None
        if not asked.answer.called:
            if isinstance(result, Failure):
                asked.answer.errback(self._refusal(result))
            else:
                asked.answer.callback(result)
        self._go_on()

    def _refusal(self, failure: Failure) -> Refusal:
        error = failure.value
        if isinstance(error, QueryFailed) and error.state == _CANCELED:
            return Refusal(self._too_slow)
        if not isinstance(error, Unreachable):
            self._complaints.tell("The database cannot be read", failure)
        return Refusal(ErrorCode.NOT_SAVED)

    def _take_back(self, asked: _Asked) -> None:
        if asked is not self._asked:
            self._waiting.remove(asked)
