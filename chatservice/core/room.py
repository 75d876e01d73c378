"""A room: who is in it, and who hears it."""

from collections.abc import Callable, Hashable

from chatservice.core.cursor import Cursor
from chatservice.core.events import LOBBY, Account, Typing
from chatservice.core.log import Clock, Dialect
from chatservice.core.registry import RoomRecord
from chatservice.core.typing import TypingTracker
from chatservice.core.users import User

# Invitations that may be open in one room, and how many seconds they hold: a week.
MAX_INVITATIONS = 100
INVITATION_SECONDS = 7 * 86400.0


class Room:
    """A room as it has been delivered: what its members have been told of it.

    `control` is the id of the last entry that changed anybody's rights here. `cursors` are the
    connections that hear it. `typing` is called with who is typing there, too.
    """

    def __init__(
        self, record: RoomRecord, clock: Clock, typing: Callable[[Hashable, Typing], None]
    ) -> None:
        self.name = record.name
        self.founder = record.founder
        self.topic = record.topic
        self.private = record.private
        self.open_from = record.open_from
        self.control = record.control
        self.operators = set(record.operators)
        self.slow = record.slow
        self.members: dict[User, None] = {}
        self.cursors: dict[Cursor, None] = {}
        self.typing = TypingTracker(clock, self._send_typing, self.name)
        self._typing = typing
        self._invitations: dict[Account | int, float] = {}

    @property
    def record(self) -> RoomRecord:
        """What is kept of it."""
        return RoomRecord(
            self.name,
            self.founder,
            self.topic,
            self.private,
            self.open_from,
            self.control,
            operators=set(self.operators),
            slow=self.slow,
        )

    @property
    def stays(self) -> bool:
        """Whether it outlives its last member."""
        return self.name == LOBBY or isinstance(self.founder, Account)

    def set_private(self, private: bool, id_: int) -> None:
        """Since the entry `id_` it is private, or public."""
        if self.private and not private:
            self.open_from = id_  # the private past stays private
        self.private = private
        self.control = id_

    def is_founder(self, user: "User") -> bool:
        """Whether `user` has founded it, or was given it."""
        return self.founder is not None and self.founder == user.identity

    def is_trusted(self, user: "User") -> bool:
        """Whether `user` may come in, though it is private: they are in charge of it."""
        return self.is_founder(user) or user.account in self.operators

    def is_open_to(self, user: "User", now: float) -> bool:
        """Whether `user` may know of it, and come in."""
        return (
            not self.private
            or user in self.members
            or self.is_trusted(user)
            or self._invitations.get(user.identity, 0.0) > now
        )

    def is_invited(self, user: "User", now: float) -> bool:
        """Whether an invitation of theirs holds."""
        return self._invitations.get(user.identity, 0.0) > now or self.is_trusted(user)

    def invite(self, user: "User", now: float) -> bool:
        """`user` may come in, for INVITATION_SECONDS. False: too many may already."""
        self._invitations = {who: end for who, end in self._invitations.items() if end > now}
        if len(self._invitations) >= MAX_INVITATIONS and user.identity not in self._invitations:
            return False
        self._invitations[user.identity] = now + INVITATION_SECONDS
        return True

    def _send_typing(self, author: Hashable, event: Typing) -> None:
        self._typing(author, event)
        lines: dict[tuple[Dialect, bool], bytes] = {}
        typist = author.user if isinstance(author, Cursor) else author
        ignored_by = typist.ignored_by if isinstance(typist, User) else ()
        for cursor in list(self.cursors):
            if ignored_by and cursor.user is not None and cursor.user.ignores in ignored_by:
                continue
            labelled = cursor.current != self.name
            key = (cursor.dialect, labelled)
            if (line := lines.get(key)) is None:
                line = lines[key] = cursor.dialect.render(event, labelled=labelled)
            if line and cursor is not author:
                try:
                    cursor.send_ephemeral(line)
                except Exception:
                    cursor.fail()
