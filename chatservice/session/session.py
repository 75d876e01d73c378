"""One connection, at whatever door: who are you, then requests, then goodbye.

A session is handed complete lines, which its dialect reads, and carries out what they ask for (see
`requests`). Refusals become answers in one place. What the connection hears goes through its
cursor.
"""

from collections.abc import Awaitable, Callable, Mapping
from inspect import iscoroutine
from types import MappingProxyType
from typing import Protocol, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.core.cursor import Cursor, Sink
from chatservice.core.events import (
    CURRENT_ROOM,
    LOBBY,
    Account,
    Announced,
    Answered,
    Closed,
    CloseReason,
    ErrorCode,
    NameAsked,
    PasswordAsked,
    PersonalEvent,
    Refusal,
    Refused,
    Welcomed,
)
from chatservice.core.peer import Peer
from chatservice.core.requests import Hello, Password, Request
from chatservice.core.stores import ReadPosition
from chatservice.core.users import User
from chatservice.dialects.detection import UNTIL_THE_FIRST_LINE, detect
from chatservice.dialects.dialect import Dialect
from chatservice.session import talk
from chatservice.session.asker import Answer, Services
from chatservice.session.replay import Replay
from chatservice.session.requests import RULES
from chatservice.session.state import EXPECTED, State, transition

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


