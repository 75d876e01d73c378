"""What all doors have in common: deadlines, throttling, pauses, closing, and what a fault costs.

A door turns bytes into lines and nothing else (see `Framing`, and `line` for one). It has a
`Connection`, which serves a session as far as the peer may be served now.
"""

import errno
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Protocol

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, ISSLTransport
from twisted.python.failure import Failure

from chatservice.core.events import CloseReason
from chatservice.core.limits import TokenBucket, is_loopback
from chatservice.core.peer import Peer
from chatservice.dialects.dialect import Dialect
from chatservice.server.output import Sender, Transport, sender_for
from chatservice.session.session import Session

if TYPE_CHECKING:
    from chatservice.server.factory import ChatFactory

# Seconds for a peer to take our last word and close in its turn; then it is cut off. nc does not
# close by itself: this is how long its user waits for the shell after /exit.
CLOSE_SECONDS = 3.0
# Seconds after which a stranger whose line does not end is told how lines end. People type a name
# in less, and programs that send no line end wait for an answer.
HINT_SECONDS = 5.0
# Bytes that cost as much of a peer's allowance as a line. So what ends no line is not free, and
# neither is what is longer than people write: 8 of the longest lines cost as much as 64 short ones.
BYTES_PER_LINE = 1024


class State(Enum):
    """How far a connection has come. In LOGIN, CLOSING and CLOSED a deadline runs."""

    LOGIN = auto()  # they have yet to say who they are
    IN = auto()
    CLOSING = auto()  # the last word has been said: nothing more is obeyed
    CLOSED = auto()  # and it has been written: the peer has yet to close its half
    GONE = auto()


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.LOGIN: frozenset({State.IN, State.CLOSING, State.GONE}),
    State.IN: frozenset({State.CLOSING, State.GONE}),
    State.CLOSING: frozenset({State.CLOSED, State.GONE}),
    State.CLOSED: frozenset({State.GONE}),
    State.GONE: frozenset(),
}


OBEYING = (State.IN, State.LOGIN)


class Incoming(Enum):
    """What may still come from the peer. Whatever has come is served in any case, but for the
    beginning of a line at which the connection was LOST, and what has come before we CUT it."""

    OPEN = auto()
    ENDED = auto()  # it has stopped sending; it hears what it has asked for, and then leaves
    CUT = auto()  # we have given the connection up, and wait for it to be gone
    LOST = auto()  # the connection is gone: nobody hears the answers


class IllegalTransition(Exception):
    """A fault of ours: the table has no such transition."""


class Hold(Enum):
    """A reason to serve nothing more for now, and to read nothing. There may be several."""

    ANSWERS = auto()  # too many answers wait to be taken
    LOOKUP = auto()  # an answer is being looked up
    RATE = auto()  # the peer sends too much
    TURN = auto()  # others are served first


NO_HOLDS: frozenset[Hold] = frozenset()  # one object for all connections: it takes 216 bytes


class Framing(Protocol):
    """What a door is to its connection."""

    transport: Transport

    @property
    def begun_line(self) -> bytes:
        """A line that has no end so far."""

    def serve(self) -> bool:
        """Serve what has been received, until the connection is paused. Whether there is more that
        could be served."""


