"""Who is online, in which rooms, and who is typing, as far as a client has been told."""

from collections.abc import Container, Iterable

from chatservice.core.events import (
    AwayChanged,
    Banned,
    Deleted,
    Emoted,
    Happening,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Muted,
    PaceChanged,
    Renamed,
    RoleChanged,
    Said,
    Tombstone,
    TopicChanged,
    Typing,
)

# A server can have as many people as its system has descriptors; a client needs no more names than
# somebody can read, and has to live with what any server says. (10,000 people have been measured.)
MAX_USERS = 50_000
MAX_TYPING = 100  # a server tells of twenty
MAX_NAME = 128  # characters; the server allows 32


class UserMap:
    """The names of those who are online, of those among them who are `away`, of those who are in
    each room of which that has been told, and of those who are typing there."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self.away: set[str] = set()
        self._typing: dict[str, set[str]] = {}
        self._in: dict[str, set[str]] = {}

    @property
    def typing(self) -> set[str]:
        """Everyone who is typing, wherever that is."""
        return set().union(*self._typing.values())

    def typing_in(self, room: str) -> set[str]:
        """Everyone who is typing in `room`."""
        return self._typing.get(room, set())

    def people_in(self, room: str) -> set[str] | None:
        """Everyone who is in `room`; None: that has not been told."""
        return self._in.get(room)

    def meet(self, room: str, names: Iterable[str], away: Iterable[str] | None = None) -> None:
        """These are in `room`; of them those are `away`, if that has been told."""
        there = self._in[room] = set()
        _add(there, names)
        if away is not None:
            self.away -= there
            _add(self.away, away)

    def only_in(self, rooms: Container[str]) -> None:
        """Of other rooms we hear nothing any longer."""
        for room in [room for room in self._in if room not in rooms]:
            del self._in[room]

    def reset(self, names: Iterable[str], away: Iterable[str] = ()) -> None:
        """These are online, those of them are `away`, and nobody is typing."""
        self.users.clear()
        self.away.clear()
        _add(self.away, away)
        self._in.clear()
        self.nobody_types()
        _add(self.users, names)

    def nobody_types(self) -> None:
        """As far as we know."""
        self._typing.clear()

    def apply(self, event: Happening | Typing | AwayChanged) -> None:  # noqa: PLR0912 (a case each)
        """What `event` says about who is online and who is typing."""
        match event:
            case Said(name=name, room=room) | Emoted(name=name, room=room):
                self._stops(name, room)
            case Joined(names=names):
                _add(self.users, names)
                for room in event.rooms or (event.room,):
                    if (there := self._in.get(room)) is not None:
                        _add(there, names)
            case Left(names=names, room=room, reason=LeaveReason.PARTED):
                self._in.get(room, set()).difference_update(names)
                for name in names:  # who stay in the chat
                    self._stops(name, room)
            case Left(names=names):
                for there in (self.users, self.away, *self._in.values()):
                    there.difference_update(names)
                for room in list(self._typing):
                    for name in names:
                        self._stops(name, room)
            case Renamed(old=old, new=new):
                for there in (self.away, *self._in.values()):
                    if old in there:
                        there.discard(old)
                        _add(there, (new,))
                self.users.discard(old)
                for room in list(self._typing):
                    self._stops(old, room)
                _add(self.users, (new,))
            case AwayChanged(name=name, on=True):
                _add(self.away, (name,))
            case AwayChanged(name=name):
                self.away.discard(name)
            case Typing(name=name, room=room, on=True):  # which may come before they join
                if len(self.typing) < MAX_TYPING and len(name) <= MAX_NAME:
                    self._typing.setdefault(room, set()).add(name)
            case Typing(name=name, room=room):
                self._stops(name, room)
            case (
                TopicChanged() | ModeChanged() | PaceChanged() | RoleChanged() | Banned() | Muted()
            ):
                pass
            case Deleted() | Tombstone():
                pass

    def _stops(self, name: str, room: str) -> None:
        if (there := self._typing.get(room)) is not None:
            there.discard(name)
            if not there:
                del self._typing[room]


def _add(there: set[str], names: Iterable[str]) -> None:
    for name in names:
        if len(there) >= MAX_USERS:
            return
        if len(name) <= MAX_NAME:
            there.add(name)
