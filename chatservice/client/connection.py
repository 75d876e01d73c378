"""One connection to a server: lines in both directions, a deadline, and why it ended."""

from collections.abc import Callable
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import INegotiated, ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from chatservice.core.limits import is_loopback, network_of
from chatservice.dialects.wording import ClientWords
from chatservice.tcp import keep_alive

# Bytes in a line. The longest one is a list of everyone who is online: 10,000 names take 1.3 MB.
MAX_LINE = 4 * 1024 * 1024
PING_SECONDS = 60.0  # until it is noticed that the server has vanished
# How TLS complains of plain text: an alert, version 3.x. No chat begins like that.
_TLS_ALERT = b"\x15\x03"


class Connection(Protocol):
    """The line to the server. `made` is called with it when it is there, `heard` with each line.

    over: fires when it is gone, with the exception that says why.
    reason: why we hung up, or what the server said about that; empty if there is nothing to tell.
    has_spoken: the server has said something. speaks_tls: that was TLS, and it should not have
        been. admitted: it has let us in.
    """

    transport: Any

    def __init__(
        self,
        reactor: Any,
        made: "Callable[[Connection], None]",
        heard: Callable[[bytes], None],
        words: ClientWords,
    ) -> None:
        self.over: Deferred[Any] = Deferred()
        self.reason = ""
        self.has_spoken = False
        self.speaks_tls = False
        self.admitted = False
        self._reactor = reactor
        self._made = made
        self._heard = heard
        self._words = words
        self._begun = bytearray()  # a line whose end has not come
        self._deadline: Any = None
        self._paused = False
        self._hung_up = False

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            beneath: Any = getattr(self.transport, "transport", self.transport)  # of TLS
            keep_alive(beneath.getHandle(), PING_SECONDS)
        self._made(self)

    def dataReceived(self, data: bytes) -> None:
        """Takes time and memory in proportion to `data`, however it is cut into pieces."""
        if not self.has_spoken and data.startswith(_TLS_ALERT):
            self.speaks_tls = True
        self.has_spoken = True
        first, *more = data.split(b"\n")
        self._begun += first
        if more:
            lines = [bytes(self._begun), *more[:-1]]
            self._begun = bytearray(more[-1])
            for line in lines:
                if self._hung_up:
                    return
                self._heard(line)
        if len(self._begun) > MAX_LINE:
            self.hang_up(self._words.long_line.format(limit=MAX_LINE))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.meet()
        self.over.callback(reason.value)

    def send(self, line: bytes) -> None:
        self.transport.write(line)

    def hang_up(self, reason: str = "") -> None:
        """End it at once. The first reason is the one that counts."""
        if not self._hung_up:
            self._hung_up = True
            self.reason = reason or self.reason
            self.transport.abortConnection()

    def expect(self, seconds: float, late: Callable[[], None]) -> None:
        """Call `late` unless `meet` is called within so many seconds."""
        self.meet()
        self._deadline = self._reactor.callLater(seconds, late)

    def admit(self) -> None:
        """The server has let us in."""
        self.admitted = True
        self.meet()

    def meet(self) -> None:
        """What was expected has happened, or does not matter any more."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()

    def pause(self, paused: bool) -> None:
        """Read nothing more, or go on."""
        if paused is not self._paused:
            self._paused = paused
            (self.transport.pauseProducing if paused else self.transport.resumeProducing)()

    @property
    def is_encrypted(self) -> bool:
        provided = (ISSLTransport, INegotiated)
        return any(interface.providedBy(self.transport) for interface in provided)

    @property
    def is_local(self) -> bool:
        """Whether it does not leave this machine."""
        peer = self.transport.getPeer()
        return isinstance(peer, UNIXAddress) or is_loopback(network_of(getattr(peer, "host", "")))
