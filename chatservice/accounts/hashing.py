"""Hashing passwords, off the reactor's thread. It needs argon2-cffi (the extra ``accounts``)."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.fair_queue import QUESTION_SIZE, FairQueue

# RFC 9106's second choice (argon2-cffi's default) takes 64 MiB; on one core instead of four, so
# that the reactor keeps the others: some 150 ms.
LANES = 1
THREADS = 2  # at a time
NICE = 10  # these threads give way to the reactor's: its turns of 2 ms stay as long as they are


def hasher() -> PasswordHasher:
    """argon2id, as we use it."""
    return PasswordHasher(parallelism=LANES)


class _Job:
    """Something to be hashed, and who waits for it."""

    __slots__ = ("asker", "done", "size", "work")

    def __init__(self, work: Callable[[], Any], asker: str, size: int) -> None:
        self.work = work
        self.asker = asker
        self.size = QUESTION_SIZE + size
        self.done: Deferred[Any] = Deferred()


class Argon2:
    """argon2id, in threads of its own. What is asked of it may fail with `Refusal` (BUSY); `asker`
    is the network that it is asked for: these take turns."""

    def __init__(self, reactor: Any, argon2: PasswordHasher | None = None) -> None:
        self._reactor = reactor
        self._hasher = argon2 or hasher()
        self._nobodys = ""
        self._pool = ThreadPool(0, THREADS, "passwords")
        self._waiting: FairQueue[_Job] = FairQueue()
        self._running = 0

    def start(self) -> None:
        """After the process has forked."""
        self._pool.start()

    def stop(self) -> None:
        """Refuse what waits, and wait for what is being hashed, which is no more than a moment."""
        while (job := self._waiting.next()) is not None:
            job.done.errback(Refusal(ErrorCode.BUSY))
        self._pool.stop()

    def hash(self, password: str, asker: str = "") -> "Deferred[str]":
        """What is kept of it."""
        return self._add(_Job(lambda: self._hasher.hash(password), asker, len(password)))

    def agrees(self, kept: str | None, password: str, asker: str = "") -> "Deferred[bool]":
        """Whether `kept` is of that password. None agrees with no password, and takes as long."""

        def verify() -> bool:
            # At the first one, whoever it is of: a server that looks at none starts sooner.
            self._nobodys = self._nobodys or self._hasher.hash("nobody's")
            try:
                self._hasher.verify(self._nobodys if kept is None else kept, password)
            except (VerificationError, InvalidHashError):
                return False
            return kept is not None

        return self._add(_Job(verify, asker, len(password)))

    def _add(self, job: _Job) -> "Deferred[Any]":
        try:
            self._waiting.add(job)
        except Refusal as refusal:
            job.done.errback(refusal)
        else:
            self._go_on()
        return job.done

    def _go_on(self) -> None:
        while self._running < THREADS and (job := self._waiting.next()) is not None:
            self._running += 1
            hashed = deferToThreadPool(self._reactor, self._pool, _nicely, job.work)
            hashed.addBoth(self._hashed, job)

    def _hashed(self, result: Any, job: _Job) -> None:
        self._running -= 1
        job.done.callback(result)
        self._go_on()


def _nicely(work: Callable[[], Any]) -> Any:
    with suppress(AttributeError, OSError):  # where threads have no priority of their own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    return work()
