"""HTTP for the web door: one connection, and one request at a time on it, each within bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web import http

from chatservice.core.limits import TokenBucket

if TYPE_CHECKING:
    from chatservice.server.web.door import HttpDoor

# Seconds for a request, its line, headers and body, and for the peer to take the answer. On a slow
# telephone the page is there within 10.
REQUEST_SECONDS = 30.0
# Seconds in which a connection may bring another request: an idle one is counted like any other.
IDLE_SECONDS = 5.0
# Seconds for a peer to take a refusal, while it is still sending what is not wanted.
REFUSAL_SECONDS = 3.0
MAX_HEADERS = 100  # a browser sends some 20; their bytes are bounded by HTTPChannel, at 16 KiB
# Bytes in the body of a request. The longest alert of Alertmanager's that has been seen has 20 KiB.
MAX_BODY = 64 * 1024
_POLL_SECONDS = 0.02  # until what was sent before a WebSocket has left us

# For everything that the web door sends. The policy allows what the page has itself, no inline
# script or style, and no way to make markup of a string.
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Response(NamedTuple):
    """An answer to a request."""

    code: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = {}


def in_words(code: int, words: str, **headers: str) -> Response:
    """An answer that is a line of text."""
    return Response(code, f"{words}\n".encode(), headers=headers)


class Upgrade(NamedTuple):
    """An answer that hands the connection over: to what `make` makes, unless it refuses.
    `network`: what the connection is counted for from then on."""

    make: Callable[[], Protocol | Response]
    network: str


Answer = Response | Upgrade


class WebRequest(http.Request):
    """One request. Its body is in memory, and never in a file."""

    channel: WebChannel

    def gotLength(self, length: int | None) -> None:
        """Before a body is read: twisted.web would put any number of bytes into a file."""
        self.content: Any = BytesIO()
        if length is None:
            self.channel.refuse(411)
        elif length > MAX_BODY:
            self.channel.refuse(413)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        self.content.seek(0)
        self.method, self.uri, self.clientproto = command, path, version
        self.path, _, self.query = path.partition(b"?")
        self.channel.serve_in_turn(self)

    def header_values(self, name: str) -> list[str]:
        """All values of a header."""
        return list(self.requestHeaders.getRawHeaders(name, []))

    def answer(self, response: Response) -> None:
        """Answer it."""
        self.setResponseCode(response.code)
        self.setHeader("Content-Length", str(len(response.body)))
        self.setHeader("Content-Type", response.content_type)
        for name, value in {**SECURITY_HEADERS, **response.headers}.items():
            self.setHeader(name, value)
        self.write(response.body)
        self.finish()


class WebChannel(http.HTTPChannel):
    """One connection of HTTP. Each request has its turn of the reactor, and is charged like a line.

    `peer`: whose connection it is; `network`: what it is counted for.
    """

    transport: Any
    requestFactory = WebRequest
    maxHeaders = MAX_HEADERS
    timeOut = None  # it would begin anew with each byte

    def __init__(self, door: HttpDoor, peer: IAddress | None, network: str) -> None:
        super().__init__()
        self.door = door
        self._peer = peer
        self.network = network
        limits = door.limits()
        self._bucket: TokenBucket | None = None
        if limits.rate:
            self._bucket = TokenBucket(limits.rate, limits.burst, door.clock.seconds())
        self._deadline: IDelayedCall | None = None
        self._turn: IDelayedCall | None = None
        self._is_idle = self._is_refused = False

    def getPeer(self) -> IAddress | None:
        """Whose connection it is: the transport's peer may be a proxy."""
        return self._peer

    def connectionMade(self) -> None:
        super().connectionMade()
        self._set_deadline(REQUEST_SECONDS)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel_timers()
        super().connectionLost(reason)
        self.door.release(self.network)

    def dataReceived(self, data: bytes) -> None:
        if self._is_idle:
            self._is_idle = False
            self._set_deadline(REQUEST_SECONDS)
        super().dataReceived(data)

    def rawDataReceived(self, data: bytes) -> None:
        if not self._is_refused:  # a chunk of one byte costs as much as a request
            super().rawDataReceived(data)

    def requestDone(self, request: WebRequest) -> None:
        self._is_idle = True
        self._set_deadline(IDLE_SECONDS)
        super().requestDone(request)

    def serve_in_turn(self, request: WebRequest) -> None:
        """Serve it as soon as it may be: one read can hold more than a thousand."""
        delay = 0.0
        if self._bucket is not None and not self._bucket.take(1, self.door.clock.seconds()):
            delay = self._bucket.wait()
        self._turn = self.door.clock.callLater(delay, self._serve, request)

    def refuse(self, code: int) -> None:
        """Refuse the request whose headers have come, with its body."""
        self._is_refused = True
        reason = http.RESPONSES[code]
        head = b"HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n"
        self.transport.write(head % (code, reason, len(reason) + 1, reason))
        # To close now would be answered with a reset, which can overtake what was written.
        self.transport.pauseProducing()
        if isinstance(self.transport, ProtocolWrapper):  # TLS has no half of a connection
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()
        self._set_deadline(REFUSAL_SECONDS)

    def _serve(self, request: WebRequest) -> None:
        self._turn = None
        try:
            answer = self.door.answer(request)
        except Exception:
            self._fail(request)
            return
        if isinstance(answer, Deferred):
            answer.addCallback(self._give, request).addErrback(self._failed, request)
        else:
            self._give(answer, request)

    def _failed(self, failure: Failure, request: WebRequest) -> None:
        self.door.complaints.tell("A request failed", failure)
        if not request._disconnected and not request.startedWriting:
            request.answer(in_words(500, "Something went wrong here."))

    def _fail(self, request: WebRequest) -> None:
        self._failed(Failure(), request)

    def _give(self, answer: Answer | None, request: WebRequest) -> None:
        if answer is None or request._disconnected:
            return  # the request is answered already, bit by bit; or nobody waits any more
        if isinstance(answer, Response):
            request.answer(answer)
        else:
            self._hand_over(answer, request)

    def _hand_over(self, upgrade: Upgrade, request: WebRequest) -> None:
        """Let go of the connection. What takes it writes straight to the socket, so everything of
        ours has to be sent first."""
        if _waits_to_be_sent(self.transport):
            self._turn = self.door.clock.callLater(_POLL_SECONDS, self._hand_over, upgrade, request)
            return
        protocol = upgrade.make()
        if isinstance(protocol, Response):
            request.answer(protocol)
            return
        self._cancel_timers()
        transport, rest = self.transport, b"".join(self._dataBuffer)
        self._dataBuffer.clear()
        transport.unregisterProducer()
        if upgrade.network != self.network:
            self.door.release(self.network)
        if isinstance(transport, ProtocolWrapper):
            transport.wrappedProtocol = protocol
        else:
            transport.protocol = protocol
        protocol.makeConnection(transport)
        if rest:
            transport.resumeProducing()
            protocol.dataReceived(rest)

    def _set_deadline(self, seconds: float) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = self.door.clock.callLater(seconds, self._expire)

    def _expire(self) -> None:
        if self._is_idle:
            self._is_idle = False
            self.loseConnection()
            self._set_deadline(REFUSAL_SECONDS)
        else:
            self.transport.abortConnection()

    def _cancel_timers(self) -> None:
        for timer in (self._deadline, self._turn):
            if timer is not None and timer.active():
                timer.cancel()


def _waits_to_be_sent(transport: Any) -> bool:
    beneath = transport.transport if isinstance(transport, ProtocolWrapper) else transport
    return bool(getattr(beneath, "dataBuffer", b"") or getattr(beneath, "_tempDataBuffer", ()))
