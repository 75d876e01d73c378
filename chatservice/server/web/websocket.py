"""A WebSocket, cut into messages for the session of a `Connection`."""

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from chatservice.core.events import CloseReason
from chatservice.dialects.frames import JSON_FRAMES, NORMAL, close_frame, pong_frame
from chatservice.server.connection import Connection
from chatservice.server.line import MAX_LINE
from chatservice.server.output import Transport
from chatservice.server.web.frames import Frame, FrameReader, PeerClosed, Pinged, Text, Violated

# Frames of one connection in a turn of the reactor. 32 KiB of empty ones, pings or fragments are
# 5,461, which hold up everybody for 50 ms; this many for less than 1, and 20 connections for 15.
FRAMES_IN_A_TURN = 50
NO_CODE = 1005  # what RFC 6455 calls a close without a code


class WebSocketProtocol(Protocol):
    """Serves one WebSocket, once `handshake` (the answer to the request for it) has been sent.

    `private`: see `Connection.begin`.
    """

    transport: Transport  # type: ignore[assignment]  # from connectionMade on

    def __init__(self, connection: Connection, handshake: bytes, *, private: bool | None) -> None:
        self.connection = connection
        self._handshake = handshake
        self._private = private
        self._frames = FrameReader(MAX_LINE)
        self._unserved: Frame | None = None  # it has been read, but its time has not come
        self._lines = b""  # that have been charged, but wait
        self._turn: IDelayedCall | None = None
        self._held = self._transport_paused = self._serving = False

    def connectionMade(self) -> None:
        self.connection.begin(self, JSON_FRAMES, private=self._private)
        self.connection.write(self._handshake)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self.connection.lost(reason)

    def dataReceived(self, data: bytes) -> None:
        if self.connection.session.closing:
            return
        self._frames.feed(data)
        if not self._held and self._turn is None:
            self._serve_guarded()

    # For the connection.

    def pauseProducing(self) -> None:
        self._held = True
        self._pause_transport()

    def resumeProducing(self) -> None:
        self._held = False
        if self._turn is None:
            self._turn = self.connection.factory.clock.callLater(0, self._begin_turn)

    def serve(self) -> None:
        """Serve the messages that may be served now, and as many as a turn allows."""
        lines, self._lines = self._lines, b""
        last: PeerClosed | Violated | None = None
        for _ in range(FRAMES_IN_A_TURN):
            frame, self._unserved = self._unserved or self._frames.read(), None
            if frame is None:
                break
            if not self.connection.allow(1):
                self._unserved = frame
                self.connection.hold_if_throttled()
                break
            if isinstance(frame, Text):  # JSON has no line ends but as blanks
                lines += frame.line.replace(b"\n", b" ") + b"\n"
            elif isinstance(frame, Pinged):
                if not self.connection.session.cursor.stalled:
                    self.connection.write(pong_frame(frame.payload))
            elif isinstance(frame, PeerClosed | Violated):
                last = frame
                break
        else:
            self.pauseProducing()
            self.resumeProducing()
        if lines:
            self._lines = self.connection.session.receive(lines)
        if last is not None:
            self._end(last)

    def _serve_guarded(self) -> None:
        if not self._serving:
            self._serving = True
            self.connection.guard(self.serve)
            self._serving = False

    def _begin_turn(self) -> None:
        self._turn = None
        if not self.connection.session.closing:
            self._serve_guarded()
        if self._transport_paused and not self._held and self._turn is None:
            self._transport_paused = False
            self.transport.resumeProducing()

    def _pause_transport(self) -> None:
        if not self._transport_paused:
            self._transport_paused = True
            self.transport.pauseProducing()

    def _end(self, last: PeerClosed | Violated) -> None:
        connection = self.connection
        if isinstance(last, Violated):
            connection.write(close_frame(last.code))
            connection.session.close(CloseReason.MALFORMED)
        elif connection.session.cursor.stalled:
            connection.cut()
        else:
            connection.write(close_frame(NORMAL if last.code == NO_CODE else last.code))
            self.transport.loseConnection()
