"""What an operator may ask of a server: each command calls the core, whose rules hold here, too."""

import os
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

import chatservice
from chatservice.control.wire import PAGE, Json
from chatservice.core.chat import shown_room
from chatservice.core.events import ErrorCode, FieldKind, Refusal
from chatservice.core.registry import room_order
from chatservice.core.room import Room
from chatservice.core.sanitize import sanitize
from chatservice.core.users import User
from chatservice.server.connection import Connection
from chatservice.server.factory import ChatFactory

log = Logger()

Pages = Iterator[Json]
Reload = Callable[[], Coroutine[Deferred[Any], Any, Sequence[str]]]


class Commands:
    """The commands, for the server of `factory`. `reload` applies changed options, and gives the
    lines that the log has of it; `database` is the file's name, or ``none``. `doors`: where the
    server listens, once it does."""

    def __init__(self, factory: ChatFactory, reload: Reload, database: str) -> None:
        self._factory = factory
        self._chat = factory.chat
        self._reload = reload
        self._database = database
        self._since = self._chat.now()
        self.doors: Sequence[str] = ()

    async def carry_out(self, asked: Json) -> Pages:
        """The answer to a request, page by page. Raises `Refusal`."""
        match asked.get("type"):
            case "who":
                return self._who(self._room(asked))
            case "rooms":
                return self._rooms()
            case "kick":
                return self._kick(_text(asked, "name"), _text(asked, "reason", ""))
            case "announce":
                return self._announce(_lines(asked), self._room(asked))
            case "reload":
                return iter([{"lines": list(await self._reload())}])
            case "status":
                return iter([self._status()])
            case other:
                raise Refusal(ErrorCode.UNKNOWN_TYPE, type=sanitize(str(other))[:40])

    def _room(self, asked: Json) -> Room | None:
        name = _text(asked, "room", "")
        if not name:
            return None
        if (room := self._chat.directory.room(name)) is None:
            raise Refusal(ErrorCode.UNKNOWN_ROOM, room=shown_room(sanitize(name)))
        return room

    def _who(self, room: Room | None) -> Pages:
        connections = {each.session.cursor: each for each in self._factory.connections}
        users = list(self._chat.users.values() if room is None else room.members)
        users.sort(key=lambda user: user.name.casefold())
        there = (_person(user, connections) for user in users if user.present)
        return _paged("people", there)

    def _rooms(self) -> Pages:
        rooms = self._chat.directory.rooms
        found = (rooms[name] for name in sorted(rooms, key=room_order) if name in rooms)
        return _paged("rooms", map(_room_fields, found))

    def _kick(self, name: str, reason: str) -> Pages:
        user = self._chat.directory.user(name)
        log.info(
            "The operator's shell kicks {name}: {reason!r}", name=user.name, reason=sanitize(reason)
        )
        self._chat.kick(user, reason)
        return iter([{"name": user.name}])

    def _announce(self, lines: Sequence[str], room: Room | None) -> Pages:
        where = "" if room is None else f" in #{room.name}"
        text = "\n".join(map(sanitize, lines))
        log.info("The operator's shell announces{where}: {text!r}", where=where, text=text)
        self._chat.announce(lines, room)
        return iter([{"heard_by": len(self._chat.users if room is None else room.members)}])

    def _status(self) -> Json:
        saving = self._chat.archive.trouble
        return {
            "version": chatservice.__version__,
            "pid": os.getpid(),
            "phase": self._factory.phase.value,
            "since": self._since,
            "seconds": self._chat.now() - self._since,
            "doors": list(self.doors),
            "connections": len(self._factory.connections),
            "users": len(self._chat.users),
            "rooms": len(self._chat.directory.rooms),
            "messages": self._chat.log.messages.total(),
            "database": self._database,
            "trouble": "" if saving is None else saving.trouble,
        }


def _person(user: User, connections: Mapping[object, Connection]) -> Json:
    theirs = [connections[each] for each in user.cursors if each in connections]
    return {
        "name": user.name,
        "registered": user.is_registered,
        "since": user.since,
        "idle": min((each.idle for each in theirs), default=0.0),
        "rooms": list(user.sorted_rooms),
        "connections": [
            {"door": each.door, "tls": each.is_encrypted, "address": each.peer.address}
            for each in theirs
        ],
    }


def _room_fields(room: Room) -> Json:
    return {
        "name": room.name,
        "people": len(room.members),
        "private": room.private,
        "topic": room.topic,
    }


def _paged(key: str, items: Iterator[Json]) -> Pages:
    """Answers with at most PAGE of `items` each, made when they are asked for."""
    page: list[Json] = []
    for item in items:
        if len(page) == PAGE:
            yield {key: page, "more": True}
            page = []
        page.append(item)
    yield {key: page}


def _text(asked: Json, field: str, default: str | None = None) -> str:
    value = asked.get(field, default)
    if value is None:
        raise Refusal(ErrorCode.MISSING_FIELD, field=field)
    if not isinstance(value, str):
        raise Refusal(ErrorCode.BAD_FIELD, field=field, kind=FieldKind("string"))
    return value


def _lines(asked: Json) -> list[str]:
    lines = [line for line in _text(asked, "text").splitlines() if line.strip()]
    if not lines:
        raise Refusal(ErrorCode.MISSING_FIELD, field="text")
    return lines
