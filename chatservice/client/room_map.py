"""The rooms that a client's person is in, as far as it has been told."""

from collections.abc import Iterable

from chatservice.core.events import (
    LOBBY,
    Happening,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    RoomInfo,
    TopicChanged,
)

MAX_ROOMS = 1000  # a server lets nobody into more than fifty
MAX_TOPIC = 1000  # characters; the server allows 200


class RoomMap:
    """`topics` maps the rooms that we are in to what they are about; `private` are those of them
    that take an invitation."""

    def __init__(self) -> None:
        self.topics: dict[str, str] = {LOBBY: ""}
        self.private: set[str] = set()

    def reset(self, rooms: Iterable[RoomInfo]) -> None:
        """We are in these; a server that knows no rooms has a lobby."""
        self.topics.clear()
        self.private.clear()
        for room in rooms:
            self.enter(room)
        if not self.topics:
            self.topics[LOBBY] = ""

    def enter(self, room: RoomInfo) -> None:
        """We are in `room`."""
        if room.room in self.topics or len(self.topics) < MAX_ROOMS:
            self.topics[room.room] = room.topic[:MAX_TOPIC]
            self._note(room.room, private=room.private)

    def leave(self, room: str) -> None:
        """We are in `room` no longer, which may be written as people write it."""
        wanted = room.removeprefix("#").casefold()
        for name in [name for name in self.topics if name.casefold() == wanted]:
            del self.topics[name]
            self.private.discard(name)

    def apply(self, event: Happening, me: str | None) -> None:
        """What `event` says of the rooms of `me`, at another connection perhaps."""
        match event:
            case Joined(names=names, room=room, arrived=False) if me in names:
                self.enter(RoomInfo(room))
            case Left(names=names, room=room, reason=LeaveReason.PARTED) if me in names:
                self.leave(room)
            case TopicChanged(room=room, topic=topic) if room in self.topics:
                self.topics[room] = topic[:MAX_TOPIC]
            case ModeChanged(room=room, private=private) if room in self.topics:
                self._note(room, private=private)

    def _note(self, room: str, *, private: bool) -> None:
        (self.private.add if private else self.private.discard)(room)
