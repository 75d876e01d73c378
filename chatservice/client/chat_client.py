"""A user of a chat, for programs: what happens, as an asynchronous iterator, and requests.

It comes back when the connection is lost, catches up from the room's history, and tells of each
event once and in order. What was said and not acknowledged is looked for there before it is said
again.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from chatservice.client.errors import ChatError, Declined, Gone
from chatservice.client.outstanding import Asked, Outstanding
from chatservice.core.events import (
    Acked,
    Closed,
    CloseReason,
    Emoted,
    Error,
    ErrorCode,
    Event,
    Happening,
    Id,
    Joined,
    Left,
    Online,
    Recalled,
    Refusal,
    Renamed,
    Replayed,
    ReplayReason,
    Said,
    Sent,
    Skipped,
    Typing,
    Welcomed,
)
from chatservice.core.requests import (
    ChangePassword,
    Emote,
    Exit,
    Hello,
    History,
    Nick,
    Question,
    Register,
    Reply,
    Request,
    Say,
    Search,
    SetTyping,
    Tell,
    Who,
)
from chatservice.core.sanitize import sanitize
from chatservice.dialects import jsonlines
from chatservice.dialects.wording import ENGLISH
from chatservice.tcp import keep_alive

log = Logger()

MAX_ANSWER = 4 * 1024 * 1024  # bytes in a line; the longest is a list of everyone who is online
MAX_REQUEST = 8192  # bytes in a line: the server's bound
# Seconds between attempts to connect; up to one more, at random, keeps a thousand clients apart.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
PING_SECONDS = 60.0  # until it is noticed that the server has vanished
HELLO_SECONDS = 30.0  # for the server to answer; what listens there may be no chat
GOODBYE_SECONDS = 30.0  # for it to say goodbye, after all that it has to say before
# Events that may wait for whoever iterates; then nothing more is read, unless an answer is due.
MAX_WAITING = 1000
_PAGE = 1000  # events to ask for at a time; the server gives fewer
_HELLO, _GAP = "hello", "gap"  # the refs of requests of our own
_NEEDS_PASSWORD = (ErrorCode.PASSWORD_NEEDED, ErrorCode.WRONG_PASSWORD, ErrorCode.NOT_A_MEMBER)
_NOT_LOOKED_AT = (ErrorCode.TOO_OFTEN, ErrorCode.BUSY, ErrorCode.NOT_SAVED)  # be it right or wrong


@dataclass(frozen=True, slots=True)
class Disconnected:
    """There is no connection, for the reason given; `lost`: there was one. The next attempt is in
    `again` seconds."""

    why: str
    again: float
    lost: bool


@dataclass(frozen=True, slots=True)
class Missed:
    """The next `count` messages were said while you were away. `gone`: so many older events are
    not kept any more."""

    count: Id
    gone: Id


Heard = Event | Disconnected | Missed


class _Connection(LineOnlyReceiver):
    """The line to the server. `over` fires when it is gone, with the exception that says why."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_ANSWER
    transport: Any

    def __init__(self, client: "ChatClient") -> None:
        self._client = client
        self.over: Deferred[Any] = Deferred()

    def connectionMade(self) -> None:
        self._client._connected(self)

    def lineReceived(self, line: bytes) -> None:
        self._client._heard_line(line)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.over.callback(reason.value)


