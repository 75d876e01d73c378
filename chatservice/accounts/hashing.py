"""Hashing passwords, off the reactor's thread. It needs argon2-cffi (the extra ``accounts``)."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatservice.core.events import ErrorCode, Refusal

# RFC 9106's second choice (argon2-cffi's default) takes 64 MiB; on one core instead of four, so
# that the reactor keeps the others: some 150 ms.
LANES = 1
THREADS = 2  # at a time
NICE = 10  # these threads give way to the reactor's: its turns of 2 ms stay as long as they are
MAX_WAITING = 64  # more would have to wait for longer than five seconds


def hasher() -> PasswordHasher:
    """argon2id, as we use it."""
    return PasswordHasher(parallelism=LANES)


class Argon2:
    """argon2id, in threads of its own. What is asked of it may fail with `Refusal` (BUSY)."""

    def __init__(self, reactor: Any, argon2: PasswordHasher | None = None) -> None:
        self._reactor = reactor
        self._hasher = argon2 or hasher()
        self._nobodys = ""
        self._pool = ThreadPool(0, THREADS, "passwords")
        self._waiting = 0

    def start(self) -> None:
        """After the process has forked."""
        self._pool.start()

    def stop(self) -> None:
        """Wait for what is being hashed, which is no more than a moment."""
        self._pool.stop()

    def hash(self, password: str) -> "Deferred[str]":
        """What is kept of it."""
        return self._do(lambda: self._hasher.hash(password))

    def agrees(self, kept: str | None, password: str) -> "Deferred[bool]":
        """Whether `kept` is of that password. None agrees with no password, and takes as long."""

        def verify() -> bool:
            # At the first one, whoever it is of: a server that looks at none starts sooner.
            self._nobodys = self._nobodys or self._hasher.hash("nobody's")
            try:
                self._hasher.verify(self._nobodys if kept is None else kept, password)
            except (VerificationError, InvalidHashError):
                return False
            return kept is not None

        return self._do(verify)

    def _do(self, work: Callable[[], Any]) -> "Deferred[Any]":
        if self._waiting >= MAX_WAITING:
            return fail(Refusal(ErrorCode.BUSY))
        self._waiting += 1

        def nicely() -> Any:
            with suppress(AttributeError, OSError):  # where threads have no priority of their own
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
            return work()

        def done(result: Any | Failure) -> Any | Failure:
            self._waiting -= 1
            return result

        return deferToThreadPool(self._reactor, self._pool, nicely).addBoth(done)
