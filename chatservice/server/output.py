"""How a door sends: straight to the socket where it can, through the transport everywhere else."""

import errno
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from typing import Any, Protocol, TypeGuard

from twisted.internet import tcp
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import implementer

from chatservice.core.cursor import Cursor
from chatservice.tcp import keep_alive


class Transport(Protocol):
    """What a stream transport of Twisted's offers, be it TCP, TLS or UNIX."""

    def write(self, data: bytes, /) -> None: ...

    def registerProducer(self, producer: object, streaming: bool, /) -> None: ...

    def unregisterProducer(self) -> None: ...

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None: ...


class Sender(Protocol):
    """Takes all that it is given, and stalls the cursor while the connection takes no more.

    `failure`: why nothing can be sent any more, if that has shown. The connection has yet to be
    lost then: what the peer had sent before can still be read.
    """

    @property
    def failure(self) -> OSError | None: ...

    @property
    def unacknowledged(self) -> int | None:
        """Bytes that the peer's system has not acknowledged; None: nobody can tell."""

    def write(self, data: bytes, /) -> None: ...

    def close(self, *, both_halves: bool) -> None:
        """Close once everything has been sent: the peer's half, too, or at first only ours."""


class Answerer(Protocol):
    """Whoever sends: a `Connection`."""

    def stop_answering(self) -> None:
        """Nothing can be sent any more."""


def sender_for(transport: Transport, cursor: Cursor, ping: float, answerer: Answerer) -> Sender:
    """The fastest way that keeps the order: plain sockets can be written to directly, also by
    what wraps them, such as TLS. `ping`: see `limits.Limits`; `answerer` is told when it shows that
    nothing can be sent any more."""
    if _is_plain_socket(transport):
        _prepare(transport, ping)
        return SocketSender(transport, cursor, answerer)
    beneath = None
    if isinstance(transport, ProtocolWrapper) and _is_plain_socket(transport.transport):
        _prepare(transport.transport, ping)
        beneath = SocketBeneath(transport.transport, answerer)
        transport.transport = beneath  # type: ignore[assignment]
    return TransportSender(transport, cursor, beneath)


def _is_plain_socket(transport: object) -> TypeGuard[tcp.Server]:
    return isinstance(transport, tcp.Server) and not transport.TLS


_INT = struct.Struct("i")

# Bytes that the kernel holds for a connection that takes nothing (it doubles what it is told). By
# itself it goes up to 4 MB (net.ipv4.tcp_wmem), for each of those.
SEND_BUFFER = 128 * 1024


def _prepare(transport: tcp.Server, ping: float) -> None:
    """Bound what the kernel holds for a peer, and have it notice that the peer has vanished."""
    connection = transport.socket
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        # Or a line waits until the one before it is acknowledged: the 99th percentile at 460
        # messages a second is 0.7 ms with it and 19.6 ms for servers without it.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(connection, ping)


# Bytes in one read of a socket. What one read brings becomes one batch: with 16 KiB, a burst of 256
# messages of 64 bytes made two, the second of 8, and half the deliveries for the same CPU. With
# Twisted's 64 KiB there was no more gain, and one that floods has a longer turn.
READ_SIZE = 32 * 1024


@implementer(IPullProducer)
class _WhenSent:
    """Calls `then` when a transport has sent all that it holds."""

    __slots__ = ("_then",)

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def resumeProducing(self) -> None:
        self._then()

    def stopProducing(self) -> None:
        """The connection is lost: the protocol is told so."""


# What a socket says that takes no more for now.
FULL = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)


