"""The server that the window shows: one that runs by itself, as its operator's socket tells."""

import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from heapq import nlargest
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from chatservice.console.bans import Held
from chatservice.control.lines import Kind, Lines
from chatservice.control.shell import ControlError, Declined, Shell
from chatservice.control.wire import Json
from chatservice.core.directory import Directory
from chatservice.core.events import ALL_ROOMS, LOBBY, SanctionInfo, SanctionKind
from chatservice.core.peer import Peer
from chatservice.core.registry import RoomRecord
from chatservice.core.room import Room
from chatservice.core.sanitize import sanitize
from chatservice.core.users import User

log = Logger()

SECONDS = 0.5  # between two looks at the log and the figures
# The same at who is there, for each of them: to list ten thousand takes the server some 100 ms,
# which should not be more than 1 % of its time.
SECONDS_FOR_EACH = 0.001
ROOMS_WITH_BANS = 20  # whose bans are shown: a question each
ANEW_SECONDS = 2.0  # between attempts to find a server that has gone
PATIENCE = 5.0  # seconds until a server that does not respond is said to hang


class AttachedServer:
    """The one whose socket is at `path`; what it logs is added to `lines`."""

    stop_words = "Close the window"

    def __init__(self, reactor: Any, path: str, lines: Lines) -> None:
        self._reactor = reactor
        self._path = path
        self._lines = lines
        self._lock = DeferredLock()  # one question at a time
        self._people: dict[int, User] = {}
        self.directory = Directory(reactor)
        self.trouble = ""
        self._shell: Shell | None = None
        self._status: Json = {}
        self._held: list[Held] = []

    def attach(self) -> None:
        """Find it, before there is a window. Raises `ControlError` if none runs there."""
        self._shell = Shell(self._path, PATIENCE)
        self._status = self._shell.ask("status")

    @property
    def addresses(self) -> Sequence[str]:
        return [sanitize(door) for door in self._status["doors"]]

    @property
    def log_messages(self) -> bool:
        return bool(self._status["messages_logged"])

    @property
    def connections(self) -> int:
        return int(self._status["connections"])

    @property
    def messages(self) -> int:
        return int(self._status["messages"])

    @property
    def memory(self) -> float:
        return float(self._status["memory"])

    @property
    def is_stopping(self) -> bool:
        return bool(self._status["phase"] == "stopping")

    def start(self) -> None:
        """Follow the server from now on."""
        self._does(self._follow())

    def close(self) -> None:
        """Wait for no more answers."""
        if self._shell is not None:
            self._shell.interrupt()

    def announce(self, lines: Sequence[str], room: Room | None) -> None:
        where = None if room is None else room.name
        self._does(self._tell("announce", text="\n".join(lines), room=where))

    def kick(self, user: User, reason: str, room: Room | None) -> None:
        self._does(self._tell("kick", name=user.name, reason=reason, **_in(room)))

    def impose(
        self, kind: SanctionKind, user: User, seconds: int | None, reason: str, room: Room | None
    ) -> None:
        fields = {"name": user.name, "seconds": seconds, "reason": reason, **_in(room)}
        self._does(self._tell(kind.value, **fields))

    def lift(self, held: Held) -> None:
        room = {} if held.scope == ALL_ROOMS else {"room": held.scope}
        self._does(self._tell(f"un{held.info.kind.value}", name=held.info.name, **room))

    def held(self) -> Iterable[Held]:
        return self._held

    def _does(self, task: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(task).addErrback(
            lambda failure: log.failure("The window has stopped following the server.", failure)
        )

    async def _tell(self, type_: str, **fields: object) -> None:
        try:
            await self._ask(type_, **fields)
        except ControlError as error:
            self._warn(str(error))

    async def _ask(self, type_: str, **fields: object) -> Json:
        def ask() -> Json:
            if self._shell is None:
                self._shell = Shell(self._path, PATIENCE)
            try:
                return self._shell.ask(type_, **fields)
            except Declined:
                raise
            except ControlError:
                self._shell.close()
                self._shell = None
                raise

        async with self._lock:
            answer: Json = await deferToThreadPool(
                self._reactor, self._reactor.getThreadPool(), ask
            )
        return answer

    async def _follow(self) -> None:
        due = 0.0
        while True:
            try:
                self._take_lines(await self._ask("log"))
                self._status = await self._ask("status")
                if self._reactor.seconds() >= due:
                    people = (await self._ask("who"))["people"]
                    self._take_rooms((await self._ask("rooms"))["rooms"])
                    self._take_people(people)
                    await self._take_held()
                    due = self._reactor.seconds() + len(people) * SECONDS_FOR_EACH
                self.trouble = ""
                seconds = SECONDS
            except ControlError as error:
                if not self.trouble:
                    self._warn(str(error))
                self.trouble = "Not connected to the server"
                seconds = ANEW_SECONDS
            await deferLater(self._reactor, seconds)

    def _take_lines(self, answer: Json) -> None:
        for line in answer["lines"]:
            self._lines.add(line["at"], Kind(line["kind"]), line["text"])
        if left_out := answer["left_out"]:
            self._lines.add(
                time.time(), Kind.SERVER, f"… {left_out:,} more, which are in the server's log"
            )

    def _take_rooms(self, told: Sequence[Json]) -> None:
        rooms = self.directory.rooms
        names = {room["name"] for room in told}
        for name in rooms.keys() - names - {LOBBY}:
            rooms[name].members.clear()
            self.directory.drop_if_empty(rooms[name])
        for each in told:
            room = rooms.get(each["name"]) or self.directory.add_room(RoomRecord(each["name"]))
            room.topic, room.private = sanitize(each["topic"]), each["private"]
            room.members.clear()

    async def _take_held(self) -> None:
        """The bans and mutes of the whole chat, and of the rooms with most people."""
        rooms = self.directory.rooms.values()
        most = nlargest(ROOMS_WITH_BANS, rooms, key=lambda room: len(room.members))
        held = []
        for scope in (ALL_ROOMS, *(room.name for room in most)):
            where = {} if scope == ALL_ROOMS else {"room": scope}
            with suppress(Declined):  # the room has gone meanwhile
                answer = await self._ask("bans", **where)
                held += [Held(scope, _info(told)) for told in answer["bans"]]
        self._held = held

    def _take_people(self, told: Sequence[Json]) -> None:
        """Those who have gone or have another name make way first."""
        by_id = {person["id"]: person for person in told}
        renamed = []
        for id_, user in list(self._people.items()):
            if id_ not in by_id:
                user.present = False
                self.directory.remove(self._people.pop(id_))
            elif user.name != by_id[id_]["name"]:
                self.directory.remove(user)
                renamed.append(user)
        for user in renamed:
            user.name = by_id[user.id]["name"]
            self.directory.add(user)
        for id_, person in by_id.items():
            if id_ not in self._people:
                self._people[id_] = User(id_, person["name"], person["since"])
                self.directory.add(self._people[id_])
            user = self._people[id_]
            connections: Any = [
                SimpleNamespace(peer=Peer(sanitize(each["address"])))
                for each in person["connections"]
            ]
            user.sessions = tuple(connections)
            for room in person["rooms"]:
                if room in self.directory.rooms:
                    self.directory.rooms[room].members[user] = None

    def _warn(self, text: str) -> None:
        self._lines.add(time.time(), Kind.WARNINGS, text)


def _in(room: Room | None) -> dict[str, object]:
    return {} if room is None else {"room": room.name}


def _info(told: Json) -> SanctionInfo:
    return SanctionInfo(
        SanctionKind(told["kind"]),
        sanitize(told["name"]),
        sanitize(told["by"]),
        told["at"],
        told["until"],
        sanitize(told["reason"]),
        told["registered"],
        told["network"],
    )
