"""What an operator may ask of a server: each command calls the core, whose rules hold here, too."""

import os
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger, globalLogPublisher
from twisted.python.usage import UsageError

import chatservice
from chatservice.control.lines import EVERYTHING, Lines
from chatservice.control.wire import PAGE, Json
from chatservice.core.cursor import Cursor
from chatservice.core.events import (
    ALL_ROOMS,
    ErrorCode,
    FieldKind,
    Refusal,
    SanctionInfo,
    SanctionKind,
)
from chatservice.core.measures import Impose, Kick, Lift, Measure, Warrant
from chatservice.core.registry import room_order, shown_room
from chatservice.core.room import Room
from chatservice.core.sanctions import MAX_SECONDS, expect_reason
from chatservice.core.sanitize import sanitize
from chatservice.core.stores import Report
from chatservice.core.users import User
from chatservice.dialects.text import TEXT
from chatservice.process import resident
from chatservice.server.connection import Connection
from chatservice.server.factory import ChatFactory
from chatservice.session.asker import committed
from chatservice.session.moderation import person_called, well_formed

log = Logger()

Pages = Iterator[Json]
Reload = Callable[[], Coroutine[Deferred[Any], Any, Sequence[str]]]
_KINDS = {
    "ban": SanctionKind.BAN,
    "mute": SanctionKind.MUTE,
    "unban": SanctionKind.BAN,
    "unmute": SanctionKind.MUTE,
}


class Impossible(Exception):
    """What was asked for cannot be done; the message is why."""


