"""``python -m chatservice.client``: the chat on standard input and output.

On a terminal it is for a person; from a pipe it is a tool that sends its input, says goodbye and
exits with status 0 only if the server has answered that, and so has had all of it.
"""

import argparse
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet import stdio, task
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IPushProducer,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatservice.render import CRLF, ERROR, GOODBYE, QUESTION, RENAMED, WELCOME
from chatservice.screen import sanitised

MAX_LINE = 4 * 1024 * 1024  # bytes; the server's longest is a list of everyone who is online
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between attempts to connect


class _Lines(LineOnlyReceiver):
    """A stream whose lines are the client's business."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE
    transport: Any

    def __init__(self, client: "Client") -> None:
        self._client = client


class Connection(_Lines):
    """The line to the server."""

    def connectionMade(self) -> None:
        self._client.connected(self)

    def lineReceived(self, line: bytes) -> None:
        text = line.removesuffix(b"\r").decode("utf-8", "replace")
        self._client.heard(sanitised(text))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._client.disconnected(reason.getErrorMessage())

    def send(self, line: bytes) -> None:
        """`line` has no end yet."""
        self.transport.write(line + CRLF.encode())


@implementer(IHalfCloseableProtocol, IPushProducer)
class Keyboard(_Lines):
    """Standard input and output. It can be told to wait, as a producer."""

    def __init__(self, client: "Client") -> None:
        super().__init__(client)
        self.flushed: Deferred[None] = Deferred()  # nothing more can be written

    def lineReceived(self, line: bytes) -> None:
        self._client.typed(line.removesuffix(b"\r"))

    def readConnectionLost(self) -> None:
        if self._buffer:
            self.lineReceived(self._buffer)
        self._client.leave()

    def writeConnectionLost(self) -> None:
        self.flushed.callback(None)
        self._client.give_up("Nobody reads what this prints.")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.flushed.called:
            self.flushed.callback(None)

    def pauseProducing(self) -> None:
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is lost; another may follow."""

    def print_from(self, connection: Any) -> None:
        """Nothing more is read from the transport `connection` while what it brought cannot be
        printed; None: there is none."""
        self.transport.unregisterProducer()
        if connection is not None:
            self.transport.registerProducer(connection, True)


class _Waits(Enum):
    """What the server waits for."""

    NOTHING = 0
    NAME = 1
    LINES = 2


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(words)))


_WELCOME = _pattern(WELCOME)
_RENAMED = _pattern(RENAMED)


class Client:
    """What to do with what is typed and what is heard. `ended` fires with the exit status.

    `name` is the name to ask for; None: the first line that is typed is one. `show` prints a line
    of the conversation, `complain` one about it. A person (`interactive`) is asked again where a
    tool gives up. `retry`: a lost connection is followed by another.
    """

    def __init__(
        self,
        name: str | None,
        *,
        interactive: bool,
        retry: bool,
        show: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self.ended: Deferred[int] = Deferred()
        self._name = name
        self._interactive = interactive
        self._retry = retry
        self._show = show
        self._complain = complain
        self._keyboard: Keyboard | None = None
        self._connection: Connection | None = None
        self._typed: deque[bytes] = deque()
        self._waits = _Waits.NOTHING
        self._welcomed = False
        self._leaving = False
        self._asked_to_leave = False
        self._parted = False
        self._failed = False

    def listen_to(self, keyboard: Keyboard) -> None:
        """`keyboard` calls `typed`. From a tool nothing is read before somebody waits for it."""
        self._keyboard = keyboard
        if not self._interactive:
            keyboard.pauseProducing()

    # From the server.

    def connected(self, connection: Connection) -> None:
        """There is a connection; the server is going to ask who we are."""
        self._connection = connection
        self._welcomed = False
        connection.transport.registerProducer(self._keyboard, True)
        if self._keyboard is not None:
            self._keyboard.print_from(connection.transport)

    def heard(self, line: str) -> None:
        """The server has sent `line`."""
        if not self._welcomed:
            if line == QUESTION or (line.startswith(ERROR) and line.endswith(QUESTION)):
                self._answer(line)
                return
            if welcome := _WELCOME.fullmatch(line):
                self._welcomed = True
                self._name = welcome["name"]
                self._now_waits(_Waits.LINES)
        if line.startswith(ERROR):
            self._failed = True
            if not self._interactive:
                self._complain(line)
                return
        elif line in (f"{GOODBYE}.", f"{GOODBYE}, {self._name}."):
            self._parted = self._asked_to_leave
        elif (renamed := _RENAMED.fullmatch(line)) and renamed["old"] == self._name:
            self._name = renamed["new"]
        self._show(line)

    def disconnected(self, why: str) -> None:
        """The connection is gone."""
        self._connection = None
        self._now_waits(_Waits.NOTHING)
        if self._keyboard is not None:
            self._keyboard.print_from(None)
        if self._parted:
            whole = not (self._failed or self._typed)
            self._end(0 if whole or self._interactive else 1)
        elif self._leaving:
            self._end(0 if self._interactive else 1)
        elif not self.ended.called:
            self._complain(f"The connection is lost: {why}")
            if not self._retry:
                self._end(1)

    # From standard input.

    def typed(self, line: bytes) -> None:
        """`line` has been typed."""
        if self._connection is None and self._interactive:
            self._complain("Not connected: that was not sent.")
            return
        self._typed.append(line)
        self._send_typed()

    def leave(self) -> None:
        """Say goodbye after what has been typed; end when the server has answered."""
        if self._connection is None:
            self._end(0 if self._interactive else 1)
        self._leaving = True
        self._send_typed()

    def interrupt(self) -> None:
        """Leave; asked a second time, without waiting. A tool has not sent all that it should."""
        self._failed = True
        if self._leaving:
            self._end(0 if self._interactive else 1)
        self.leave()

    def give_up(self, why: str) -> None:
        """End, for a reason."""
        self._complain(why)
        self._end(1)

    def _answer(self, question: str) -> None:
        refused = question.startswith(ERROR)
        if self._name is not None and not refused:
            self._send(self._name.encode())
        elif refused and not self._interactive:
            self.give_up(question)
        else:
            self._name = None
            self._show(question)
            self._now_waits(_Waits.NAME)

    def _now_waits(self, waits: _Waits) -> None:
        self._waits = waits
        if self._keyboard is not None and not self._interactive:
            if waits is _Waits.NOTHING:
                self._keyboard.pauseProducing()
            else:
                self._keyboard.resumeProducing()
        self._send_typed()

    def _send_typed(self) -> None:
        while self._typed and self._waits is not _Waits.NOTHING:
            line = self._typed.popleft()
            command = line.strip().lower()
            if command in (b"/exit", b"/quit"):
                self._leaving = self._asked_to_leave = True
                self._waits = _Waits.NOTHING
            elif self._waits is _Waits.NAME and command and not command.startswith(b"/"):
                self._waits = _Waits.NOTHING  # that is a name, which the server answers
            self._send(line)
        if self._leaving and self._waits is not _Waits.NOTHING:
            self._typed.append(b"/exit")
            self._send_typed()

    def _send(self, line: bytes) -> None:
        if self._connection is not None:
            self._connection.send(line)

    def _end(self, status: int) -> None:
        if not self.ended.called:
            self.ended.callback(status)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m chatservice.client",
        description="Join a chat. From a pipe: send each line, say goodbye, and exit with status 0 "
        "if all was sent.",
    )
    parser.add_argument(
        "--host", type=_host, default="localhost", help="the server (default: %(default)s)"
    )
    parser.add_argument("--port", type=_port, default=12345, help="its port (default: %(default)s)")
    parser.add_argument("--name", type=_name, help="who you are (default: you are asked)")
    parser.add_argument(
        "--no-retry", action="store_true", help="end when there is no connection, or it is lost"
    )
    return parser.parse_args(argv)


