"""The operator's socket: who may use it, and how much they may take."""

import fcntl
import os
import pwd
import socket
import stat
import struct
import time
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

import chatservice
from chatservice.control.commands import Commands, Impossible, Operator
from chatservice.control.wire import MAX_LINE, VERSION, Json, decode, encode
from chatservice.core.events import Refusal
from chatservice.dialects.wording import ENGLISH

log = Logger()

MAX_CONNECTIONS = 16  # some shells, some windows, and scripts
IDLE_SECONDS = 60.0  # for the next request, or for an answer to be taken
LINGER_SECONDS = 1.0  # for the last word to be taken
MODE = 0o600
# Another server that starts in the same folder takes less than a millisecond.
LOCK_ATTEMPTS, LOCK_SECONDS = 100, 0.01
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class CannotControl(Exception):
    """There can be no socket at that place; the message is why."""


class Control:
    """Listens for an operator at the socket `path`, and has `commands` carried out. `required`: the
    server does not start without it."""

    def __init__(self, reactor: Any, path: str, commands: Commands, *, required: bool) -> None:
        self._reactor = reactor
        self.path = path
        self.required = required
        self._commands = commands
        self._factory: ControlFactory | None = None
        self._port: IListeningPort | None = None

    def open(self, doors: list[str]) -> None:
        """Listen. A socket that a server has left behind when it was killed is replaced. `doors`
        are where the server listens. Raises `CannotControl`."""
        self._commands.doors = doors
        self._factory = ControlFactory(self._reactor, self._commands)
        path = os.fsencode(self.path)
        try:
            folder = os.open(os.path.dirname(path) or b".", os.O_RDONLY | os.O_DIRECTORY)
            try:
                _lock(folder)  # of two servers that start at once, one finds the other's socket
                _remove_stale(path)
                # Twisted sets the mode before it listens: nobody can connect before.
                self._port = self._reactor.listenUNIX(path, self._factory, mode=MODE)
            finally:
                os.close(folder)
        except CannotListenError as error:
            raise CannotControl(f"{error.socketError}.") from None
        except OSError as error:
            raise CannotControl(f"{error.strerror or error}.") from None

    async def close(self) -> None:
        """Listen no longer."""
        if self._factory is not None:
            self._factory.close()
        if self._port is not None:
            port, self._port = self._port, None
            try:
                await maybeDeferred(port.stopListening)
            except OSError as error:
                log.info("The operator's socket is gone already: {why}", why=error.strerror)


class ControlFactory(ServerFactory):
    """Makes the connections of operators, and counts them."""

    noisy = False

    def __init__(self, reactor: Any, commands: Commands) -> None:
        self.reactor = reactor
        self.commands = commands
        self.connections: set[ControlProtocol] = set()
        # Those who may connect, and how the log calls them. Names are looked up once, since that
        # may take time.
        self.operators = {uid: _called(uid) for uid in (0, os.geteuid())}

    def buildProtocol(self, addr: object) -> "ControlProtocol":
        return ControlProtocol(self)

    def close(self) -> None:
        """End all connections."""
        for connection in list(self.connections):
            connection.close()


