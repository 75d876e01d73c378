"""Who is online, and who is typing, as far as a client has been told."""

from collections.abc import Iterable

from chatservice.core.events import (
    Emoted,
    Happening,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Renamed,
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
    """The names of the people in the room, and those who are typing."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self.typing: set[str] = set()

    def reset(self, names: Iterable[str]) -> None:
        """These are online, and nobody is typing."""
        self.users.clear()
        self.typing.clear()
        self._add(names)

    def apply(self, event: Happening | Typing) -> None:
        """What `event` says about who is online and who is typing."""
        match event:
            case Said(name=name) | Emoted(name=name):
                self.typing.discard(name)
            case Joined(names=names):
                self._add(names)
            case Left(reason=LeaveReason.PARTED) | TopicChanged() | ModeChanged():
                pass  # they stay in the chat
            case Left(names=names):
                self.users.difference_update(names)
                self.typing.difference_update(names)
            case Renamed(old=old, new=new):
                self.users.discard(old)
                self.typing.discard(old)
                self._add((new,))
            case Typing(name=name, on=True):  # which may come before they join
                if len(self.typing) < MAX_TYPING and len(name) <= MAX_NAME:
                    self.typing.add(name)
            case Typing(name=name):
                self.typing.discard(name)

    def _add(self, names: Iterable[str]) -> None:
        for name in names:
            if len(self.users) >= MAX_USERS:
                return
            if len(name) <= MAX_NAME:
                self.users.add(name)
