"""A person's side of a `ChatClient`: typed lines, and what comes of them."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, assert_never, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatservice.client.catch_up import replayed
from chatservice.client.chat_client import ChatClient
from chatservice.client.errors import ChatError, Declined, Gone, Untrusted
from chatservice.client.events import Disconnected, Heard, Missed
from chatservice.core.events import (
    CURRENT_ROOM,
    LOBBY,
    Error,
    ErrorCode,
    Event,
    NameAsked,
    PasswordAsked,
    Recalled,
    Refusal,
    Refused,
    ReplayReason,
    RoomInfo,
    RoomSwitched,
    Told,
)
from chatservice.core.requests import (
    ChangePassword,
    Emote,
    Exit,
    Hello,
    Help,
    History,
    Invite,
    Join,
    Nick,
    Part,
    Password,
    Question,
    Quiet,
    Register,
    Reply,
    Request,
    RoomMode,
    Rooms,
    Say,
    Search,
    SetTyping,
    Switch,
    Tell,
    Topic,
    Unregister,
    Who,
    Whois,
)
from chatservice.core.sanitize import sanitize
from chatservice.dialects import commands
from chatservice.dialects.commands import HELPED
from chatservice.dialects.text import Text
from chatservice.dialects.wording import ENGLISH

_LOCAL = Text(zone=None)  # a person's times are those of their clock


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """The last answer was wrong, for the reason in `error`: what is your name; or, with `name`,
    its password?"""

    error: Error
    name: str = ""


Shown = Heard | ChatError | AskedAgain | str


class Talk:
    """Turns typed lines into requests to `client`, as the server does with those of `nc`.

    `show` is given what is to be shown: an event, or a line of words. `answered` is called after
    each answer. `refused`: something has been. `unanswered`: so many requests will get no answer.
    """

    client: ChatClient

    def __init__(
        self, show: Callable[[Shown], None], answered: Callable[[], None] = lambda: None
    ) -> None:
        self.refused = False
        self.unanswered = 0
        self.room = LOBBY  # where what is typed is said
        self.leaving = False  # nothing more is obeyed
        self._show = show
        self._answered = answered
        self._asking: Deferred[str] | None = None
        self._secret = False

    @property
    def ready(self) -> bool:
        """Whether a line that is typed now goes somewhere."""
        return self.asks_name or self.client.connected

    @property
    def asks_name(self) -> bool:
        """Whether the next line that is typed is a name."""
        return self._asking is not None

    @property
    def asks_password(self) -> bool:
        """Whether the next line that is typed is a password: nobody should see it."""
        return self._asking is not None and self._secret

    def ask(self, error: Error | None) -> "Deferred[str]":
        """The next line that is typed is a name. `error`: what was wrong with the last one."""
        self._show(NameAsked() if error is None else AskedAgain(error))
        return self._ask_for(secret=False)

    def ask_password(self, name: str, error: Error | None) -> "Deferred[str]":
        """The next line that is typed is the password of `name`; an empty one if it is not
        theirs. `error`: what was wrong with the last one."""
        self._show(PasswordAsked(name) if error is None else AskedAgain(error, name))
        return self._ask_for(secret=True)

    def _ask_for(self, *, secret: bool) -> "Deferred[str]":
        def cancelled(asking: "Deferred[str]") -> None:
            self._asking = None

        self._secret = secret
        self._asking = Deferred(cancelled)
        return self._asking

    def typed(self, line: str, to: str | None = None) -> None:
        """Do what `line` says. `to`: what is said is for this person alone."""
        if not line.strip() and not self.asks_password:
            return
        if self.leaving:
            if not self.refused:
                self._show(ChatError(f"you have left, and this was not sent: {sanitize(line)}"))
            self.refused = True
            return
        try:
            if self.asks_password:
                request: Request = Password(line.strip())
            else:
                request = self._for(to, commands.parse(line, has_name=not self.asks_name))
            self._carry_out(request)
        except ChatError as error:  # a slip must not make public what was meant for one person
            self.refused = True
            self._show(error)
        except Refusal as refusal:
            self.refused = True
            self._show(Refused(refusal, asks_name=self.asks_name))

    def leave(self) -> None:
        """Say goodbye, after what has been typed."""
        self.leaving = True
        self.client.leave()

    def _for(self, to: str | None, request: Request) -> Request:
        """The same for one person alone. Raises `ChatError`."""
        match request:
            case Say(text=text) if to is not None:
                return Tell(to, text)
            case Emote() if to is not None:
                raise ChatError("what you do, everyone sees: say it where you talk to everyone.")
        if getattr(request, "room", None) == CURRENT_ROOM:
            return cast(Request, replace(cast(Any, request), room=self.room))
        return request

    def _carry_out(self, request: Request) -> None:
        """Raises `Refusal`."""
        if self.asks_name and not isinstance(request, Help | Exit | Hello | Password):
            raise Refusal(ErrorCode.NAME_FIRST)
        match request:
            case Help():
                self._show(HELPED)
            case Exit():
                self.leave()
            case Hello(name=answer) | Password(password=answer):
                if self._asking is None:
                    raise Refusal(ErrorCode.NAMED_ALREADY)
                asking, self._asking = self._asking, None
                asking.callback(answer)
            case SetTyping(on=on):
                self.client.set_typing(on)
            case History():
                self._ask(request, partial(self._show_again, ReplayReason.RECENT))
            case Search(limit=limit):
                self._ask(request, partial(self._show_again, ReplayReason.FOUND, limit=limit))
            case Join() | Switch():
                self._ask(Join(request.room), self._switched)
            case Quiet():
                raise ChatError("comings and goings cannot be hidden here.")
            case (
                Part()
                | Rooms()
                | Whois()
                | Topic()
                | RoomMode()
                | Invite()
                | Say()
                | Emote()
                | Tell()
                | Reply()
                | Who()
                | Nick()
                | Register()
                | ChangePassword()
                | Unregister()
            ):
                self._ask(request, self._show)
            case _:
                assert_never(request)

    def _ask(self, request: Question, show: Callable[[Any], None]) -> None:
        answer = self.client.request(request)
        answer.addCallbacks(show, self._failed)
        answer.addCallback(lambda _: self._answered())

    def _switched(self, room: RoomInfo) -> None:
        """What is said from now on is said there."""
        self.room = room.room
        self._show(RoomSwitched(room.room, room.topic, room.users))

    def _show_again(self, why: ReplayReason, page: Recalled, limit: int = 0) -> None:
        self._show(replayed(why, page, time.time(), limit))

    def _failed(self, failure: Failure) -> None:
        failure.trap(ChatError)
        self.refused = True
        error = cast(ChatError, failure.value)
        if isinstance(error, Declined):
            self._show(error.error)
        elif isinstance(error, Gone):  # which is said once, for all that was asked
            self.unanswered += 1
        else:
            self._show(error)


def on_signals(reactor: Any, leave: Callable[[], None]) -> None:
    """Have SIGINT and SIGTERM call `leave`. Only once the reactor runs: it sets some of its own."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: reactor.callFromThread(leave))


