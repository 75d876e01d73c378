"""One thread that writes, and threads that read: functions of a connection, off the reactor's
thread."""

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatservice.complaints import Complaints
from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.fair_queue import QUESTION_SIZE, FairQueue
from chatservice.storage.group_commit import Group
from chatservice.storage.sqlite import positions, rooms, rows
from chatservice.storage.sqlite.database import Opened, transaction
from chatservice.storage.sqlite.erasing import LogWiper, erase

T = TypeVar("T")
Question = Callable[[sqlite3.Connection], T]

# For one question, in seconds. One that takes this long waits for a disk that hangs: a page takes
# some milliseconds.
LOOKUP_SECONDS = 5.0
# For one search: a million messages take some 30 ms.
SEARCH_SECONDS = 1.0
# SQLite forgets an interruption that comes between two statements, so it is repeated.
_INTERRUPT_SECONDS = 0.05
# How long a thread keeps the interpreter while the reactor's wants it. With Python's 5 ms each call
# of the reactor that lets go of it (each send) took that long while pages were read: a bystander's
# round trip 1.3 s at worst, and 19 ms with this.
SWITCH_SECONDS = 0.0005
# A thread that gives way to the reactor's, as `accounts.hashing` has it.
NICE = 10


class Writer:
    """The thread that writes, and its connection: the only one that does."""

    def __init__(self, reactor: Any, pool: ThreadPool, complaints: Complaints) -> None:
        self._reactor = reactor
        self._pool = pool
        self._complaints = complaints

    def start(self, opened: Opened, *, indexed: bool) -> None:
        """After the process has forked. `indexed`: there is an index of words."""
        self._opened = opened
        self._indexed = indexed
        self._wiper = LogWiper(opened, indexed=indexed)
        self._pool.start()

    def write(self, group: Group) -> "Deferred[Callable[[], None]]":
        """What `GroupCommit` writes with."""
        return deferToThreadPool(self._reactor, self._pool, self._save, group)

    def stop(self, work: Callable[[], None]) -> "Deferred[None]":
        """The last thing that it does is `work`."""
        stopped = deferToThreadPool(self._reactor, self._pool, work)

        def stop(result: object) -> object:
            self._pool.stop()
            return result

        return stopped.addBoth(stop)

    def _save(self, group: Group) -> Callable[[], None]:
        self._opened.check_place()
        connection = self._opened.connection
        erased = False
        if group.batches or group.positions:
            with transaction(connection):
                for unsaved in group.batches:
                    rows.save(connection, unsaved.entries, unsaved.earlier)
                    rooms.save(connection, unsaved.entries)
                    positions.arrive(connection, unsaved.entries)
                    erased |= erase(connection, unsaved.entries, indexed=self._indexed)
                positions.save(connection, group.positions)
        outcomes = [self._attempt(connection, write.work, write.done) for write in group.writes]
        if erased:
            self._wiper.want()
        self._wiper.wipe()

        def tell() -> None:
            for outcome in outcomes:
                outcome()

        return tell

    def _attempt(
        self, connection: sqlite3.Connection, work: Question[Any], done: "Deferred[Any]"
    ) -> Callable[[], None]:
        """Write it; and what to call then, on the reactor's thread, to tell whoever waits."""
        try:
            with transaction(connection):
                result = work(connection)
        except Refusal as refusal:
            refused = refusal
            return lambda: done.errback(refused)
        except Exception:
            failure = Failure()

            def fail() -> None:
                self._complaints.tell("The database cannot be written to", failure)
                done.errback(Refusal(ErrorCode.NOT_SAVED))

            return fail
        return lambda: done.callback(result)


class _Asked:
    """A question, and who waits for its answer."""

    __slots__ = ("answer", "asker", "interrupted", "question", "size")

    def __init__(self, question: Question[Any], asker: str, size: int) -> None:
        self.question = question
        self.asker = asker
        self.size = QUESTION_SIZE + size
        self.interrupted = False
        self.answer: Deferred[Any]


