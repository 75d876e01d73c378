"""The operator's socket: who may use it, and how much they may take."""

import fcntl
import os
import socket
import stat
import struct
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

import chatservice
from chatservice.control.commands import Commands
from chatservice.control.wire import MAX_LINE, MAX_PATH, VERSION, decode, encode
from chatservice.core.events import Refusal
from chatservice.dialects.wording import ENGLISH

log = Logger()

MAX_CONNECTIONS = 16  # some shells, and scripts
# Seconds for the next request, or for an answer to be taken.
IDLE_SECONDS = 60.0
LINGER_SECONDS = 1.0  # for the last word to be taken
MODE = 0o600
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class CannotControl(Exception):
    """There can be no socket at that place; the message is why."""


class Control:
    """Listens for an operator at the socket `path`, and has `commands` carried out."""

    def __init__(self, reactor: Any, path: str, commands: Commands) -> None:
        self._reactor = reactor
        self.path = path
        self.commands = commands
        self._factory = ControlFactory(reactor, commands)
        self._port: IListeningPort | None = None

    def open(self) -> None:
        """Listen. A socket that a server has left behind when it was killed is replaced. Raises
        `CannotControl`: the path is too long, or a server listens there, or the system's reason."""
        path = os.fsencode(self.path)
        if len(path) > MAX_PATH:
            raise CannotControl(f"longer than {MAX_PATH} bytes.")
        try:
            folder = os.open(os.path.dirname(path) or b".", os.O_RDONLY | os.O_DIRECTORY)
            try:
                # Of two servers that start at once, one finds the other's socket.
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove_stale(path)
                # Twisted sets the mode between bind and listen: nobody can connect before.
                self._port = self._reactor.listenUNIX(path, self._factory, mode=MODE)
            finally:
                os.close(folder)
        except BlockingIOError:
            raise CannotControl("another server starts in that folder.") from None
        except OSError as error:
            raise CannotControl(f"{error.strerror}.") from None
        except Exception as error:
            raise CannotControl(f"{error}.") from None

    async def close(self) -> None:
        """Listen no longer."""
        self._factory.close()
        if self._port is not None:
            port, self._port = self._port, None
            await maybeDeferred(port.stopListening)


class ControlFactory(ServerFactory):
    """Makes the connections of operators, and counts them."""

    noisy = False

    def __init__(self, reactor: Any, commands: Commands) -> None:
        self.reactor = reactor
        self.commands = commands
        self.connections: set[ControlProtocol] = set()

    def buildProtocol(self, addr: object) -> "ControlProtocol":
        return ControlProtocol(self)

    def close(self) -> None:
        """End all connections."""
        for connection in list(self.connections):
            connection.transport.loseConnection()


class ControlProtocol(Protocol):
    """One connection of an operator. What is asked for is answered in its order."""

    transport: Any

    def __init__(self, factory: ControlFactory) -> None:
        self._factory = factory
        self._unread = b""
        self._busy = False
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        uid = _uid_of(self.transport.socket)
        if uid not in (None, 0, os.geteuid()):
            log.warn("The user {uid} may not use the operator's socket.", uid=uid)
            self._end("not_allowed", "This socket is for the server's own user, and for root.")
        elif len(self._factory.connections) >= MAX_CONNECTIONS:
            self._end("too_many", f"There are {MAX_CONNECTIONS} operators already.")
        else:
            self._factory.connections.add(self)
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
        if self not in self._factory.connections:
            return
        self._unread += data
        if len(self._unread) > MAX_LINE:
            self._end("too_long", f"A line has {MAX_LINE} bytes at most.")
        else:
            self._serve()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._set_deadline(None)
        self._factory.connections.discard(self)

    def _serve(self) -> None:
        """Answer the next request, unless one is being answered."""
        if self._busy or b"\n" not in self._unread:
            return
        line, _, self._unread = self._unread.partition(b"\n")
        self._busy = True
        Deferred.fromCoroutine(self._answer(line)).addErrback(self._fail)

    def _fail(self, failure: Failure) -> None:
        log.failure("Answering an operator failed.", failure)
        self._abort()

    async def _answer(self, line: bytes) -> None:
        self._set_deadline(IDLE_SECONDS)
        try:
            asked = decode(line)
            pages = await self._factory.commands.carry_out(asked)
            for page in pages:
                if self not in self._factory.connections:
                    return
                self._send({"type": asked["type"], **page})
                # Others are served, and what was written can be taken.
                await deferLater(self._factory.reactor, 0)
        except Refusal as refusal:
            self._complain(refusal.code.value, ENGLISH.refusal(refusal))
        except ValueError as error:
            self._complain("bad_json", f"Not a JSON object: {error}.")
        self._busy = False
        if self in self._factory.connections:
            self._set_deadline(IDLE_SECONDS)
            self._serve()

    def _send(self, fields: dict[str, Any]) -> None:
        self.transport.write(encode(fields))

    def _complain(self, code: str, message: str) -> None:
        self._send({"type": "error", "code": code, "message": message})

    def _end(self, code: str, message: str) -> None:
        self._factory.connections.discard(self)
        self._complain(code, message)
        self.transport.loseConnection()
        self._set_deadline(LINGER_SECONDS)

    def _set_deadline(self, seconds: float | None) -> None:
        """Cut the connection after so many seconds; None: never."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
        if seconds is not None:
            self._deadline = self._factory.reactor.callLater(seconds, self._abort)

    def _abort(self) -> None:
        self.transport.abortConnection()


def _uid_of(connection: socket.socket) -> int | None:
    """Who has connected; None: the system does not say, and the socket's mode has to do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(found)[1]
    return uid


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
