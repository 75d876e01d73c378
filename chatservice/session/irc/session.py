"""The session of one IRC client.

It does for IRC what `session.Session` does: lines come in, requests are carried out, refusals
become answers in one place. What a command replies is gathered, and sent together (see `_flush`),
with the label that the client may have given it.
"""

from collections.abc import Iterable, Mapping
from inspect import iscoroutine
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from chatservice.core.drafts import Draft
from chatservice.core.events import (
    LOBBY,
    Account,
    CloseReason,
    ErrorCode,
    Happening,
    PersonalEvent,
    Refusal,
    Rendered,
    Told,
)
from chatservice.core.peer import Peer
from chatservice.core.requests import Hello, Nick, Request
from chatservice.core.room import Room
from chatservice.core.stores import ReadPosition
from chatservice.dialects.irc.capabilities import WITH_PASSWORDS, Cap, usable
from chatservice.dialects.irc.dialect import Personal, timestamp
from chatservice.dialects.irc.message import NO_TAGS, BadMessage, Message, parse, serialise
from chatservice.dialects.irc.numerics import OF_REFUSALS, WORDS, Numeric
from chatservice.session import weights
from chatservice.session.asker import Services
from chatservice.session.irc import commands, queries
from chatservice.session.irc.rooms import name_lines
from chatservice.session.irc.talk import say_lines
from chatservice.session.replay import Replay
from chatservice.session.requests import RULES
from chatservice.session.session import REFUSED_NAMES, Connection, Session
from chatservice.session.state import State

if TYPE_CHECKING:
    from chatservice.session.irc.multiline import Multiline
    from chatservice.session.irc.network import Network

TALK = ("PRIVMSG", "NOTICE")
MAX_LABEL = 64  # bytes: https://ircv3.net/specs/extensions/labeled-response
_TALK = Message("PRIVMSG")
NO_ROOMS: Mapping[str, int] = MappingProxyType({})


class Reply(NamedTuple):
    """A line that answers a command."""

    command: str
    parameters: tuple[str, ...]
    source: str
    tags: Mapping[str, str]


