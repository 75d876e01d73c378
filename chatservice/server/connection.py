"""What all doors have in common: deadlines, throttling, pauses, closing, and what a fault costs.

A door turns bytes into lines and nothing else (see `Framing`, and `line` for one). It has a
`Connection`, which serves a session as far as the peer may be served now.
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Protocol

from twisted.internet import error
from twisted.internet.interfaces import IDelayedCall, ISSLTransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.core.events import CloseReason
from chatservice.core.limits import TokenBucket, is_loopback
from chatservice.core.peer import Peer
from chatservice.server.output import Sender, Transport, sender_for
from chatservice.session.session import Session

if TYPE_CHECKING:
    from chatservice.server.factory import ChatFactory

log = Logger()

# Seconds for a peer to take our last word and close in its turn; then it is cut off. nc does not
# close by itself: this is how long its user waits for the shell after /exit.
CLOSE_SECONDS = 3.0


class State(Enum):
    """How far a connection has come. In each state but IN and CLOSED a deadline runs."""

    LOGIN = auto()  # they have yet to say who they are
    IN = auto()
    CLOSING = auto()  # the last word has been said: nothing more is obeyed
    CLOSED = auto()


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.LOGIN: frozenset({State.IN, State.CLOSING, State.CLOSED}),
    State.IN: frozenset({State.CLOSING, State.CLOSED}),
    State.CLOSING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}


class IllegalTransition(Exception):
    """A fault of ours: the table has no such transition."""


class Hold(Enum):
    """A reason to serve nothing more for now. There may be several."""

    ANSWERS = auto()  # too many answers wait to be taken
    LOOKUP = auto()  # an answer is being looked up
    RATE = auto()  # the peer sends too fast


class Framing(Protocol):
    """What a door is to its connection."""

    transport: Transport

    def serve(self) -> None:
        """Hand what has been received to the session, unless the connection is paused."""

    def pauseProducing(self) -> None:
        """Read nothing more."""

    def resumeProducing(self) -> None:
        """Read on, and serve what has been received."""


class Connection:
    """One connection at any door, which its session and its cursor use to answer.

    `address` is how the log shows the peer, and `network` what it is counted for (see `Peer`).
    """

    __slots__ = (
        "_bucket",
        "_deadline",
        "_framing",
        "_holds",
        "_make_session",
        "_rate_timer",
        "_sender",
        "factory",
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
        self,
        factory: "ChatFactory",
        address: object,
        network: str,
        make_session: Callable[..., Session] = Session,
    ) -> None:
        self.factory = factory
        self._make_session = make_session
        self.peer = Peer(address, network)
        self.state = State.LOGIN
        self._holds: frozenset[Hold] = frozenset()
        self._deadline: IDelayedCall | None = None
        self._rate_timer: IDelayedCall | None = None
        self._bucket: TokenBucket | None = None

    def begin(self, framing: Framing) -> None:
        """The connection is there."""
        self._framing = framing
        self.guard(self._begin)

    def _begin(self) -> None:
        factory, limits = self.factory, self.factory.limits
        transport = self._framing.transport
        self.peer = Peer(self.peer.address, self.peer.network, self._is_private(transport))
        self.session = self._make_session(
            factory.services,
            self,
            peer=self.peer,
            note=partial(factory.peer_log.about, self.peer.network),
        )
        factory.connections.add(self)
        self._set_deadline(limits.login_timeout, self._end_if_nameless)
        if limits.rate:
            self._bucket = TokenBucket(limits.rate, limits.burst, factory.clock.seconds())
        self._sender = sender_for(transport, self.session.cursor, limits.ping)
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
        return bool(self._holds)

    @property
    def is_limited(self) -> bool:
        """Whether lines have to be allowed before they are served."""
        return self._bucket is not None

    def allow(self, wanted: int) -> int:
        """How many of `wanted` lines may be served now. The others' time will come: then the
        framing is resumed."""
        if self._bucket is None:
            return wanted
        allowed = self._bucket.take(wanted, self.factory.clock.seconds())
        if allowed < wanted:
            self._rate_timer = self.factory.clock.callLater(
                self._bucket.wait(), self.guard, self._end_throttling
            )
        return allowed

    def return_unserved(self, lines: int) -> None:
        """So many of the lines that were allowed have not been served, since the connection was
        paused."""
        if self._bucket is not None:
            self._bucket.give_back(lines)

    def hold_if_throttled(self) -> None:
        """What may be served for now has been: if there was more, wait."""
        if self._rate_timer is not None:
            self._hold(Hold.RATE)

    def guard(self, serve: Callable[[], None]) -> None:
        """Call `serve`. If that raises, it costs this connection, and no other."""
        try:
            serve()
        except Exception:
            self.fail()

    def lost(self, reason: Failure) -> None:
        """The connection is gone."""
        try:
            self._move(State.CLOSED)
            for timer in (self._deadline, self._rate_timer):
                _cancel(timer)
            self.session.lost(
                reason.getErrorMessage(), clean=reason.check(error.ConnectionDone) is not None
            )
        except Exception:
            log.failure("Serving {peer} failed when it had gone.", peer=self.peer)
        finally:
            self.factory.forget(self)

    # For the factory.

    def shut_down(self) -> None:
        """The server ends."""
        self.guard(partial(self.session.close, CloseReason.SHUTDOWN))

    # For the session and its cursor.

    def let_in(self) -> None:
        """They have said who they are."""
        self._move(State.IN)
        _cancel(self._deadline)

    def expect_close(self) -> None:
        """The last word is on its way; a peer that does not take it is cut off after a while."""
        was_in = self.state is State.IN
        self._move(State.CLOSING)
        self._set_deadline(self.factory.close_seconds if was_in else CLOSE_SECONDS, self.cut)

    def finish(self) -> None:
        """The last word has been written: close."""
        self._sender.close()
        if self._deadline is not None and self._deadline.active():
            left = self._deadline.getTime() - self.factory.clock.seconds()
            self._deadline.reset(min(left, self.factory.linger_seconds))
        if self._holds:  # what still comes is not obeyed, but the end must be noticed
            self._holds = frozenset()
            self._framing.resumeProducing()

    def pause_reading(self, paused: bool) -> None:
        """Whether too many answers wait for this connection."""
        (self._hold if paused else self._release)(Hold.ANSWERS)

    def wait(self, waiting: bool) -> None:
        """Whether an answer is being looked up."""
        (self._hold if waiting else self._release)(Hold.LOOKUP)

    def fail(self) -> None:
        """Cut the connection; an exception is being handled that says why."""
        log.failure("Serving {peer} failed; the connection is cut.", peer=self.peer)
        self.cut()

    def cut(self) -> None:
        """End the connection at once, without a word."""
        self._framing.transport.abortConnection()

    def _move(self, state: State) -> None:
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"{self.state.name} → {state.name}")
        self.state = state

    def _hold(self, hold: Hold) -> None:
        was_paused, self._holds = self.paused, self._holds | {hold}
        if not was_paused:
            self._framing.pauseProducing()

    def _release(self, hold: Hold) -> None:
        was_paused, self._holds = self.paused, self._holds - {hold}
        if was_paused and not self._holds:
            self._framing.resumeProducing()

    def _end_throttling(self) -> None:
        self._rate_timer = None
        self._release(Hold.RATE)

    def _end_if_nameless(self) -> None:
        """It is late. A peer that has not even taken the question, as within a handshake that never
        ends, need not be told."""
        if self.session.cursor.full:
            self.cut()
        else:
            self.session.close(CloseReason.LATE)

    def _set_deadline(self, seconds: float, then: Callable[[], None]) -> None:
        _cancel(self._deadline)
        self._deadline = self.factory.clock.callLater(seconds, self.guard, then)


def _cancel(timer: IDelayedCall | None) -> None:
    if timer is not None and timer.active():
        timer.cancel()
