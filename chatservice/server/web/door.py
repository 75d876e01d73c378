"""A door for HTTP: which request gets which answer.

Every request has to be for a host of ours, and not from a page of anybody else's (see `hosts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory

from chatservice.complaints import Complaints
from chatservice.core.addresses import address_text
from chatservice.core.events import ErrorCode
from chatservice.core.limits import Admission, Limits, network_of
from chatservice.server.factory import TurnedAway
from chatservice.server.web.forwarded import Client, Forwarding
from chatservice.server.web.hosts import Hosts
from chatservice.server.web.http import Answer, Response, WebChannel, WebRequest, in_words

# Answers `None` for a request that it answers itself, later.
Route = Callable[[WebRequest], "Answer | Deferred[Answer | None] | None"]


class TurnedAwayInHttp(TurnedAway):
    """A connection that is told why it cannot be served."""

    def connectionMade(self) -> None:
        body = b"The server is full. Try again later.\n"
        head = (
            b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        )
        self.transport.write(head % len(body) + body)
        self.transport.loseConnection()


class HttpDoor(ServerFactory):
    """Serves `routes`, by their paths; ``/hooks/`` is for all that begin so.

    `limits` tells how many connections there may be, and how many requests a second on each.
    """

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        limits: Callable[[], Limits],
        hosts: Hosts,
        forwarding: Forwarding,
        routes: Mapping[str, Route],
    ) -> None:
        self.clock = clock
        self.limits = limits
        self.routes = dict(routes)
        self.forwarding = forwarding
        self._hosts = hosts
        self.complaints = Complaints(clock)
        self._admission = Admission(limits())

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """`addr`: whose connection it is, be it through TLS or the PROXY protocol."""
        host = getattr(addr, "host", "")
        # Everybody behind a proxy has its address: they are counted when they say theirs.
        network = "" if self.forwarding.trusts(host) else network_of(host)
        if (reason := self.admit(network, address_text(addr))) is not None:
            return TurnedAwayInHttp(reason)
        return WebChannel(self, addr, network)

    def admit(self, network: str, address: str) -> ErrorCode | None:
        """Count a connection from `network`; or say why it is turned away."""
        return self._admission.admit(network)

    def release(self, network: str) -> None:
        """A connection that was admitted is gone."""
        self._admission.release(network)

    def answer(self, request: WebRequest) -> Answer | Deferred[Answer | None] | None:
        """What a request gets."""
        if (refused := self._not_for_us(request)) is not None:
            return refused
        path = request.path.decode("ascii", "replace")
        route = self.routes.get(path) or self.routes.get(f"/{path.split('/')[1]}/")
        return in_words(404, "There is nothing here.") if route is None else route(request)

    def client_of(self, request: WebRequest) -> Client:
        """Whose request it is."""
        return self.forwarding.client(
            getattr(request.client, "host", ""),
            request.header_values("X-Forwarded-For"),
            request.header_values("X-Forwarded-Proto"),
        )

    def _not_for_us(self, request: WebRequest) -> Response | None:
        hosts = request.header_values("Host")
        if len(hosts) != 1:
            return in_words(400, "A request must have one Host.")
        if not self._hosts.are_ours(hosts[0]):
            return in_words(
                403, "This server is not known by that name. (Its operator can set --web-host.)"
            )
        for origin in request.header_values("Origin"):
            if not self._hosts.may_come_from(origin, hosts[0]):
                return in_words(403, "Pages of other sites may not speak with this server.")
        return None