class IrcSession(Session):
    """The conversation with one IRC client. What registration has gathered so far: `wanted`, the
    nickname; `ident` and `realname`, of USER; `password`, of PASS; `proven`, the account of SASL.
    `negotiating`: CAP has begun it, and CAP END has not ended it. `multiline`: a message of several
    lines that they have begun."""

    __slots__ = (
        "_answered",
        "_is_counted",
        "_label",
        "_message",
        "_replies",
        "caps",
        "ident",
        "monitored",
        "multiline",
        "negotiating",
        "network",
        "password",
        "personal",
        "proven",
        "realname",
        "sasl",
        "version",
        "wanted",
    )

    def __init__(
        self,
        services: Services,
        connection: Connection,
        *,
        peer: Peer,
        network: "Network",
        dialect: None = None,
    ) -> None:
        self.network = network
        self.caps: frozenset[Cap] = frozenset()
        self.personal = Personal(network.dialects.for_caps(()), lambda: self.nick, self.caps)
        super().__init__(services, connection, peer=peer, dialect=self.personal)
        self.wanted = self.ident = self.realname = self.password = ""
        self.proven: Account | None = None
        self.sasl: str | None = None  # what has come of it so far; None: none is going on
        self.negotiating = False
        self.version = 301
        self.multiline: Multiline | None = None
        self.monitored: dict[str, str] = {}
        self._message = Message("")
        self._replies: list[Reply | Told] = []
        self._label = ""
        self._answered = False
        self._is_counted = True
        network.unregistered += 1

    # What the commands use.

    def spend(self, lines: float) -> None:
        """What was asked for costs so many lines more than its own."""
        self._connection.spend(lines)

    def charge(self, request: Request) -> None:
        """What a command asks for costs what the same `request` costs at other doors. Raises
        `Refusal` if they may not ask for it."""
        self._charge(RULES[type(request)], request)
        self._count_written(request)

    @property
    def nick(self) -> str:
        """Whom replies are addressed to; a star before they have a name."""
        return self._user.name if self._user is not None else (self.wanted or "*")

    @property
    def is_in(self) -> bool:
        """Whether they have registered."""
        return self._user is not None and self._state is State.IN

    @property
    def is_program(self) -> bool:
        """A client that asks for history knows itself what it has read."""
        return Cap.CHATHISTORY in self.caps

    @property
    def keeps_name(self) -> bool:  # type: ignore[override]
        """SASL says whose account it is, and NICK what they are called."""
        return self.proven is not None

    @property
    def first_rooms(self) -> Mapping[str, int]:  # type: ignore[override]
        """Where newcomers are."""
        return {LOBBY: 0} if self.network.joins_lobby else NO_ROOMS

    @property
    def offered(self) -> tuple[Cap, ...]:
        """The capabilities that this connection may ask for."""
        return tuple(cap for cap in Cap if self.takes_passwords or cap not in WITH_PASSWORDS)

    @property
    def takes_passwords(self) -> bool:
        """Whether there are accounts, and nobody else can hear a password here."""
        return self.services.authenticator.takes_passwords(self.peer)

    def set_caps(self, caps: frozenset[Cap]) -> None:
        """They have negotiated `caps`."""
        self.caps = caps
        shared = self.network.dialects.for_caps(caps)
        self.personal = Personal(shared, lambda: self.nick, usable(caps))
        self._speak(self.personal)

    def reply(self, numeric: Numeric, *parameters: str, **values: object) -> None:
        """Answer with a numeric, whose words may have `values` in them."""
        words = WORDS.get(numeric)
        filled = () if words is None else (words.format(**values) if values else words,)
        self.say(numeric, self.nick, *parameters, *filled)

    def reply_with(self, numeric: Numeric, *parameters: str) -> None:
        """The same, without the words that the numeric usually has."""
        self.say(numeric, self.nick, *parameters)

    def say(
        self, command: str, *parameters: str, source: str = "", tags: Mapping[str, str] = NO_TAGS
    ) -> None:
        """Answer with a line; its source is the server, unless there is another."""
        self._replies.append(Reply(command, parameters, source or self.network.name, tags))

    def standard(self, kind: str, command: str, code: str, *context: str) -> None:
        """A standard reply: FAIL, WARN or NOTE; the last of `context` are its words."""
        self.say(kind, command, code, *context)

    def fail_command(self, code: str, *context: str) -> None:
        """FAIL, of the command that is being carried out."""
        self.standard("FAIL", self._message.command, code, *context)

    def tell(self, event: PersonalEvent, after: Draft | None = None) -> None:
        """Something that is no answer; it comes after what the draft `after` brings."""
        if not self.cursor.backlogged:
            self.cursor.send(event, after)

    def answered_by_the_log(self) -> None:
        """What they did stands in the log, which is the answer."""
        self._answered = True

    def echo(self, told: Told) -> None:
        """Answer with what they have said to somebody."""
        self._replies.append(told)

    def reply_batch(
        self, kind: str, parameters: tuple[str, ...], events: Iterable[Happening]
    ) -> None:
        """Answer with a batch of what has happened."""
        self._answered = True
        tags = {"label": self._label} if self._label else {}
        data = self.personal.batch(kind, parameters, tags, *events, name="history")
        self.cursor.send(Rendered(data))

    @property
    def ref(self) -> str | None:
        """What marks a draft: the label, which may be empty; None: they want no echo of what they
        say."""
        if self._message.command in TALK and Cap.ECHO_MESSAGE not in self.caps:
            return None
        return self._label

    @property
    def source(self) -> str:
        """Themselves, as the source of a line."""
        return self.network.dialects.scene.source(self.nick)

    # Lines.

    def receive(self, data: bytes) -> bytes:
        """Serve lines. Most reads say something in one room, and are served as one."""
        if self.is_in and not self.closing and data.startswith(b"PRIVMSG #"):
            self._message, self._label = _TALK, ""
            if (lines := say_lines(self, data)) != 0:
                self._connection.count_written(weights.written(len(data), lines))
                return b""
        return super().receive(data)

    def _receive_line(self, line: bytes) -> None:
        if self.closing:
            return
        try:
            message = parse(line)
        except BadMessage as bad:
            self.begin_command(Message("*", tags=bad.tags))
            self._refuse_line(bad.code)
            self._flush()
            return
        if message is None:
            return
        if self.cursor.is_closed and message.command in commands.PASSING:
            self._connection.spend(-1)
            return
        self.begin_command(message)
        try:
            outcome = commands.carry_out(self, message)
        except Refusal as refusal:
            self._refuse(refusal)
            return
        if iscoroutine(outcome):
            self._look_up(outcome, lambda _: self._flush())
        else:
            self._flush()

    def begin_command(self, message: Message) -> None:
        """What is replied from now on answers `message`."""
        self._message = message
        label = message.tags.get("label", "")
        has_label = Cap.LABELED_RESPONSE in self.caps and len(label.encode()) <= MAX_LABEL
        self._label = label if has_label else ""
        self._answered = False

    def _refuse_line(self, code: str) -> None:
        if code == "INVALID_UTF8":
            self.standard("FAIL", "*", code, "Message rejected: it is not valid UTF-8")
        elif code == "INVALID_MESSAGE":
            self.reply(Numeric.UNKNOWNCOMMAND, "*")
        else:
            self.reply(Numeric.INPUTTOOLONG)

    def _flush(self) -> None:
        """Send the replies to a command."""
        if self._label and not self._replies and not self._answered:
            self.say("ACK")
        self._flush_replies()
        self._label = ""

    def _flush_replies(self) -> None:
        replies, self._replies = self._replies, []
        if not replies or self.cursor.closing:
            return
        tags: dict[str, str] = {}
        if Cap.SERVER_TIME in self.caps:
            tags["time"] = timestamp(self.services.chat.now())
        begin, end = b"", b""
        label, self._label = self._label, ""
        if label and len(replies) == 1:
            tags["label"] = label
        elif label:
            server = self.network.name
            labelled = {**tags, "label": label}
            begin = serialise("BATCH", "+reply", "labeled-response", source=server, tags=labelled)
            end = serialise("BATCH", "-reply", source=server, tags=tags)
            tags["batch"] = "reply"
        lines = b"".join(line for each in replies for line in self._lines_of(each, tags))
        self.cursor.send(Rendered(begin + lines + end))

    def _lines_of(self, reply: Reply | Told, tags: Mapping[str, str]) -> list[bytes]:
        if isinstance(reply, Told):
            return self.personal.told(reply, tags)
        command, parameters, source, own = reply
        return [serialise(command, *parameters, source=source, tags={**tags, **own})]

    def _refuse(self, refusal: Refusal) -> None:
        """Refusals become numerics where there is one, or a standard reply."""
        if not self.is_in:
            self._refuse_entry(refusal)
        elif self._message.command != "NOTICE":  # which is never answered
            self.reply_refusal(refusal)
        self._flush()

    def reply_refusal(self, refusal: Refusal) -> None:
        """Say why something was declined."""
        command, words = self._message.command, self.network.dialects.scene.words
        numeric = OF_REFUSALS.get(refusal.code)
        if numeric is Numeric.PASSWDMISMATCH and self.is_in:
            numeric = None
        if refusal.code is ErrorCode.BANNED and not self.is_in:
            numeric = Numeric.YOUREBANNEDCREEP
        context = str(refusal.details.get("room") or refusal.details.get("name") or "")
        if numeric is Numeric.INVITEONLYCHAN or numeric is Numeric.TOOMANYCHANNELS:
            context = self._message.parameters[0] if self._message.parameters else "*"
        if numeric in (Numeric.NICKNAMEINUSE, Numeric.ERRONEUSNICKNAME):
            context = self._message.parameters[0] if command == "NICK" else self.wanted
            self.reply_with(numeric, context or "*", words.refusal(refusal))
        elif numeric is Numeric.YOUREBANNEDCREEP:
            self.reply_with(numeric, words.refusal(refusal))
        elif numeric is Numeric.BANNEDFROMCHAN:
            self.reply_with(numeric, context, words.refusal(refusal))
        elif numeric is Numeric.NOTONCHANNEL and command in ("PRIVMSG", "TAGMSG"):
            self.reply(Numeric.CANNOTSENDTOCHAN, context)
        elif numeric is not None:
            self.reply(numeric, context or "*")
        else:
            self.standard("FAIL", command, refusal.code.upper(), words.refusal(refusal))

    # Coming in.

    def try_to_register(self) -> None:
        """Come in, once all is known that it takes."""
        if self.wanted and self.ident and not self.negotiating and self._state is State.NAMING:
            hello = Hello(self.wanted, password=self.password)
            self.charge(hello)
            self.come_in(hello)

    def _refuse_entry(self, refusal: Refusal) -> None:
        if self._state is not State.ADMITTING:
            self.reply_refusal(refusal)
            return
        self._refused += 1
        self._move(State.NAMING)
        self.reply_refusal(refusal)
        self.wanted = ""
        if refusal.code is ErrorCode.PASSWORD_IN_CLEAR:
            self.say("NOTICE", "*", self.network.dialects.scene.words.refusal(refusal))
        if (
            self._refused == REFUSED_NAMES
            or refusal.code is ErrorCode.BANNED
            or OF_REFUSALS.get(refusal.code) is Numeric.PASSWDMISMATCH
        ):
            self._flush()
            self.close(CloseReason.REFUSED)

    def show_members(self, room: Room, after: Draft | None) -> None:
        """Their person has come into `room` from another connection: who is there."""
        lines = [
            serialise(Numeric.NAMREPLY, self.nick, *parameters, source=self.network.name)
            for parameters in name_lines(self, room)
        ]
        end = (self.nick, f"#{room.name}", WORDS[Numeric.ENDOFNAMES])
        lines.append(serialise(Numeric.ENDOFNAMES, *end, source=self.network.name))
        self.tell(Rendered(b"".join(lines)), after)

    async def _admit(self, hello: Hello) -> Account | None:
        authenticator = self.services.authenticator
        if self.proven is not None:
            if not await authenticator.is_current(self.proven):
                raise Refusal(ErrorCode.WRONG_PASSWORD, name=self.proven.name)
            await authenticator.admit_rename(Nick(hello.name), self.proven, self.peer)
            return self.proven
        return await authenticator.admit(hello.name, hello.password, self.peer)

    def _welcome(self, hello: Hello, since: ReadPosition | None) -> None:
        chat, settings, user = self.services.chat, self.services.settings, self.user
        self.network.introduce(user, self.ident, self.realname)
        self._move(State.IN)
        self.password = ""
        self._connection.let_in()
        self._count_registered()
        queries.welcome(self)
        self._flush()
        self.note("{name} has joined from {peer}.", name=user.name, peer=self.peer)
        recent = settings.history if since is None else 0
        past = None
        if self.cursor.is_closed:  # they have missed all that they had missed before
            if since is not None:
                self.cursor.owe(since.position)
        elif not self.is_program and (since is not None or recent):
            past = Replay(chat, user, self.cursor, since, recent=recent, asker=self.peer.network)
        self._deliver(self._replay_past(user, past))
        if (trouble := chat.archive.trouble) is not None:
            self.cursor.send(trouble)

    def _count_registered(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self.network.unregistered -= 1

    def _leave(self, *, lost: bool, why: str) -> None:
        self._count_registered()
        self.network.forget(self)
        super()._leave(lost=lost, why=why)