class Connection:
    """One connection at any door, which its session and its cursor use to answer.

    `address` is how the log shows the peer, and `network` what it is counted for (see `Peer`).
    `door` is what it has come in by, as the factory counts it.
    """

    __slots__ = (
        "_bucket",
        "_deadline",
        "_framing",
        "_hint",
        "_holds",
        "_incoming",
        "_is_reading",
        "_rate_timer",
        "_sender",
        "_until",
        "_why_lost",
        "door",
        "factory",
        "has_received",
        "last_line_at",
        "peer",
        "session",
        "state",
        "write",
    )

    session: Session
    write: Callable[[bytes], None]
    _framing: Framing
    _sender: Sender

    def __init__(
        self, factory: "ChatFactory", address: str, network: str, door: str = "lines"
    ) -> None:
        self.factory = factory
        self.door = door
        self.last_line_at = factory.clock.seconds()
        self.peer = Peer(address, network)
        self.state = State.LOGIN
        self._incoming = Incoming.OPEN
        self._why_lost: Failure | None = None
        self._holds = NO_HOLDS
        self._is_reading = True
        self.has_received = False  # since this was last reset
        self._until = 0.0  # when its turn is over
        self._deadline: IDelayedCall | None = None
        self._rate_timer: IDelayedCall | None = None
        self._hint: IDelayedCall | None = None
        self._bucket: TokenBucket | None = None

    def begin(
        self,
        framing: Framing,
        dialect: Dialect | None = None,
        *,
        private: bool | None = None,
        make_session: Callable[..., Session] = Session,
    ) -> None:
        """The connection is there. `dialect`: what the peer speaks, None if its first line tells;
        `private`: whether nobody can listen, if the door knows more of that than the transport;
        `make_session`: its conversation, if it is another one than usual."""
        self._framing = framing
        self.guard(partial(self._begin, dialect, private, make_session))

    def _begin(
        self, dialect: Dialect | None, private: bool | None, make_session: Callable[..., Session]
    ) -> None:
        factory, limits = self.factory, self.factory.limits
        transport = self._framing.transport
        if private is None:
            private = self._is_private(transport)
        self.peer = Peer(self.peer.address, self.peer.network, private)
        self.session = make_session(
            factory.services,
            self,
            peer=self.peer,
            dialect=dialect,
        )
        factory.connections.add(self)
        self._set_deadline(limits.login_timeout, self._end_if_nameless)
        self.limit_rate()
        self._sender = sender_for(transport, self.session.cursor, limits.ping, self)
        self.write = self._sender.write
        self.session.begin()

    def _is_private(self, transport: Transport) -> bool:
        """Whether nobody can listen: it is encrypted, or does not leave this machine."""
        network = self.peer.network
        return ISSLTransport.providedBy(transport) or not network or is_loopback(network)

    # For the framing.

    @property
    def paused(self) -> bool:
        """Whether nothing more may be served for now."""
        return bool(self._holds) or self.factory.clock.seconds() >= self._until

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be served, or to be sent."""
        return not (self._holds or self._framing.begun_line or self.session.cursor.stalled)

    @property
    def obeys_no_more(self) -> bool:
        """Whether what is received is of no use."""
        return self.state not in OBEYING

    @property
    def idle(self) -> float:
        """Seconds since the peer last sent a line."""
        return self.factory.clock.seconds() - self.last_line_at

    @property
    def is_encrypted(self) -> bool:
        """Whether it has come through TLS that ends here."""
        return ISSLTransport.providedBy(self._framing.transport)

    def received(self) -> None:
        """There is something to be served, now or later."""
        self.has_received = True
        if not (self._holds or self._until):
            self._take_turn_in_time()

    def serve_lines(self, lines: bytes) -> bytes:
        """Hand `lines`, each with its end, to the session, as far as they are allowed. Returns
        those that have to wait: the connection is paused, or has to ask again."""
        bucket, later = self._bucket, b""
        self.last_line_at = self.factory.clock.seconds()
        if bucket is not None:
            lines, later = self._allowed(bucket, lines)
            if not lines:
                self._throttle(bucket)
                return later
        unserved = self.session.receive(lines)
        if unserved and bucket is not None:
            bucket.give_back(unserved.count(b"\n"))
        factory = self.factory
        factory.turns.count(self.peer.network, len(lines), len(factory.connections))
        return unserved + later

    def _allowed(self, bucket: TokenBucket, lines: bytes) -> tuple[bytes, bytes]:
        """Those of `lines` that may be served now, and the others."""
        wanted = lines.count(b"\n")
        allowed = bucket.take(wanted, self.factory.clock.seconds())
        if allowed == wanted:
            return lines, b""
        end = 0
        for _ in range(allowed):
            end = lines.index(b"\n", end) + 1
        return lines[:end], lines[end:]

    def _throttle(self, bucket: TokenBucket) -> None:
        """Pause until more lines are allowed."""
        self._throttle_for(bucket.wait())

    def _throttle_for(self, seconds: float) -> None:
        if self._rate_timer is None:
            self._rate_timer = self.factory.clock.callLater(
                seconds, self.guard, self._end_throttling
            )
            self._hold(Hold.RATE)
        elif self._rate_timer.getTime() < self.factory.clock.seconds() + seconds:
            self._rate_timer.reset(seconds)

    def limit_rate(self) -> None:
        """Allow lines by the limits as they are now."""
        limits, now = self.factory.limits, self.factory.clock.seconds()
        self._bucket = TokenBucket(limits.rate, limits.burst, now) if limits.rate else None

    def charge(self, size: int, lines: bytes = b"", others: int = 0) -> None:
        """Charge for `size` bytes that have been received at once, with `lines` and so many other
        things in them; but for the lines, which are charged when they are allowed. Of a peer that
        hears nothing any more, this is free: it is thrown away, and nobody waits until it is paid
        for."""
        if self._bucket is None or self.session.cursor.is_closed:
            return
        count = lines.count(b"\n")
        cost = max(size / BYTES_PER_LINE, count + others, 1) - count
        if cost > 0:
            self.spend(cost)

    def await_line_end(self) -> None:
        """The beginning of a line has come. A stranger who never ends it is told so, once."""
        if self._hint is None and self.state is State.LOGIN:
            self._hint = self.factory.clock.callLater(HINT_SECONDS, self.guard, self._give_hint)

    def turn_away(self, protocol: str, answer: bytes) -> None:
        """The peer speaks another protocol: close, with `answer` as the last word."""
        self.note("{peer} speaks {protocol}: turned away.", peer=self.peer, protocol=protocol)
        self._move(State.CLOSING)
        self._set_deadline(CLOSE_SECONDS, self.cut)
        self.write(answer)
        self.finish()

    def guard(self, serve: Callable[[], None]) -> None:
        """Call `serve`. If that raises, it costs this connection, and no other."""
        try:
            serve()
        except Exception:
            self.fail()

    def end_of_input(self) -> None:
        """The peer has stopped sending."""
        if self._incoming is Incoming.OPEN:
            self._incoming = Incoming.ENDED
            self.guard(self._doubt)
            self.received()

    def lost(self, reason: Failure) -> None:
        """The connection is gone. What has come before is still served, unheard, unless we have cut
        it."""
        is_cut = self._incoming is Incoming.CUT or reason.check(error.ConnectionAborted) is not None
        if self._incoming is not Incoming.ENDED:
            self.guard(self._doubt)
        self._incoming = Incoming.LOST
        self._why_lost = reason
        _cancel(self._deadline)
        if is_cut:
            self._forget()
        else:
            self.guard(self.stop_answering)

    def _doubt(self) -> None:
        """What was written last may not have arrived."""
        if self.session.reader is not None:
            self.factory.acknowledgements.lost(self)

    # For the factory, its `turns` and `acknowledgements`.

    def unacknowledged(self) -> int | None:
        """Bytes that the peer's system has not acknowledged; None: nobody can tell."""
        return self._sender.unacknowledged

    @property
    def network(self) -> str:
        """What shares the time that there is in a turn."""
        return self.peer.network

    def take_turn(self, until: float) -> bool:
        """Serve what has been received until then. Whether there is more."""
        if self._holds:
            self._holds = self._holds - {Hold.TURN} or NO_HOLDS
        self._until = until
        has_more = False
        try:
            if not self._holds and self.state is not State.GONE:
                has_more = self._framing.serve() and not self._holds
                if has_more:
                    self._holds = frozenset({Hold.TURN})
                elif self._incoming in (Incoming.ENDED, Incoming.LOST) and not self._holds:
                    self._end()
            if self._holds or not self._is_reading:
                self._read_or_not()
        except Exception:
            self.fail()
        self._until = 0.0
        return has_more

    def _end(self) -> None:
        """All that will ever come has been served."""
        if self._incoming is Incoming.LOST:
            self._forget()
        elif self._sender.failure is not None:
            self.cut()
        elif self.state is State.CLOSED:
            self._sender.close(both_halves=True)
        else:
            self.session.end_of_input()

    def _forget(self) -> None:
        if self.state is State.GONE:
            return
        try:
            self._move(State.GONE)
            for timer in (self._deadline, self._rate_timer, self._hint):
                _cancel(timer)
            self.session.lost(self._reason, clean=self._is_clean)
        except Exception:
            self._complain("Serving a connection that had gone failed")
        finally:
            self.factory.forget(self)

    def stop_answering(self) -> None:
        """Nobody hears anything any more. Only what is said by now still has its price."""
        self.write = _discard
        self._holds = self._holds - {Hold.ANSWERS, Hold.RATE} or NO_HOLDS
        _cancel(self._rate_timer)
        self._rate_timer = None
        if self._bucket is not None:
            self._bucket.forgive()
        self.session.unheard()
        if self.obeys_no_more:
            self._set_deadline(0, self.cut)
        else:
            self.received()

    @property
    def _is_clean(self) -> bool:
        """Whether the peer has closed the connection in order."""
        if (failure := self._sender.failure) is not None:
            return failure.errno == errno.EPIPE  # it was closed when we still sent something
        return self._why_lost is not None and self._why_lost.check(error.ConnectionDone) is not None

    @property
    def _reason(self) -> str:
        if (failure := self._sender.failure) is not None:
            return f"{failure.strerror}."
        return self._why_lost.getErrorMessage() if self._why_lost is not None else ""

    def shut_down(self) -> None:
        """The server ends."""
        if not self.obeys_no_more:
            self.guard(partial(self.session.close, CloseReason.SHUTDOWN))

    # For the session and its cursor.

    def note(self, text: str, **fields: object) -> None:
        """A line about the peer for the log."""
        self.factory.peer_log.about(self.peer.network, text, **fields)

    def let_in(self) -> None:
        """They have said who they are."""
        self._move(State.IN)
        for timer in (self._deadline, self._hint):
            _cancel(timer)
        self._deadline = self._hint = None

    def expect_close(self) -> None:
        """The last word is on its way; a peer that does not take it is cut off after a while."""
        seconds = self.factory.close_seconds if self.state is State.IN else CLOSE_SECONDS
        if self._incoming is Incoming.LOST:
            seconds = 0  # which nobody hears
        self._move(State.CLOSING)
        self._set_deadline(seconds, self.cut)

    def finish(self) -> None:
        """The last word has been written: close."""
        self._move(State.CLOSED)
        self._holds = NO_HOLDS  # what still comes is not obeyed, but the end must be noticed
        self._read_or_not()
        self._sender.close(both_halves=self._incoming is not Incoming.OPEN)
        if self._deadline is not None and self._deadline.active():
            left = self._deadline.getTime() - self.factory.clock.seconds()
            self._deadline.reset(min(left, self.factory.linger_seconds))

    def spend(self, lines: float) -> None:
        """What was asked for costs so many lines more than the one that it was asked in."""
        bucket = self._bucket
        if bucket is not None and not bucket.charge(lines, self.factory.clock.seconds()):
            self._throttle(bucket)

    def count_written(self, size: float) -> None:
        """So many bytes are written to the disk for this connection."""
        if self._bucket is not None:
            seconds = self.factory.write_shares.charge(self.peer.network, size)
            if seconds:
                self._throttle_for(seconds)

    def until_writable(self) -> "Deferred[None] | None":
        """Fires when something may be written for this connection; None: at once."""
        seconds = self.factory.write_shares.wait(self.peer.network)
        if self._bucket is None or not seconds:
            return None
        writable: Deferred[None] = Deferred()
        self.factory.clock.callLater(seconds, writable.callback, None)
        return writable

    def pause_reading(self, paused: bool) -> None:
        """Whether too many answers wait for this connection."""
        if self._incoming is Incoming.LOST:
            return
        (self._hold if paused else self._release)(Hold.ANSWERS)

    def wait(self, waiting: bool) -> None:
        """Whether an answer is being looked up."""
        (self._hold if waiting else self._release)(Hold.LOOKUP)

    def fail(self, failure: Failure | None = None) -> None:
        """Cut the connection. `failure` says why, or the exception that is being handled."""
        self._complain("Serving a connection failed, and it is cut", failure)
        self.cut()

    def _complain(self, what: str, failure: Failure | None = None) -> None:
        self.factory.complaints.tell(what, failure or Failure(), self.peer)

    def cut(self) -> None:
        """End the connection at once, without a word."""
        if self._incoming is Incoming.LOST:
            self._forget()
        else:
            self._incoming = Incoming.CUT
            self._framing.transport.abortConnection()

    def _move(self, state: State) -> None:
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"{self.state.name} → {state.name}")
        self.state = state

    def _hold(self, hold: Hold) -> None:
        self._holds |= {hold}
        self._read_or_not()

    def _release(self, hold: Hold) -> None:
        self._holds = self._holds - {hold} or NO_HOLDS
        if not (self._holds or self._until):
            self._take_turn_in_time()

    def _take_turn_in_time(self) -> None:
        """Serve what has been received, now or when it is our turn, and read on."""
        if not self.factory.turns.serve(self, self._framing.transport):
            self._hold(Hold.TURN)

    def _read_or_not(self) -> None:
        """Read from the transport unless something holds this connection."""
        if self._is_reading != bool(self._holds) or self._incoming is not Incoming.OPEN:
            return
        self._is_reading = not self._is_reading
        if self._is_reading:
            self._framing.transport.resumeProducing()
        else:
            self._framing.transport.pauseProducing()

    def _give_hint(self) -> None:
        if line := self._framing.begun_line:
            self.session.remind_of_line_end(line)
        else:
            self._hint = None

    def _end_throttling(self) -> None:
        self._rate_timer = None
        self._release(Hold.RATE)

    def _end_if_nameless(self) -> None:
        """It is late. A peer that has not even taken the question, as within a handshake that never
        ends, need not be told."""
        if self.session.cursor.stalled:
            self.cut()
        else:
            self.session.close(CloseReason.LATE)

    def _set_deadline(self, seconds: float, then: Callable[[], None]) -> None:
        _cancel(self._deadline)
        self._deadline = self.factory.clock.callLater(seconds, self.guard, then)


def _discard(data: bytes) -> None:
    """Send nothing."""


def _cancel(timer: IDelayedCall | None) -> None:
    if timer is not None and timer.active():
        timer.cancel()
