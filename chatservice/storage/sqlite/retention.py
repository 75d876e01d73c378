"""Housekeeping, in small steps behind the commits: words are indexed, what need not be kept is
deleted, and what an operator has changed is noticed."""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.core.deleting import Erasure
from chatservice.core.events import Refusal
from chatservice.storage.keep import DAY, KEEP_ALL, Keep
from chatservice.storage.rows import Row
from chatservice.storage.sqlite import account_changes, erasing, positions, rows, search
from chatservice.storage.sqlite.account_changes import AccountChange

log = Logger()

# Rows in one step, and characters: some 10 ms, for which the next commit may have to wait.
PRUNE_ROWS = 500
PRUNE_SIZE = 256 * 1024
POSITIONS_SECONDS = 60.0  # between looks at read positions: each sorts all of them
STEP_SECONDS = 0.1  # between steps
IDLE_SECONDS = 1.0  # the same when there is nothing to do
# Between times when the index is made to forget the words of deleted messages, which may take
# writing all of it anew.
FORGET_SECONDS = 600.0


class _Done(NamedTuple):
    """What a step has done: whether there is more to do, the first id that is kept, and what an
    operator has changed about accounts, and erased; whether it was at words to forget, and there
    are more."""

    more: bool
    first_id: int | None
    changes: list[AccountChange]
    erasures: list[Erasure]
    has_forgotten: bool
    forgetting: bool


class Housekeeping:
    """Does a step now and then. `enqueue` does work on the thread that writes; `now` tells the time
    of day; `deleted_before` is told of the first id that is kept, `changed` of each account that
    an operator has changed, and `erased` of what one has erased."""

    def __init__(
        self,
        clock: Any,
        enqueue: "Callable[[Callable[[sqlite3.Connection], _Done]], Deferred[_Done]]",
        keep: Keep,
        now: Callable[[], float],
        *,
        deleted_before: Callable[[int], None],
        changed: Callable[[AccountChange], None],
        erased: Callable[[Erasure], None],
    ) -> None:
        self._clock = clock
        self._enqueue = enqueue
        self._pruning = Pruning(keep)
        self._now = now
        self._deleted_before = deleted_before
        self._changed = changed
        self._erased = erased
        self._next: IDelayedCall | None = None
        self._positions_at: float | None = None
        self._forgot_at: float | None = None
        self._forgetting = False
        self._stopped = False

    def start(self, *, indexed: bool) -> None:
        """`indexed`: there is an index to be kept up to date."""
        self._indexed = indexed
        self._next = self._clock.callLater(STEP_SECONDS, self._step)

    def set_keep(self, keep: Keep) -> None:
        """Delete by another rule from the next step on."""
        self._pruning = Pruning(keep)

    def stop(self) -> None:
        self._stopped = True
        if self._next is not None:
            self._next.cancel()

    def _step(self) -> None:
        self._next = None
        clock, now = self._clock.seconds(), self._now()
        positions_due = (
            self._positions_at is None or clock - self._positions_at >= POSITIONS_SECONDS
        )
        if positions_due:
            self._positions_at = clock
        may_forget = (
            self._forgetting or self._forgot_at is None or clock - self._forgot_at >= FORGET_SECONDS
        )

        def step(connection: sqlite3.Connection) -> _Done:
            # Both, each time: somebody who never stops talking must keep neither from being done.
            more = self._indexed and search.index_some(connection)
            began = forgetting = False
            if self._indexed and may_forget and search.has_words_to_forget(connection):
                began, forgetting = True, search.forget_words(connection)
            if positions_due:
                positions.forget_some(connection)
            more = self._pruning.step(connection, now, indexed=self._indexed) or more
            erasures = erasing.take_untold(connection)
            return _Done(
                more or forgetting or bool(erasures),
                rows.first_id(connection),
                account_changes.take(connection),
                erasures,
                began,
                forgetting,
            )

        self._enqueue(step).addCallbacks(self._stepped, self._failed).addErrback(
            lambda failure: log.failure("A fault in the housekeeping.", failure)
        )

    def _stepped(self, done: _Done) -> None:
        if done.has_forgotten:
            self._forgot_at = self._clock.seconds()
        self._forgetting = done.forgetting
        if done.first_id is not None:
            self._deleted_before(done.first_id)
        for change in done.changes:
            self._changed(change)
        for erasure in done.erasures:
            self._erased(erasure)
        self._wait(STEP_SECONDS if done.more else IDLE_SECONDS)

    def _failed(self, failure: Failure) -> None:
        failure.trap(Refusal)  # the disk fails, and that has been told
        self._wait(IDLE_SECONDS)

    def _wait(self, seconds: float) -> None:
        if not self._stopped:
            self._next = self._clock.callLater(seconds, self._step)


class Pruning:
    """Deletes what need not be kept, counted for each room, so that a busy one does not erase a
    quiet one. The newest row says where the ids go on, and stays."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._rooms: deque[str] = deque()  # that are still to be looked at in this round
        self._past_from: dict[str, int] = {}  # every row of the room before that is of the future

    def step(self, connection: sqlite3.Connection, now: float, *, indexed: bool) -> bool:
        """Delete some, within a transaction. Whether there may be more."""
        if self._keep == KEEP_ALL:
            return False
        (newest_id,) = connection.execute("SELECT max(id) FROM events").fetchone()
        if newest_id is None:
            return False
        if not self._rooms:
            self._rooms.extend(rows.rooms_of(connection))
        looked_at = size = 0
        while self._rooms and looked_at < PRUNE_ROWS:
            room = self._rooms[0]
            window = list(islice(rows.rows_of(connection, room, newest_id), PRUNE_ROWS))
            looked_at += len(window)
            ever = rows.messages_in(connection, room)
            excess = max(self._excess(window, ever), self._old(connection, room, window, now))
            for row in window[:excess]:
                if size >= PRUNE_SIZE:
                    return True
                if indexed:
                    search.forget(connection, row)
                connection.execute("DELETE FROM events WHERE id = ?", (row.id,))
                size += len(row.text)
            if excess < len(window) or not window:
                self._rooms.popleft()
        return bool(self._rooms)

    def _excess(self, window: Sequence[Row], ever: int) -> int:
        """How many of the oldest rows are beyond the messages to be kept."""
        most = self._keep.messages
        if most is None:
            return 0
        return sum(ever - row.earlier - row.messages >= most for row in window)

    def _old(
        self, connection: sqlite3.Connection, room: str, window: Sequence[Row], now: float
    ) -> int:
        """How many of the oldest rows are too old. A row is at least as old as each that follows
        it, whatever its own time says: when it was written the clock may have been ahead."""
        if self._keep.days is None or not window:
            return 0
        oldest = now - self._keep.days * DAY
        old = max((place for place, row in enumerate(window, 1) if row.at < oldest), default=0)
        if old == 0 and window[0].at > now:
            # More are of the future than one step takes: the first that is not decides.
            past_from = max(self._past_from.get(room, 0), window[0].id)
            decisive = connection.execute(
                "SELECT id, at FROM events WHERE id >= ? AND at <= ? ORDER BY id LIMIT 1",
                (past_from, now),
            ).fetchone()
            if decisive is not None:
                past_from, at = decisive
                if at < oldest:
                    old = sum(row.id < past_from for row in window)
            self._past_from[room] = past_from
        return old
