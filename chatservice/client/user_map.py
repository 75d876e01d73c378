"""Who is online, and who is typing, as far as a client has been told."""

from collections.abc import Iterable

from chatservice.core.events import (
    Banned,
    Emoted,
    Happening,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Muted,
    Renamed,
    RoleChanged,
    Said,
    TopicChanged,
    Typing,
)

# A server can have as many people as its system has descriptors; a client needs no more names than
# somebody can read, and has to live with what any server says. (10,000 people have been measured.)
MAX_USERS = 50_000
MAX_TYPING = 100  # a server tells of twenty
MAX_NAME = 128  # characters; the server allows 32


class UserMap:
    """The names of those who are online, and of those who are typing in each room."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self._typing: dict[str, set[str]] = {}

    @property
    def typing(self) -> set[str]:
        """Everyone who is typing, wherever that is."""
        return set().union(*self._typing.values())

    def typing_in(self, room: str) -> set[str]:
        """Everyone who is typing in `room`."""
        return self._typing.get(room, set())

    def reset(self, names: Iterable[str]) -> None:
        """These are online, and nobody is typing."""
        self.users.clear()
        self.nobody_types()
        self._add(names)

    def nobody_types(self) -> None:
        """As far as we know."""
        self._typing.clear()

    def apply(self, event: Happening | Typing) -> None:  # noqa: PLR0912 (a case each)
        """What `event` says about who is online and who is typing."""
        match event:
            case Said(name=name, room=room) | Emoted(name=name, room=room):
                self._stops(name, room)
            case Joined(names=names):
                self._add(names)
            case Left(names=names, room=room, reason=LeaveReason.PARTED):
                for name in names:  # who stay in the chat
                    self._stops(name, room)
            case Left(names=names):
                self.users.difference_update(names)
                for room in list(self._typing):
                    for name in names:
                        self._stops(name, room)
            case Renamed(old=old, new=new):
                self.users.discard(old)
                for room in list(self._typing):
                    self._stops(old, room)
                self._add((new,))
            case Typing(name=name, room=room, on=True):  # which may come before they join
                if len(self.typing) < MAX_TYPING and len(name) <= MAX_NAME:
                    self._typing.setdefault(room, set()).add(name)
            case Typing(name=name, room=room):
                self._stops(name, room)
            case TopicChanged() | ModeChanged() | RoleChanged() | Banned() | Muted():
                pass

    def _stops(self, name: str, room: str) -> None:
        if (there := self._typing.get(room)) is not None:
            there.discard(name)
            if not there:
                del self._typing[room]

    def _add(self, names: Iterable[str]) -> None:
        for name in names:
            if len(self.users) >= MAX_USERS:
                return
            if len(name) <= MAX_NAME:
                self.users.add(name)