class Session:
    """The conversation with one connection. `peer` is whose connection it is; `note` takes a line
    for the log, and values for its fields; `dialect` is what they speak, or None if the first line
    tells.
    """

    __slots__ = (
        "_claimed",
        "_connection",
        "_ref",
        "_refused",
        "_state",
        "_user",
        "cursor",
        "note",
        "peer",
        "services",
    )

    def __init__(
        self,
        services: Services,
        connection: Connection,
        *,
        peer: Peer,
        note: Callable[..., None],
        dialect: Dialect | None = None,
    ) -> None:
        self.services = services
        self.peer = peer
        self.note = note
        self.cursor = Cursor(UNTIL_THE_FIRST_LINE, connection)
        self._speak(dialect or UNTIL_THE_FIRST_LINE)
        self._connection = connection
        self._state = State.OPENING if dialect is None else State.NAMING
        self._user: User | None = None
        self._ref: str | None = None  # of the request that is being served
        self._refused = 0
        self._claimed = ""  # the name whose password comes next

    # The rooms of people who have not been here before.
    # Whether they are called what they ask for, be it another name than that of their account.
    keeps_name = False
    first_rooms: Mapping[str, int] = MappingProxyType({LOBBY: 0})

    @property
    def closing(self) -> bool:
        """Whether the last word has been said, or the connection is gone."""
        return self._state is State.CLOSING

    @property
    def user(self) -> User:
        """Who has come in. There must be somebody."""
        assert self._user is not None  # noqa: S101 (the table of requests says who may ask)
        return self._user

    @property
    def dialect(self) -> Dialect:
        """What they speak."""
        return cast(Dialect, self.cursor.dialect)

    @property
    def is_program(self) -> bool:
        """Whether it keeps its read position itself."""
        return not self.dialect.wants.replay

    @property
    def ref(self) -> str | None:
        """What the request that is being carried out is marked with."""
        return self._ref

    def room(self, name: str) -> str:
        """The room that a request names: CURRENT_ROOM stands for one. Whoever names another room
        than the lobby hears all of theirs."""
        if name not in (LOBBY, CURRENT_ROOM) and not self.cursor.hears_all:
            self.services.chat.hear_all(self.user, self)
        return self.cursor.current if name == CURRENT_ROOM else name

    async def caught_up(self) -> None:
        """Wait until what they have said before is committed."""
        if (submitted := self.cursor.submitted) is not None and not submitted.heard:
            waiting: Deferred[None] = Deferred()
            submitted.when_heard(lambda: waiting.callback(None))
            await waiting

    def begin(self) -> None:
        """The connection is there: ask who it is."""
        self.note("{peer} has connected.", peer=self.peer)
        if (greeting := self.dialect.greet()) is not None:
            self.cursor.send(greeting)

    def receive(self, data: bytes) -> bytes:
        """Serve lines, each with its end. Returns those that must wait, because the door was
        paused."""
        if self.closing:
            return b""
        if self._state is State.IN and (texts := self.dialect.read_talk(data)):
            try:
                talk.say_all(self, texts, self.cursor.current)
            except Refusal as refusal:
                self._refuse(refusal)
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
        self.note("{name} has left {peer} for another connection.", name=name, peer=self.peer)
        self._say_goodbye(name, CloseReason.TAKEN_OVER)

    def lost(self, why: str, *, clean: bool) -> None:
        """The connection is gone; `clean`: the peer closed it in order."""
        self._move(State.CLOSING)
        try:
            self._leave(lost=not clean, why=why)
        finally:
            self.cursor.close()
        self.note("{peer} has disconnected: {why}", peer=self.peer, why=why)

    def refuse_long_line(self, limit: int) -> None:
        """A line was longer than `limit` bytes. There is no telling where the next one begins."""
        if self.closing:
            return
        self.cursor.send(Refused(Refusal(ErrorCode.LINE_TOO_LONG, limit=limit)))
        self.close(CloseReason.LONG_LINE)

    # What the handlers of requests call (see `asker`).

    def come_in(self, hello: Hello) -> None:
        """Let them in, if they may."""
        self._move(State.ADMITTING)
        self._look_up(self._enter(hello), lambda _: None)

    def take_password(self, password: Password) -> None:
        """Come in with it. An empty one: they do not know it."""
        if password.password.strip():
            self._carry_out(Hello(self._claimed, password=password.password))
            return
        self._claimed = ""
        self._move(State.NAMING)
        self._answer(NameAsked())

    @property
    def _name(self) -> str:
        return self._user.name if self._user is not None else ""

    def _move(self, state: State) -> None:
        self._state = transition(self._state, state)

    def _receive_line(self, line: bytes) -> None:
        if self.closing:
            return
        dialect = detect(line) if self._state is State.OPENING else self.dialect
        request, self._ref = dialect.read(line, EXPECTED[self._state])
        if request is None:
            return
        if self._state is State.OPENING:
            self._speak(dialect)
            self._move(State.NAMING)
        try:
            if isinstance(request, Refusal):
                raise request
            self._carry_out(request)
        except Refusal as refusal:
            self._refuse(refusal)
        self._ref = None

    def _carry_out(self, request: Request) -> None:
        rule = RULES[type(request)]
        has_accounts = self.services.authenticator.accounts is not None
        rule.check(self._user, has_accounts=has_accounts)
        outcome = rule.carry_out(self, request)
        if iscoroutine(outcome):
            self._look_up(outcome, self._answer)
        else:
            self._answer(cast(Answer, outcome))

    def _speak(self, dialect: Dialect) -> None:
        self.cursor.set_dialect(dialect)
        self.cursor.hears_all = dialect.wants.rooms

    def _say_goodbye(self, name: str, why: CloseReason) -> None:
        self._move(State.CLOSING)
        self._connection.expect_close()
        self._answer(Closed(name, why))

    def _answer(self, answer: Answer) -> None:
        if answer is not None:
            self._send(answer)

    def _send(self, event: PersonalEvent) -> None:
        self.cursor.send(event if self._ref is None else Answered(event, self._ref))

    def _refuse(self, refusal: Refusal) -> None:
        if self._user is not None:
            self._send(Refused(refusal))
            return
        if refusal.code is ErrorCode.PASSWORD_NEEDED and self.dialect.wants.prompts:
            self._claimed = str(refusal.details["name"])
            self._move(State.PASSWORD)
            self._send(PasswordAsked(self._claimed))
            return
        self._refused += 1
        # Not a name while there is a password to be typed: everybody would see that.
        self._move(State.PASSWORD if self._claimed else State.NAMING)
        if self._refused == REFUSED_NAMES:
            self._send(Refused(refusal))
            self._ref = None
            self.close(CloseReason.REFUSED)
        elif self._claimed:
            self._send(Refused(refusal, asks_password=self._claimed))
        else:
            self._send(Refused(refusal, asks_name=True))

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

    async def _enter(self, hello: Hello) -> None:
        """Come in, if they may; otherwise raises `Refusal`."""
        chat = self.services.chat
        account: Account | None = None
        here = None
        if (holder := chat.holder(hello.token)) is not None:
            here = holder[0]
        else:
            account = await self._admit(hello)
            here = chat.owner(account) if account is not None else None
        since = None
        rooms: Mapping[str, int] = {}
        if here is not None:
            since = chat.unread(here)
        else:
            since = await chat.seen(hello.name if account is None else account.name)
            rooms = await chat.archive.memberships(account) if account is not None else {}
        entered: Deferred[User] = Deferred()

        def then(who: User | Refusal) -> None:
            if isinstance(who, Refusal):
                entered.errback(who)
            elif self.closing:  # they have gone meanwhile
                chat.leave(who, self, lost=True)
            else:
                self._user = who
                entered.callback(who)

        chat.enter(
            self,
            hello.name,
            then,
            token=hello.token,
            beside=hello.beside,
            account=account,
            keep_name=self.keeps_name,
            rooms=rooms or self.first_rooms,
        )
        self._welcome(await entered, hello, since, has_missed=here is None or since is not None)

    async def _admit(self, hello: Hello) -> Account | None:
        """Their account; None for a guest."""
        return await self.services.authenticator.admit(hello.name, hello.password, self.peer)

    def _welcome(
        self, user: User, hello: Hello, since: ReadPosition | None, *, has_missed: bool
    ) -> None:
        chat, settings, wants = self.services.chat, self.services.settings, self.dialect.wants
        self._claimed = ""
        self._move(State.IN)
        self._connection.let_in()
        if hello.rooms:
            chat.hear_all(user, self)
        recent = settings.history if since is None and has_missed else 0
        self._send(
            Welcomed(
                user.name,
                chat.directory.online(),
                chat.log.epoch,
                self.cursor.start - 1,
                chat.token(user, self) if wants.tokens else "",
                None if since is None else since.position - 1,
                recent,
                chat.rooms_of(user),
            )
        )
        if settings.motd:
            self.cursor.send(Announced(settings.motd))
        self.note("{name} has joined from {peer}.", name=user.name, peer=self.peer)
        past = None
        if wants.replay and (since is not None or recent):
            past = Replay(chat, user, self.cursor, since, recent)
        self._own(Deferred.fromCoroutine(self._replay_past(user, past)))
        if (trouble := chat.archive.trouble) is not None:
            self.cursor.send(trouble)

    async def _replay_past(self, user: User, past: Replay | None) -> None:
        if past is not None:
            await past.run(self.caught_up())
        await self.services.offline_messages.deliver(user)

    def _leave(self, *, lost: bool, why: str) -> None:
        if (user := self._user) is not None:
            self.services.chat.leave(user, self, lost=lost)
            self._user = None
            line = "{name} has left from {peer}: {why}"
            self.note(line, name=user.name, peer=self.peer, why=why)


async def _awaited(asked: Awaitable[T]) -> T:
    return await asked