class ChatClient:
    """A user called `name` of the chat at `host` and `port`, or at `endpoint`.

    `retry`: a connection that is lost, or cannot be had, is followed by another, after as many
    seconds as `pause` says of the number of failures before (by default, more and more). `echo`:
    what you say yourself is among the events, in its place. `past`: who comes in is shown what was
    said while they were away, or else the newest messages, as people at nc are. `ask`, if there is
    one, is called for a name when there is none or it is refused (with the error), and gives a
    Deferred, which may fail with a `ChatError`; without it a refused name ends the iteration with
    `Declined`. `password`: that of the name, if it is registered; or `ask_password`, in the same
    way, is called with the name for it (and the error, if it was not the last one; an empty answer:
    that name is not theirs).

    To iterate is to connect. The iteration ends after `leave`; with `Gone` if there is no
    connection to be had any more. `name`, `users` (who is online) and `writing` (who is writing
    something just now) are kept up to date.
    """

    def __init__(
        self,
        name: str | None,
        host: str = "localhost",
        port: int = 12345,
        *,
        endpoint: IStreamClientEndpoint | None = None,
        retry: bool = True,
        pause: Callable[[int], float] | None = None,
        echo: bool = False,
        past: bool = False,
        password: str = "",
        ask: "Callable[[Error | None], Deferred[str]] | None" = None,
        ask_password: "Callable[[str, Error | None], Deferred[str]] | None" = None,
        reactor: Any = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor  # noqa: PLC0415 (it is installed by importing it)
        self.name = name
        self.users: set[str] = set()
        self.writing: set[str] = set()
        self._reactor = reactor
        self._endpoint = endpoint or HostnameEndpoint(reactor, host, port)
        self._retry = retry
        self._pause = pause or backoffPolicy(FIRST_PAUSE, LONGEST_PAUSE)
        self._echo = echo
        self._past = past
        self._password = password
        self._untried: list[str] = []  # others that the name may have
        self._ask = ask
        self._ask_password = ask_password
        # What is asked, and what is to be told.
        self._asked = Outstanding(dropped=self._leave_if_done)
        self._waiting: deque[Heard] = deque()
        self._wanted: Deferred[None] | None = None
        # Being there.
        self._running: Deferred[None] | None = None
        self._step: Deferred[Any] | None = None  # what `_stay` waits for, without a connection
        self._connection: _Connection | None = None
        self._deadline: Any = None
        self._why = ""  # we hung up
        self._asking: Deferred[str] | None = None
        self._reached = False  # a server has said something
        self._welcome = False  # and has let us in
        self._in = False  # and we have caught up
        self._paused = False
        self._leaving = False
        self._done = False  # the server has said goodbye as well
        self._failure: ChatError | None = None
        self._over = False
        # Where we are in the room's log.
        self._token = ""
        self._epoch = ""
        self._last_id = 0
        self._held: list[tuple[Event, str | None]] | None = None  # while a gap is being filled
        self._gap: Deferred[Event | None] | None = None  # the answer that this waits for

    # What a program does with it.

    @property
    def connected(self) -> bool:
        """Whether what is asked now goes out now."""
        return self._in

    @property
    def outstanding(self) -> int:
        """How many requests have not been answered."""
        return len(self._asked)

    def __aiter__(self) -> "ChatClient":
        self.start()
        return self

    async def __anext__(self) -> Heard:
        while not self._waiting:
            if self._over:
                failure, self._failure = self._failure, None
                raise failure or StopAsyncIteration
            self._wanted = Deferred()
            await self._wanted
        event = self._waiting.popleft()
        self._regulate()
        return event

    def start(self) -> None:
        """Connect. (To iterate does this by itself.)"""
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._stay()).addErrback(self._broken)

    def say(self, text: str) -> "Deferred[Acked]":
        """Say `text` to everyone."""
        return self.request(Say(text))

    def emote(self, text: str) -> "Deferred[Acked]":
        """Do `text`."""
        return self.request(Emote(text))

    def tell(self, to: str, text: str) -> "Deferred[Acked]":
        """Say `text` to one person alone."""
        return self.request(Tell(to, text))

    def reply(self, text: str) -> "Deferred[Acked]":
        """Say `text` to whoever last wrote to you, or you last wrote to."""
        return self.request(Reply(text))

    def nick(self, name: str) -> "Deferred[Acked]":
        """Be called `name` from now on."""
        return self.request(Nick(name))

    def who(self) -> "Deferred[Online]":
        """Ask who is online."""
        return self.request(Who())

    def history(
        self, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> "Deferred[Recalled]":
        """Ask for what has happened: see `requests.History`."""
        return self.request(History(before, after, limit))

    def search(
        self, words: str, before: int | None = None, limit: int = 50
    ) -> "Deferred[Recalled]":
        """Ask for messages: see `requests.Search`."""
        return self.request(Search(words, before, limit))

    def write(self, on: bool) -> None:
        """You are writing something, or no longer. Say so once in three seconds at most."""
        if self._in:
            self._send(SetTyping(on))

    def request(self, request: Question) -> "Deferred[Any]":
        """Ask for something. Fires with the answer, be it after the connection was lost.

        What is asked without a connection waits for one. Fails with `Declined`; with `Unsure` when
        the connection broke before a private message was acknowledged, or when too much has been
        said since to tell, or the log is another one; with `Gone` at the end.
        """
        asked = self._asked.add(request)
        if (refusal := _unfit(request, asked.ref)) is not None:
            self._asked.pop(asked.ref)
            asked.answer.errback(Declined(Error(refusal.code, ENGLISH.refusal(refusal))))
        elif self._over:
            self._asked.fail(self._gone())
        elif self._in:
            self._send_asked(asked)
        self._regulate()
        return asked.answer

    def leave(self) -> None:
        """Say goodbye after what has been asked for; at once, if we are not in, or if there is no
        connection. The iteration ends then."""
        self._leaving = True
        if self._asking is not None:
            self._asking.cancel()
            self._say_goodbye()
        elif self._step is not None and self._retry:
            self._step.cancel()
        else:
            self._leave_if_done()

    def abort(self) -> None:
        """Leave without a word, and without waiting for anything."""
        self._leaving = self._done = True
        if self._step is not None:
            self._step.cancel()
        if self._connection is not None:
            self._connection.transport.abortConnection()

    # Being there.

    async def _stay(self) -> None:
        """Be connected, for as long as that is wanted."""
        attempt = 0
        while True:
            self._welcome, self._reached, self._why = False, False, ""
            factory = Factory.forProtocol(lambda: _Connection(self))
            try:
                connection = await self._wait(self._endpoint.connect(factory))
            except Exception as error:
                lost: BaseException = error
            else:
                lost = await connection.over
                attempt = 0 if self._welcome else attempt
                self._disconnected()
            why = self._why or _in_words(lost)
            if isinstance(lost, ChatError):  # which will be no better next time
                self._failure = lost
            if self._done or self._failure is not None:
                break
            if not self._retry:
                self._failure = Gone(why, lost=self._reached)
            if self._leaving or not self._retry:
                break
            pause = self._pause(attempt)
            attempt += 1
            pausing: Deferred[None] = deferLater(self._reactor, pause)
            self._step = pausing  # who is told now may leave
            self._deliver(Disconnected(why, pause, self._reached))
            try:
                await self._wait(pausing)
            except CancelledError:
                break
        self._end()

    async def _wait(self, step: "Deferred[Any]") -> Any:
        self._step = step
        try:
            return await step
        finally:
            self._step = None

    def _connected(self, connection: _Connection) -> None:
        self._connection = connection
        self._paused = False
        self._untried = self._asked.passwords()
        if ITCPTransport.providedBy(connection.transport):
            connection.transport.setTcpNoDelay(True)
            beneath: Any = getattr(connection.transport, "transport", connection.transport)  # TLS
            keep_alive(beneath.getHandle(), PING_SECONDS)
        self._deadline = self._reactor.callLater(
            HELLO_SECONDS, self._hang_up, "what listens there does not answer as a chat"
        )
        if self.name is not None:
            self._say_hello(self.name)
        else:
            self._ask_name(None)

    def _disconnected(self) -> None:
        self._end_deadline()
        self._connection = None
        self._in = False
        self._held = None
        self.writing.clear()
        if self._asking is not None:
            self._asking.cancel()
        self._answer_gap(None)
        self._asked.unsettled(lost_track=False)

    def _hang_up(self, why: str) -> None:
        self._why = why
        if self._connection is not None:
            self._connection.transport.abortConnection()

    def _end_deadline(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()

    def _broken(self, failure: Failure) -> None:
        """A fault of our own."""
        log.failure("The chat's client is broken.", failure)
        self._failure = Gone(f"a fault: {failure.getErrorMessage()}")
        self._hang_up("a fault")
        self._end()

    def _end(self) -> None:
        self._over = True
        self._asked.fail(self._gone())
        self._wake()

    def _gone(self) -> Gone:
        return Gone(str(self._failure or "You have left the chat."))

    # Who we are.

    def _say_hello(self, name: str) -> None:
        self.name = name
        self._send(Hello(name, self._token, self._password), _HELLO)

    def _ask_name(self, error: Error | None) -> None:
        if self._ask is None or (self._leaving and error is not None):
            self._failure = Declined(error or Error(ErrorCode.NAME_EMPTY, "There is no name."))
            self._hang_up("")
            return
        if self._leaving:
            self._say_goodbye()
            return
        self._wait_for(self._ask(error), self._say_hello)

    def _ask_for_password(self, name: str, error: Error) -> None:
        def answered(password: str) -> None:
            self._password = password
            if password:
                self._say_hello(name)
            else:
                self._ask_name(None)

        if self._leaving:
            self._say_goodbye()
        elif self._ask_password is not None:
            again = error if self._password else None
            self._password = ""
            self._wait_for(self._ask_password(name, again), answered)

    def _wait_for(self, asking: "Deferred[str]", then: Callable[[str], None]) -> None:
        """Until a person has answered, which may take long."""
        self._end_deadline()
        self._asking = asking

        def answered(answer: str) -> None:
            self._asking = None
            then(answer)

        def unanswered(failure: Failure) -> None:
            self._asking = None
            if isinstance(failure.value, ChatError):
                self._failure = failure.value
                self._hang_up("")
            else:
                failure.trap(CancelledError)

        asking.addCallbacks(answered, unanswered)

    def _name_refused(self, error: Error) -> None:
        needs_password = error.code in _NEEDS_PASSWORD
        if self._untried and needs_password and self.name is not None:
            self._password = self._untried.pop()
            self._say_hello(self.name)
        elif (
            self._ask_password is not None
            and self.name is not None
            and (needs_password or (self._password and error.code in _NOT_LOOKED_AT))
        ):
            self._ask_for_password(self.name, error)
        elif self._epoch and self._ask is None and not needs_password:
            self._hang_up(error.message)  # it was ours: come again
        else:
            self._password = "" if needs_password else self._password
            self._ask_name(error)

    def _welcomed(self, event: Welcomed) -> None:
        self._end_deadline()
        same_log = event.epoch == self._epoch
        recent = 0
        if not self._epoch:
            seen = event.seen if self._past else None
            self._last_id = event.last_id if seen is None else seen
            recent = event.recent if self._past else 0
        elif not same_log:
            self._last_id = 0  # and all that has happened there is new
        previous, self.name = self.name, event.name
        self._epoch, self._token = event.epoch, event.token
        self.users = set(event.names)
        self._welcome = True
        self._held = []
        self._deliver(event)
        catching_up = self._catch_up(event.last_id, previous, same_log=same_log, recent=recent)
        Deferred.fromCoroutine(catching_up).addErrback(self._broken)

    # What comes in.

    def _heard_line(self, line: bytes) -> None:
        if not line.startswith(b"{"):
            self._heard_words(sanitize(line.removesuffix(b"\r").decode("utf-8", "replace")))
            return
        try:
            event, ref = jsonlines.hear(line)
        except Refusal as refusal:
            log.debug("Not understood: {refusal}", refusal=refusal)
            return
        if isinstance(event, Welcomed):
            self._welcomed(event)
        elif ref == _HELLO and isinstance(event, Error):
            self._name_refused(event)
        elif ref == _GAP:
            self._answer_gap(event)
        elif self._held is not None:
            self._held.append((event, ref))
        else:
            self._take(event, ref)

    def _heard_words(self, line: str) -> None:
        """For people: the question that opens a connection, or why there will be none."""
        self._reached = True
        if line != ENGLISH.question and not self._welcome:
            self._why = line

    def _take(self, event: Event, ref: str | None) -> None:
        """Something that is heard in its turn."""
        if ref is not None:
            if (asked := self._asked.pop(ref)) is not None:  # or nobody wants it any more
                self._answered(asked, event)
            return
        match event:
            case Said() | Emoted() if event.name == self.name and event.id > self._last_id:
                # Ours. The acknowledgement comes next, or is lost.
                for ours in self._asked.settle([event], self.name, echo=True):
                    self._happened(ours)
                self._leave_if_done()
            case Said() | Emoted() | Joined() | Left() | Renamed():
                self._happened(event)
            case Skipped():
                self._held = []
                Deferred.fromCoroutine(self._fill_gap(event)).addErrback(self._broken)
            case Typing(name=name, on=on):
                (self.writing.add if on else self.writing.discard)(name)
                self._deliver(event)
            case Closed(reason=why):
                if why is CloseReason.TAKEN_OVER:
                    self._failure = Gone("You have come in again from elsewhere.")
                elif why is CloseReason.CLAIMED:
                    self._failure = Gone("The name that you had is registered.")
                elif why is CloseReason.KICKED:  # or a program would be back in a second
                    self._failure = Gone("The operator has ended the connection.")
                self._done = self._done or why is CloseReason.EXIT
                self._deliver(event)
            case _:
                self._deliver(event)

    def _happened(self, event: Happening) -> None:
        """Something in the room, unless we have heard of it before."""
        if event.id <= self._last_id:
            return
        self._last_id = event.id
        match event:
            case Said(name=name) | Emoted(name=name):
                self.writing.discard(name)
            case Joined(names=names):
                self.users.update(names)
            case Left(names=names):
                self.users.difference_update(names)
                self.writing.difference_update(names)
            case Renamed(old=old, new=new):
                self.users.discard(old)
                self.users.add(new)
                self.writing.discard(old)
                if old == self.name:
                    self.name = new
        self._deliver(event)

    def _answered(self, asked: Asked, event: Event) -> None:
        if isinstance(event, Error):
            event = asked.done_before(event, self.name or "") or event
        if isinstance(event, Error):
            asked.answer.errback(Declined(event))
        else:
            match asked.request, event:
                case Register(password=password) | ChangePassword(password=password), _:
                    self._password = password
                case ((Tell(text=text) | Reply(text=text)), Acked() as acked):
                    said = sanitize(text)
                    self._deliver(Sent(acked.id, acked.at, acked.to, said, acked.waiting))
                case Say(text=text, room=room), Acked(id=number, at=at) if number > self._last_id:
                    self._last_id = number
                    if self._echo:
                        name = self.name or ""
                        self._deliver(Said(number, at, room, name, sanitize(text)))
            asked.answer.callback(event)
        self._leave_if_done()

    def _deliver(self, event: Heard) -> None:
        self._waiting.append(event)
        self._regulate()
        self._wake()

    def _wake(self) -> None:
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            wanted.callback(None)

    def _regulate(self) -> None:
        """Read no faster than somebody iterates; but answers must be able to arrive."""
        paused = len(self._waiting) >= MAX_WAITING and not self._asked and not self._leaving
        if self._connection is not None and paused is not self._paused:
            self._paused = paused
            transport = self._connection.transport
            (transport.pauseProducing if paused else transport.resumeProducing)()

    # Filling gaps.

    async def _catch_up(
        self, last_id: int, previous: str | None, *, same_log: bool, recent: int
    ) -> None:
        """Tell of what happened up to `last_id` while we, called `previous`, were away, or of the
        `recent` newest messages; settle what was asked for; and go on."""
        connection = self._connection
        if recent:
            page = await self._ask_history(History(last_id + 1, limit=recent, messages=True))
            if page is not None and page.events:
                self._deliver(replayed(ReplayReason.RECENT, page, self._reactor.seconds()))
        recalled, gone = await self._recall(self._last_id, last_id + 1)
        if connection is not self._connection:
            return
        if same_log:
            recalled = list(self._asked.settle(recalled, previous, echo=self._echo))
        self._asked.unsettled(lost_track=gone > 0 or not same_log)
        self._replay(recalled, gone)
        self._last_id = max(self._last_id, last_id)
        self._in = True
        for asked in self._asked:  # before what more is asked when we go on
            self._send_asked(asked)
        self._go_on()
        self._leave_if_done()

    async def _fill_gap(self, skipped: Skipped) -> None:
        """The server has skipped something for us: ask for what the log still has of it."""
        connection = self._connection
        recalled, _ = await self._recall(self._last_id, skipped.before)
        if connection is not self._connection:
            return
        others = list(self._asked.settle(recalled, self.name, echo=False))
        if (lost := skipped.count - _messages(others)) > 0:
            self._deliver(replace(skipped, count=lost))
        for event in recalled if self._echo else others:
            self._happened(event)
        self._last_id = max(self._last_id, skipped.before - 1)
        self._go_on()
        self._leave_if_done()

    async def _recall(self, after: int, before: int) -> tuple[list[Happening], int]:
        """What happened between two ids, and how many events of that are gone, or cannot be had."""
        recalled: list[Happening] = []
        gone = 0
        while after + 1 < before:
            page = await self._ask_history(History(before, after, _PAGE))
            if page is None:
                gone += before - after - 1
                break
            gone += page.gone  # more, if the log has gone on meanwhile
            if not page.events or page.events[-1].id <= after:
                break
            recalled += page.events
            after = page.events[-1].id
        return recalled, gone

    async def _ask_history(self, request: History) -> Recalled | None:
        """Before anything else that comes in. None: there is no answer."""
        self._gap = gap = Deferred[Event | None]()
        self._send(request, _GAP)
        page = await gap
        return page if isinstance(page, Recalled) else None

    def _answer_gap(self, event: Event | None) -> None:
        gap, self._gap = self._gap, None
        if gap is not None:
            gap.callback(event)

    def _replay(self, events: Iterable[Happening], gone: int) -> None:
        """Tell of what we missed; but not of our own comings and goings."""
        others = [each for event in events if (each := _without(event, self.name)) is not None]
        count = _messages(others)
        if count or gone:
            self._deliver(Missed(count, gone))
        name, users = self.name, set(self.users)
        for event in others:
            self._happened(event)
        self.name, self.users = name, users  # as of the welcome, which came after all this

    def _go_on(self) -> None:
        """With what has come in meanwhile."""
        held, self._held = self._held or [], None
        for index, (event, ref) in enumerate(held):
            self._take(event, ref)
            if self._gap is not None:  # there is another one
                self._held = held[index + 1 :]
                return

    # What goes out.

    def _send_asked(self, asked: Asked) -> None:
        match asked.request:
            case Register(password=password):  # a name that has another one was refused before
                may_be_done = self._password in ("", password)
            case _:
                may_be_done = True
        asked.again, asked.sent = asked.sent and may_be_done, True
        self._send(asked.request, asked.ref)

    def _send(self, request: Request, ref: str | None = None) -> None:
        if self._connection is not None:
            self._connection.transport.write(jsonlines.asking(request, ref))

    def _leave_if_done(self) -> None:
        if self._leaving and self._in and not self._asked:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        self._send(Exit())
        if not self._deadline.active():
            self._deadline = self._reactor.callLater(
                GOODBYE_SECONDS, self._hang_up, "the server does not say goodbye"
            )


def _unfit(request: Request, ref: str) -> Refusal | None:
    """Why it is no line that the server would read."""
    try:
        line = jsonlines.asking(request, ref)
    except UnicodeEncodeError:  # half a surrogate pair
        return Refusal(ErrorCode.NOT_JSON)
    return Refusal(ErrorCode.LINE_TOO_LONG, limit=MAX_REQUEST) if len(line) > MAX_REQUEST else None


def _in_words(error: BaseException) -> str:
    match error.args:
        case ([(_, _, str(reason)), *_],):  # OpenSSL's
            return f"TLS: {reason}"
    return str(error) or type(error).__name__


def replayed(why: ReplayReason, page: Recalled, now: float, limit: int = 0) -> Replayed:
    """The messages of a page of history, as they are shown to people. `now`: in seconds. `limit`:
    so many were asked for, if it matters that there may be more."""
    messages = tuple(event for event in page.events if isinstance(event, Said | Emoted))
    more = 0 < limit <= len(messages)
    return Replayed(why, messages, now, len(messages), more=more)


def _messages(events: Iterable[Happening]) -> int:
    return sum(isinstance(event, Said | Emoted) for event in events)


def _without(event: Happening, name: str | None) -> Happening | None:
    if isinstance(event, Joined | Left) and name in event.names:
        names = tuple(each for each in event.names if each != name)
        return replace(event, names=names) if names else None
    return event