class Operator:
    """Whoever asks: `name` is how the log calls them. They may follow the log."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lines: Lines | None = None

    def new_lines(self) -> Json:
        """What has been logged since they last asked, or since they first did; and how many lines
        more."""
        if self._lines is None:
            self._lines = Lines()
            globalLogPublisher.addObserver(self._lines)
        lines, left_out = self._lines.take(EVERYTHING)
        shown = [{"at": line.at, "kind": line.kind.value, "text": line.text} for line in lines]
        return {"lines": shown, "left_out": left_out}

    def leaves(self) -> None:
        """They follow the log no longer."""
        if self._lines is not None:
            globalLogPublisher.removeObserver(self._lines)
            self._lines = None


class Commands:
    """The commands, for the server of `factory`. `reload` applies changed options, and gives the
    lines that the log has of it; it raises UsageError. `database` is what people may read of where
    that is. `doors`: where the server listens, once it does."""

    def __init__(self, factory: ChatFactory, reload: Reload, database: str) -> None:
        self._factory = factory
        self._chat = factory.chat
        self._reload = reload
        self._database = database
        self._since = factory.clock.seconds()
        self.doors: Sequence[str] = ()

    async def carry_out(  # noqa: PLR0911 (one case for each command)
        self, asked: Json, operator: Operator
    ) -> Pages:
        """The answer to a request of `operator`, page by page. Raises `Refusal`, and
        `Impossible`."""
        by = operator.name
        match asked.get("type"):
            case "who":
                return self._who(self._room(asked))
            case "rooms":
                return self._rooms()
            case "bans":
                return self._bans(self._room(asked))
            case "reports":
                return await self._reports(forget=asked.get("forget") is True)
            case "kick":
                return await self._kick(asked, by)
            case "ban" | "mute" as type_:
                return await self._impose(_KINDS[type_], asked, by)
            case "unban" | "unmute" as type_:
                name = well_formed(_text(asked, "name"))
                return await self._take(asked, by, lambda w: Lift(w, _KINDS[type_], name))
            case "announce":
                return self._announce(_lines(asked), self._room(asked), by)
            case "reload":
                return await self._reload_options(by)
            case "status":
                return iter([self._status()])
            case "log":
                return iter([operator.new_lines()])
            case other:
                raise Refusal(ErrorCode.UNKNOWN_TYPE, type=sanitize(str(other))[:40])

    def _room(self, asked: Json) -> Room | None:
        """The room that is meant; None: the whole chat."""
        name = _text(asked, "room", "").removeprefix("#")
        if not name:
            return None
        if (room := self._chat.directory.room(name)) is None:
            raise Refusal(ErrorCode.UNKNOWN_ROOM, room=shown_room(sanitize(name)))
        return room

    def _who(self, room: Room | None) -> Pages:
        connections = {each.session.cursor: each for each in self._factory.connections}
        users = list(self._chat.users.values() if room is None else room.members)
        users.sort(key=lambda user: user.name.casefold())
        return _paged("people", (_person(user, connections) for user in users if user.present))

    def _rooms(self) -> Pages:
        rooms = self._chat.directory.rooms
        found = (rooms[name] for name in sorted(rooms, key=room_order) if name in rooms)
        return _paged("rooms", map(_room_fields, found))

    def _bans(self, room: Room | None) -> Pages:
        found = self._chat.moderation.listed(None, room)
        return _paged("bans", (_sanction_fields(each.info) for each in found))

    async def _reports(self, *, forget: bool) -> Pages:
        """What is kept for those in charge; with `forget`, no longer."""
        store = self._chat.archive.reports
        kept = await store.kept()
        if forget:
            await store.discard([each.number for each in kept])
        return _paged("reports", map(_report_fields, kept))

    async def _kick(self, asked: Json, by: str) -> Pages:
        if self._room(asked) is not None:
            target = await person_called(self._factory.services, _text(asked, "name"))
            why = _reason(asked)
            return await self._take(asked, by, lambda w: Kick(w, target, why))
        user, why = self._chat.directory.user(_text(asked, "name")), _reason(asked)
        log.info("{by} kicks {name} from the chat: {why!r}", by=by, name=user.name, why=why)
        self._chat.kick(user, why)
        return iter([{"text": f"{user.name} has to leave the chat."}])

    async def _impose(self, kind: SanctionKind, asked: Json, by: str) -> Pages:
        seconds, why = _seconds(asked), _reason(asked)
        target = await person_called(self._factory.services, _text(asked, "name"))
        return await self._take(asked, by, lambda w: Impose(w, kind, target, seconds, why))

    async def _take(self, asked: Json, by: str, measure: Callable[[Warrant], Measure]) -> Pages:
        """It is taken by whoever runs the server."""
        room = self._room(asked)
        scope = ALL_ROOMS if room is None else room.name
        warrant = Warrant(self._chat.now(), None, scope)
        entry = await committed(
            lambda then: self._chat.moderation.take(None, measure(warrant._replace(then=then)))
        )
        lines = [] if entry is None else TEXT.lines(entry.event)
        text = " ".join(line.removeprefix("*** ") for line in lines)
        where = "" if room is None else f" in {shown_room(room.name)}"
        log.info("By {by}{where}: {text}", by=by, where=where, text=text)
        return iter([{"text": text}])

    def _announce(self, lines: Sequence[str], room: Room | None, by: str) -> Pages:
        where = "" if room is None else f" in {shown_room(room.name)}"
        text = "\n".join(lines)
        log.info("{by} announces{where}: {text!r}", by=by, where=where, text=text)
        self._chat.announce(lines, room)
        return iter([{"people": len(self._chat.users if room is None else room.members)}])

    async def _reload_options(self, by: str) -> Pages:
        log.info("{by} has the options reloaded.", by=by)
        try:
            lines = await self._reload()
        except UsageError as error:
            raise Impossible(f"Everything stays as it was: {error}") from None
        return iter([{"lines": list(lines)}])

    def _status(self) -> Json:
        saving = self._chat.archive.trouble
        return {
            "version": chatservice.__version__,
            "pid": os.getpid(),
            "phase": self._factory.phase.value,
            "seconds": round(self._factory.clock.seconds() - self._since, 1),
            "doors": list(self.doors),
            "connections": len(self._factory.connections),
            "people": len(self._chat.users),
            "rooms": len(self._chat.directory.rooms),
            "messages": self._chat.log.messages.total(),
            "messages_logged": self._factory.settings.log_messages,
            "memory": round(resident()),
            "database": self._database,
            "trouble": "" if saving is None else saving.trouble,
        }


def _person(user: User, connections: Mapping[Cursor, Connection]) -> Json:
    theirs = [connections[each] for each in user.cursors if each in connections]
    return {
        "id": user.id,
        "name": user.name,
        "registered": user.is_registered,
        "since": user.since,
        "idle": round(min((each.idle for each in theirs), default=0.0), 1),
        "rooms": list(user.sorted_rooms),
        "away": None if user.away is None else user.away.text,
        "elsewhere": bool(user.elsewhere),
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


def _sanction_fields(info: SanctionInfo) -> Json:
    return {
        "kind": info.kind.value,
        "name": info.name,
        "registered": info.account,
        "network": info.network,
        "by": info.by,
        "at": info.at,
        "until": info.until,
        "reason": info.why,
    }


def _report_fields(report: Report) -> Json:
    return {
        "at": report.at,
        "room": report.room,
        "name": report.name,
        "registered": report.account is not None,
        "by": report.by,
        "reason": report.why,
    }


def _paged(key: str, items: Iterable[Json]) -> Pages:
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


def _reason(asked: Json) -> str:
    why = sanitize(_text(asked, "reason", "")).strip()
    expect_reason(why)
    return why


def _seconds(asked: Json) -> int | None:
    """How long; None: for good."""
    seconds = asked.get("seconds")
    if seconds is None:
        return None
    if type(seconds) is not int or seconds <= 0:
        raise Refusal(ErrorCode.BAD_FIELD, field="seconds", kind=FieldKind("natural", (1,)))
    return min(seconds, MAX_SECONDS)


def _lines(asked: Json) -> list[str]:
    lines = [sanitize(line) for line in _text(asked, "text").splitlines() if line.strip()]
    if not lines:
        raise Refusal(ErrorCode.MISSING_FIELD, field="text")
    return lines
