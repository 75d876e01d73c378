"""What one server of a chat asks of another: about people whose connections are there."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from chatservice.core.drafts import Outcome, Tell, Then
from chatservice.core.events import CloseReason, ErrorCode, Invited, Refusal, Sent, Told
from chatservice.core.users import User, UserSession

if TYPE_CHECKING:
    from chatservice.core.chat import Chat

Answered = Callable[["Sent | Refusal"], None]


class Elsewhere:
    """Asks, and does what others ask. What is asked stands at its place in the log."""

    def __init__(self, chat: "Chat", secret: Callable[[], str]) -> None:
        self._chat = chat
        self._secret = secret
        # Private messages that are on their way: to whom, what is answered then, and to whom.
        self._sent: dict[str, tuple[User, Sent, Answered]] = {}

    # What is asked.

    def send(self, session: UserSession, recipient: User, told: Told, then: Answered) -> None:
        """`told` goes to `recipient`; `then` is called once they have been told it, or cannot be
        any more."""
        key = self._secret()
        sent = Sent(told.id, told.at, recipient.name, told.text)
        self._sent[key] = recipient, sent, then
        data = {
            "key": key,
            "id": told.id,
            "at": told.at,
            "from": told.sender,
            "to": told.recipient,
            "text": told.text,
        }

        def decided(outcome: Outcome) -> None:
            if isinstance(outcome, Refusal) and self._sent.pop(key, None) is not None:
                then(outcome)

        self._tell("told", data, session, decided)

    def close(self, user: User, reason: CloseReason, lines: tuple[str, ...] = ()) -> None:
        """The connections of `user` end there."""
        self._tell("close", {"name": user.name, "reason": reason.value, "lines": lines})

    def invite(self, room: str, user: User, by: str) -> None:
        """`user` is invited to `room`."""
        self._tell("invited", {"room": room, "name": user.name, "by": by})

    def gone(self, user: User) -> None:
        """`user` has left: nobody will tell them anything."""
        for key, (recipient, _, then) in list(self._sent.items()):
            if recipient is user:
                del self._sent[key]
                then(Refusal(ErrorCode.NOBODY, name=user.name))

    def _tell(
        self,
        kind: str,
        data: Mapping[str, Any],
        session: UserSession | None = None,
        then: Then | None = None,
    ) -> None:
        chat = self._chat
        cursor = None if session is None else session.cursor
        draft = Tell(chat.now(), cursor, kind, data, then=then)
        if cursor is not None:
            cursor.submitted = draft
        chat.log.submit(draft)

    # What others ask.

    def told(self, kind: str, data: Mapping[str, Any]) -> Callable[[], None] | None:
        """What is to be done when its place in the log is reached; None: nothing here."""
        does = {
            "told": self._take,
            "taken": self._taken,
            "close": self._close,
            "invited": self._invited,
            "enrolled": self._enrolled,
        }.get(kind)
        return None if does is None else lambda: does(data)

    def _take(self, data: Mapping[str, Any]) -> None:
        """A private message to somebody who may be here."""
        users = self._chat.users
        recipient, sender = users.get(data["to"]), users.get(data["from"])
        if recipient is None or recipient.elsewhere:
            return  # they have left, which those who wait for them hear, too
        refused = recipient.backlogged
        if not refused:
            told = Told(data["id"], data["at"], data["from"], data["to"], data["text"])
            recipient.correspondent = sender
            for cursor in recipient.cursors:
                if not cursor.backlogged:
                    cursor.send(told)
        self._tell("taken", {"key": data["key"], "refused": refused})

    def _taken(self, data: Mapping[str, Any]) -> None:
        if (waiting := self._sent.pop(data["key"], None)) is None:
            return
        recipient, sent, then = waiting
        if data["refused"]:
            then(Refusal(ErrorCode.NOT_READING, name=recipient.name))
        else:
            then(sent)

    def _close(self, data: Mapping[str, Any]) -> None:
        user = self._chat.users.get(data["name"])
        if user is not None and not user.elsewhere:
            if data["lines"]:
                self._chat.kick(user, data["lines"][0])
            else:
                self._chat.close(user, CloseReason(data["reason"]))

    def _invited(self, data: Mapping[str, Any]) -> None:
        chat = self._chat
        room, user = chat.directory.rooms.get(data["room"]), chat.users.get(data["name"])
        if room is None or user is None:
            return
        room.invite(user, chat.now())
        for cursor in user.cursors:
            if not cursor.backlogged:
                cursor.send(Invited(room.name, data["by"]))

    def _enrolled(self, data: Mapping[str, Any]) -> None:
        for room in self._chat.directory.rooms.values():
            if room.founder == data["before"]:
                room.founder = data["user"].identity
