"""The person's side of a `ChatClient`: typed lines become requests."""

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, assert_never, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatservice.client.catch_up import replayed
from chatservice.client.chat_client import ChatClient
from chatservice.client.errors import ChatError, Declined, Gone
from chatservice.client.events import RoomLost
from chatservice.client.faces.room_view import RoomView, own_room
from chatservice.client.faces.words import AskedAgain, Shown
from chatservice.client.state import State
from chatservice.core.events import (
    CURRENT_ROOM,
    Acked,
    AwaySet,
    Error,
    ErrorCode,
    Helped,
    IgnoreChanged,
    InvitationSent,
    NameAsked,
    PasswordAsked,
    Recalled,
    Refusal,
    Refused,
    Removed,
    ReplayReason,
    ReportTaken,
    RoomInfo,
    RoomLeft,
    RoomSwitched,
    TopicShown,
    Welcomed,
)
from chatservice.core.requests import (
    Announce,
    Away,
    Ban,
    Bans,
    ChangePassword,
    Delete,
    Emote,
    Exit,
    Founder,
    Hello,
    Help,
    History,
    Ignore,
    Ignores,
    Invite,
    Join,
    Kick,
    Mute,
    Nick,
    Op,
    Part,
    Password,
    Question,
    Quiet,
    Register,
    Reply,
    Report,
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
from chatservice.dialects.wording import ENGLISH, Catalogue

RoomRequest = Join | Switch | Part | Quiet | Topic | Invite


class Talk:
    """Turns typed lines into requests to `client`, as the server does with those of `nc`.

    `show` is given what is to be shown: an event, or a line of words. `answered` is called after
    each answer. `rooms`: where what is typed is said. `refused`: something has been. `unanswered`:
    the lines that will get no answer.
    """

    client: ChatClient

    def __init__(
        self,
        show: Callable[[Shown], None],
        answered: Callable[[], None] = lambda: None,
        words: Catalogue = ENGLISH,
    ) -> None:
        self.refused = False
        self.unanswered: list[str] = []
        self.rooms = RoomView()
        self.leaving = False  # nothing more is obeyed
        self._show = show
        self._answered = answered
        self._words = words
        self._asking: Deferred[str] | None = None
        self._secret = False

    @property
    def ready(self) -> bool:
        """Whether a line that is typed now is used: as an answer, or as a request."""
        return self.asks_name or self.client.state in (State.CATCHING_UP, State.LIVE)

    @property
    def commands(self) -> tuple[str, ...]:
        """The names of the commands that can be used here, as far as we know."""
        unusable: tuple[str, ...] = ()
        if not self.client.has_accounts:
            unusable = ("register", "password", "unregister")
        elif not self.client.may_send_password:
            unusable = ("register", "password")
        return tuple(name for name in HELPED.commands if name not in unusable)

    @property
    def asks_name(self) -> bool:
        """Whether the next line is an answer: a name, or a password."""
        return self._asking is not None

    @property
    def asks_password(self) -> bool:
        """Whether the next line is a password, which must not be shown."""
        return self._asking is not None and self._secret

    def ask(self, error: Error | None) -> "Deferred[str]":
        """Ask for a name: the next line. `error`: what was wrong with the last one."""
        self._show(NameAsked() if error is None else AskedAgain(error))
        return self._ask_for(secret=False)

    def ask_password(self, name: str, error: Error | None) -> "Deferred[str]":
        """Ask for the password of `name`: the next line, or an empty one to give another name.
        `error`: what was wrong with the last one."""
        self._show(PasswordAsked(name) if error is None else AskedAgain(error, name))
        return self._ask_for(secret=True)

    def _ask_for(self, *, secret: bool) -> "Deferred[str]":
        def cancelled(asking: "Deferred[str]") -> None:
            self._asking = None

        self._secret = secret
        self._asking = Deferred(cancelled)
        return self._asking

    def typed(self, line: str, to: str | None = None) -> None:
        """Carry out `line`. `to`: what is said is for this person only."""
        if not line.strip() and not self.asks_password:
            return
        if self.leaving:
            self.refused = True
            after = self._words.client.after_leaving
            self._show(ChatError(after.format(line=sanitize(line))))
            return
        try:
            if self.asks_password:
                request: Request = Password(line.strip())
            else:
                request = self._for(to, commands.parse(line, has_name=not self.asks_name))
            self._carry_out(request, line)
        except ChatError as error:  # a slip must not make public what was meant for one person
            self.refused = True
            self._show(error)
        except Refusal as refusal:
            self.refused = True
            self._show(Refused(refusal, asks_name=self.asks_name))

    def request(self, request: Question) -> None:
        """Carry out `request`, which was not typed."""
        self._ask(request, "", self._show)

    def hears(self, event: Shown) -> bool:
        """Take note of `event`. Whether it is to be shown."""
        if isinstance(event, Welcomed | RoomLost | Removed):
            self.rooms.stay_in(self.client.rooms)
        return self.rooms.hears(event, self.client.name)

    def leave(self) -> None:
        """Say goodbye, after everything that was typed."""
        self.leaving = True
        self.client.leave()

    def _for(self, to: str | None, request: Request) -> Request:
        """`request`, for one person only if there is one. Raises `ChatError`."""
        match request:
            case Say(text=text) if to is not None:
                return Tell(to, text)
            case Emote() if to is not None:
                raise ChatError(self._words.client.public_action)
        if getattr(request, "room", None) == CURRENT_ROOM:
            return cast(Request, replace(cast(Any, request), room=self.rooms.current))
        return request

    def _carry_out(self, request: Request, line: str) -> None:
        """Raises `Refusal`."""
        if self.asks_name and not isinstance(request, Help | Exit | Hello | Password):
            raise Refusal(ErrorCode.NAME_FIRST)
        match request:
            case Help(command=command):
                self._show(commands.explained(command) if command else Helped(self.commands))
            case Exit():
                self.leave()
            case Hello(name=answer) | Password(password=answer):
                if self._asking is None:
                    raise Refusal(ErrorCode.NAMED_ALREADY)
                asking, self._asking = self._asking, None
                asking.callback(answer)
            case SetTyping(on=on):
                self.client.set_typing(on, self.rooms.current)
            case History():
                self._ask(request, line, partial(self._show_again, ReplayReason.RECENT))
            case Search(limit=limit):
                self._ask(request, line, partial(self._show_again, ReplayReason.FOUND, limit=limit))
            case Join() | Switch() | Part() | Quiet() | Topic() | Invite():
                self._ask_of_rooms(request, line)
            case Away() | Ignore() | Report():
                self._ask(request, line, lambda done: self._show(_done(request, done)))
            case (
                Rooms()
                | Ignores()
                | Whois()
                | RoomMode()
                | Say()
                | Emote()
                | Tell()
                | Reply()
                | Who()
                | Nick()
                | Register()
                | ChangePassword()
                | Unregister()
                | Op()
                | Founder()
                | Kick()
                | Ban()
                | Mute()
                | Bans()
                | Delete()
                | Announce()
            ):
                self._ask(request, line, self._show)
            case _:
                assert_never(request)

    def _ask(self, request: Question, line: str, show: Callable[[Any], None]) -> None:
        answer = self.client.request(request)
        answer.addCallbacks(show, self._failed, errbackArgs=(line,))
        answer.addCallback(lambda _: self._answered())

    def _ask_of_rooms(self, request: RoomRequest, line: str) -> None:
        """Raises `Refusal`."""
        rooms, show = self.client.rooms, self._show
        match request:
            case Join():
                self._ask(request, line, self._switched)
            case Switch(room=name):
                room = own_room(name, rooms)
                self.rooms.switch(room)  # at once: the next line is for that room
                self._ask(Join(room), line, self._switched)
            case Part(room=name):
                room = own_room(name, rooms)
                self._ask(Part(room), line, lambda _: self._parted(room))
            case Quiet(room=room, on=on):
                show(self.rooms.hush(own_room(room, rooms), on))
            case Topic(topic=None):
                self._ask(request, line, lambda its: show(TopicShown(its.room, its.topic)))
            case Topic():
                self._ask(request, line, show)
            case Invite(to=to, room=room):
                self._ask(
                    request, line, lambda sent: show(InvitationSent(sent.id, sent.at, room, to))
                )
            case _:
                assert_never(request)

    def _switched(self, room: RoomInfo) -> None:
        """What is said from now on is said there."""
        self.rooms.switch(room.room)
        self._show(RoomSwitched(room.room, room.topic, room.users))

    def _parted(self, room: str) -> None:
        self.rooms.stay_in(self.client.rooms)
        self._show(RoomLeft(room, self.rooms.current))

    def _show_again(self, why: ReplayReason, page: Recalled, limit: int = 0) -> None:
        self._show(replayed(why, page, time.time(), limit))

    def _failed(self, failure: Failure, line: str) -> None:
        failure.trap(ChatError)
        self.refused = True
        error = cast(ChatError, failure.value)
        if isinstance(error, Declined):
            self._show(error.error)
        elif isinstance(error, Gone):  # which is said once, for all that was asked
            self.unanswered += [line] if line else []
        else:
            self._show(error)


def on_signals(reactor: Any, leave: Callable[[], None]) -> None:
    """Have SIGINT and SIGTERM call `leave`. Only once the reactor runs: it sets some of its own."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: reactor.callFromThread(leave))


def _done(request: Away | Ignore | Report, done: Acked) -> AwaySet | IgnoreChanged | ReportTaken:
    """What is shown once that has happened."""
    match request:
        case Away(on=on, text=text):
            return AwaySet(done.id, done.at, on, text)
        case Ignore(name=name, on=on):
            return IgnoreChanged(done.id, done.at, name, on)
        case Report():
            return ReportTaken(done.id, done.at, done.waiting)