def is_error(event: Shown) -> bool:
    """Whether `event` says that something went wrong."""
    return isinstance(event, Error | Refused | AskedAgain | ChatError | Disconnected)


def in_words(event: Shown, where: str) -> str:  # noqa: PLR0911 (a case each)
    """The lines for `event`, without the last one's end; empty if there is nothing to say.
    `where`: the server."""
    match event:
        case str():
            return event
        case Disconnected(why=why, again=again, lost=lost):
            soon = f" in {again:.0f} s" if again >= 1 else ""
            return f"{_no_connection(why, where, lost)} Trying again{soon}."
        case Gone(lost=lost):
            return _no_connection(str(event), where, lost)
        case Untrusted():
            return str(event)
        case Declined(error=error):
            return _rendered(error)
        case AskedAgain(error=error, name=name):
            question = PasswordAsked(name) if name else NameAsked()
            return f"{_rendered(error)} {_rendered(question)}"
        case ChatError():
            return ENGLISH.error.format(message=event)
        case Missed(count=count, gone=gone):
            messages = "message" if count == 1 else "messages"
            older = f" ({gone} older events are not kept any more.)" if gone else ""
            return f"*** {count} {messages} while you were away:{older}"
        case Told(waited=True, at=at):
            return f"{_rendered(event)} (said at {_local(at)}, while you were away)"
        case _:
            return _rendered(event)


def _rendered(event: Event) -> str:
    return "\n".join(_LOCAL.render(event).decode().splitlines())


def _local(at: float) -> str:
    then, now = time.localtime(at), time.localtime()
    return time.strftime("%H:%M" if then[:3] == now[:3] else "%Y-%m-%d %H:%M", then)


def _no_connection(why: str, where: str, lost: bool) -> str:
    return f"The connection is lost: {why}" if lost else f"Cannot connect to {where}: {why}"
