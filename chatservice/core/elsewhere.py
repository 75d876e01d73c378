"""What one server of a chat asks of others: about people who have connections there."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from chatservice.core.drafts import Draft, Outcome, Tell, Then
from chatservice.core.events import (
    Account,
    CloseReason,
    ErrorCode,
    Invited,
    Refusal,
    Sent,
    Style,
    Told,
)
from chatservice.core.ignoring import Ignoring, is_ignored
from chatservice.core.room import Room
from chatservice.core.stores import Report
from chatservice.core.users import User, UserSession

if TYPE_CHECKING:
    from chatservice.core.chat import Chat

Answered = Callable[["Sent | Refusal"], None]


class _OnItsWay(NamedTuple):
    """A private message; what is answered when it is told, and to whom; and the servers that could
    not tell it."""

    recipient: User
    sent: Sent
    then: Answered
    refused: set[int]


class Elsewhere:
    """Asks, and does what others ask. What is asked stands at its place in the log."""

    def __init__(self, chat: "Chat", secret: Callable[[], str]) -> None:
        self._chat = chat
        self._secret = secret
        self._on_its_way: dict[str, _OnItsWay] = {}

    # What is asked.

    def send(
        self, session: UserSession, recipient: User, told: Told, then: Answered | None
    ) -> None:
        """`told` goes to `recipient`; `then` is called once they have been told it on one server,
        or cannot be any more on any."""
        key = self._secret() if then is not None else ""
        data = {
            "key": key,
            "id": told.id,
            "at": told.at,
            "from": told.sender,
            "to": told.recipient,
            "text": told.text,
            "style": told.style,
        }
        if then is not None:
            sent = Sent(told.id, told.at, recipient.name, told.text)
            self._on_its_way[key] = _OnItsWay(recipient, sent, then, set())

        def decided(outcome: Outcome) -> None:
            if isinstance(outcome, Refusal):
                if outcome.code is ErrorCode.GONE:
                    outcome = Refusal(ErrorCode.NOBODY, name=told.recipient)
                self._answer(key, outcome)

        self._tell("told", data, recipient, session, decided)

    def close(self, user: User, reason: CloseReason, lines: tuple[str, ...] = ()) -> None:
        """The connections of `user` end there."""
        self._tell("close", {"reason": reason.value, "lines": lines}, user)

    def announce(self, lines: tuple[str, ...], room: Room | None) -> None:
        """The operator says `lines` to everyone there, or to everyone who hears `room`."""
        self._tell("announced", {"lines": lines, "room": None if room is None else room.name})

    def report(self, report: Report) -> None:
        """Those in charge there are told of it."""
        self._tell("reported", report._asdict())

    def ignored(self, user: User, ignoring: Ignoring, on: bool) -> None:
        """The guest `user` ignores that one from now on, or no longer."""
        self._tell("ignored", {"who": ignoring, "on": on}, user)

    def invite(self, room: str, user: User, by: str) -> None:
        """`user` is invited to `room`."""
        self._tell("invited", {"room": room, "by": by}, user)

    def supersede(self, user: User, token: str) -> None:
        """The connection of `user` with that token (hashed) has moved here."""
        self._tell("superseded", {"token": token}, user)

    def gone(self, user: User) -> None:
        """`user` has left: nobody will tell them anything."""
        for key, message in list(self._on_its_way.items()):
            if message.recipient is user:
                self._answer(key, Refusal(ErrorCode.NOBODY, name=user.name))

    def has_changed(self, user: User) -> None:
        """`user` may have left a server that was to tell them something."""
        for key, message in list(self._on_its_way.items()):
            if message.recipient is user and user.elsewhere <= message.refused:
                self._answer(key, Refusal(ErrorCode.NOT_READING, name=user.name))

    def _answer(self, key: str, refusal: Refusal | None = None) -> None:
        if (message := self._on_its_way.pop(key, None)) is not None:
            message.then(message.sent if refusal is None else refusal)

    def _tell(
        self,
        kind: str,
        data: Mapping[str, Any],
        user: User | None = None,
        session: UserSession | None = None,
        then: Then | None = None,
    ) -> None:
        chat = self._chat
        cursor = None if session is None else session.cursor
        draft = Tell(chat.now(), cursor, kind, data, user, then=then)
        if cursor is not None:
            cursor.submitted = draft
        chat.log.submit(draft)

    # What others ask.

    def told(self, kind: str, data: Mapping[str, Any]) -> Callable[[Draft], None] | None:
        """What is to be done when its place in the log (a draft) is reached; None: nothing here.
        The `user` in `data` is whom it is about; `node` the server that tells it."""
        does = {
            "told": self._take,
            "taken": self._taken,
            "announced": self._announced,
            "close": self._close,
            "invited": self._invited,
            "ignored": self._ignored,
            "enrolled": self._enrolled,
            "away": self._away,
            "reported": self._reported,
            "elsewhere": self._elsewhere,
            "superseded": self._superseded,
        }.get(kind)
        return None if does is None else lambda place: does({**data, "place": place})

    def _take(self, data: Mapping[str, Any]) -> None:
        """A private message to somebody who may be here."""
        recipient, sender = data["user"], self._chat.users.get(data["from"])
        if recipient is None or not recipient.sessions:
            return  # they have left this server, which those who wait for them hear, too
        taking = [cursor for cursor in recipient.cursors if not cursor.backlogged]
        if taking:
            style = Style.of(data["style"]) if data["style"] is not None else None
            told = Told(data["id"], data["at"], data["from"], data["to"], data["text"], style=style)
            if sender is None or not is_ignored(sender, recipient):
                recipient.correspondent = sender
                for cursor in taking:
                    cursor.send(told, data["place"])
        if data["key"]:
            self._tell("taken", {"key": data["key"], "refused": not taking})

    def _taken(self, data: Mapping[str, Any]) -> None:
        if (message := self._on_its_way.get(data["key"])) is None:
            return
        if data["refused"]:
            message.refused.add(data["node"])
            self.has_changed(message.recipient)
        else:
            self._answer(data["key"])

    def _close(self, data: Mapping[str, Any]) -> None:
        user, reason = data["user"], CloseReason(data["reason"])
        if user is None or (reason is CloseReason.CLAIMED and user.is_registered):
            return  # they have gone, or registered the name themselves meanwhile
        self._chat.close_here(user, reason, tuple(data["lines"]))

    def _announced(self, data: Mapping[str, Any]) -> None:
        room = self._chat.directory.rooms.get(data["room"] or "")
        if room is not None or data["room"] is None:
            self._chat.announce_here(tuple(data["lines"]), room)

    def _invited(self, data: Mapping[str, Any]) -> None:
        chat = self._chat
        room, user = chat.directory.rooms.get(data["room"]), data["user"]
        if room is None or user is None:
            return
        room.invite(user, chat.now())
        by = chat.users.get(data["by"])
        for cursor in user.cursors if by is None or not is_ignored(by, user) else ():
            if not cursor.backlogged:
                cursor.send(Invited(room.name, data["by"]), data["place"])

    def _ignored(self, data: Mapping[str, Any]) -> None:
        """By the owner of an account, or by a guest."""
        name, account, at = data["who"]
        owner = Account(*data["owner"]) if "owner" in data else data["user"]
        if owner is not None:
            ignoring = Ignoring(name, None if account is None else Account(*account), at)
            self._chat.ignoring.set(owner, ignoring, on=data["on"])

    def _enrolled(self, data: Mapping[str, Any]) -> None:
        self._chat.enrolled(data["user"], data["before"])

    def _away(self, data: Mapping[str, Any]) -> None:
        self._chat.is_away(data["user"], data["text"])

    def _reported(self, data: Mapping[str, Any]) -> None:
        account = data["account"]
        fields = {field: data[field] for field in Report._fields}
        fields["account"] = None if account is None else Account(*account)
        self._chat.moderation.tell_report(Report(**fields))

    def _superseded(self, data: Mapping[str, Any]) -> None:
        self._chat.supersede(data["token"])

    def _elsewhere(self, data: Mapping[str, Any]) -> None:
        self._chat.is_elsewhere(data["user"], data["nodes"])
