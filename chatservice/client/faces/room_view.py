"""Where a person speaks, which rooms they want quiet, and what they have not read elsewhere."""

from collections import Counter
from collections.abc import Collection

from chatservice.client.faces.words import Shown
from chatservice.core.events import (
    LOBBY,
    Emoted,
    ErrorCode,
    Joined,
    Left,
    QuietChanged,
    Refusal,
    Renamed,
    Said,
)


class RoomView:
    """`current` is the room where what is typed is said. `unread` counts the messages of others in
    each other room since it was the current one."""

    def __init__(self) -> None:
        self.current = LOBBY
        self.unread: Counter[str] = Counter()
        self._quiet: set[str] = set()

    def hears(self, event: Shown, me: str | None) -> bool:
        """Take note of `event`. Whether `me` wants to see it."""
        match event:
            case Said(room=room, name=name) | Emoted(room=room, name=name):
                if room != self.current and name != me:
                    self.unread[room] += 1
            case Joined() | Left() | Renamed():
                return not self._quiet.issuperset(event.rooms or (event.room,))
            case _:
                pass
        return True

    def is_quiet(self, room: str) -> bool:
        """Whether comings and goings in `room` are hidden."""
        return room in self._quiet

    def switch(self, room: str) -> None:
        """Speak in `room`."""
        self.current = room
        del self.unread[room]

    def stay_in(self, rooms: Collection[str]) -> None:
        """These are the rooms that there are for us."""
        for room in [*self.unread.keys() - set(rooms), *self._quiet.difference(rooms)]:
            del self.unread[room]
            self._quiet.discard(room)
        if self.current not in rooms:
            self.switch(next(iter(rooms), LOBBY))

    def hush(self, room: str, on: bool | None) -> QuietChanged:
        """Hide comings and goings in `room`, or show them; None: the other way round."""
        on = room not in self._quiet if on is None else on
        (self._quiet.add if on else self._quiet.discard)(room)
        return QuietChanged(room, on)


def own_room(name: str, rooms: Collection[str]) -> str:
    """The one of `rooms` that is called `name`, with or without ``#``. Raises NOT_IN_ROOM."""
    bare = name.removeprefix("#")
    for room in rooms:
        if room.casefold() == bare.casefold():
            return room
    raise Refusal(ErrorCode.NOT_IN_ROOM, room=f"#{bare}")
