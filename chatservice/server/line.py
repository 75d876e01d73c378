"""The line door: TCP, or any other stream, cut into lines."""

from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from chatservice.server import telnet
from chatservice.server.connection import Connection
from chatservice.server.output import Transport

# Bytes in a line. Twice the longest line that a terminal sends (4096, N_TTY_BUF_SIZE).
MAX_LINE = 8192


class ChatProtocol(LineReceiver):
    """A stream of bytes, cut into lines for the session of a `Connection`."""

    speaks_telnet = True
    delimiter = b"\n"  # and a CR before it is dropped: nc sends LF, telnet CRLF
    MAX_LENGTH = MAX_LINE
    transport: Transport  # type: ignore[assignment]  # from connectionMade on

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def connectionMade(self) -> None:
        self.connection.begin(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connection.lost(reason)

    def dataReceived(self, data: bytes) -> None:
        """All the lines of one read are served together: `LineReceiver` would copy the rest of
        the read once for each of them."""
        if self.connection.session.closing:
            return
        self._buffer += data
        if self._busyReceiving or self.connection.paused:
            return
        self._busyReceiving = True
        self.connection.guard(self.serve)
        self._busyReceiving = False

    def lineLengthExceeded(self, line: bytes) -> None:
        self._buffer = b""
        self.connection.session.refuse_long_line(self.MAX_LENGTH)

    def serve(self) -> None:
        """Serve all complete lines that may be served now."""
        connection, session = self.connection, self.connection.session
        if self.speaks_telnet and telnet.IAC in self._buffer:
            self._buffer, reply = telnet.refuse_options(self._buffer)
            if reply and not session.cursor.full:  # a peer that does not read needs no answer
                connection.write(reply)
        while not connection.paused and (end := self._buffer.rfind(self.delimiter) + 1):
            if end > self.MAX_LENGTH and not (end := self._end_before_long_line(end)):
                break
            end = self._allowed(end)
            lines, self._buffer = self._buffer[:end], self._buffer[end:]
            waiting = session.receive(lines) if lines else b""
            if waiting:
                self._buffer = waiting + self._buffer
                connection.return_unserved(waiting.count(self.delimiter))
            connection.hold_if_throttled()
        if len(self._buffer) > self.MAX_LENGTH and not connection.paused:
            self.lineLengthExceeded(self._buffer)

    def _allowed(self, end: int) -> int:
        """Where the lines end, of those before `end`, that may be served now."""
        if not self.connection.is_limited:
            return end
        wanted = self._buffer.count(self.delimiter, 0, end)
        allowed = self.connection.allow(wanted)
        if allowed == wanted:
            return end
        end = 0
        for _ in range(allowed):
            end = self._buffer.index(self.delimiter, end) + 1
        return end

    def _end_before_long_line(self, end: int) -> int:
        """Where the lines in the buffer that may be served end, and at `end` at the latest."""
        complete = 0
        for line in self._buffer[:end].split(self.delimiter)[:-1]:
            if len(line) > self.MAX_LENGTH:
                break
            complete += len(line) + 1
        return complete
