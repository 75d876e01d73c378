"""``GET /rooms/ROOM/events?after=ID``: a program hears what happens in a room, as JSON lines."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from typing import cast
from urllib.parse import parse_qs, unquote

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from chatservice.core.events import CloseReason, Refusal
from chatservice.core.stores import Hook, HookKind, HookStore
from chatservice.dialects.chunks import JSON_CHUNKS
from chatservice.server.connection import Connection, State
from chatservice.server.factory import ChatFactory, Phase
from chatservice.server.output import Transport
from chatservice.server.web.browsers import WebDoor
from chatservice.server.web.door import Route
from chatservice.server.web.http import Answer, WebRequest, in_words
from chatservice.session.listening import ListeningSession

PREFIX = "/rooms/"
# Connections with one token, and with all: each is a connection like a person's, too.
MAX_OF_TOKEN, MAX_LISTENING = 10, 100
# Seconds until somebody whose token was removed hears nothing more.
LOOK_SECONDS = 5.0
_PATH = re.compile(r"/rooms/([^/]+)/events")
_ID = re.compile(r"[0-9]{1,18}")
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n"
    b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
    b"Chat-Epoch: %s\r\n\r\n"
)


class EventsProtocol(Protocol):
    """Serves one of them. What its peer sends is not looked at."""

    transport: Transport  # type: ignore[assignment]  # from connectionMade on

    def __init__(
        self, connection: Connection, make_session: partial[ListeningSession], private: bool | None
    ) -> None:
        self.connection = connection
        self._make_session = make_session
        self._private = private
        self._received = 0

    def connectionMade(self) -> None:
        self.connection.begin(
            self, JSON_CHUNKS, private=self._private, make_session=self._make_session
        )

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connection.lost(reason)

    def dataReceived(self, data: bytes) -> None:
        self._received += len(data)
        self.connection.received()

    @property
    def begun_line(self) -> bytes:
        """None: it sends none."""
        return b""

    def serve(self) -> bool:
        """Throw away what has been received."""
        if self._received:
            self.connection.charge(self._received)
            self._received = 0
        return False


class Listeners:
    """Everybody who listens with a token of `store`."""

    def __init__(self, factory: ChatFactory, store: HookStore) -> None:
        self._factory = factory
        self._store = store
        self._listening: dict[Connection, int] = {}

    def route(self, request: WebRequest) -> Answer | Deferred[Answer | None]:
        """What a request gets."""
        match = _PATH.fullmatch(request.path.decode("ascii", "replace"))
        if match is None:
            return in_words(404, "There is nothing here.")
        if request.method != b"GET" or request.clientproto != b"HTTP/1.1":
            return in_words(405, "This takes a GET of HTTP/1.1.", Allow="GET")
        if self._factory.phase is not Phase.READY:
            return in_words(503, "The server is stopping or starting. Try again later.")
        return Deferred.fromCoroutine(self._listen(request, unquote(match[1])))

    async def _listen(self, request: WebRequest, name: str) -> Answer:  # noqa: PLR0911
        given = next(iter(request.header_values("Authorization")), "")
        scheme, _, token = given.partition(" ")
        try:
            hook = await self._store.find(token.strip(), request.channel.network)
        except Refusal:
            return in_words(503, "The server is busy. Try again later.")
        if scheme.lower() != "bearer" or hook is None or hook.kind is not HookKind.LISTEN:
            headers = {"WWW-Authenticate": "Bearer"}
            return in_words(401, "This takes a token that may listen.", **headers)
        chat = self._factory.chat
        mine, room = chat.directory.room(hook.room), chat.directory.room(name)
        if mine is None or room is not mine:
            return in_words(404, "The token is for another room, or the room is gone.")
        position = chat.log.end
        if after := parse_qs(request.query.decode("ascii", "replace")).get("after"):
            if not _ID.fullmatch(after[0]):
                return in_words(400, "after has to be an id.")
            position = int(after[0]) + 1
            if position > chat.log.end:
                return in_words(409, "Nothing has that id so far: did the ids start over?")
        listening = Counter(
            number for each, number in self._listening.items() if each.state is not State.GONE
        )
        if listening.total() >= MAX_LISTENING or listening[hook.number] >= MAX_OF_TOKEN:
            return in_words(429, "Too many listen already.")
        head = _HEAD % chat.log.epoch.encode()
        make_session = partial(ListeningSession, room=room, position=position, head=head)

        def make(connection: Connection, private: bool | None) -> Protocol:
            self._listening[connection] = hook.number
            self._look_later(connection, hook, token.strip())
            return EventsProtocol(connection, make_session, private)

        return cast(WebDoor, request.channel.door).upgrade(request, make)

    def _look_later(self, connection: Connection, hook: Hook, token: str) -> None:
        self._factory.clock.callLater(LOOK_SECONDS, self._look, connection, hook, token)

    def _look(self, connection: Connection, hook: Hook, token: str) -> None:
        """Whether they may still listen."""
        if connection.state is State.GONE:
            del self._listening[connection]
            return
        self._look_later(connection, hook, token)
        looking = Deferred.fromCoroutine(self._may_listen(token))

        def found(may_listen: bool) -> None:
            if not may_listen and not connection.obeys_no_more:
                connection.session.close(CloseReason.KICKED)

        looking.addCallback(found).addErrback(connection.fail)

    async def _may_listen(self, token: str) -> bool:
        try:
            return await self._store.find(token) is not None
        except Refusal:
            return True  # nobody knows


def event_routes(factory: ChatFactory, store: HookStore) -> dict[str, Route]:
    """The route, for tokens of `store`."""
    return {PREFIX: Listeners(factory, store).route}
