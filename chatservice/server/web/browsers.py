"""The web door: the page and its files at ``/``, and the chat at ``/chat``, over WebSocket.

It holds no rule of the chat.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from twisted.internet.protocol import Protocol
from twisted.web import http

from chatservice.core.addresses import address_text
from chatservice.core.events import ErrorCode
from chatservice.core.limits import is_loopback, network_of
from chatservice.server.connection import Connection
from chatservice.server.factory import ChatFactory
from chatservice.server.web.door import HttpDoor, Route
from chatservice.server.web.forwarded import Forwarding
from chatservice.server.web.hosts import Hosts
from chatservice.server.web.http import Answer, Response, Upgrade, WebRequest, in_words
from chatservice.server.web.pages import Page, load_pages
from chatservice.server.web.websocket import WebSocketProtocol

CHAT_PATH = "/chat"
_ACCEPTING = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_VERSION = "13"


class WebDoor(HttpDoor):
    """Serves the page, the sessions of `factory` over WebSocket, and `more` routes."""

    def __init__(
        self,
        factory: ChatFactory,
        hosts: Hosts,
        forwarding: Forwarding,
        more: Mapping[str, Route] = {},
    ) -> None:
        routes: dict[str, Route] = {
            path: partial(self._show, page) for path, page in load_pages().items()
        }
        routes |= {CHAT_PATH: self._open_chat, **more}
        super().__init__(factory.clock, lambda: factory.limits, hosts, forwarding, routes)
        self.factory = factory

    def admit(self, network: str, address: str) -> ErrorCode | None:
        return self.factory.admit(network, address, "web")

    def release(self, network: str) -> None:
        self.factory.release(network)

    def _show(self, page: Page, request: WebRequest) -> Response:
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
        accepted = base64.b64encode(hashlib.sha1(keys[0].encode() + _ACCEPTING).digest())  # noqa: S324
        handshake = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %s\r\n\r\n" % accepted
        )

        def make(connection: Connection, private: bool | None) -> Protocol:
            return WebSocketProtocol(connection, handshake, private=private)

        return self.upgrade(request, make)

    def upgrade(
        self, request: WebRequest, make_protocol: Callable[[Connection, bool | None], Protocol]
    ) -> Upgrade:
        """Hand the connection over to a protocol, which serves a `Connection`; it is told whether
        nobody can listen, if that is known (see `Connection.begin`)."""
        client = self.client_of(request)
        network = network_of(client.host)
        address = client.host
        private: bool | None = None
        if self.forwarding.trusts(getattr(request.client, "host", "")):
            private = client.encrypted or is_loopback(network)
        else:
            address = address_text(request.client)

        def make() -> Protocol | Response:
            if network != request.channel.network:
                reason = self.admit(network, address)
                if reason is not None:
                    return _full(reason)
            connection = Connection(self.factory, address, network, "web")
            return make_protocol(connection, private)

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
