"""The IRC door: a stream of bytes, cut into lines for the sessions of IRC clients."""

from functools import partial

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from chatservice.core.addresses import address_text
from chatservice.core.events import ErrorCode, Refused
from chatservice.core.limits import network_of
from chatservice.dialects.irc.message import serialise
from chatservice.dialects.text import TEXT
from chatservice.server.connection import Connection
from chatservice.server.factory import ChatFactory, TurnedAway
from chatservice.server.line import ChatProtocol
from chatservice.session.irc.network import Network
from chatservice.session.irc.session import IrcSession


class IrcProtocol(ChatProtocol):
    """The line door, for lines of IRC: there is no telnet, and no other protocol is looked for."""

    def __init__(self, connection: Connection, network: Network) -> None:
        super().__init__(connection)
        self._network = network
        self._opening = None

    def connectionMade(self) -> None:
        self.connection.begin(self, make_session=partial(IrcSession, network=self._network))

    def _without_options(self, data: bytes) -> tuple[bytes, int]:
        return data, 0


class IrcTurnedAway(TurnedAway):
    """An IRC client that is told why it cannot be served."""

    def last_words(self, refused: Refused) -> bytes:
        """An ERROR line."""
        (line,) = TEXT.lines(refused)
        return serialise("ERROR", line.removeprefix("Error: "))


class IrcDoor(Factory):
    """Makes the connections of IRC clients, which are counted and limited by the `factory` of all
    doors."""

    noisy = False

    def __init__(self, factory: ChatFactory, network: Network) -> None:
        self._factory = factory
        self._network = network

    def buildProtocol(self, addr: IAddress | None) -> IrcProtocol | TurnedAway:
        """`addr`: whose connection it is, be it through TLS or a proxy."""
        network, address = network_of(getattr(addr, "host", "")), address_text(addr)
        reason: ErrorCode | None = self._factory.admit(network, address, "irc")
        if reason is not None:
            return IrcTurnedAway(reason)
        return IrcProtocol(Connection(self._factory, address, network, "irc"), self._network)


def irc_door(factory: ChatFactory, name: str, *, joins_lobby: bool) -> IrcDoor:
    """The door of the server that IRC clients know by that `name`. `joins_lobby`: newcomers begin
    in the lobby."""
    return IrcDoor(factory, Network(factory.chat, name, joins_lobby=joins_lobby))