class StraightWriter:
    """Writes straight to the socket while the transport holds nothing.

    `transport.write` waits for the reactor's next turn, and costs two calls of ``epoll_ctl``.
    Only what the socket did not take is given to the transport; from then on until that has been
    sent, the transport is asked to say so (as to a pull producer), and the source is stalled.

    A socket tells once that its connection is broken, to whoever sends or receives next; after that
    the reactor would read what looks like an orderly end. So a failure to send is kept, and the
    `answerer` is told; from then on everything is taken, and thrown away.
    """

    __slots__ = ("_answerer", "_held", "_send", "_transport", "failure")

    def __init__(self, transport: tcp.Server, answerer: Answerer) -> None:
        transport.bufferSize = READ_SIZE
        self.failure: OSError | None = None
        self._transport = transport
        self._send: Callable[[bytes], int] = transport.socket.send
        self._answerer = answerer
        self._held = 0  # bytes that the transport was given, while it has not sent all of them

    @property
    def unacknowledged(self) -> int | None:
        """See `Sender`."""
        ours = getattr(self._transport, "socket", None)  # until it is closed
        if ours is None:
            return None
        try:
            queue = fcntl.ioctl(ours.fileno(), termios.TIOCOUTQ, bytes(_INT.size))
        except (OSError, ValueError):
            return None
        return int(_INT.unpack(queue)[0]) + self._held

    def stall(self) -> None:
        """The connection takes no more for now."""
        raise NotImplementedError

    def resume(self) -> None:
        """The connection has drained."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        if not self._held:
            try:
                sent = self._send(data)
            except OSError as error:
                if error.errno not in FULL:
                    if error.errno != errno.EBADF:  # or the transport has closed it already
                        self.failure = error
                    self._send = len
                    self._answerer.stop_answering()
                    return
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        self._transport.write(data)
        if not self._held:
            self.stall()
            self._transport.registerProducer(_WhenSent(self._sent), False)
        self._held += len(data)

    def _sent(self) -> None:
        if self._held:  # registering calls this at once
            self._release()
            self.resume()

    def _release(self) -> None:
        if self._held:
            self._held = 0
            self._transport.unregisterProducer()


class SocketSender(StraightWriter):
    """The sender of a connection that is a plain socket."""

    __slots__ = ("_cursor",)

    def __init__(self, transport: tcp.Server, cursor: Cursor, answerer: Answerer) -> None:
        super().__init__(transport, answerer)
        self._cursor = cursor

    def stall(self) -> None:
        self._cursor.stall()

    def resume(self) -> None:
        self._cursor.resume()

    def close(self, *, both_halves: bool) -> None:
        """A peer that is still sending when both halves are closed is answered with a reset, and a
        reset can overtake our last words."""
        self._release()
        if both_halves:
            self._transport.loseConnection()
        else:
            self._transport.loseWriteConnection()


class SocketBeneath(StraightWriter):
    """A plain socket's transport as TLS, or any other wrapper, has it beneath itself.

    All that TLS sends, handshake and all, goes through `write`, so that records keep their order.
    It registers a push producer here, and merges what that is told with pauses of its own.
    """

    __slots__ = ("_producer",)

    def __init__(self, transport: tcp.Server, answerer: Answerer) -> None:
        super().__init__(transport, answerer)
        self._producer: IPushProducer | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def stall(self) -> None:
        if self._producer is not None:
            self._producer.pauseProducing()

    def resume(self) -> None:
        if self._producer is not None:
            self._producer.resumeProducing()


@implementer(IPushProducer)
class TransportSender:
    """Writes to the transport, which says when it holds too much and when it has sent it."""

    __slots__ = ("_beneath", "_cursor", "_transport")

    def __init__(
        self, transport: Transport, cursor: Cursor, beneath: StraightWriter | None
    ) -> None:
        self._transport = transport
        self._cursor = cursor
        self._beneath = beneath
        transport.registerProducer(self, True)

    @property
    def failure(self) -> OSError | None:
        return None if self._beneath is None else self._beneath.failure

    @property
    def unacknowledged(self) -> int | None:
        """Of what is sent beneath, which is longer."""
        return None if self._beneath is None else self._beneath.unacknowledged

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def pauseProducing(self) -> None:
        self._cursor.stall()

    def resumeProducing(self) -> None:
        self._cursor.resume()

    def stopProducing(self) -> None:
        """The connection is lost: the protocol is told so."""

    def close(self, *, both_halves: bool) -> None:
        """Both, in any case: TLS has no other end."""
        self._transport.unregisterProducer()
        self._transport.loseConnection()
