"""Who is here under which name, and which rooms there are: as everyone has been told."""

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterable
from itertools import chain

from chatservice.core import names
from chatservice.core.cursor import Cursor, Listener
from chatservice.core.events import LOBBY, Account, ErrorCode, Refusal, Typing
from chatservice.core.log import Clock
from chatservice.core.lookalikes import LookAlikes
from chatservice.core.registry import RoomRecord
from chatservice.core.room import Room
from chatservice.core.sanctions import Sanctions
from chatservice.core.users import Absence, User


class Directory:
    """The shared user map and the rooms.

    `users` maps the name of everyone who is here, as it is shown, to them; `rooms` does the same
    for rooms. People and rooms are also found by names that look like theirs. `operators`: those of
    the server. `sanctions`: bans and mutes, by their scope. `typing` is called with who is typing
    in any room.
    """

    def __init__(
        self,
        clock: Clock,
        typing: Callable[[Hashable, Typing], None] = lambda author, event: None,
    ) -> None:
        self.users: dict[str, User] = {}
        self.rooms: dict[str, Room] = {}
        self.operators: set[Account] = set()
        self.sanctions: dict[str, Sanctions] = {}
        self._clock = clock
        self._typing = typing
        self._alike: LookAlikes[User] = LookAlikes()
        self._room_by_key: dict[str, Room] = {}
        self._sorted: list[str] = []  # by their case-folded form, which no two share
        self._online: tuple[str, ...] | None = None
        self._away: dict[User, None] = {}
        self._away_names: tuple[str, ...] | None = ()
        self.add_room(RoomRecord(LOBBY))

    def clear(self) -> None:
        """Nobody is here, and there is the lobby only."""
        for each in (self.users, self.rooms, self.operators, self.sanctions):
            each.clear()
        self._alike = LookAlikes()
        self._room_by_key.clear()
        self._sorted.clear()
        self._online = None
        self._away.clear()
        self._away_names = ()
        self.add_room(RoomRecord(LOBBY))

    # People.

    def online(self) -> tuple[str, ...]:
        """Everyone's name, sorted."""
        if self._online is None:
            self._online = tuple(self._sorted)
        return self._online

    def away(self) -> tuple[str, ...]:
        """The names of those who are away, sorted."""
        if self._away_names is None:
            names = (user.name for user in self._away)
            self._away_names = tuple(sorted(names, key=str.casefold))
        return self._away_names

    def away_in(self, room: Room) -> tuple[str, ...]:
        """The names of those of them who are in `room`."""
        return tuple(name for name in self.away() if self.users[name] in room.members)

    def set_away(self, user: User, absence: Absence | None) -> None:
        """`user`, who is here, is away; None: they are back."""
        user.away = absence
        self._note_away(user)

    def _note_away(self, user: User) -> None:
        if user.away is not None and self.users.get(user.name) is user:
            self._away[user] = None
            self._away_names = None
        elif self._away.pop(user, user) is None:
            self._away_names = None

    def people_in(self, room: Room) -> tuple[str, ...]:
        """The names of those who are in `room`, sorted."""
        here = [user.name for user in room.members if user.present]
        return (
            self.online()
            if len(here) == len(self._sorted)
            else tuple(sorted(here, key=str.casefold))
        )

    def user(self, name: str) -> User:
        """Whoever is called `name`, or looks so. Raises NOBODY."""
        try:
            name = names.well_formed(name)
        except Refusal:
            raise Refusal(ErrorCode.NOBODY, name=name) from None
        if (user := self.users.get(name)) is not None:
            return user
        alike = self._alike.alike(name)
        if not alike:
            raise Refusal(ErrorCode.NOBODY, name=name)
        folded = name.casefold()
        return min(alike, key=lambda user: (user.name.casefold() != folded, user.since, user.name))

    def alike(self, name: str) -> set[User]:
        """Everyone who is called `name`, or looks so."""
        return self._alike.alike(name)

    def namesakes(self, account: Account) -> set[User]:
        """Everyone who is called like the owner of `account`, but for owners of other accounts
        whose names have become alike."""
        return {
            user
            for user in self._alike.alike(account.name)
            if user.account is None
            or not user.is_registered
            or user.account.is_called(account.name)
        }

    def add(self, user: User) -> None:
        """`user` is here, under the name that they have."""
        self.users[user.name] = user
        self._alike.add(user.name, user)
        insort(self._sorted, user.name, key=str.casefold)
        self._online = None
        self._note_away(user)

    def remove(self, user: User) -> None:
        """`user` is not here under that name any longer."""
        del self.users[user.name]
        self._alike.remove(user.name, user)
        del self._sorted[bisect_left(self._sorted, user.name.casefold(), key=str.casefold)]
        self._online = None
        self._note_away(user)

    # Rooms.

    @property
    def lobby(self) -> Room:
        return self.rooms[LOBBY]

    def room(self, name: str) -> Room | None:
        """The room that is called `name`, with or without ``#``, or looks so."""
        room = self.rooms.get(name.removeprefix("#"))
        if room is not None:
            return room
        try:
            checked = names.checked_room(name)
        except Refusal:
            return None
        return next(
            (self._room_by_key[key] for key in names.keys(checked) if key in self._room_by_key),
            None,
        )

    def add_room(self, record: RoomRecord) -> Room:
        """There is such a room."""
        room = self.rooms[record.name] = Room(record, self._clock, self._typing)
        self._room_by_key.update(dict.fromkeys(names.keys(record.name), room))
        return room

    def drop_if_empty(self, room: Room) -> None:
        """A room that nobody is in goes, unless its founder is registered."""
        if room.members or room.stays:
            return
        del self.rooms[room.name]
        self.sanctions.pop(room.name, None)
        for key in names.keys(room.name):
            self._room_by_key.pop(key, None)

    def hear(self, user: User, cursor: Cursor) -> None:
        """`cursor`, a connection of `user`, hears the rooms that it is to hear."""
        for name in cursor.rooms:
            self.rooms[name].cursors[cursor] = None

    def hear_no_more(self, user: Listener, cursor: Cursor) -> None:
        """It hears none."""
        for name in user.rooms:
            if (room := self.rooms.get(name)) is not None:
                room.cursors.pop(cursor, None)

    def readers(self, rooms: Iterable[str]) -> list[Cursor]:
        """Everyone who hears one of these rooms."""
        there = [self.rooms[name].cursors for name in rooms if name in self.rooms]
        if len(there) == 1:
            return list(there[0])
        return list(dict.fromkeys(chain.from_iterable(there)))
