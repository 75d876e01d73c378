"""``POST /hooks/TOKEN``: a program speaks in a room."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from twisted.internet.defer import Deferred

from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.limits import RateLimiter
from chatservice.core.stores import Hook, HookKind, HookStore
from chatservice.server.factory import ChatFactory, Phase
from chatservice.server.web.door import Route
from chatservice.server.web.http import Answer, Response, WebRequest, in_words
from chatservice.server.web.payloads import BadPayload, texts_of
from chatservice.session.asker import committed

PREFIX = "/hooks/"
# Requests of one hook at once, and seconds until there may be one more: a build says less, and one
# that goes astray does not fill a room.
AT_ONCE, ONE_MORE_SECONDS = 20, 1.0

_REFUSALS: Mapping[ErrorCode, tuple[int, str]] = {
    ErrorCode.UNKNOWN_ROOM: (404, "There is no such room any more."),
    ErrorCode.NOT_SAVED: (503, "Messages cannot be saved at the moment. Try again later."),
    ErrorCode.BUSY: (503, "The server is busy. Try again later."),
}


def hook_routes(factory: ChatFactory, store: HookStore) -> dict[str, Route]:
    """The route, for hooks in `store`."""
    posted = RateLimiter(AT_ONCE, ONE_MORE_SECONDS, factory.clock.seconds)

    async def post(request: WebRequest, token: str) -> Response:
        try:
            hook = await store.find(token, request.channel.network)
            if hook is None or hook.kind is not HookKind.SPEAK:
                return in_words(404, "There is no such hook.")
            body = request.content.read()
            if hook.secret and not _is_signed(request, hook, body):
                return in_words(403, "The signature is missing or wrong (X-Hub-Signature-256).")
            if not posted.take(str(hook.number)):
                return in_words(429, "That was too often. Try again in a moment.", **_RETRY)
            texts = texts_of(body, _header(request, "Content-Type"), _event(request))
            if texts:
                await _say(factory, hook, texts)
        except BadPayload as bad:
            return in_words(400, str(bad))
        except Refusal as refusal:
            code, words = _REFUSALS.get(refusal.code, (503, "That cannot be done at the moment."))
            return in_words(code, words)
        return Response(200, b"ok")

    def route(request: WebRequest) -> Answer | Deferred[Answer | None]:
        if request.method != b"POST":
            return in_words(405, "This takes a POST.", Allow="POST")
        if factory.phase is not Phase.READY:
            return in_words(503, "The server is stopping or starting. Try again later.")
        token = request.path.decode("ascii", "replace").removeprefix(PREFIX)
        return Deferred.fromCoroutine(post(request, token))

    return {PREFIX: route}


_RETRY = {"Retry-After": "1"}


async def _say(factory: ChatFactory, hook: Hook, texts: tuple[str, ...]) -> None:
    """Once this returns, it is on disk. Raises `Refusal`."""
    chat = factory.chat
    room = chat.directory.room(hook.room)
    if room is None:
        raise Refusal(ErrorCode.UNKNOWN_ROOM, room=hook.room)
    name = room.name
    await committed(lambda then: chat.post(name, hook.shown, texts, then))
    if chat.archive.shows_unsaved:  # it was heard, and is not on disk
        raise Refusal(ErrorCode.NOT_SAVED)


def _is_signed(request: WebRequest, hook: Hook, body: bytes) -> bool:
    expected = hmac.new(hook.secret.encode(), body, hashlib.sha256).hexdigest()
    given = _header(request, "X-Hub-Signature-256")
    return hmac.compare_digest(f"sha256={expected}".encode(), given.encode("utf-8", "replace"))


def _header(request: WebRequest, name: str) -> str:
    return next(iter(request.header_values(name)), "")


def _event(request: WebRequest) -> str:
    return _header(request, "X-GitHub-Event")
