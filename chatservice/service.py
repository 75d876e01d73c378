"""The service of ``twistd chat``: listens, and says goodbye to everyone at the end."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.server.factory import ChatFactory, display_address
from chatservice.storage.sqlite.archive import SqliteArchive
from chatservice.storage.sqlite.database import BadDatabase

if TYPE_CHECKING:
    from chatservice.accounts.hashing import Argon2
    from chatservice.server.tls import ServerCertificate

log = Logger()


class Listener(NamedTuple):
    """An endpoint, what serves the connections to it, and how the log is to speak of it."""

    endpoint: IStreamServerEndpoint
    factory: IProtocolFactory
    how: str


class CannotListen(SystemExit, Exception):
    """There is no chat to be had, for the reason given.

    twistd must see an `Exception`, or a parent that waits for its daemon waits for ever; Python
    must see a `SystemExit`, or it prints a traceback.
    """


class ChatService(Service):
    """Listens at every endpoint. On the way down it says goodbye to everyone first.

    The reactor is whichever twistd has chosen: between epoll (the default on Linux), poll and
    asyncio there was no difference in fan-out beyond the noise, since nearly all that a turn costs
    is the calls of ``send``.
    """

    def __init__(
        self,
        reactor: Any,
        factory: ChatFactory,
        listeners: Sequence[Listener],
        *,
        certificate: ServerCertificate | None = None,
        history: SqliteArchive | None = None,
        hashing: Argon2 | None = None,
    ) -> None:
        self.factory = factory
        self._history = history
        self._hashing = hashing
        self._reactor = reactor
        self._listeners = listeners
        self._certificate = certificate
        self._ports: list[IListeningPort] = []
        self._has_terminal = _has_terminal()

    @property
    def addresses(self) -> list[object]:
        """Where it listens, as the log shows it."""
        return [display_address(port.getHost()) for port in self._ports]

    def privilegedStartService(self) -> None:
        """Listen. An endpoint that cannot ends the program with one line, before it has begun."""
        super().privilegedStartService()
        self._end_well()
        signal.signal(signal.SIGHUP, self._hang_up)
        if self._certificate is not None:
            try:
                self._certificate.prepare()
            except ValueError as error:
                raise CannotListen(f"chat: {error}") from None
        failures: list[Failure] = []
        for listener in self._listeners:
            listener.endpoint.listen(listener.factory).addCallbacks(
                self._listens, failures.append, callbackArgs=(listener,)
            )
        if failures:
            raise CannotListen(f"chat: {failures[0].getErrorMessage()}")

    def startService(self) -> None:
        super().startService()
        if self._history is not None:  # as the user who will write to it
            try:
                self._history.open(may_have_accounts=self._hashing is not None)
                self.factory.chat.restore(self._history.rooms)
            except BadDatabase as error:
                raise CannotListen(f"chat: --database {error}") from None
        if self._hashing is not None:
            self._hashing.start()
        self._reactor.callWhenRunning(self._end_well)  # again: the reactor has set its own
        # What has been loaded stays, so that the collector need not look at it ever again: a full
        # collection took 4 to 10 ms of everybody's time, and takes 1 us now.
        gc.collect()
        gc.freeze()

    def stopService(self) -> Deferred[None]:
        """Fires when everyone has been told and is gone, after CLOSE_SECONDS at the latest."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    def _end_well(self) -> None:
        """Being asked to end is no failure: twistd alone would die of the signal in the end. Asked
        a second time, it does."""

        def stop(number: int, frame: object) -> None:
            signal.signal(number, signal.SIG_DFL)
            self._reactor.callFromThread(self._reactor.stop)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)

    def _hang_up(self, number: int, frame: object) -> None:
        if self._has_terminal and not _has_terminal():  # somebody has closed it
            self._reactor.callFromThread(self._reactor.stop)
        else:
            self._reactor.callFromThread(self._read_certificate_again)

    def _read_certificate_again(self) -> None:
        if self._certificate is None:
            log.info("SIGHUP: there is no TLS certificate to be read again.")
            return
        Deferred.fromCoroutine(self._certificate.reload(self._reactor)).addErrback(
            lambda failure: log.failure("The TLS certificate stays as it was.", failure)
        )

    async def _close(self) -> None:
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        await self.factory.close_all()
        if self._history is not None:
            await self._history.close()
        if self._hashing is not None:
            self._hashing.stop()

    def _listens(self, port: IListeningPort, listener: Listener) -> None:
        self._ports.append(port)
        # Of Twisted's own; there is no other way to what it logs.
        port._logger = Logger("accept", observer=self.factory.peer_log.about_accepting)  # type: ignore[attr-defined, arg-type]
        address = display_address(port.getHost())
        log.info("The chat listens at {address}{how}.", address=address, how=listener.how)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
