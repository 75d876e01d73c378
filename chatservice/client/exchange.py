"""What a client hears and asks on its connection: events in their turn, requests and answers."""

from collections.abc import Callable
from typing import assert_never

from twisted.logger import Logger

from chatservice.client.catch_up import PAGE_REF, CatchUp
from chatservice.client.connection import Connection
from chatservice.client.errors import ChatError, Declined, Gone
from chatservice.client.events import Disconnected, RoomLost
from chatservice.client.feed import Feed
from chatservice.client.greeting import HELLO, Greeting
from chatservice.client.link import Link
from chatservice.client.outstanding import Outstanding, Pending, Sending, Settlement, answer_of
from chatservice.client.state import Departure, State
from chatservice.core.events import (
    ALL_ROOMS,
    LOBBY,
    AccountChanged,
    Acked,
    Announced,
    AwayChanged,
    Banned,
    Closed,
    CloseReason,
    Deleted,
    Emoted,
    Error,
    ErrorCode,
    IgnoredList,
    Invited,
    Joined,
    Left,
    ModeChanged,
    Muted,
    Online,
    PaceChanged,
    Person,
    ProgramEvent,
    Recalled,
    Refusal,
    Removed,
    Renamed,
    Reported,
    RoleChanged,
    RoomInfo,
    RoomList,
    Said,
    SanctionInfo,
    SanctionList,
    Saving,
    Sent,
    Skipped,
    Told,
    Tombstone,
    TopicChanged,
    Typing,
    Welcomed,
)
from chatservice.core.measures import CONSOLE
from chatservice.core.requests import (
    Announce,
    Away,
    Ban,
    Bans,
    ChangePassword,
    Delete,
    Emote,
    Founder,
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
    Question,
    Quiet,
    Register,
    Reply,
    Report,
    RoomMode,
    Rooms,
    Say,
    Search,
    Switch,
    Tell,
    Topic,
    Unregister,
    Who,
    Whois,
)
from chatservice.core.sanitize import sanitize
from chatservice.dialects import jsonlines
from chatservice.dialects.wording import Catalogue

log = Logger()

MAX_REQUEST = 8192  # bytes in a line: the server's bound
RECENT = 20  # messages that are shown from before somebody left: as many as a screen has
MAX_REASON = 300  # characters of a server's words that are told as the reason for an end