@implementer(IPushProducer)
class ControlProtocol(Protocol):
    """One connection of an operator. What is asked for is answered in its order; the next request
    is read when the answer to this one has been written, and written when there is room."""

    transport: Any

    def __init__(self, factory: ControlFactory) -> None:
        self._factory = factory
        self._operator = Operator("")
        self._unread = b""
        self._busy = False
        self._room: Deferred[None] | None = None  # fires when there is some again
        self._deadline: IDelayedCall | None = None

    def close(self) -> None:
        """End it once what was said is taken."""
        if self._is_open:
            self._factory.connections.discard(self)
            self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._set_deadline(LINGER_SECONDS)

    # From the socket.

    def connectionMade(self) -> None:
        operators, uid = self._factory.operators, _uid_of(self.transport.socket)
        if uid is not None and uid not in operators:
            log.warn("The user with the uid {uid} may not use the operator's socket.", uid=uid)
            self._end("not_allowed", "This socket is for the server's own user, and for root.")
        elif len(self._factory.connections) >= MAX_CONNECTIONS:
            self._end("too_many", f"{MAX_CONNECTIONS} operators are connected already.")
        else:
            self._operator.name = operators[os.geteuid() if uid is None else uid]
            self._factory.connections.add(self)
            self.transport.registerProducer(self, True)
            self._set_deadline(IDLE_SECONDS)
            self._send(
                {
                    "type": "hello",
                    "control": VERSION,
                    "version": chatservice.__version__,
                    "pid": os.getpid(),
                }
            )

    def dataReceived(self, data: bytes) -> None:
        if not self._is_open:
            return
        self._unread += data
        self._serve()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._set_deadline(None)
        self._factory.connections.discard(self)
        self._operator.leaves()
        self.resumeProducing()

    def pauseProducing(self) -> None:
        """There is no room for more of the answer."""
        if self._room is None:
            self._room = Deferred()

    def resumeProducing(self) -> None:
        """There is, or nobody needs it any longer."""
        if self._room is not None:
            room, self._room = self._room, None
            room.callback(None)

    def stopProducing(self) -> None:
        """The connection is gone, which `connectionLost` tells."""

    # What is asked.

    @property
    def _is_open(self) -> bool:
        return self in self._factory.connections

    def _serve(self) -> None:
        """Answer what is asked, unless that is being done."""
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._answer_all()).addErrback(self._fail)

    async def _answer_all(self) -> None:
        """One request after the other, as long as there are some; nothing is read meanwhile."""
        self.transport.pauseProducing()
        while (line := self._next_request()) is not None:
            await self._answer(line)
        self._busy = False
        if self._is_open:
            self._set_deadline(IDLE_SECONDS)
            self.transport.resumeProducing()

    def _next_request(self) -> bytes | None:
        """None: there is none, or none any longer."""
        line, end, rest = self._unread.partition(b"\n")
        if not self._is_open:
            return None
        if len(line) > MAX_LINE:
            self._end("too_long", f"A request has {MAX_LINE:,} bytes at most.")
            return None
        if not end:
            return None
        self._unread = rest
        return line

    async def _answer(self, line: bytes) -> None:
        self._set_deadline(IDLE_SECONDS)
        try:
            asked = decode(line)
            for page in await self._factory.commands.carry_out(asked, self._operator):
                await self._say({**page, "type": asked["type"]})
                if not self._is_open:
                    return
        except Refusal as refusal:
            await self._say(_complaint(refusal.code.value, ENGLISH.refusal(refusal)))
        except Impossible as error:
            await self._say(_complaint("impossible", str(error)))
        except ValueError as error:
            await self._say(_complaint("bad_request", f"This is no request: {error}."))

    def _fail(self, failure: Failure) -> None:
        log.failure("Answering an operator failed.", failure)
        self._end("failed", "The server has failed to answer. Its log says more.")

    # What is said.

    def _send(self, fields: Json) -> None:
        self.transport.write(encode(fields))

    async def _say(self, fields: Json) -> None:
        """And wait until there is room for more, and others have been served."""
        if not self._is_open:
            return
        self._set_deadline(IDLE_SECONDS)
        self._send(fields)
        if self._room is not None:
            await self._room
        else:
            await deferLater(self._factory.reactor, 0)

    def _end(self, code: str, message: str) -> None:
        self._send(_complaint(code, message))
        self.close()

    def _set_deadline(self, seconds: float | None) -> None:
        """Cut the connection after so many seconds; None: never."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
        if seconds is not None:
            self._deadline = self._factory.reactor.callLater(
                seconds, self.transport.abortConnection
            )


def _complaint(code: str, message: str) -> Json:
    return {"type": "error", "code": code, "message": message}


def _uid_of(connection: socket.socket) -> int | None:
    """Who has connected; None: the system does not say, and the socket's mode has to do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(found)[1]
    return uid


def _called(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _lock(folder: int) -> None:
    for attempt in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt == LOCK_ATTEMPTS - 1:
                raise
            time.sleep(LOCK_SECONDS)
        else:
            return


def _remove_stale(path: bytes) -> None:
    """Remove a socket on which nobody listens any longer. Raises `CannotControl`."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise CannotControl("there is a file that is no socket.")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # a server whose backlog is full lives
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass
    raise CannotControl("another server listens there.")
