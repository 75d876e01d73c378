"""A WebSocket, cut into messages for the session of a `Connection`."""

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from chatservice.core.events import CloseReason
from chatservice.dialects.frames import JSON_FRAMES, NORMAL, close_frame, pong_frame
from chatservice.server.connection import Connection
from chatservice.server.line import MAX_LINE
from chatservice.server.output import Transport
from chatservice.server.web.frames import Frame, FrameReader, PeerClosed, Pinged, Text, Violated

NO_CODE = 1005  # what RFC 6455 calls a close without a code


class WebSocketProtocol(Protocol):
    """Serves one WebSocket, once `handshake` (the answer to the request for it) has been sent.

    `private`: see `Connection.begin`.
    """

    transport: Transport  # type: ignore[assignment]  # from connectionMade on

    __slots__ = ("_frames", "_handshake", "_line", "_private", "_read", "_received", "connection")

    def __init__(self, connection: Connection, handshake: bytes, *, private: bool | None) -> None:
        self.connection = connection
        self._handshake = handshake
        self._private = private
        self._frames = FrameReader(MAX_LINE)
        self._received = 0  # bytes, since all that had been received was served
        self._read = 0  # frames that have been read of these
        self._line = b""  # of a message, whose time has not come

    def connectionMade(self) -> None:
        self.connection.begin(self, JSON_FRAMES, private=self._private)
        self.connection.write(self._handshake)
        self._handshake = b""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connection.lost(reason)

    def dataReceived(self, data: bytes) -> None:
        self._frames.feed(data)
        self._received += len(data)
        self.connection.received()

    # For the connection.

    @property
    def begun_line(self) -> bytes:
        """None: a message has its end."""
        return b""

    def serve(self) -> bool:
        """Serve the frames that have been received, until the connection is paused. Whether there
        is more."""
        connection = self.connection
        while not connection.paused:
            if connection.obeys_no_more:
                self._received = 0
                return False
            if self._line:
                self._line = connection.serve_lines(self._line)
            elif (frame := self._frames.read()) is None:
                connection.charge(self._received, others=self._read)
                self._received = self._read = 0
                return False
            else:
                self._take(frame)
        return self._received > 0

    def _take(self, frame: Frame) -> None:
        self._read += 1
        if isinstance(frame, Text):  # JSON has no line ends but as blanks
            self._line = frame.line.replace(b"\n", b" ") + b"\n"
            return
        self.connection.charge(0, others=1)
        if isinstance(frame, Pinged):
            if not self.connection.session.cursor.stalled:
                self.connection.write(pong_frame(frame.payload))
        elif isinstance(frame, PeerClosed | Violated):
            self._end(frame)

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