def _port(value: str) -> int:
    if not (value.isdecimal() and 0 < int(value) < 65536):
        raise argparse.ArgumentTypeError(f"{value}: a port is a number from 1 to 65535")
    return int(value)


def _host(value: str) -> str:
    if not value:
        raise argparse.ArgumentTypeError("a host has a name or an address")
    return value


def _name(value: str) -> str:
    if not value.strip() or value.strip().startswith("/") or not value.isprintable():
        raise argparse.ArgumentTypeError(f"{value!r} is no name")
    return value


@implementer(IStreamClientEndpoint)
class Watched:
    """An endpoint that keeps in mind why it could not connect: `why`, or empty."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint
        self.why = ""

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        self.why = ""
        connecting: Deferred[Any] = self._endpoint.connect(protocolFactory)
        return connecting.addErrback(self._failed)

    def _failed(self, failure: Failure) -> Failure:
        self.why = failure.getErrorMessage()
        return failure


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """Talk until the end. Raises SystemExit with the status."""
    interactive = sys.stdin.isatty()
    retry = interactive and not options.no_retry
    where = f"{options.host}:{options.port}"

    def show(line: str) -> None:
        keyboard.transport.write(line.encode() + b"\n")

    def complain(line: str) -> None:
        if interactive:
            show(line)  # the same way as what the server says, or they change places
        else:
            print(line, file=sys.stderr, flush=True)

    client = Client(
        options.name, interactive=interactive, retry=retry, show=show, complain=complain
    )
    keyboard = Keyboard(client)
    stdio.StandardIO(keyboard, reactor=reactor)
    client.listen_to(keyboard)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: reactor.callFromThread(client.interrupt))

    growing = backoffPolicy(FIRST_PAUSE, LONGEST_PAUSE)

    def pause(attempt: int) -> float:
        seconds: float = growing(attempt)
        if not client.ended.called:
            why = f"Cannot connect to {where}: {server.why} " if server.why else ""
            complain(f"{why}Trying again in {seconds:.0f} s.")
        return seconds

    server = Watched(HostnameEndpoint(reactor, options.host, options.port))
    service = ClientService(
        server,
        Factory.forProtocol(lambda: Connection(client)),
        retryPolicy=pause if retry else lambda attempt: LONGEST_PAUSE,
        clock=reactor,
    )

    def unreachable(failure: Failure) -> None:
        if not retry:
            client.give_up(f"Cannot connect to {where}: {failure.getErrorMessage()}")

    service.startService()
    service.whenConnected(failAfterFailures=1).addErrback(unreachable)
    status = await client.ended
    await task.deferLater(reactor, 0)  # the service may be in the midst of what ended it
    await service.stopService()
    keyboard.transport.loseConnection()
    await keyboard.flushed
    raise SystemExit(status)


def main(argv: Sequence[str] | None = None) -> None:
    """The program."""
    options = arguments(argv)
    try:
        blocking = [(fd, os.get_blocking(fd)) for fd in (0, 1)]
    except OSError:
        raise SystemExit("Standard input and output must be open.") from None
    try:
        task.react(lambda reactor: Deferred.fromCoroutine(run(reactor, options)))
    finally:
        for fd, was_blocking in blocking:  # the terminal is the shell's, too
            os.set_blocking(fd, was_blocking)


if __name__ == "__main__":
    main()
