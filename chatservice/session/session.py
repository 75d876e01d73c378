"""One connection, at whatever door: who are you, then commands, then goodbye.

A session is handed complete lines and turns them into requests to the chat. Refusals become
answers in one place. What the connection hears goes through its cursor.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.accounts.authenticator import Authenticator, Visitor
from chatservice.core.chat import Chat, User
from chatservice.core.cursor import Cursor, Sink
from chatservice.core.events import (
    LOBBY,
    Account,
    AccountChanged,
    Acked,
    Announced,
    Answered,
    Burst,
    Change,
    Closed,
    CloseReason,
    Emoted,
    ErrorCode,
    NameAsked,
    Online,
    PasswordAsked,
    PersonalEvent,
    Recalled,
    Refusal,
    Refused,
    Renamed,
    Replayed,
    ReplayReason,
    Welcomed,
)
from chatservice.core.log import Messages
from chatservice.core.requests import (
    BEFORE_NAME,
    AboutAccount,
    ChangePassword,
    Emote,
    Exit,
    Hello,
    Help,
    History,
    Nick,
    Register,
    Reply,
    Request,
    Say,
    Search,
    SetTyping,
    Tell,
    Unregister,
    Who,
)
from chatservice.core.sanitize import safe_lines, sanitize
from chatservice.core.stores import ReadPosition
from chatservice.dialects import commands, jsonlines
from chatservice.dialects.commands import HELPED
from chatservice.dialects.jsonlines import JSON
from chatservice.dialects.text import TEXT
from chatservice.session.offline_messages import OfflineMessages
from chatservice.session.replay import Replay

log = Logger()
T = TypeVar("T")

REFUSED_NAMES = 5  # then the server closes: enough for a person, too few to try out a name list


class Connection(Sink, Protocol):
    """The connection that a session serves."""

    @property
    def paused(self) -> bool:
        """Whether no more lines may be served for now."""

    def let_in(self) -> None:
        """They have said who they are."""

    def wait(self, waiting: bool) -> None:
        """Serve no more lines while an answer is being looked up."""

    def cut(self) -> None:
        """End the connection at once, without a word."""

    def expect_close(self) -> None:
        """The last word is on its way; a peer that does not take it is cut off after a while."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator chose. `motd`: lines shown after the welcome. `history`: so many messages
    are shown to a newcomer."""

    history: int = 20
    motd: tuple[str, ...] = ()
    log_messages: bool = False


class _Admitted(NamedTuple):
    """Somebody may come in: who has proven to own which account; and where they had stopped
    reading."""

    account: Account | None
    mark: ReadPosition | None


class Session:
    """The conversation with one connection. `authenticator` says who may come in, and `visitor`
    what it has to know of this connection; `offline_messages` takes private messages; `peer` says
    in the log whose it is; `note` takes a line for the log, and values for its fields."""

    __slots__ = (
        "_authenticator",
        "_begun",
        "_chat",
        "_claimed",
        "_connection",
        "_note",
        "_offline_messages",
        "_ref",
        "_refused",
        "_settings",
        "_user",
        "_visitor",
        "closing",
        "cursor",
        "peer",
    )

    def __init__(
        self,
        chat: Chat,
        authenticator: Authenticator,
        offline_messages: OfflineMessages,
        settings: Settings,
        connection: Connection,
        *,
        visitor: Visitor,
        peer: object,
        note: Callable[..., None],
    ) -> None:
        self.cursor = Cursor(TEXT, connection)
        self._chat = chat
        self._authenticator = authenticator
        self._offline_messages = offline_messages
        self._settings = settings
        self._visitor = visitor
        self._connection = connection
        self.peer = peer
        self._note = note
        self._user: User | None = None
        self._begun = False  # the first line has told the dialect
        self._ref: str | None = None  # of the request that is being served
        self._refused = 0
        self._claimed = ""  # the name whose password comes next
        self.closing = False

    def begin(self) -> None:
        """The connection is there: ask who it is."""
        self._note("{peer} has connected.", peer=self.peer)
        self.cursor.send(NameAsked())

    def receive(self, data: bytes) -> bytes:
        """Serve lines, each with its end. Returns those that must wait, because the door was
        paused."""
        if self.closing:
            return b""
        if self._user is not None and self.cursor.dialect is TEXT and (texts := _plain_talk(data)):
            self._say(self._user, texts)
            return b""
        lines = data.split(b"\n")
        for index, line in enumerate(lines[:-1]):
            if self._connection.paused:
                return b"\n".join(lines[index:])
            self._receive_line(line)
        return b""

    def close(self, why: CloseReason) -> None:
        """End it from this side: nothing more is obeyed, and everything due is still sent."""
        if self.closing:
            return
        self._say_goodbye(self._name, why)
        self._leave(lost=False, why=why.value)

    def supersede(self) -> None:
        name, self._user = self._name, None
        self._note("{name} has left {peer} for another connection.", name=name, peer=self.peer)
        self._say_goodbye(name, CloseReason.TAKEN_OVER)

    def lost(self, why: str, *, clean: bool) -> None:
        """The connection is gone; `clean`: the peer closed it in order."""
        self.closing = True
        try:
            self._leave(lost=not clean, why=why)
        finally:
            self._chat.lobby.drop(self.cursor)
        self._note("{peer} has disconnected: {why}", peer=self.peer, why=why)

    def refuse_long_line(self, limit: int) -> None:
        """A line was longer than `limit` bytes. There is no telling where the next one begins."""
        if self.closing:
            return
        self.cursor.send(Refused(Refusal(ErrorCode.LINE_TOO_LONG, limit=limit)))
        self.close(CloseReason.LONG_LINE)

    @property
    def _is_text(self) -> bool:
        return self.cursor.dialect is TEXT

    @property
    def _name(self) -> str:
        return self._user.name if self._user is not None else ""

    def _receive_line(self, line: bytes) -> None:
        if self.closing:
            return
        if not line.strip():
            self._give_up_name()
            return
        if not self._begun:
            self._begun = True
            if line.startswith(b"{"):
                self.cursor.dialect = JSON
        try:
            if (request := self._asked(line)) is not None:
                self._carry_out(request)
        except Refusal as refusal:
            self._refuse(refusal)
        self._ref = None

    def _asked(self, line: bytes) -> Request | None:
        """What a line asks for, in either dialect; nothing if it is blank."""
        if self._claimed:
            password = line.removesuffix(b"\r").decode("utf-8", "replace")
            return Hello(self._claimed, password=password)
        if self._is_text:
            text = sanitize(line.removesuffix(b"\r").decode("utf-8", "replace"))
            return commands.parse(text, has_name=self._user is not None) if text.strip() else None
        request, self._ref = jsonlines.read(line)
        if isinstance(request, Refusal):
            raise request
        return request

    def _say_goodbye(self, name: str, why: CloseReason) -> None:
        self.closing = True
        self._connection.expect_close()
        self._answer(Closed(name, why))

    def _answer(self, event: PersonalEvent) -> None:
        self.cursor.send(event if self._ref is None else Answered(event, self._ref))

    def _acknowledge(self, event: Burst | Emoted | Renamed) -> None:
        """A person sees what they have typed; a program is told where it stands in the log."""
        if self.cursor.dialect is JSON:
            self._answer(Acked(event.id, event.at))

    def _refuse(self, refusal: Refusal) -> None:
        if self._user is not None:
            self._answer(Refused(refusal))
            return
        if refusal.code is ErrorCode.PASSWORD_NEEDED and self._is_text:
            self._claimed = str(refusal.details["name"])
            self._answer(PasswordAsked(self._claimed))
            return
        self._refused += 1
        if self._refused == REFUSED_NAMES:
            self._answer(Refused(refusal))
            self._ref = None
            self.close(CloseReason.REFUSED)
        elif self._claimed:
            # Or the password, typed again, would be a name that everybody sees.
            self._answer(Refused(refusal, asks_password=self._claimed))
        else:
            self._answer(Refused(refusal, asks_name=True))

    def _give_up_name(self) -> None:
        """They do not know its password."""
        if self._claimed:
            self._claimed = ""
            self._answer(NameAsked())

    def _look_up(self, asked: Awaitable[T], then: Callable[[T], None]) -> None:
        """Call `then` with what `asked` comes to. Until it does, no more lines are served, so that
        answers keep their order."""
        ref = self._ref

        def found(result: T) -> None:
            if not self.closing:
                self._ref = ref
                then(result)

        def refused(failure: Failure) -> None:
            failure.trap(Refusal)
            if not self.closing:
                self._ref = ref
                self._refuse(cast(Refusal, failure.value))

        def over(_: object) -> None:
            self._ref = None
            if waiting:
                self._connection.wait(False)

        looked_up = Deferred.fromCoroutine(_awaited(asked))
        waiting = not looked_up.called
        if waiting:
            self._connection.wait(True)
        self._own(looked_up.addCallback(found).addErrback(refused).addCallback(over))

    def _own(self, work: "Deferred[None]") -> None:
        """What goes wrong in it costs this connection."""

        def failed(failure: Failure) -> None:
            log.failure("Serving {peer} failed; the connection is cut.", failure, peer=self.peer)
            self._connection.cut()

        work.addErrback(failed)

    async def _admitted(self, hello: Hello) -> _Admitted:
        """Whether they may come in, and where they had stopped reading."""
        if self._chat.knows(hello.token):
            return _Admitted(None, None)
        account = await self._authenticator.admit(hello.name, hello.password, self._visitor)
        mark = await self._chat.seen(hello.name if account is None else account.name)
        return _Admitted(account, mark)

    def _join(self, hello: Hello, admitted: _Admitted) -> None:
        account, mark = admitted
        mark = mark or self._chat.unread(hello.token, account)
        self._claimed = ""
        self._user = user = self._chat.join(hello.name, self, hello.token, account)
        self._connection.let_in()
        recent = self._settings.history if mark is None else 0
        room = self._chat.lobby.log
        self._answer(
            Welcomed(
                user.name,
                self._chat.online(),
                room.epoch,
                room.next_id - 1,
                self._chat.token(user) if not self._is_text else "",
                None if mark is None else mark.position - 1,
                recent,
            )
        )
        if self._settings.motd:
            self.cursor.send(Announced(self._settings.motd))
        self._note("{name} has joined from {peer}.", name=user.name, peer=self.peer)
        past = None
        if self._is_text and (mark is not None or recent):
            past = Replay(self._chat, self.cursor, mark, recent)
        self._own(Deferred.fromCoroutine(self._replay_past(user, past)))
        if (trouble := self._chat.archive.trouble) is not None:
            self.cursor.send(trouble)

    async def _replay_past(self, user: User, past: Replay | None) -> None:
        if past is not None:
            await past.run()
        await self._offline_messages.deliver(user)

    def _leave(self, *, lost: bool, why: str) -> None:
        if (user := self._user) is not None:
            self._chat.leave(user, lost=lost)
            self._user = None
            self._note(
                "{name} has left from {peer}: {why}", name=user.name, peer=self.peer, why=why
            )

    def _say(self, user: User, texts: tuple[str, ...], room: str = LOBBY) -> Burst:
        said = self._chat.say(user, texts, room)
        if self._settings.log_messages:
            for text in texts:
                log.info("{name}: {text!r}", name=user.name, text=text)
        return said

    def _carry_out(self, request: Request) -> None:
        user = self._user
        if user is None and not isinstance(request, BEFORE_NAME):
            raise Refusal(ErrorCode.NAME_FIRST)
        match request:
            case Hello():
                if user is not None:
                    raise Refusal(ErrorCode.NAMED_ALREADY)
                self._look_up(self._admitted(request), partial(self._join, request))
            case Help():
                self._answer(HELPED)
            case Exit():
                self.close(CloseReason.EXIT)
            case _ if user is not None:
                self._carry_out_for(user, request)

    def _carry_out_for(self, user: User, request: Request) -> None:
        match request:
            case Say(text=text, room=room):
                self._acknowledge(self._say(user, (text,), room))
            case Emote(text=text, room=room):
                self._acknowledge(self._chat.emote(user, text, room))
                if self._settings.log_messages:
                    log.info("* {name} {text!r}", name=user.name, text=text)
            case Tell(to=to, text=text):
                self._look_up(self._offline_messages.send(user, to, text), self._answer)
            case Reply(text=text):
                self._look_up(self._offline_messages.reply(user, text), self._answer)
            case SetTyping(on=on, room=room):
                self._chat.set_typing(user, on, room)
            case Nick(name=name):
                free = self._authenticator.expect_free(name, user.account)
                self._look_up(free, lambda _: self._rename(user, name))
            case Register() | ChangePassword() | Unregister():
                self._look_up(self._about_account(request, user), self._answer)
            case Who(room=room):
                self._chat.room(room)
                self._answer(Online(self._chat.online()))
            case History(before=before, limit=limit, messages=True, room=room):
                show = partial(self._show_again, ReplayReason.RECENT, limit)
                self._look_up(self._chat.recent(before, limit, room), show)
            case History(before=before, after=after, limit=limit, room=room):
                self._look_up(self._chat.recall(before, after, limit, room), self._answer)
            case Search(words=words, before=before, limit=limit, room=room):
                show = partial(self._show_again, ReplayReason.FOUND, limit)
                self._look_up(self._chat.find(words, before, limit, room), show)

    def _rename(self, user: User, name: str) -> None:
        old = user.name
        self._acknowledge(self._chat.rename(user, name))
        self._note("{old} is now known as {new}.", old=old, new=user.name)

    async def _about_account(self, request: AboutAccount, user: User) -> AccountChanged:
        changed = await self._authenticator.serve(request, user, self._visitor)
        self._note(
            "{peer}: the account {name}: {change}.",
            peer=self.peer,
            name=changed.name,
            change=changed.change.value,
        )
        if changed.change is Change.PASSWORD:
            self._chat.forget_token(user)
        return changed

    def _show_again(self, why: ReplayReason, limit: int, messages: Messages) -> None:
        if self._is_text:
            count = len(messages)
            more = count >= limit
            self._answer(Replayed(why, messages, self._chat.now(), count, more=more))
        else:
            self._answer(Recalled(messages, self._chat.archive.first_id))


async def _awaited(asked: Awaitable[T]) -> T:
    return await asked


# A line that is a command, is blank, or may be blank.
_NO_PLAIN_TALK = re.compile(rb"\n[/ \t\r\n]")


def _plain_talk(data: bytes) -> tuple[str, ...]:
    """The messages in `data`, if each of its lines is one and as it should be; else nothing.

    Most reads are like this, and are served as one.
    """
    if data[0] in b"/ \t\r\n" or _NO_PLAIN_TALK.search(data):
        return ()
    lines = safe_lines(data)
    if lines is None or not (data.isascii() or all(map(str.strip, lines))):
        return ()  # some blanks are not ASCII
    return tuple(lines)
