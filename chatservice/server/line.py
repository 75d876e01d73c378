"""The line door: TCP, or any other stream, cut into lines."""

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatservice.server import foreign, telnet
from chatservice.server.connection import Connection
from chatservice.server.output import Transport

# Bytes in a line, without its end. Twice the longest line that a terminal sends (4096,
# N_TTY_BUF_SIZE).
MAX_LINE = 8192
# Bytes that telnet's sequences are looked for in at a time. 1,000 of them, which that may be, take
# some 0.5 ms.
FILTERED = 2048


@implementer(IHalfCloseableProtocol)
class ChatProtocol(LineReceiver):
    """A stream of bytes, cut into lines for the session of a `Connection`.

    All complete lines of one read are served together: `LineReceiver` would copy the rest of the
    read once for each of them. No byte is looked at twice, however the stream was cut.
    """

    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE
    transport: Transport  # type: ignore[assignment]  # from connectionMade on

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._unread = b""  # received, and not cut into lines so far
        self._lines = b""  # complete lines that have not been served so far
        self._partial: bytearray | None = None  # the beginning of a line
        self._ended_by_cr = False  # the last line was: a LF or NUL that follows belongs to its end
        self._is_too_long = False  # the line after `_lines` is: there is no telling where it ends
        self._is_ended = False  # the last line needs no end
        self._opening: bytes | None = b""  # the first line, until it is known what it is
        self._telnet: telnet.OptionFilter | None = None

    def connectionMade(self) -> None:
        self.connection.begin(self)

    def readConnectionLost(self) -> None:
        """The peer has stopped sending (``nc -N``), and may still hear."""
        self._is_ended = True
        self.connection.end_of_input()

    def writeConnectionLost(self) -> None:
        """We have."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._is_ended = self._is_ended or reason.check(ConnectionDone) is not None
        self.connection.lost(reason)

    def dataReceived(self, data: bytes) -> None:
        self._unread += data
        self.connection.received()

    def lineLengthExceeded(self, line: bytes) -> None:
        self.connection.session.refuse_long_line(self.MAX_LENGTH)

    @property
    def begun_line(self) -> bytes:
        """A line that has no end so far."""
        return bytes(self._partial or self._opening or b"")

    def serve(self) -> bool:
        """Serve what has been received, until the connection is paused. Whether there is more."""
        connection = self.connection
        while True:
            if connection.obeys_no_more:
                self._unread = self._lines = b""
                self._partial = self._opening = None
                self._is_too_long = False
                return False
            if self._unread and not (self._lines or self._is_too_long):
                self._cut()
            if self._lines:
                self._lines = connection.serve_lines(self._lines)
            elif self._is_too_long:
                self.lineLengthExceeded(b"")
            elif self._is_ended and self.begun_line:
                self._lines = self.begun_line + b"\n"
                self._partial = self._opening = None
            if not self._has_more:
                return False
            if connection.paused:
                return True

    @property
    def _has_more(self) -> bool:
        return bool(
            self._lines or self._unread or self._is_too_long or (self._is_ended and self.begun_line)
        )

    def _cut(self) -> None:
        """Cut what has been received into lines."""
        data, self._unread = self._unread, b""
        size, options = len(data), 0
        if telnet.IAC in data or self._telnet is not None:
            data, self._unread = data[:FILTERED], data[FILTERED:]
            size = len(data)
            data, options = self._without_options(data)
        if self._opening is not None:
            data = self._examined(self._opening + data)
        if self._ended_by_cr or b"\r" in data:
            data = self._with_plain_ends(data)
        end = data.rfind(b"\n") + 1
        lines, rest = data[:end], data[end:]
        if lines and self._partial is not None:
            lines = bytes(self._partial) + lines
            self._partial = None
        if rest:
            if self._partial is None:
                self._partial = bytearray()
            self._partial += rest
            self._is_too_long = len(self._partial) > self.MAX_LENGTH
            self.connection.await_line_end()
        if len(lines) > self.MAX_LENGTH:
            lines = self._before_long_line(lines.replace(b"\r\n", b"\n"))
        self._lines = lines
        self.connection.charge(size, lines, options)

    def _examined(self, received: bytes) -> bytes:
        """What a peer has sent from the beginning; but nothing as long as it is not known what that
        is, or if it is another protocol's."""
        opening = foreign.examine(received, self.MAX_LENGTH)
        if opening is None:
            self._opening = received
            if received:
                self.connection.await_line_end()
            return b""
        self._opening = None
        if opening.protocol:
            self.connection.turn_away(opening.protocol, opening.answer)
            return b""
        return opening.text

    def _without_options(self, data: bytes) -> tuple[bytes, int]:
        """`data` without telnet's options, which are refused; and how many there were."""
        if self._telnet is None:
            self._telnet = telnet.OptionFilter()
        text, reply, options = self._telnet.feed(data)
        if self._telnet.is_idle:
            self._telnet = None
        if reply and not self.connection.session.cursor.stalled:  # or nobody reads the answer
            self.connection.write(reply)
        return text, options

    def _with_plain_ends(self, data: bytes) -> bytes:
        """`data` with LF or CR LF, which a session knows, for each end that a line can have.

        The others are CR NUL (telnet's), and CR, as the Enter key of a terminal in raw mode
        sends it: as the last byte so far, or where there is no LF. Among lines that end with LF, CR
        is a character like any other.
        """
        if self._ended_by_cr and data.startswith((b"\n", b"\0")):
            data = data[1:]
        self._ended_by_cr = data.endswith(b"\r")
        if b"\n" not in data:
            return data.replace(b"\r\0", b"\n").replace(b"\r", b"\n")
        if self._ended_by_cr:
            data = data[:-1] + b"\n"
        return data.replace(b"\r\0", b"\n") if b"\0" in data else data

    def _before_long_line(self, lines: bytes) -> bytes:
        """The lines before the first one that is too long, if one is."""
        start = 0
        while start < len(lines):
            end = lines.rfind(b"\n", start, start + self.MAX_LENGTH + 1)
            if end < 0:
                self._is_too_long = True
                break
            start = end + 1
        return lines[:start]
