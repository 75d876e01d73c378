"""The way to the server: one connection after another, as long as that is wanted."""

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
    TimeoutError,  # noqa: A004 (Twisted's)
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.client.connection import Connection
from chatservice.client.errors import ChatError, Gone
from chatservice.client.events import Disconnected
from chatservice.client.state import Departure, Lifecycle, State
from chatservice.core.requests import Exit, Request
from chatservice.dialects import jsonlines
from chatservice.dialects.wording import ClientWords

log = Logger()

GOODBYE_SECONDS = 30.0  # for the server to say goodbye, after all that it has to say before
# What OpenSSL says to an answer that is not TLS.
_NOT_TLS = frozenset(
    ("wrong version number", "packet length too long", "http request", "unknown protocol")
)
# What the system says of an address that it will not connect to, now or later.
_NO_ADDRESS = frozenset((errno.EINVAL, errno.EACCES, errno.EAFNOSUPPORT))


class Owner(Protocol):
    """Whoever uses the link."""

    def made(self, connection: Connection) -> None:
        """There is a connection."""

    def heard(self, line: bytes) -> None:
        """The server has sent a line."""

    def lost(self) -> None:
        """The connection is gone."""

    def offline(self, event: Disconnected) -> None:
        """There will be another one after a while."""

    def closed(self, failure: ChatError | None) -> None:
        """There will be none any more: because of `failure`, or because we wanted to leave."""


class Link:
    """Connects to `endpoint`; again after as many seconds as `pause` says of the number of failures
    before, if we are to `retry`. The first `failure` that somebody finds is what ends it."""

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint,
        lifecycle: Lifecycle,
        words: ClientWords,
        *,
        retry: bool,
        pause: Callable[[int], float],
    ) -> None:
        self.connection: Connection | None = None
        self.failure: ChatError | None = None
        self._reactor = reactor
        self._endpoint = endpoint
        self.lifecycle = lifecycle
        self._owner: Owner | None = None
        self._words = words
        self._retry = retry
        self._pause = pause
        self._step: Deferred[Any] | None = None  # what is waited for without a connection

    def start(self, owner: Owner) -> None:
        """Connect, for `owner`, if that has not begun yet."""
        if self._owner is None:
            self._owner = owner
            running = Deferred.fromCoroutine(self._run(owner))
            running.addErrback(self.break_down).addCallback(lambda _: self._close(owner))

    def send(self, request: Request, ref: str | None = None) -> None:
        """If there is a connection."""
        if self.connection is not None:
            self.connection.send(jsonlines.encode_request(request, ref))

    def say_goodbye(self) -> None:
        """The server says goodbye, too, and closes the connection."""
        self.lifecycle.depart(Departure.SAYING_GOODBYE)
        self.send(Exit())
        if self.connection is not None:
            late = partial(self.hang_up, self._words.no_goodbye)
            self.connection.expect(GOODBYE_SECONDS, late)

    def hang_up(self, reason: str = "") -> None:
        """End this connection. There may be another one."""
        if self.connection is not None:
            self.connection.hang_up(reason)

    def give_up(self, failure: ChatError) -> None:
        """End it; there will not be another one."""
        self.condemn(failure)
        self.hang_up()

    def condemn(self, failure: ChatError) -> None:
        """When it ends, there will not be another one."""
        self.failure = self.failure or failure

    def break_down(self, failure: Failure) -> None:
        """This is a fault of our own."""
        log.failure("The chat's client is broken.", failure)
        self.give_up(Gone(self._words.fault.format(error=failure.getErrorMessage())))

    def stop_waiting(self) -> None:
        """Connecting, and the pause before it, are over."""
        if self._step is not None:
            self._step.cancel()

    @property
    def is_waiting(self) -> bool:
        return self._step is not None

    async def _run(self, owner: Owner) -> None:
        failures = 0
        was_admitted = False
        while True:
            self.lifecycle.enter(State.CONNECTING)
            connection, error = await self._connect(owner)
            self.lifecycle.enter(State.OFFLINE)
            if connection is not None and connection.admitted:
                failures, was_admitted = 0, True
            reason = self._reason(error, connection)
            self.failure = self.failure or self._final(error, reason, connection)
            if self.failure is not None or self.lifecycle.is_leaving:
                break
            pause = self._pause(failures)
            failures += 1
            pausing: Deferred[None] = deferLater(self._reactor, pause)
            self._step = pausing  # a program that is told now may leave
            lost = connection is not None and connection.has_spoken
            hopeless = is_hopeless(error) and not was_admitted
            owner.offline(Disconnected(reason, pause, lost, hopeless))
            try:
                await self._wait(pausing)
            except CancelledError:
                break

    async def _connect(self, owner: Owner) -> tuple[Connection | None, BaseException]:
        """One connection, until it is lost, and why; or there was none."""

        def made(connection: Connection) -> None:
            self.lifecycle.enter(State.LOGIN)
            self.connection = connection
            owner.made(connection)

        factory = Factory.forProtocol(
            lambda: Connection(self._reactor, made, owner.heard, self._words)
        )
        factory.noisy = False
        try:
            connection: Connection = await self._wait(self._endpoint.connect(factory))
        except Exception as error:
            return None, error
        lost = await connection.over
        self.connection = None
        owner.lost()
        return connection, lost

    async def _wait(self, step: "Deferred[Any]") -> Any:
        self._step = step
        try:
            return await step
        finally:
            self._step = None

    def _close(self, owner: Owner) -> None:
        if self.lifecycle.state is not State.OFFLINE:  # because of a fault
            self.lifecycle.enter(State.OFFLINE)
        self.lifecycle.enter(State.CLOSED)
        owner.closed(self.failure)

    def _reason(self, error: BaseException, connection: Connection | None) -> str:
        """Why there is no connection, in words."""
        if connection is None:
            return reason_of(error, self._words)
        if connection.speaks_tls:
            return self._words.tls_wanted
        if connection.reason:
            return connection.reason
        is_silent = not (connection.has_spoken or connection.is_encrypted)
        if is_silent and isinstance(error, ConnectionDone):
            return self._words.closed_silently
        return reason_of(error, self._words)

    def _final(
        self, error: BaseException, reason: str, connection: Connection | None
    ) -> ChatError | None:
        """What ends it, since another connection would be no better, or is not wanted. None: there
        may be another one."""
        if isinstance(error, ChatError):
            return error
        if self.lifecycle.departure is Departure.DONE:
            return None
        is_nonsense = connection is None and isinstance(error, ValueError | OverflowError)
        if is_nonsense or not self._retry:
            return Gone(reason, lost=connection is not None and connection.has_spoken)
        return None


def reason_of(error: BaseException, words: ClientWords) -> str:  # noqa: PLR0911 (a case each)
    """What `error` says of a connection that ended, or could not be had, in words."""
    match error, error.args:
        case ConnectionDone(), _:
            return words.closed
        case ConnectionLost(), _:
            return words.lost
        case DNSLookupError(), _:
            return words.no_host
        case TimeoutError(), _:
            return words.no_answer
        case ConnectError(osError=int(number)), _:
            return os.strerror(number)
        case _, ([(_, _, str(reason)), *_],):  # OpenSSL's
            if reason in _NOT_TLS:
                return words.tls_unknown
            return words.tls_failed.format(reason=reason)
        case _:
            return str(error) or type(error).__name__


def is_hopeless(error: BaseException) -> bool:
    """Whether another attempt will hardly do better: there is no such host or address."""
    return isinstance(error, DNSLookupError) or getattr(error, "osError", None) in _NO_ADDRESS