class Reader:
    """A thread that answers questions, one at a time, and its connection. Askers take turns.

    Each question may take `seconds`; one that takes longer is interrupted, and refused with
    `too_slow`. Cancelling the Deferred of a question takes it back, wherever it is.
    """

    def __init__(
        self,
        reactor: Any,
        pool: ThreadPool,
        complaints: Complaints,
        *,
        seconds: float = LOOKUP_SECONDS,
        too_slow: ErrorCode = ErrorCode.BUSY,
        nice: bool = False,
    ) -> None:
        self._reactor = reactor
        self._pool = pool
        self._complaints = complaints
        self._seconds = seconds
        self._too_slow = too_slow
        self._nice = nice
        self._waiting: FairQueue[_Asked] = FairQueue()
        self._asked: _Asked | None = None  # that is being answered
        self._interrupting: IDelayedCall | None = None
        self._stopped: Deferred[None] | None = None

    def start(self, connection: sqlite3.Connection) -> None:
        """After the process has forked."""
        self.connection = connection
        self._pool.start()

    def ask(self, question: Question[T], *, asker: str = "", size: int = 0) -> "Deferred[T]":
        """The answer to `question`. `asker`: the network that it is asked for; `size`: bytes of
        text in it. Fails with `Refusal` (NOT_SAVED, BUSY, or what the question raises)."""
        asked = _Asked(question, asker, size)
        asked.answer = Deferred(lambda _: self._take_back(asked))
        if self._stopped is not None:
            asked.answer.errback(Refusal(ErrorCode.NOT_SAVED))
            return asked.answer
        try:
            self._waiting.add(asked)
        except Refusal as refusal:
            asked.answer.errback(refusal)
        else:
            self._go_on()
        return asked.answer

    def stop(self) -> "Deferred[None]":
        """What waits is refused, what is being answered is interrupted. Fires when the thread has
        ended."""
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        stopped.addCallback(lambda _: self._end())
        while (asked := self._waiting.next()) is not None:
            asked.answer.errback(Refusal(ErrorCode.NOT_SAVED))
        if self._asked is None:
            stopped.callback(None)
        else:
            self._refuse_running(self._asked, ErrorCode.NOT_SAVED)
        return stopped

    def _end(self) -> None:
        self._pool.stop()
        self.connection.close()

    def _go_on(self) -> None:
        if self._asked is not None:
            return
        if self._stopped is not None:
            self._stopped.callback(None)
            return
        self._asked = asked = self._waiting.next()
        if asked is None:
            return
        self._interrupting = self._reactor.callLater(self._seconds, self._expire, asked)
        answered = deferToThreadPool(self._reactor, self._pool, self._answer, asked)
        answered.addBoth(self._answered, asked)

    def _answer(self, asked: _Asked) -> Any:
        """On the thread."""
        if self._nice:
            with suppress(AttributeError, OSError):  # where threads have no priority of their own
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        try:
            return asked.question(self.connection)
        finally:
            while self.connection.in_transaction:  # which may have been interrupted, too
                with suppress(sqlite3.OperationalError):
                    self.connection.execute("ROLLBACK")

    def _answered(self, result: Any, asked: _Asked) -> None:
        self._asked = None
        if self._interrupting is not None and self._interrupting.active():
            self._interrupting.cancel()
        if asked.interrupted:
            pass  # nobody waits for it any longer
        elif not isinstance(result, Failure) or result.check(Refusal):
            asked.answer.callback(result)
        else:  # a file that is damaged can lead to anything
            self._complaints.tell("The database cannot be read", result)
            asked.answer.errback(Refusal(ErrorCode.NOT_SAVED))
        self._go_on()

    def _take_back(self, asked: _Asked) -> None:
        if asked is self._asked:
            self._interrupt(asked)
        else:
            self._waiting.remove(asked)

    def _expire(self, asked: _Asked) -> None:
        if asked.interrupted:
            self._interrupt(asked)
        else:
            self._refuse_running(asked, self._too_slow)

    def _refuse_running(self, asked: _Asked, code: ErrorCode) -> None:
        was_interrupted = asked.interrupted
        self._interrupt(asked)
        if not was_interrupted:
            asked.answer.errback(Refusal(code))

    def _interrupt(self, asked: _Asked) -> None:
        asked.interrupted = True
        self.connection.interrupt()
        if self._interrupting is not None and self._interrupting.active():
            self._interrupting.cancel()
        self._interrupting = self._reactor.callLater(_INTERRUPT_SECONDS, self._expire, asked)
