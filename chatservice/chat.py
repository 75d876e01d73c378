"""The rules of the chat: who is here, under which name, and who hears what."""

from bisect import bisect_left, insort

from chatservice import names
from chatservice.cursor import Cursor
from chatservice.events import Reason, Refusal, Sent, Told
from chatservice.log import Clock, Commit, commit_at_once
from chatservice.room import Room

LOBBY = "lobby"


class User:
    """Somebody who is here. `correspondent` is whom a reply goes to."""

    __slots__ = ("correspondent", "cursor", "keys", "name", "present")

    def __init__(self, name: str, cursor: Cursor) -> None:
        self.name = name
        self.keys = names.keys(name)
        self.cursor = cursor
        self.correspondent: User | None = None
        self.present = True


class Chat:
    """The shared user map and the room.

    `users` maps the name of everyone who is here, as it is shown, to them. Everything that is
    asked of the chat and declined raises `Refusal`.
    """

    def __init__(
        self, clock: Clock, *, echo: bool = False, commit: Commit = commit_at_once
    ) -> None:
        self.users: dict[str, User] = {}
        self.lobby = Room(LOBBY, clock, commit)
        self._echo = echo
        self._by_key: dict[str, User] = {}
        self._sorted: list[str] = []  # by their case-folded form, which no two share
        self._online: tuple[str, ...] | None = None

    def join(self, name: str, cursor: Cursor) -> User:
        """Somebody comes in as `name`; from then on `cursor` hears the lobby."""
        user = User(self._free(name, None), cursor)
        self._map(user)
        self.lobby.enter(cursor, user.name)
        return user

    def leave(self, user: User, *, lost: bool) -> None:
        """`user` is gone; `lost`: without a goodbye. The name is free."""
        user.present = False
        user.correspondent = None
        self._unmap(user)
        self.lobby.leave(user.cursor, user.name, lost=lost)

    def online(self) -> tuple[str, ...]:
        """Everyone's name, sorted."""
        if self._online is None:
            self._online = tuple(self._sorted)
        return self._online

    def say(self, user: User, texts: tuple[str, ...]) -> None:
        """`user` says one or more messages to everyone."""
        self.lobby.say(user.cursor, user.name, texts, echo=self._echo)

    def emote(self, user: User, text: str) -> None:
        """`user` does `text`."""
        self.lobby.emote(user.name, text)

    def tell(self, user: User, recipient: str, text: str) -> None:
        """`user` says `text` to `recipient` alone."""
        self._tell(user, self._named(recipient), text)

    def reply(self, user: User, text: str) -> None:
        """`user` says `text` to whoever last wrote to them, or they last wrote to."""
        correspondent = user.correspondent
        if correspondent is None:
            raise Refusal(Reason.NO_CORRESPONDENT)
        if not correspondent.present:
            raise Refusal(Reason.GONE, name=correspondent.name)
        self._tell(user, correspondent, text)

    def rename(self, user: User, name: str) -> None:
        """`user` is called `name` from now on. The same name again is no event."""
        old, new = user.name, self._free(name, user)
        if old == new:
            return
        self._unmap(user)
        user.name, user.keys = new, names.keys(new)
        self._map(user)
        self.lobby.rename(old, new)

    def _free(self, name: str, asker: User | None) -> str:
        name = names.checked(name)
        for key in names.keys(name):
            if self._by_key.get(key, asker) is not asker:
                raise Refusal(Reason.NAME_TAKEN, name=name)
        return name

    def _named(self, name: str) -> User:
        try:
            checked = names.checked(name)
        except Refusal:
            raise Refusal(Reason.NOBODY, name=name) from None
        user = self.users.get(checked)
        if user is not None:
            return user
        for key in names.keys(checked):
            if key in self._by_key:
                return self._by_key[key]
        raise Refusal(Reason.NOBODY, name=checked)

    def _tell(self, sender: User, recipient: User, text: str) -> None:
        if recipient.cursor.crowded:
            raise Refusal(Reason.NOT_READING, name=recipient.name)
        self.lobby.introduce(sender.name)
        sender.correspondent = recipient
        recipient.correspondent = sender
        recipient.cursor.tell(Told(sender.name, text))
        sender.cursor.tell(Sent(recipient.name, text))

    def _map(self, user: User) -> None:
        self.users[user.name] = user
        for key in user.keys:
            self._by_key[key] = user
        insort(self._sorted, user.name, key=str.casefold)
        self._online = None

    def _unmap(self, user: User) -> None:
        del self.users[user.name]
        for key in user.keys:
            del self._by_key[key]
        del self._sorted[bisect_left(self._sorted, user.name.casefold(), key=str.casefold)]
        self._online = None
