"""The service of ``twistd chat``: listens, and says goodbye to everyone at the end."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.application.service import IServiceCollection, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from chatservice.core.addresses import address_text
from chatservice.process import LogFile, Terminal
from chatservice.server.factory import ChatFactory
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


class CannotStart(SystemExit, Exception):
    """The server cannot start, for the reason given.

    twistd must see an `Exception`, or a parent that waits for its daemon waits for ever; Python
    must see a `SystemExit`, or it prints a traceback.
    """


class ChatService(Service):
    """Listens at every endpoint, and says goodbye to everyone before it stops.

    `reload` takes up changed options. `log_file` is written in place of twistd's own, and
    `terminal` shows what an operator has to know if the log does not go there.

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
        reload: Callable[[], Coroutine[Deferred[Any], Any, None]],
        certificate: ServerCertificate | None = None,
        archive: SqliteArchive | None = None,
        hashing: Argon2 | None = None,
        log_file: LogFile | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        self.factory = factory
        self._reload = reload
        self._archive = archive
        self._hashing = hashing
        self._reactor = reactor
        self._listeners = listeners
        self._certificate = certificate
        self._log_file = log_file
        self._terminal = terminal
        self._ports: list[IListeningPort] = []
        self._started: list[str] = []  # what the terminal shows
        self._has_terminal = _has_terminal()

    @property
    def addresses(self) -> list[str]:
        """Where it listens, such as ``0.0.0.0:12345``."""
        return [address_text(port.getHost()) for port in self._ports]

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """twistd asks the application which observer writes its log."""
        super().setServiceParent(parent)
        if self._log_file is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log_file)

    def privilegedStartService(self) -> None:
        """Listen. Raises `CannotStart` if an endpoint cannot, before anyone is served."""
        super().privilegedStartService()
        self._handle_signals()
        if self._certificate is not None:
            try:
                self._certificate.prepare()
            except ValueError as error:
                raise self._cannot_start(str(error)) from None
        failures: list[Failure] = []
        for listener in self._listeners:
            listener.endpoint.listen(listener.factory).addCallbacks(
                self._listens, failures.append, callbackArgs=(listener,)
            )
        for failure in failures:
            raise self._cannot_start(_why_not(failure))

    def startService(self) -> None:
        super().startService()
        if self._archive is not None:  # as the user who will write to it
            try:
                self._archive.open(may_have_accounts=self._hashing is not None)
            except BadDatabase as error:
                raise self._cannot_start(f"--database {error}") from None
        if self._hashing is not None:
            self._hashing.start()
        self._reactor.callWhenRunning(self._end_well)  # again: the reactor has set its own
        if self._terminal is not None:
            for line in self._started:
                self._terminal.show(line)
            self._terminal.close()
        # What has been loaded stays, so that the collector need not look at it ever again: a full
        # collection took 4 to 10 ms of everybody's time, and takes 1 us now.
        gc.collect()
        gc.freeze()

    def stopService(self) -> Deferred[None]:
        """Fires when everyone has been told and is gone, after CLOSE_SECONDS at the latest."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    def _handle_signals(self) -> None:
        self._end_well()
        handlers = {signal.SIGHUP: self._hang_up}
        if self._log_file is not None:
            handlers[signal.SIGUSR1] = self._reopen_log  # with twistd's own file, it rotates that
        for number, handle in handlers.items():
            if not _is_ignored(number):
                signal.signal(number, lambda *_, handle=handle: self._in_reactor(handle))

    def _end_well(self) -> None:
        """Being asked to stop is not a failure: with twistd's own handlers, the program would end
        by dying of the signal. Asked a second time, it does."""

        def stop(number: int, frame: object) -> None:
            signal.signal(number, signal.SIG_DFL)
            self._in_reactor(self._reactor.stop)

        signal.signal(signal.SIGTERM, stop)
        if not _is_ignored(signal.SIGINT):
            signal.signal(signal.SIGINT, stop)

    def _in_reactor(self, do: Callable[[], object]) -> None:
        self._reactor.callFromThread(do)

    def _hang_up(self) -> None:
        if self._has_terminal and not _has_terminal():  # somebody has closed it
            self._reactor.stop()
            return
        self._reopen_log()
        Deferred.fromCoroutine(self._reload()).addErrback(
            lambda failure: log.failure("Reloading failed.", failure)
        )

    def _reopen_log(self) -> None:
        if self._log_file is None:
            return
        try:
            self._log_file.reopen()
        except OSError as error:
            log.error("The log stays in the old file: {error}", error=error)

    async def _close(self) -> None:
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        await self.factory.close_all()
        if self._archive is not None:
            await self._archive.close()
        if self._hashing is not None:
            self._hashing.stop()

    def _listens(self, port: IListeningPort, listener: Listener) -> None:
        self._ports.append(port)
        # Of Twisted's own; there is no other way to what it logs.
        port._logger = Logger("accept", observer=self.factory.peer_log.about_accepting)  # type: ignore[attr-defined, arg-type]
        line = f"Listening on {address_text(port.getHost())}{listener.how}"
        self._started.append(line)
        log.info("{line}", line=line)

    def _cannot_start(self, why: str) -> CannotStart:
        if self._terminal is not None:
            self._terminal.show(f"chat: {why}")
        return CannotStart(f"chat: {why}")


def _why_not(failure: Failure) -> str:
    """Why an endpoint cannot listen."""
    error = failure.value
    if isinstance(error, CannotListenError) and isinstance(error.port, int):
        address = address_text((error.interface or "0.0.0.0", error.port))  # noqa: S104
        return f"Couldn't listen on {address}: {error.socketError}."
    return failure.getErrorMessage()


def _is_ignored(number: signal.Signals) -> bool:
    """Whether we were started so: SIGHUP by nohup, SIGINT in the background of a shell script."""
    return signal.getsignal(number) is signal.SIG_IGN


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
