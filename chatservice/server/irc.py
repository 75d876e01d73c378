"""The IRC door: a stream of bytes, cut into lines for the sessions of IRC clients."""

from functools import partial

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from chatservice.core.events import ErrorCode, Refused
from chatservice.core.limits import network_of
from chatservice.dialects.irc.message import serialise
from chatservice.dialects.text import TEXT
from chatservice.server.connection import Connection
from chatservice.server.factory import ChatFactory, TurnedAway, display_address
from chatservice.server.line import ChatProtocol
from chatservice.session.irc.network import Network
from chatservice.session.irc.session import IrcSession


class IrcProtocol(ChatProtocol):
    """The line door, for lines of IRC."""

    speaks_telnet = False


class IrcTurnedAway(TurnedAway):
    """An IRC client that is told why it cannot be served."""

    def last_words(self, refused: Refused) -> bytes:
        """An ERROR line."""
        (line,) = TEXT.lines(refused)
        return serialise("ERROR", line.removeprefix("Error: "))


class IrcDoor(Factory):
    """Makes the sessions of IRC clients. All else is that of the chat's own factory: limits, the
    people, and the end."""

    noisy = False

    def __init__(self, factory: ChatFactory, network: Network) -> None:
        self._factory = factory
        self._make_session = partial(IrcSession, network=network)

    def buildProtocol(self, addr: IAddress | None) -> IrcProtocol | TurnedAway:
        """`addr`: whose connection it is, be it through TLS or a proxy."""
        network, address = network_of(getattr(addr, "host", "")), display_address(addr)
        reason: ErrorCode | None = self._factory.admit(network, address)
        if reason is not None:
            return IrcTurnedAway(reason)
        return IrcProtocol(Connection(self._factory, address, network, self._make_session))
