"""The service of ``twistd chat``: it listens, and says goodbye to everyone before it stops."""

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
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from chatservice.control.door import CannotControl, Control
from chatservice.core.addresses import address_text
from chatservice.process import LogFile, Terminal
from chatservice.server.factory import ChatFactory, Phase
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.places import DurableArchive

if TYPE_CHECKING:
    from chatservice.accounts.hashing import Argon2
    from chatservice.server.tls import ServerCertificate

log = Logger()


ANEW_SECONDS = 2.0  # between attempts to come into the chat again


class Listener(NamedTuple):
    """An endpoint, the factory for its connections, and what the log adds to its address."""

    endpoint: IStreamServerEndpoint
    factory: IProtocolFactory
    how: str


class CannotStart(SystemExit, Exception):
    """The server cannot start; the message is the reason.

    It is an `Exception` for twistd, whose parent process would otherwise wait for its daemon for
    ever, and a `SystemExit` for Python, which would otherwise print a traceback.
    """


class ChatService(Service):
    """Listens at every endpoint, and says goodbye to everyone before it stops.

    `monitor` are listeners that stay until the end, for machines that watch the server. `reload`
    applies changed options; `control` takes an operator's commands. `log_file` replaces twistd's
    own log file, and `terminal` shows where the server listens, or why it cannot, if the log does
    not go there.

    It runs on whichever reactor twistd has chosen. Fan-out was equally fast with epoll (the default
    on Linux), poll and asyncio, since nearly all the time is spent in calls of ``send``.
    """

    def __init__(
        self,
        reactor: Any,
        factory: ChatFactory,
        listeners: Sequence[Listener],
        *,
        monitor: Sequence[Listener] = (),
        reload: Callable[[], Coroutine[Deferred[Any], Any, Any]],
        control: Control | None = None,
        certificate: ServerCertificate | None = None,
        archive: DurableArchive | None = None,
        hashing: Argon2 | None = None,
        log_file: LogFile | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        self.factory = factory
        self._reload = reload
        self._control = control
        self._archive = archive
        self._hashing = hashing
        self._reactor = reactor
        self._listeners = listeners
        self._monitor = monitor
        self._certificate = certificate
        self._log_file = log_file
        self._terminal = terminal
        self._ports: list[IListeningPort] = []
        self._monitor_ports: list[IListeningPort] = []
        self._doors: list[str] = []  # where it listens, in words
        self._has_terminal = _has_terminal()

    @property
    def addresses(self) -> list[str]:
        """The addresses it listens on, such as ``0.0.0.0:12345``."""
        return [address_text(port.getHost()) for port in self._ports]

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Give our log file to twistd, which looks for an observer in the application."""
        super().setServiceParent(parent)
        if self._log_file is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log_file)

    def privilegedStartService(self) -> None:
        """Listen. Raises `CannotStart` if that fails, before any connection is accepted."""
        super().privilegedStartService()
        self._handle_signals()
        if self._certificate is not None:
            try:
                self._certificate.prepare()
            except ValueError as error:
                raise self._cannot_start(str(error)) from None
        failures: list[Failure] = []
        for listeners, ports in (
            (self._listeners, self._ports),
            (self._monitor, self._monitor_ports),
        ):
            for listener in listeners:
                listener.endpoint.listen(listener.factory).addCallbacks(
                    self._listens, failures.append, callbackArgs=(listener, ports)
                )
        for failure in failures:
            raise self._cannot_start(_why_not(failure))

    def startService(self) -> None:
        super().startService()
        if self._archive is not None:  # twistd has changed to the user of --uid by now
            try:
                self._open(self._archive)
            except BadDatabase as error:
                raise self._cannot_start(f"--database {error}") from None
        self._open_control()
        if self._hashing is not None:
            self._hashing.start()
        self._reactor.callWhenRunning(self._end_well)  # again: the reactor has set its own
        if self._terminal is not None:
            for door in self._doors:
                self._terminal.show(f"Listening on {door}")
            self._terminal.close()
        # Objects that exist by now are here to stay. If the collector ignores them, a full
        # collection takes 1 us instead of 4 to 10 ms, during which everybody waits.
        gc.collect()
        gc.freeze()
        self.factory.phase = Phase.READY

    def _open(self, archive: DurableArchive) -> None:
        """Go on with what is kept there. Raises `BadDatabase`."""
        archive.open(may_have_accounts=self._hashing is not None)
        self.factory.chat.restore(
            archive.rooms, archive.people, archive.operators, archive.sanctions, archive.ignored
        )

    def _open_control(self) -> None:
        """Once the database is ours: then nobody else serves at a socket beside it."""
        if self._control is None:
            return
        try:
            self._control.open(self._doors)
        except CannotControl as error:
            why = f"--control {self._control.path}: {error}"
            if self._control.required:
                raise self._cannot_start(why) from None
            log.warn("There is no operator's socket: {why}", why=why)

    def stopService(self) -> Deferred[None]:
        """Say goodbye to everyone. Fires when they are gone, or --shutdown-timeout has passed."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    def _handle_signals(self) -> None:
        self._end_well()
        handlers = {signal.SIGHUP: self._hang_up}
        if self._log_file is not None:
            handlers[signal.SIGUSR1] = self._reopen_log  # in place of twistd's rotation
        for number, handle in handlers.items():
            if not _is_ignored(number):
                signal.signal(number, lambda *_, handle=handle: self._in_reactor(handle))

    def _end_well(self) -> None:
        """Exit with status 0 when asked to stop (with twistd's own handlers, the process would die
        of the signal), and at once when asked a second time."""

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
        reloading = Deferred.fromCoroutine(self._reload())
        reloading.addErrback(lambda failure: failure.trap(UsageError))  # it has been logged
        reloading.addErrback(lambda failure: log.failure("Reloading failed.", failure))

    def _reopen_log(self) -> None:
        if self._log_file is None:
            return
        try:
            self._log_file.reopen()
        except OSError as error:
            log.error("The log stays in the old file: {error}", error=error)

    def begin_anew(self) -> None:
        """Other servers of the chat have taken this one for dead, and its people out: it says
        goodbye to them, and comes into the chat again."""
        anew = Deferred.fromCoroutine(self._begin_anew())
        anew.addErrback(lambda failure: log.failure("This server cannot begin anew.", failure))

    async def _begin_anew(self) -> None:
        if self._archive is None:
            return
        self.factory.phase = Phase.STARTING
        for port in self._ports:
            port.stopReading()  # type: ignore[attr-defined]
        await self.factory.send_away()
        self.factory.chat.begin_anew()
        while self.running:
            try:
                self._open(self._archive)
            except BadDatabase as error:
                log.error("--database {error}", error=error)
                await deferLater(self._reactor, ANEW_SECONDS)
            else:
                self.factory.phase = Phase.READY
                for port in self._ports:
                    port.startReading()  # type: ignore[attr-defined]
                return

    async def _close(self) -> None:
        self.factory.phase = Phase.STOPPING
        while self._ports:  # one that is closed has no address any longer
            await maybeDeferred(self._ports.pop(0).stopListening)
        await self.factory.close_all()
        if self._control is not None:
            await self._control.close()
        if self._archive is not None:
            await self._archive.close()
        if self._hashing is not None:
            self._hashing.stop()
        for port in self._monitor_ports:
            await maybeDeferred(port.stopListening)

    def _listens(
        self, port: IListeningPort, listener: Listener, ports: list[IListeningPort]
    ) -> None:
        ports.append(port)
        # Twisted offers no public way to limit what it logs about accepting connections.
        port._logger = Logger("accept", observer=self.factory.peer_log.about_accepting)  # type: ignore[attr-defined, arg-type]
        door = f"{address_text(port.getHost())}{listener.how}"
        self._doors.append(door)
        log.info("Listening on {door}", door=door)

    def _cannot_start(self, why: str) -> CannotStart:
        if self._terminal is not None:
            self._terminal.show(f"chat: {why}")
        return CannotStart(f"chat: {why}")


def _why_not(failure: Failure) -> str:
    """The reason why an endpoint cannot listen."""
    error = failure.value
    if not isinstance(error, CannotListenError):
        return f"Couldn't listen: {failure.getErrorMessage()}"
    if isinstance(error.port, int):
        address = address_text((error.interface or "0.0.0.0", error.port))  # noqa: S104
    else:
        address = f"unix:{os.fsdecode(error.port)}"
    return f"Couldn't listen on {address}: {error.socketError}."


def _is_ignored(number: signal.Signals) -> bool:
    """Whether the parent has the signal ignored: nohup does it with SIGHUP, and a shell script with
    SIGINT for what it runs in the background."""
    return signal.getsignal(number) is signal.SIG_IGN


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