class Exchange:
    """The owner of a `Link`. `echo`: what we say is told, too; `past`: whoever comes in is shown
    what was said before; `now`: the time, in seconds."""

    def __init__(
        self,
        link: Link,
        greeting: Greeting,
        requests: Outstanding,
        feed: Feed,
        words: Catalogue,
        *,
        echo: bool,
        past: bool,
        now: Callable[[], float],
    ) -> None:
        self._lifecycle = link.lifecycle
        self._link = link
        self._login = greeting.login
        self._greeting = greeting
        self._guard = greeting.guard
        self._requests = requests
        self._feed = feed
        self._words = words
        self._echo = echo
        self._past = past
        rooms = ALL_ROOMS if greeting.login.rooms else LOBBY
        self._catch_up = CatchUp(link, feed, requests, self._live, echo=echo, rooms=rooms, now=now)

    # As the owner of the link.

    def made(self, connection: Connection) -> None:
        self._greeting.begin(self._requests.passwords())

    def heard(self, line: bytes) -> None:
        if not line.startswith(b"{"):
            self._heard_words(sanitize(line.removesuffix(b"\r").decode("utf-8", "replace")))
            return
        try:
            event, ref = jsonlines.decode_event(line)
        except Refusal as refusal:
            log.debug("Not understood: {refusal}", refusal=refusal)
            return
        match self._lifecycle.state:
            case State.LOGIN:
                self._heard_in_login(event, ref)
            case State.CATCHING_UP if ref == PAGE_REF:
                self._catch_up.answer(event)
            case State.CATCHING_UP:
                if not self._catch_up.held.put(event, ref):
                    self._link.hang_up(self._words.client.too_much)
            case State.LIVE:
                self._take(event, ref)
            case State.OFFLINE | State.CONNECTING | State.CLOSED:
                log.debug("Heard without a connection: {event}", event=event)

    def lost(self) -> None:
        self._feed.user_map.nobody_types()
        self._greeting.cancel()
        self._catch_up.lost()
        self._requests.lose()

    def offline(self, event: Disconnected) -> None:
        self._feed.put(event)

    def closed(self, failure: ChatError | None) -> None:
        self._requests.fail(self.gone())
        self._feed.inbox.close(failure)

    # What we ask.

    def ask(self, request: Question) -> Pending:
        """Send it, as soon as that is possible."""
        pending = self._requests.add(request)
        if (refusal := _unfit(request, pending.ref)) is not None:
            self._decline(pending, refusal)
        elif self._lifecycle.state is State.CLOSED:
            self._requests.fail(self.gone())
        elif self._lifecycle.state is State.LIVE:
            self._send(pending)
        self._feed.regulate()
        return pending

    def leave_if_done(self) -> None:
        """Say goodbye, if that is wanted and nothing is left to be answered."""
        is_live = self._lifecycle.state is State.LIVE
        if is_live and self._lifecycle.departure is Departure.WANTED and not self._requests:
            self._link.say_goodbye()

    def gone(self) -> Gone:
        """Why nothing can be asked any more."""
        return Gone(str(self._link.failure or self._words.client.left))

    def _send(self, pending: Pending) -> None:
        match pending.request:
            case Register() | ChangePassword() if not self._guard.allows:
                self._decline(pending, Refusal(ErrorCode.PASSWORD_IN_CLEAR))
            case _:
                pending.mark_sent(self._login.password)
                self._link.send(pending.request, pending.ref)

    def _decline(self, pending: Pending, refusal: Refusal) -> None:
        self._requests.pop(pending.ref)
        error = Error(refusal.code, self._words.refusal(refusal))
        pending.answer.errback(Declined(error))

    def _live(self) -> None:
        """Ask what could not be asked so far, and go on with what has come in meanwhile."""
        for pending in self._requests:  # before what more is asked when we go on
            if pending.sending is not Sending.SENT:
                self._send(pending)
        held = self._catch_up.held
        while held and self._lifecycle.state is State.LIVE:
            self._take(*held.take())
        self.leave_if_done()

    # What we hear.

    def _heard_words(self, line: str) -> None:
        """For people: the question that opens a connection, or why there will be none."""
        connection = self._link.connection
        if connection is None or self._lifecycle.state is not State.LOGIN or connection.reason:
            return
        if line.strip() and line != self._words.question:
            connection.reason = line[:MAX_REASON]

    def _heard_in_login(self, event: ProgramEvent, ref: str | None) -> None:
        match event:
            case Welcomed():
                self._welcomed(event)
            case Error() if ref == HELLO:
                self._greeting.declined(event)
            case Error(code=ErrorCode.TLS_NEEDED) if self._link.connection is not None:
                self._link.connection.reason = self._words.client.tls_wanted
            case Closed() | Error() | Announced() | Saving():
                self._take(event, None)
            case _:
                log.debug("Heard before the welcome: {event}", event=event)

    def _welcomed(self, event: Welcomed) -> None:
        if self._link.connection is not None:
            self._link.connection.admit()
        position = self._feed.position
        is_first = not position.epoch
        rooms = self._feed.room_map
        before = {} if is_first else dict(rooms.topics)
        private = set(rooms.private)
        old_name = self._login.name
        same_log = position.enter(event, past=self._past)
        self._login.welcomed(event)
        self._feed.user_map.reset(event.names, event.away)
        rooms.reset(event.rooms)
        lost = [room for room in before if room not in rooms.topics]
        rejoin = [room for room in lost if room not in private]
        for room in rejoin:  # in a moment
            rooms.enter(RoomInfo(room, before[room]))
        self._feed.put(event)
        for room in private.intersection(lost):  # which may be anybody's by now
            self._feed.put(RoomLost(room, self._words.client.was_private))
        recent = 0
        if is_first and self._past:
            recent = event.recent if event.seen is None else RECENT
        self._catch_up.begin(
            event.last_id, old_name, event.name, same_log=same_log, recent=recent, rejoin=rejoin
        )

    def _take(  # noqa: PLR0912 (one case for each event)
        self, event: ProgramEvent, ref: str | None
    ) -> None:
        """Something that is heard in its turn."""
        if ref is not None:
            if (pending := self._requests.pop(ref)) is not None:  # or nobody wants it any more
                self._answered(pending, event)
            return
        match event:
            case Said() | Emoted() if event.name == self._login.name:
                self._heard_ourselves(event)
            case Said() | Emoted() | Joined() | Left() | Renamed():
                self._feed.put_once(event)
            case (
                TopicChanged() | ModeChanged() | PaceChanged() | RoleChanged() | Banned() | Muted()
            ):
                self._feed.put_once(event)
            case Deleted() | Tombstone():
                self._feed.put_once(event)
            case Removed(room=room):
                self._feed.room_map.leave(room)
                self._feed.user_map.only_in(self._feed.room_map.topics)
                if room == ALL_ROOMS:
                    self._link.condemn(Gone(self._removed(event)))
                self._feed.put(event)
            case Skipped():
                self._catch_up.skipped(event, self._login.name)
            case Typing() | AwayChanged():
                self._feed.user_map.apply(event)
                self._feed.put(event)
            case Closed():
                self._closed(event)
            case Told() | Announced() | Saving() | AccountChanged() | Error():
                self._feed.put(event)
            case Invited() | Reported():
                self._feed.put(event)
            case Welcomed() | Acked() | Recalled() | Online() | SanctionList():
                log.debug("Nobody asked for {event}", event=event)
            case RoomInfo() | RoomList() | Person() | SanctionInfo() | IgnoredList():
                log.debug("Nobody asked for {event}", event=event)
            case _:
                assert_never(event)

    def _removed(self, event: Removed) -> str:
        by = self._words.operator if event.by == CONSOLE else event.by
        return self._words.you_removed(by, "", event.why)

    def _heard_ourselves(self, event: Said | Emoted) -> None:
        """The acknowledgement comes next, or is lost."""
        if event.id > self._feed.position.last_id:
            settlement = Settlement(self._requests, self._login.name)
            for ours in settlement.settle([event], echo=True):
                self._feed.put_once(ours)
            self.leave_if_done()

    def _closed(self, event: Closed) -> None:
        words = self._words.client
        match event.reason:
            case CloseReason.TAKEN_OVER:
                self._link.condemn(Gone(words.taken_over))
            case CloseReason.CLAIMED:
                self._link.condemn(Gone(words.claimed))
            case CloseReason.KICKED:  # or a program would be back in a second
                self._link.condemn(Gone(words.kicked))
            case CloseReason.PASSWORD_CHANGED:
                self._link.condemn(Gone(words.password_changed))
            case CloseReason.UNREGISTERED:
                self._link.condemn(Gone(words.unregistered))
            case CloseReason.EXIT:
                self._lifecycle.depart(Departure.DONE)
            case (
                CloseReason.REFUSED
                | CloseReason.LONG_LINE
                | CloseReason.SHUTDOWN
                | CloseReason.LATE
                | CloseReason.MALFORMED
            ):
                pass  # the next connection may do better
            case _:
                assert_never(event.reason)
        self._feed.put(event)

    def _answered(self, pending: Pending, event: ProgramEvent) -> None:
        answer: ProgramEvent = event
        if isinstance(event, Error):
            answer = pending.done_before(event, self._login.name or "") or event
        if isinstance(answer, Error):
            pending.answer.errback(Declined(answer))
        elif not isinstance(answer, answer_of(pending.request)):
            pending.answer.errback(ChatError(self._words.client.odd_answer))
        else:
            self._carried_out(pending.request, answer)
            pending.answer.callback(answer)
        self.leave_if_done()

    def _carried_out(self, request: Question, answer: ProgramEvent) -> None:
        """What follows for us from `answer`."""
        match request:
            case Say(text=text, room=room) if isinstance(answer, Acked):
                if self._echo:
                    name = self._login.name or ""
                    said = Said(answer.id, answer.at, room, name, sanitize(text))
                    self._feed.put_once(said)
                self._feed.position.reach(answer.id)
            case Tell(text=text) | Reply(text=text) if isinstance(answer, Acked):
                to, waiting = answer.to, answer.waiting
                sent = Sent(answer.id, answer.at, to, sanitize(text), waiting, away=answer.away)
                self._feed.put(sent)
            case Register(password=password) | ChangePassword(password=password):
                self._login.password = password
            case Unregister():
                self._login.password = ""
            case Join() if isinstance(answer, RoomInfo):
                self._feed.room_map.enter(answer)
                self._feed.user_map.meet(answer.room, answer.users)
            case Part(room=room):
                self._feed.room_map.leave(room)
                self._feed.user_map.only_in(self._feed.room_map.topics)
            case Who() if isinstance(answer, Online) and answer.room in self._feed.room_map.topics:
                self._feed.user_map.meet(answer.room, answer.names, answer.away)
            case Say() | Tell() | Reply() | Emote() | Nick() | Who() | History() | Search():
                pass
            case Join() | Switch() | Rooms() | Whois() | Topic() | RoomMode() | Invite():
                pass
            case (
                Quiet()
                | Away()
                | Report()
                | Ignore()
                | Ignores()
                | Op()
                | Founder()
                | Kick()
                | Ban()
                | Mute()
                | Delete()
                | Bans()
                | Announce()
            ):
                pass
            case _:
                assert_never(request)


def _unfit(request: Question, ref: str) -> Refusal | None:
    """Why the server would not read it as a line."""
    try:
        line = jsonlines.encode_request(request, ref)
    except UnicodeEncodeError:  # half a surrogate pair
        return Refusal(ErrorCode.NOT_JSON)
    return Refusal(ErrorCode.LINE_TOO_LONG, limit=MAX_REQUEST) if len(line) > MAX_REQUEST else None
