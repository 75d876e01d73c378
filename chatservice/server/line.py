"""The line door: TCP, or any other stream, to sessions."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet import error
from twisted.internet.interfaces import (
    IDelayedCall,
    ISSLTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from chatservice.accounts.authenticator import Visitor
from chatservice.core.events import CloseReason
from chatservice.core.limits import TokenBucket, is_loopback
from chatservice.server import telnet
from chatservice.server.output import Sender, Transport, sender_for
from chatservice.session.session import Session

if TYPE_CHECKING:
    from chatservice.server.factory import ChatFactory

log = Logger()

# Bytes in a line. Twice the longest line that a terminal sends (4096, N_TTY_BUF_SIZE).
MAX_LINE = 8192
# Seconds for a peer to take our last word and close in its turn; then it is cut off. nc does not
# close by itself: this is how long its user waits for the shell after /exit.
CLOSE_SECONDS = 3.0


class ChatProtocol(LineReceiver):
    """A stream of bytes, cut into lines for a session; and the session's way to answer."""

    delimiter = b"\n"  # and a CR before it is dropped: nc sends LF, telnet CRLF
    MAX_LENGTH = MAX_LINE
    transport: Transport  # type: ignore[assignment]  # from connectionMade on
    factory: "ChatFactory"
    peer: object = None
    network = ""
    session: Session
    write: Callable[[bytes], None]
    _sender: Sender
    _deadline: IDelayedCall | None = None
    _bucket: TokenBucket | None = None
    _is_in = False  # they have said who they are
    _reading_paused = False
    _waiting = False  # for an answer that is being looked up
    _owing: IDelayedCall | None = None  # until more lines may be served

    def connectionMade(self) -> None:
        self._guard(self._begin)

    def _begin(self) -> None:
        factory, limits = self.factory, self.factory.limits
        self.session = Session(
            factory.services,
            self,
            visitor=Visitor(self.network, private=self._is_private()),
            peer=self.peer,
            note=partial(factory.peer_log.about, self.network),
        )
        factory.connections.add(self)
        self._deadline = factory.clock.callLater(
            limits.login_timeout, self._guard, self._end_if_nameless
        )
        if limits.rate:
            self._bucket = TokenBucket(limits.rate, limits.burst, factory.clock.seconds())
        self._sender = sender_for(self.transport, self.session.cursor, limits.ping)
        self.write = self._sender.write
        self.session.begin()

    def _is_private(self) -> bool:
        """Whether nobody can listen: it is encrypted, or goes through this machine alone."""
        return (
            ISSLTransport.providedBy(self.transport)
            or not self.network
            or is_loopback(self.network)
        )

    def dataReceived(self, data: bytes) -> None:
        """All the lines of one read are served together: `LineReceiver` would copy the rest of
        the read once for each of them."""
        if self.session.closing:
            return
        self._buffer += data
        if self.paused or self._busyReceiving:
            return
        self._busyReceiving = True
        self._guard(self._serve)
        self._busyReceiving = False

    def lineLengthExceeded(self, line: bytes) -> None:
        self._buffer = b""
        self.session.refuse_long_line(self.MAX_LENGTH)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        try:
            self._end_deadline()
            if self._owing is not None and self._owing.active():
                self._owing.cancel()
            self.session.lost(
                reason.getErrorMessage(), clean=reason.check(error.ConnectionDone) is not None
            )
        except Exception:
            log.failure("Serving {peer} failed when it had gone.", peer=self.peer)
        finally:
            self.factory.forget(self)

    def shut_down(self) -> None:
        """The server ends."""
        self._guard(partial(self.session.close, CloseReason.SHUTDOWN))

    # The session's door.

    def finish(self) -> None:
        self._sender.close()
        if self._deadline is not None and self._deadline.active():
            left = self._deadline.getTime() - self.factory.clock.seconds()
            self._deadline.reset(min(left, self.factory.linger_seconds))
        if self.paused:
            self.resumeProducing()  # what still comes is not obeyed, but the end must be noticed

    def pause_reading(self, paused: bool) -> None:
        self._reading_paused = paused
        self._hold()

    def wait(self, waiting: bool) -> None:
        self._waiting = waiting
        self._hold()

    def fail(self) -> None:
        log.failure("Serving {peer} failed; the connection is cut.", peer=self.peer)
        self.cut()

    def cut(self) -> None:
        self.transport.abortConnection()

    def let_in(self) -> None:
        self._is_in = True
        self._end_deadline()

    def expect_close(self) -> None:
        self._end_deadline()
        seconds = self.factory.close_seconds if self._is_in else CLOSE_SECONDS
        self._deadline = self.factory.clock.callLater(seconds, self.transport.abortConnection)

    def _guard(self, serve: Callable[[], None]) -> None:
        """What goes wrong in serving this connection costs it, and no other."""
        try:
            serve()
        except Exception:
            self.fail()

    def _end_if_nameless(self) -> None:
        """It is late. Who has not even taken the question, as within a handshake that never ends,
        need not be told."""
        if self.session.cursor.stalled:
            self.transport.abortConnection()
        else:
            self.session.close(CloseReason.LATE)

    def _end_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()

    def _serve(self) -> None:
        if telnet.IAC in self._buffer:
            self._buffer, reply = telnet.refuse_options(self._buffer)
            if reply and not self.session.cursor.stalled:  # who does not read needs no answer
                self.write(reply)
        while not self.paused and (end := self._buffer.rfind(self.delimiter) + 1):
            if end > self.MAX_LENGTH and not (end := self._end_before_long_line(end)):
                break
            if self._bucket is not None:
                end = self._allowed(self._bucket, end)
            lines, self._buffer = self._buffer[:end], self._buffer[end:]
            waiting = self.session.receive(lines) if lines else b""
            self._buffer = waiting + self._buffer
            if waiting and self._bucket is not None:
                self._bucket.give_back(waiting.count(self.delimiter))
            if self._owing is not None:
                self._hold()
        if len(self._buffer) > self.MAX_LENGTH and not self.paused:
            self.lineLengthExceeded(self._buffer)

    def _allowed(self, bucket: TokenBucket, end: int) -> int:
        """Where the lines end, of those before `end`, that may be served now. The others are owed:
        their time will come."""
        wanted = self._buffer.count(self.delimiter, 0, end)
        allowed = bucket.take(wanted, self.factory.clock.seconds())
        if allowed == wanted:
            return end
        self._owing = self.factory.clock.callLater(bucket.wait(), self._guard, self._go_on)
        end = 0
        for _ in range(allowed):
            end = self._buffer.index(self.delimiter, end) + 1
        return end

    def _go_on(self) -> None:
        self._owing = None
        self._hold()

    def _hold(self) -> None:
        """Read on, or not."""
        paused = self._reading_paused or self._waiting or self._owing is not None
        if paused and not self.paused:
            self.pauseProducing()
        elif self.paused and not paused:
            self.resumeProducing()

    def _end_before_long_line(self, end: int) -> int:
        """Where the lines in the buffer that may be served end, and at `end` at the latest."""
        complete = 0
        for line in self._buffer[:end].split(self.delimiter)[:-1]:
            if len(line) > self.MAX_LENGTH:
                break
            complete += len(line) + 1
        return complete
