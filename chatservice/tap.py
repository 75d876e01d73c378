"""``twistd -n chat``: the options, and the service they describe."""

import gc
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import StandardIOEndpoint, serverFromString
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

from chatservice.chat import Chat
from chatservice.protocol import ChatFactory, peer_of
from chatservice.screen import sanitised
from chatservice.session import Settings

log = Logger()

DEFAULT_PORT = "12345"
MAX_PORT = 65535
# Connections that may wait to be accepted: as many as Linux allows (net.core.somaxconn, since 5.4).
# A thousand people who reconnect in one moment were in after 0.3 s with 4096, after 1.3 s with 511,
# and not within a minute with Twisted's 50.
BACKLOG = 4096
MOTD_BYTES = 16 * 1024  # a message of the day that is longer is a mistake


class Options(usage.Options):
    """The command line."""

    synopsis = "[--port PORT]... [--motd FILE] [--echo] [--log-messages]"
    longdesc = """A chat server. People join with nc, telnet or python -m chatservice.client."""
    optFlags = [  # noqa: RUF012 (Twisted's way)
        ["echo", None, "send people their own messages too"],
        ["log-messages", None, "write public messages into the server's log"],
    ]
    optParameters = [  # noqa: RUF012
        ["motd", None, None, "a text file (UTF-8) whose lines are shown after the welcome"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[str] = []

    def opt_port(self, value: str) -> None:
        """A port number, or a Twisted endpoint description such as
        tcp:12345:interface=127.0.0.1; may be given more than once. [default: 12345]"""
        self.ports.append(value)

    opt_p = opt_port

    def postOptions(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 (after twistd has installed it)

        self["endpoints"] = [_endpoint(reactor, value) for value in self.ports or [DEFAULT_PORT]]
        self["motd"] = _motd(self["motd"]) if self["motd"] is not None else ()


def makeService(options: Options) -> "ChatService":
    """The chat that `options` describe."""
    from twisted.internet import reactor  # noqa: PLC0415

    settings = Settings(motd=options["motd"], log_messages=bool(options["log-messages"]))
    factory = ChatFactory(Chat(reactor, echo=bool(options["echo"])), settings, reactor)
    return ChatService(reactor, factory, options["endpoints"])


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
        self, reactor: Any, factory: ChatFactory, endpoints: Sequence[IStreamServerEndpoint]
    ) -> None:
        self.factory = factory
        self._reactor = reactor
        self._endpoints = endpoints
        self._ports: list[IListeningPort] = []

    def privilegedStartService(self) -> None:
        """Listen. An endpoint that cannot ends the program with one line, before it has begun."""
        super().privilegedStartService()
        self._end_well()
        failures: list[Failure] = []
        for endpoint in self._endpoints:
            endpoint.listen(self.factory).addCallbacks(self._listens, failures.append)
        if failures:
            raise CannotListen(f"chat: {failures[0].getErrorMessage()}")

    def startService(self) -> None:
        super().startService()
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

    async def _close(self) -> None:
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        await self.factory.close_all()

    def _listens(self, port: IListeningPort) -> None:
        self._ports.append(port)
        log.info("The chat listens at {address}.", address=peer_of(port.getHost()))


def _endpoint(reactor: object, value: str) -> IStreamServerEndpoint:
    given = value
    if value.isdecimal():
        if int(value) > MAX_PORT:
            raise usage.UsageError(f"--port {value}: a port number is {MAX_PORT} at most.")
        value = f"tcp:{int(value)}"
    if value.startswith(("tcp:", "tcp6:", "ssl:", "unix:")) and ":backlog=" not in value:
        value += f":backlog={BACKLOG}"
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, value)
    except ModuleNotFoundError as error:
        raise usage.UsageError(
            f"--port {given}: needs {error.name}; pip install 'chatservice[tls]' brings it."
        ) from error
    except Exception as error:  # whatever an endpoint's parser raises, it is about the value
        raise usage.UsageError(
            f"--port {given}: neither a port number nor a Twisted endpoint description "
            f"({type(error).__name__}: {error})."
        ) from error
    if isinstance(endpoint, StandardIOEndpoint):
        raise usage.UsageError(f"--port {given}: a chat needs more than one connection.")
    return endpoint


def _motd(path: str) -> tuple[str, ...]:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOTD_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise usage.UsageError(f"--motd {path}: {error}") from error
    if len(data) > MOTD_BYTES:
        raise usage.UsageError(f"--motd {path}: longer than {MOTD_BYTES} bytes.")
    return tuple(sanitised(line) for line in text.splitlines())
