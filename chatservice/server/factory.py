"""The factory of every listener, and the shared user map."""

from collections import Counter
from enum import Enum

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Protocol, ServerFactory

from chatservice.accounts.authenticator import Authenticator
from chatservice.complaints import Complaints
from chatservice.core.addresses import address_text
from chatservice.core.chat import Chat
from chatservice.core.events import ErrorCode, Refusal, Refused
from chatservice.core.limits import Admission, Limits, WriteShares, network_of
from chatservice.core.users import User
from chatservice.dialects.text import TEXT
from chatservice.server.acknowledgements import Acknowledgements
from chatservice.server.connection import CLOSE_SECONDS, Connection
from chatservice.server.line import ChatProtocol
from chatservice.server.peer_log import PeerLog
from chatservice.server.turns import Turns
from chatservice.session.asker import Services, Settings
from chatservice.session.offline_messages import OfflineMessages
from chatservice.session.reports import Reports

STOP_SECONDS = 1.0  # the same when the server ends, which somebody is waiting for

STUCK_LOOKS = 4  # in the time after which somebody who takes nothing is cut off


class Phase(Enum):
    """How far the server has come."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class TurnedAway(Protocol):
    """A connection that is told why it cannot be served."""

    transport: ITransport

    def __init__(self, reason: ErrorCode) -> None:
        self._reason = reason

    def connectionMade(self) -> None:
        self.transport.write(self.last_words(Refused(Refusal(self._reason))))
        self.transport.loseConnection()

    def last_words(self, refused: Refused) -> bytes:
        """Why, as the door says it."""
        return TEXT.render(refused)


class ChatFactory(ServerFactory):
    """Makes the sessions of every line door, and holds the shared user map."""

    noisy = False

    def __init__(
        self,
        chat: Chat,
        settings: Settings,
        clock: IReactorTime,
        limits: Limits = Limits(),  # noqa: B008 (it is frozen)
        authenticator: Authenticator | None = None,
    ) -> None:
        self.chat = chat
        authenticator = authenticator or Authenticator(None, None, clock.seconds)
        self.complaints = Complaints(clock)
        offline_messages = OfflineMessages(chat, authenticator.accounts, self.complaints)
        reports = Reports(chat, clock.seconds)
        self.services = Services(chat, authenticator, offline_messages, reports, settings)
        authenticator.account_changed = self.services.account_changed
        chat.proven = authenticator.proven
        self.clock = clock
        self._limits = limits
        self.peer_log = PeerLog(clock)
        self.turns = Turns(clock)
        self.acknowledgements = Acknowledgements(chat, lambda: list(self.connections), clock)
        self.connections: set[Connection] = set()
        self.close_seconds = self.linger_seconds = CLOSE_SECONDS
        self._admission = Admission(limits)
        self.write_shares = WriteShares(clock.seconds, self._admission.count)
        self.accepted: Counter[str] = Counter()  # connections, by door
        self.turned_away: Counter[tuple[str, str]] = Counter()  # the same, and the reason
        self.phase = Phase.STARTING
        self._all_closed: Deferred[None] | None = None
        self._stuck: dict[Connection, tuple[tuple[int, int], float]] = {}
        self._look: IDelayedCall | None = None

    @property
    def settings(self) -> Settings:
        """What an operator chose; another may be set while the server runs."""
        return self.services.settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self.services.settings = settings

    @property
    def limits(self) -> Limits:
        """How much peers may take; others may be set while the server runs."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = self._admission.limits = limits
        for connection in self.connections:
            connection.limit_rate()

    @property
    def users(self) -> dict[str, User]:
        """Everyone who is here, by name."""
        return self.chat.users

    def startFactory(self) -> None:
        self.acknowledgements.start()
        if self._look is None:
            self._look_for_the_stuck()

    def stopFactory(self) -> None:
        self.acknowledgements.stop()
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def buildProtocol(self, addr: IAddress | None) -> ChatProtocol | TurnedAway:
        """`addr`: whose connection it is, be it through TLS or a proxy."""
        network = network_of(getattr(addr, "host", ""))
        if (reason := self.admit(network, address_text(addr))) is not None:
            return TurnedAway(reason)
        return ChatProtocol(Connection(self, address_text(addr), network))

    def admit(self, network: str, address: str, door: str = "lines") -> ErrorCode | None:
        """Count a connection from `network` at `door`; or say why it is turned away."""
        reason = self._admission.admit(network)
        if reason is None:
            self.accepted[door] += 1
        else:
            self.turned_away[door, reason.value] += 1
            self.peer_log.about(
                network, "{peer} has been turned away: {why}", peer=address, why=reason.value
            )
        return reason

    def release(self, network: str) -> None:
        """A connection that was admitted, and never became a `Connection`, is gone."""
        self._admission.release(network)

    def close_all(self) -> Deferred[None]:
        """Say goodbye to everyone. Fires when the last connection is gone: within the
        shutdown_timeout of our limits."""
        self._all_closed = closed = Deferred[None]()
        self.close_seconds = self.limits.shutdown_timeout
        self.linger_seconds = STOP_SECONDS
        for connection in list(self.connections):
            connection.shut_down()
        self._tell_if_closed()
        return closed

    def send_away(self) -> Deferred[None]:
        """The same, for now: people may come back."""
        seconds = self.close_seconds, self.linger_seconds

        def over(_: object) -> None:
            self.close_seconds, self.linger_seconds = seconds

        return self.close_all().addCallback(over)

    def forget(self, connection: Connection) -> None:
        """`connection` is gone."""
        self._admission.release(connection.peer.network)
        self.connections.discard(connection)
        self._tell_if_closed()

    def _tell_if_closed(self) -> None:
        if self._all_closed is not None and not self.connections:
            closed, self._all_closed = self._all_closed, None
            closed.callback(None)

    def _look_for_the_stuck(self) -> None:
        """Cut off who has taken nothing for `ping` seconds. What they have taken shows in how far
        their cursors are, batch by batch, and in what they have been told."""
        self._look = self.clock.callLater(self.limits.ping / STUCK_LOOKS, self._look_for_the_stuck)
        now, before, self._stuck = self.clock.seconds(), self._stuck, {}
        for connection in list(self.connections):
            cursor = connection.session.cursor
            if not cursor.stalled or connection.session.closing:
                continue
            taken = cursor.position, cursor.events_sent
            taken_before, since = before.get(connection, (taken, now))
            if taken != taken_before:
                since = now
            self._stuck[connection] = taken, since
            if now - since >= self.limits.ping:
                self.peer_log.about(
                    connection.peer.network,
                    "{peer} has taken nothing for {seconds:g} s: cut off.",
                    peer=connection.peer,
                    seconds=self.limits.ping,
                )
                connection.cut()
