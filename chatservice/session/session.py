"""One connection, at whatever door: who are you, then requests, then goodbye.

A session is handed complete lines, which its dialect reads, and carries out what they ask for (see
`requests`). Refusals become answers in one place. What the connection hears goes through its
cursor.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from inspect import iscoroutine
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from chatservice.core.cursor import Cursor, Sink
from chatservice.core.drafts import Draft
from chatservice.core.events import (
    CURRENT_ROOM,
    LOBBY,
    Account,
    Acked,
    Announced,
    Answered,
    Change,
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
from chatservice.core.requests import (
    Hello,
    Help,
    History,
    Nick,
    Password,
    Request,
    Rooms,
    Search,
    SetTyping,
    Who,
    Whois,
)
from chatservice.core.stores import ReadPosition
from chatservice.core.users import User
from chatservice.dialects.detection import UNTIL_THE_FIRST_LINE, detect
from chatservice.dialects.dialect import Asked, Dialect
from chatservice.session import talk, weights
from chatservice.session.asker import Answer, Services
from chatservice.session.questions import (
    UNASKED,
    Question,
    answer_to,
    is_command,
    question_after,
    question_for,
)
from chatservice.session.replay import Replay
from chatservice.session.requests import RULES, Rule
from chatservice.session.state import EXPECTED, State, transition

T = TypeVar("T")

# What an operator wants to know of, since it may be an attack.
PASSWORD_REFUSED = (ErrorCode.WRONG_PASSWORD, ErrorCode.NOT_A_MEMBER, ErrorCode.TOO_OFTEN)

# What is of no use once the asker has gone: what is asked for nothing but its answer, and what is
# of the moment.
PASSING = Help | History | Rooms | Search | SetTyping | Who | Whois

REFUSED_NAMES = 5  # then the server closes: enough for a person, too few to try out a name list


class Connection(Sink, Protocol):
    """The connection that a session serves."""

    @property
    def paused(self) -> bool:
        """Whether no more lines may be served for now."""

    def note(self, text: str, **fields: object) -> None:
        """A line about the peer for the log, with values for its fields."""

    def let_in(self) -> None:
        """They have said who they are."""

    def wait(self, waiting: bool) -> None:
        """Serve no more lines while an answer is being looked up."""

    def spend(self, lines: float) -> None:
        """What was asked for costs so many lines more than the one that it was asked in; if it is
        less than 0, so many fewer."""

    def count_written(self, size: float) -> None:
        """So many bytes are written to the disk for what was asked."""

    def until_writable(self) -> "Deferred[None] | None":
        """Fires when something may be written for this connection; None: at once."""

    def fail(self, failure: Failure | None = None) -> None:
        """End the connection at once, without a word. `failure` says why, or the exception that is
        being handled."""

    def expect_close(self) -> None:
        """The last word is on its way; a peer that does not take it is cut off after a while."""


class _Serving(NamedTuple):
    """What is being served: a request, its own mark, and the question that it answers."""

    request: Request | None = None
    ref: str | None = None
    answered: Question | None = None


_NOTHING = _Serving()


class Session:
    """The conversation with one connection. `peer` is whose connection it is; `dialect` is what
    they speak, or None if the first line tells.
    """

    # The rooms of people who have not been here before.
    first_rooms: Mapping[str, int] = MappingProxyType({LOBBY: 0})
    # Whether they are called what they ask for, be it another name than that of their account.
    keeps_name = False

    __slots__ = (
        "_connection",
        "_deliveries",
        "_lookup",
        "_question",
        "_refused",
        "_serving",
        "_state",
        "_user",
        "cursor",
        "peer",
        "services",
    )

    def __init__(
        self,
        services: Services,
        connection: Connection,
        *,
        peer: Peer,
        dialect: Dialect | None = None,
    ) -> None:
        self.services = services
        self.peer = peer
        self.cursor = Cursor(UNTIL_THE_FIRST_LINE, connection)
        self._speak(dialect or UNTIL_THE_FIRST_LINE)
        self._connection = connection
        self._state = State.OPENING if dialect is None else State.NAMING
        self._user: User | None = None
        self._serving = _NOTHING
        self._lookup: Deferred[Any] | None = None  # that nobody needs once the peer has gone
        self._refused = 0
        self._deliveries = 0  # of the past, or of what has waited, that are not over
        self._question = UNASKED  # what the next line answers, if it is a password

    def note(self, text: str, **fields: object) -> None:
        """A line about the peer for the log, with values for its fields."""
        self._connection.note(text, **fields)

    @property
    def closing(self) -> bool:
        """Whether the last word has been said, or the connection is gone."""
        return self._state is State.CLOSING

    @property
    def user(self) -> User:
        """Who has come in. There must be somebody; unless they have gone while something was looked
        up for them, which ends there: raises `CancelledError`."""
        if self._user is None and self.closing:
            raise CancelledError
        assert self._user is not None  # noqa: S101 (the table of requests says who may ask)
        return self._user

    @property
    def reader(self) -> User | None:
        """Who reads here and has come in, unless it is a program."""
        return None if self.is_program else self._user

    @property
    def dialect(self) -> Dialect:
        """What they speak."""
        return self.cursor.dialect  # type: ignore[return-value]  # which renders, and reads

    @property
    def is_program(self) -> bool:
        """Whether it keeps its read position itself."""
        return not self.dialect.wants.replay

    @property
    def ref(self) -> str | None:
        """What the request that is being carried out is marked with."""
        return self._serving.ref

    def room(self, name: str) -> str:
        """The room that a request names: CURRENT_ROOM stands for one. Whoever names another room
        than the lobby hears all of theirs."""
        if name not in (LOBBY, CURRENT_ROOM) and not self.cursor.hears_all:
            self.services.chat.hear_all(self.user, self)
        return self.cursor.current if name == CURRENT_ROOM else name

    async def caught_up(self) -> None:
        """Wait until what they have said before is committed."""
        if (submitted := self.cursor.submitted) is not None:
            await _heard(submitted)

    def begin(self) -> None:
        """The connection is there: ask who it is."""
        self.note("{peer} has connected.", peer=self.peer)
        if (greeting := self.dialect.greet()) is not None:
            self.cursor.send(greeting)

    def receive(self, data: bytes) -> bytes:
        """Serve lines, each with its end. Returns those that must wait, because the door was
        paused."""
        if self._state is State.IN:
            if texts := self.dialect.read_talk(data):
                try:
                    talk.say_all(self, texts, self.cursor.current)
                except Refusal as refusal:
                    self._refuse(refusal)
                else:
                    self._connection.count_written(weights.written(len(data), len(texts)))
                return b""
        elif self._obeys_no_more:
            return b""
        start = 0
        while start < len(data):
            if self._connection.paused:
                return data[start:]
            end = data.index(b"\n", start)
            self._receive_line(data[start:end])
            start = end + 1
        return b""

    def end_of_input(self) -> None:
        """The peer has stopped sending, and hears what it has asked for, as after ``/exit``."""
        if not self._obeys_no_more:
            self.leave()

    def unheard(self) -> None:
        """The peer hears nothing any more, but lines that it has sent may still have to be
        obeyed."""
        self.cursor.close()
        self._take_back()

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
        self._take_back()
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

    def remind_of_line_end(self, begun: bytes) -> None:
        """The peer has begun a line, and waits."""
        if self._state is State.OPENING:
            self.cursor.set_dialect(detect(begun))
        self.cursor.send(Refused(Refusal(ErrorCode.LINE_NOT_ENDED)))

    # What the handlers of requests call (see `asker`).

    def come_in(self, hello: Hello) -> None:
        """Let them in, if they may."""
        self._move(State.ADMITTING)
        self._look_up(self._enter(hello), lambda since: self._welcome(hello, since))

    def leave(self) -> None:
        """End the connection, as they ask for; but they are told of the past before that."""
        if self._deliveries:
            self._move(State.LEAVING)
        else:
            self.close(CloseReason.EXIT)

    def take_password(self, password: Password) -> None:
        """Go on with what needed it. An empty one: they do not know it."""
        question, ref = self._question, self._serving.ref
        request = answer_to(question, password.password) if password.password.strip() else None
        if request is None:
            self._give_up()
            return
        self._move(State.IN if self._user is not None else State.NAMING)
        self._serving = _Serving(request, ref, question)
        self._carry_out(request)

    def deliver_waiting(self) -> None:
        """Tell them what has waited for the account that is theirs now."""
        self._deliver(self.services.offline_messages.deliver(self.user))
        self.deliver_reports()

    def deliver_reports(self) -> None:
        """Tell them what has been reported, if they are in charge."""
        self._deliver(self.services.reports.deliver(self.user, self.peer.network))

    def _deliver(self, delivery: Coroutine[Any, Any, None]) -> None:
        def over(_: object) -> None:
            self._deliveries -= 1
            if self._state is State.LEAVING:
                self.leave()

        self._deliveries += 1
        self._own(Deferred.fromCoroutine(delivery).addCallback(over))

    @property
    def _obeys_no_more(self) -> bool:
        return self._state in (State.LEAVING, State.CLOSING)

    @property
    def _name(self) -> str:
        return self._user.name if self._user is not None else ""

    def _move(self, state: State) -> None:
        self._state = transition(self._state, state)

    def _receive_line(self, line: bytes) -> None:
        if self._obeys_no_more:
            return
        request, ref = self._read(line)
        if self.cursor.is_closed and self._is_to_no_purpose(request):
            self._connection.spend(-1)
            return
        if request is None:
            return
        self._serving = _Serving(None if isinstance(request, Refusal) else request, ref)
        try:
            if isinstance(request, Refusal):
                raise request
            self._carry_out(request)
        except Refusal as refusal:
            self._refuse(refusal)
        self._serving = _NOTHING

    def _read(self, line: bytes) -> Asked:
        """What `line` asks for. One that may be a password, though nothing was asked, is obeyed if
        it is a command, and is not looked at otherwise."""
        if self._state is State.OPENING:
            dialect = detect(line)
            asked = dialect.read(line, EXPECTED[self._state])
            if asked.request is not None:
                self._speak(dialect)
                self._move(State.NAMING)
            return asked
        if self._state not in (State.PASSWORD, State.PROVING) or self._question is not UNASKED:
            return self.dialect.read(line, EXPECTED[self._state])
        outside = State.IN if self._user is not None else State.NAMING
        asked = self.dialect.read(line, EXPECTED[outside])
        if asked.request is None:
            return Asked(Password(""))
        self._move(outside)
        if is_command(asked.request):
            return asked
        return Asked(Refusal(ErrorCode.LINE_DISCARDED))

    def _is_to_no_purpose(self, request: Request | Refusal | None) -> bool:
        """Whether a line that asks for that changes nothing for others, so that it need not be
        served (nor paid for) if the peer has gone."""
        if request is None or isinstance(request, PASSING):
            return True
        return isinstance(request, Refusal) and self._user is not None

    def _give_up(self) -> None:
        if self._user is not None:
            self._move(State.IN)
        else:
            self._move(State.NAMING)
            self._answer(NameAsked())

    def _carry_out(self, request: Request) -> None:
        rule = RULES[type(request)]
        self._charge(rule, request)
        outcome = rule.carry_out(self, request)
        self._count_written(request)
        if iscoroutine(outcome):
            self._look_up(outcome, self._answer)
        else:
            self._answer(cast(Answer, outcome))

    def _charge(self, rule: Rule, request: Request) -> None:
        """What `request` weighs, if they may ask for it; otherwise raises `Refusal`."""
        has_accounts = self.services.authenticator.accounts is not None
        rule.check(self._user, has_accounts=has_accounts)
        if (weight := rule.weight(self, request)) != 1:
            self._connection.spend(weight - 1)

    def _count_written(self, request: Request) -> None:
        if size := weights.written_for(request):
            self._connection.count_written(size)

    def _speak(self, dialect: Dialect) -> None:
        self.cursor.set_dialect(dialect)
        self.cursor.hears_all = dialect.wants.rooms

    def _say_goodbye(self, name: str, why: CloseReason) -> None:
        self._move(State.CLOSING)
        self._take_back()
        self._connection.expect_close()
        self._answer(Closed(name, why))

    def _answer(self, answer: Answer) -> None:
        match answer:
            case None:
                pass
            case Acked() if not self.dialect.wants.acknowledgements:
                pass  # a person sees what they have typed
            case _:
                self._send(answer)

    def _send(self, event: PersonalEvent) -> None:
        ref = self._serving.ref
        self.cursor.send(event if ref is None else Answered(event, ref))

    def _refuse(self, refusal: Refusal) -> None:
        """Tell them, and what the next line is."""
        request, _, answered = self._serving
        if refusal.code in PASSWORD_REFUSED:
            self._note_attempt(request, refusal)
        question = None
        if self.dialect.wants.prompts:
            if (asked := question_for(request, refusal)) is not None:
                self._ask(asked)
                return
            question = question_after(request, refusal, answered)
        if question is not None:
            self._question = question
        self._move(self._state_for(question))
        if self._user is not None:
            self._send(Refused(refusal, asks_password=question.name if question else ""))
            return
        if refusal.code is not ErrorCode.LINE_DISCARDED:
            self._refused += 1
        if self._refused == REFUSED_NAMES:
            self._send(Refused(refusal))
            self._serving = _NOTHING
            self.close(CloseReason.REFUSED)
        elif question is not None and question.request is not None:
            self._send(Refused(refusal, asks_password=question.name))
        else:
            self._send(Refused(refusal, asks_name=True))

    def _note_attempt(self, request: Request | None, refusal: Refusal) -> None:
        """For the log. What a stranger gives as the name of a member may be a password."""
        why = refusal.code.value.replace("_", " ")
        name = request.name if isinstance(request, Hello | Nick) else self._name
        if self.services.authenticator.members_only:
            self.note("{peer}: password: {why}", peer=self.peer, why=why)
        else:
            self.note("{peer}: password for {name}: {why}", peer=self.peer, name=name, why=why)

    def _ask(self, question: Question) -> None:
        """Ask for a password; but not where others could listen to it."""
        try:
            self.services.authenticator.expect_private(self.peer)
        except Refusal as refusal:
            self._refuse(refusal)
            return
        self._question = question
        self._move(self._state_for(question))
        self._send(PasswordAsked(question.name))

    def _state_for(self, question: Question | None) -> State:
        """Where they are, with `question` for the next line."""
        if self._user is not None:
            return State.IN if question is None else State.PROVING
        return State.NAMING if question is None else State.PASSWORD

    def _look_up(self, asked: Awaitable[T], then: Callable[[T], None]) -> None:
        """Call `then` with what `asked` comes to. Until it does, no more lines are served, so that
        answers keep their order."""
        serving = self._serving

        def found(result: T) -> None:
            if not self.closing:
                self._serving = serving
                then(result)

        def refused(failure: Failure) -> None:
            failure.trap(Refusal, CancelledError)
            if not self.closing and not failure.check(CancelledError):
                self._serving = serving
                self._refuse(cast(Refusal, failure.value))

        def over(_: object) -> None:
            self._serving = _NOTHING
            self._lookup = None
            if waiting:
                self._connection.wait(False)

        looked_up = Deferred.fromCoroutine(_awaited(asked))
        waiting = not looked_up.called
        if waiting:
            self._connection.wait(True)
            if isinstance(serving.request, History | Search):
                self._lookup = looked_up
        self._own(looked_up.addCallback(found).addErrback(refused).addCallback(over))

    def _take_back(self) -> None:
        """What was asked for is told to nobody any more: it need not be looked up."""
        if self._lookup is not None:
            self._lookup.cancel()

    def _own(self, work: "Deferred[None]") -> None:
        """What goes wrong in it costs this connection."""
        work.addErrback(self._connection.fail)

    async def _enter(self, hello: Hello) -> ReadPosition | None:
        """Come in, if they may; otherwise raises `Refusal`. Where they had stopped reading."""
        chat, network = self.services.chat, self.peer.network
        authenticator = self.services.authenticator
        if (writable := self._connection.until_writable()) is not None:
            await writable
        here = await self._holder(hello.token)
        holder = here if chat.holder(hello.token) is None else None
        account, kept, since = None, None, None
        rooms: Mapping[str, int] = {}
        if here is None:
            kept = await authenticator.token_owner(hello.token, self.peer)
            account = kept or await self._admit(hello)
        owner = authenticator.proven(account if here is None else here.account)
        if here is None:
            here = chat.owner(account) if account is not None else None
        if here is not None:
            since = chat.unread(here)
        else:
            since = await chat.seen(hello.name if account is None else account.name, network)
            if account is not None:
                rooms = await chat.archive.memberships(account, network)
        if kept is not None and kept != await authenticator.token_owner(hello.token, self.peer):
            # The password was changed meanwhile.
            return await self._enter(replace(hello, token=""))
        entered: Deferred[User] = Deferred()

        def then(who: User | Refusal) -> None:
            if isinstance(who, Refusal):
                entered.errback(who)
            elif self.closing:  # they have gone meanwhile
                if since is not None:
                    self.cursor.owe(since.position)
                chat.leave(who, self, lost=True)
                entered.cancel()
            else:
                self._user = who
                entered.callback(who)

        chat.enter(
            self,
            hello.name,
            then,
            token=hello.token if here is not None else "",
            beside=hello.beside,
            account=account,
            keep_name=self.keeps_name,
            rooms=rooms or self.first_rooms,
            holder=holder,
        )
        try:
            await entered
        except Refusal as refusal:
            if holder is None or refusal.code is not ErrorCode.GONE:
                raise
            return await self._enter(replace(hello, token=""))  # they have left meanwhile
        if holder is not None and await chat.holder_anywhere(hello.token, network) is None:
            self.close(CloseReason.PASSWORD_CHANGED)  # meanwhile
        elif owner is not None and self._user is not None and self.dialect.wants.tokens:
            if kept is not None:
                chat.restore_token(hello.token, self._user, self)
            authenticator.keep_token(owner, chat.token(self._user, self))
        return since

    async def _admit(self, hello: Hello) -> Account | None:
        """Their account; None for a guest."""
        return await self.services.authenticator.admit(hello.name, hello.password, self.peer)

    async def _holder(self, token: str) -> User | None:
        """Whose token it is, if what they have proven still holds; once what they have said at that
        connection is committed: a program looks for it up to the welcome, and says the rest again.
        """
        chat = self.services.chat
        user, holder = await self._proven_holder(token), chat.holder(token)
        if user is None or holder is None:
            return user
        _, session = holder
        while (said := session.cursor.submitted) is not None and not said.heard:
            await _heard(said)
        return user if chat.holder(token) is holder else await self._holder(token)

    async def _proven_holder(self, token: str) -> User | None:
        chat, authenticator = self.services.chat, self.services.authenticator
        if token and chat.archive.tokens is not None:
            found = await chat.holder_anywhere(token, self.peer.network)
            if found is None:
                return None
            if found.proven is not None:
                authenticator.note_proven(found.proven)
            return found.user
        holder = chat.holder(token)
        if holder is None:
            return None
        user, _ = holder
        if user.account is not None and not await authenticator.is_current(user.account):
            self.services.account_changed(user.account, Change.PASSWORD)
        return user if chat.holder(token) is holder else None

    def _welcome(self, hello: Hello, since: ReadPosition | None) -> None:
        user = self.user
        chat, settings, wants = self.services.chat, self.services.settings, self.dialect.wants
        self._move(State.IN)
        self._connection.let_in()
        if hello.rooms:
            chat.hear_all(user, self)
        recent = settings.history if since is None else 0
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
                self.services.authenticator.accounts is not None,
                chat.directory.away(),
            )
        )
        if settings.motd:
            self.cursor.send(Announced(settings.motd))
        self.note("{name} has joined from {peer}.", name=user.name, peer=self.peer)
        past = None
        if self.cursor.is_closed:  # they have missed all that they had missed before
            if since is not None:
                self.cursor.owe(since.position)
        elif wants.replay and (since is not None or recent):
            past = Replay(chat, user, self.cursor, since, recent=recent, asker=self.peer.network)
        self._deliver(self._replay_past(user, past))
        if (trouble := chat.archive.trouble) is not None:
            self.cursor.send(trouble)

    async def _replay_past(self, user: User, past: Replay | None) -> None:
        if past is not None:
            await past.run(self.caught_up())
        await self.services.offline_messages.deliver(user)
        await self.services.reports.deliver(user, self.peer.network)

    def _leave(self, *, lost: bool, why: str) -> None:
        if (user := self._user) is not None:
            self.services.chat.leave(user, self, lost=lost)
            self._user = None
            line = "{name} has left from {peer}: {why}"
            self.note(line, name=user.name, peer=self.peer, why=why)


async def _awaited(asked: Awaitable[T]) -> T:
    return await asked


async def _heard(draft: Draft) -> None:
    """Wait until everyone has been told of it."""
    waiting: Deferred[None] = Deferred()
    draft.when_heard(lambda: waiting.callback(None))
    await waiting
