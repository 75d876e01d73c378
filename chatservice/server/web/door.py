"""The web door: which request gets which answer.

The page and its files at ``/``; the chat itself at ``/chat``, over WebSocket; what an operator's
machines ask for. It holds no rule of the chat.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.web import http

from chatservice.core.addresses import address_text
from chatservice.core.events import ErrorCode
from chatservice.core.limits import is_loopback, network_of
from chatservice.server.connection import Connection
from chatservice.server.factory import ChatFactory, TurnedAway
from chatservice.server.web.forwarded import Client, Forwarding
from chatservice.server.web.hosts import Hosts
from chatservice.server.web.http import (
    Answer,
    Response,
    Upgrade,
    WebChannel,
    WebRequest,
    in_words,
)
from chatservice.server.web.pages import load_pages
from chatservice.server.web.websocket import WebSocketProtocol

CHAT_PATH = "/chat"
_ACCEPTING = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_VERSION = "13"

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


class WebDoor(ServerFactory):
    """Serves the page, and the sessions of `factory` over WebSocket.

    `more`: further routes, by the first part of their paths (``/hooks`` serves ``/hooks/…`` too).
    `has_pages`: whether there are the page and the WebSocket, or `more` only.
    """

    noisy = False

    def __init__(
        self,
        factory: ChatFactory,
        hosts: Hosts,
        forwarding: Forwarding,
        more: Mapping[str, Route] = {},
        *,
        has_pages: bool = True,
    ) -> None:
        self.factory = factory
        self.clock = factory.clock
        self._hosts = hosts
        self._forwarding = forwarding
        self._routes = dict(more)
        self._pages = {}
        if has_pages:
            self._pages = load_pages()
            self._routes[CHAT_PATH] = self._open_chat

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """`addr`: whose connection it is, be it through TLS or the PROXY protocol."""
        host = getattr(addr, "host", "")
        # Everybody behind a proxy has its address: they are counted when they say theirs.
        network = "" if self._forwarding.trusts(host) else network_of(host)
        if (reason := self.factory.admit(network, address_text(addr))) is not None:
            return TurnedAwayInHttp(reason)
        return WebChannel(self, network)

    def answer(self, request: WebRequest) -> Answer | Deferred[Answer | None] | None:
        """What a request gets."""
        if (refused := self._not_for_us(request)) is not None:
            return refused
        try:
            path = request.path.decode("ascii")
        except UnicodeDecodeError:
            return in_words(404, "There is nothing here.")
        if (page := self._pages.get(path)) is not None:
            return self._show(request, page)
        route = self._routes.get("/" + path.split("/")[1])
        return in_words(404, "There is nothing here.") if route is None else route(request)

    def client_of(self, request: WebRequest) -> Client:
        """Whose request it is."""
        return self._forwarding.client(
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

    def _show(self, request: WebRequest, page: Any) -> Response:
        if request.method not in (b"GET", b"HEAD"):
            return in_words(405, "This can only be read.", Allow="GET, HEAD")
        if request.setETag(page.etag.encode()) is http.CACHED:
            return Response(304, headers={"Cache-Control": "no-cache"})
        headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if "gzip" in ",".join(request.header_values("Accept-Encoding")):
            headers["Content-Encoding"] = "gzip"
            return Response(200, page.gzipped, page.content_type, headers)
        return Response(200, page.body, page.content_type, headers)

    def _open_chat(self, request: WebRequest) -> Answer:
        if _lists(request.header_values("Upgrade")) != ["websocket"] or (
            "upgrade" not in _lists(request.header_values("Connection"))
        ):
            return in_words(426, "This takes WebSocket.", Upgrade="websocket", Connection="Upgrade")
        if request.header_values("Sec-WebSocket-Version") != [_VERSION]:
            headers = {"Sec-WebSocket-Version": _VERSION}
            return in_words(426, "This takes version 13 of WebSocket.", **headers)
        keys = request.header_values("Sec-WebSocket-Key")
        if request.method != b"GET" or request.clientproto != b"HTTP/1.1" or not _is_key(keys):
            return in_words(400, "That is not how a WebSocket is opened (RFC 6455, section 4.1).")
        client = self.client_of(request)
        network = network_of(client.host)
        accepted = base64.b64encode(hashlib.sha1(keys[0].encode() + _ACCEPTING).digest())  # noqa: S324
        handshake = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %s\r\n\r\n" % accepted
        )
        address = client.host
        private: bool | None = None
        if self._forwarding.trusts(getattr(request.client, "host", "")):
            private = client.encrypted or is_loopback(network)
        else:
            address = address_text(request.client)

        def make() -> Protocol | Response:
            if network != request.channel.network:
                reason = self.factory.admit(network, address)
                if reason is not None:
                    return _full(reason)
            connection = Connection(self.factory, address, network)
            return WebSocketProtocol(connection, handshake, private=private)

        return Upgrade(make, network)


def _full(reason: ErrorCode) -> Response:
    if reason is ErrorCode.ADDRESS_FULL:
        return in_words(503, "There are too many connections from your address.")
    return in_words(503, "The server is full. Try again later.")


def _lists(values: Iterable[str]) -> list[str]:
    return [part.strip().lower() for part in ",".join(values).split(",") if part.strip()]


def _is_key(values: list[str]) -> bool:
    try:
        return len(values) == 1 and len(base64.b64decode(values[0], validate=True)) == 16
    except binascii.Error:
        return False
