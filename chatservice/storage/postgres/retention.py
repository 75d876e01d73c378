"""Housekeeping, in small steps; one server at a time does it: what need not be kept is deleted."""

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.core.deleting import Erasure
from chatservice.core.events import Refusal
from chatservice.core.log import Now
from chatservice.core.stores import MAX_READ_POSITIONS
from chatservice.storage.erasures import TAKEN_AT_ONCE
from chatservice.storage.keep import DAY, Keep
from chatservice.storage.postgres.commits import words_of
from chatservice.storage.postgres.questions import Questions

log = Logger()

PRUNE_ROWS = 500  # rows of each room in one step: some 10 ms
STEP_SECONDS = 0.2  # between steps while there is something to do
IDLE_SECONDS = 5.0
INDEX_ROWS = 100  # that are indexed in one step
_UNINDEXED = f"SELECT id, text FROM events WHERE unindexed ORDER BY id LIMIT {INDEX_ROWS}"  # noqa: S608
# Another server may have deleted more of them meanwhile.
_INDEX = """
UPDATE events SET unindexed = false, words = array_to_tsvector(r.words)
FROM jsonb_to_recordset($1::jsonb) AS r(id bigint, text text, words text[])
WHERE events.id = r.id AND events.text = r.text AND events.unindexed
"""


# One server takes each.
_TAKE_ERASURES = (
    "DELETE FROM erasures WHERE number IN (SELECT number FROM erasures ORDER BY number "  # noqa: S608
    f"LIMIT {TAKEN_AT_ONCE} FOR UPDATE SKIP LOCKED) RETURNING room, name, ids"
)


class Housekeeping:
    """Does a step now and then. `deleted_before` is told of the first id that is kept; `erased` of
    what an operator has erased."""

    def __init__(
        self,
        clock: Any,
        questions: Questions,
        keep: Keep,
        now: Now,
        *,
        deleted_before: Callable[[int], None],
        erased: Callable[[Erasure], None],
    ) -> None:
        self.keep = keep
        self._clock = clock
        self._ask = questions.ask
        self._now = now
        self._deleted_before = deleted_before
        self._erased = erased
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        self.stop()
        self._wait(IDLE_SECONDS)

    def stop(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None

    def _wait(self, seconds: float) -> None:
        self._next = self._clock.callLater(seconds, self._step)

    def _step(self) -> None:
        days, messages = self.keep
        oldest = None if days is None else repr(self._now() - days * DAY)
        asked = self._ask(
            "SELECT * FROM prune($1::bigint, $2::double precision, $3::bigint, $4::bigint)",
            None if messages is None else str(messages),
            oldest,
            str(PRUNE_ROWS),
            str(MAX_READ_POSITIONS),
        )
        step = self._next
        asked.addCallbacks(self._stepped, self._failed, (step,), {}, (step,), {}).addErrback(_fault)

    def _stepped(self, answer: Any, step: object) -> None:
        ((deleted, first_id),) = answer
        if first_id is not None:
            self._deleted_before(int(first_id))
        if self._next is step:  # it has not been stopped
            asked = self._ask(_UNINDEXED)
            args = (step, bool(int(deleted or 0)))
            asked.addCallbacks(self._index, self._failed, args, {}, (step,), {}).addErrback(_fault)

    def _index(self, answer: Any, step: object, more: bool) -> None:
        """Index the words of what is left of rows from which something was deleted."""
        rows = [{"id": id_, "text": text, "words": words_of([text])} for id_, text in answer]
        if not rows:
            self._indexed(None, step, more)
            return
        asked = self._ask(_INDEX, json.dumps(rows))
        args = (step, more or len(rows) == INDEX_ROWS)
        asked.addCallbacks(self._indexed, self._failed, args, {}, (step,), {}).addErrback(_fault)

    def _indexed(self, _: object, step: object, more: bool) -> None:
        if self._next is step:
            asked = self._ask(_TAKE_ERASURES)
            args = (step, more)
            asked.addCallbacks(self._tell, self._failed, args, {}, (step,), {}).addErrback(_fault)

    def _tell(self, answer: Any, step: object, more: bool) -> None:
        for room, name, ids in answer:
            self._erased(Erasure(room, name, tuple(json.loads(ids))))
        if self._next is step:
            self._wait(STEP_SECONDS if more or answer else IDLE_SECONDS)

    def _failed(self, failure: Failure, step: object) -> None:
        failure.trap(Refusal)
        if self._next is step:
            self._wait(IDLE_SECONDS)


def _fault(failure: Failure) -> None:
    log.failure("A fault in the housekeeping.", failure)
