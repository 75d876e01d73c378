"""How a door sends: straight to the socket where it can, through the transport everywhere else."""

from typing import Protocol

from twisted.internet import tcp
from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from chatservice.cursor import Cursor


class Transport(Protocol):
    """What a stream transport of Twisted's offers, be it TCP, TLS or UNIX."""

    def write(self, data: bytes, /) -> None: ...

    def registerProducer(self, producer: object, streaming: bool, /) -> None: ...

    def unregisterProducer(self) -> None: ...

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None: ...


class Sender(Protocol):
    """Takes all that it is given, and stalls the cursor while the connection takes no more."""

    def write(self, data: bytes, /) -> None: ...

    def close(self) -> None:
        """Close once everything has been sent."""


def sender_for(transport: Transport, cursor: Cursor) -> Sender:
    """The fastest way that keeps the order: plain sockets can be written to directly."""
    if isinstance(transport, tcp.Server) and not transport.TLS:
        return SocketSender(transport, cursor)
    return TransportSender(transport, cursor)


# Bytes in one read of a socket. What one read brings becomes one batch: with 16 KiB, a burst of 256
# messages of 64 bytes made two, the second of 8, and half the deliveries for the same CPU. With
# Twisted's 64 KiB there was no more gain, and one that floods has a longer turn.
READ_SIZE = 32 * 1024


@implementer(IPullProducer)
class SocketSender:
    """Writes straight to the socket while the transport holds nothing.

    `transport.write` waits for the reactor's next turn, and costs two calls of ``epoll_ctl``.
    Only what the socket did not take is given to the transport; from then on until that has been
    sent, the transport is asked to say so (as to a pull producer), and the cursor stands still.
    """

    __slots__ = ("_cursor", "_holding", "_send", "_transport")

    def __init__(self, transport: tcp.Server, cursor: Cursor) -> None:
        transport.bufferSize = READ_SIZE
        self._transport = transport
        self._send = transport.socket.send
        self._cursor = cursor
        self._holding = False

    def write(self, data: bytes) -> None:
        if not self._holding:
            try:
                sent = self._send(data)
            except OSError:  # it would block; or is broken, and then the transport will find out
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        self._transport.write(data)
        if not self._holding:
            self._cursor.stall()
            self._transport.registerProducer(self, False)
            self._holding = True

    def resumeProducing(self) -> None:
        if self._holding:  # registering calls this at once
            self._release()
            self._cursor.resume()

    def stopProducing(self) -> None:
        """The connection is lost: the protocol is told so."""

    def close(self) -> None:
        """Only our half: a peer that is still sending would otherwise be answered with a reset,
        and a reset can overtake our last words."""
        self._release()
        self._transport.loseWriteConnection()

    def _release(self) -> None:
        if self._holding:
            self._holding = False
            self._transport.unregisterProducer()


@implementer(IPushProducer)
class TransportSender:
    """Writes to the transport, which says when it holds too much and when it has sent it."""

    __slots__ = ("_cursor", "_transport")

    def __init__(self, transport: Transport, cursor: Cursor) -> None:
        self._transport = transport
        self._cursor = cursor
        transport.registerProducer(self, True)

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def pauseProducing(self) -> None:
        self._cursor.stall()

    def resumeProducing(self) -> None:
        self._cursor.resume()

    def stopProducing(self) -> None:
        """The connection is lost: the protocol is told so."""

    def close(self) -> None:
        self._transport.unregisterProducer()
        self._transport.loseConnection()
