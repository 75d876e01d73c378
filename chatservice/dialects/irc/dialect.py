"""What happens in the chat, as an IRC client reads it.

There is one `Irc` for each set of capabilities that changes the bytes (see `SharedDialects`), so
that all who have negotiated the same are sent the same bytes. What is addressed to one connection
is rendered by its own `Personal`, since it names the recipient.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, zip_longest
from typing import NamedTuple

from chatservice.core import log
from chatservice.core.drafts import Entry
from chatservice.core.events import (
    ALL_ROOMS,
    AccountChanged,
    Announced,
    Answered,
    Banned,
    Burst,
    Change,
    Closed,
    ControlEvent,
    Deleted,
    Emoted,
    ErrorCode,
    Event,
    Happening,
    Invited,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Muted,
    PaceChanged,
    PersonalEvent,
    Refusal,
    Refused,
    Removed,
    Renamed,
    Rendered,
    Replayed,
    Reported,
    Role,
    RoleChanged,
    Said,
    Saving,
    Sent,
    Skipped,
    Style,
    Told,
    Tombstone,
    TopicChanged,
    Typing,
)
from chatservice.core.measures import CONSOLE
from chatservice.core.sanitize import sanitize
from chatservice.dialects.dialect import Asked, Expected, Wants
from chatservice.dialects.irc.capabilities import IN_ROOMS, Cap, usable
from chatservice.dialects.irc.message import MAX_LINE, serialise, serialise_tags, split
from chatservice.dialects.irc.numerics import WORDS, Numeric
from chatservice.dialects.text import TEXT
from chatservice.dialects.wording import ENGLISH, Catalogue

Tags = Mapping[str, str]

# mIRC's codes: bold, colour, hexadecimal colour, reset, monospace, reverse, italic, strikethrough,
# underline (https://modern.ircdocs.horse/formatting).
_FORMATTING = re.compile(
    r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|\x04(?:[0-9a-fA-F]{6}(?:,[0-9a-fA-F]{6})?)?"
    r"|[\x02\x0f\x11\x16\x1d\x1e\x1f]"
)
_PLAIN = Style()
DELIMITER = "\x01"  # of CTCP
_KEPT = re.compile(f"{_FORMATTING.pattern}|{DELIMITER}")
MULTILINE = "draft/multiline"  # the type of a batch
MUTE = "m:"  # before what is banned: they must not speak (EXTBAN)
EVERY_HOST = "!*@*"
# What another role is, as a mode of its owner.
_MODES = {Role.FOUNDER: "+q", Role.OPERATOR: "+o", Role.MEMBER: "-o"}
CONCAT = "draft/multiline-concat"  # the tag of a line that goes on with the one before


def plain_text(text: str) -> str:
    """`text` as doors show it that know no colours: without formatting, and sanitised."""
    return sanitize(_FORMATTING.sub("", text.strip(DELIMITER)))


def safe_formatting(text: str) -> str:
    """`text` with its formatting and what CTCP needs, and otherwise sanitised."""
    kept = (found[0] for found in _KEPT.finditer(text))
    between = map(sanitize, _KEPT.split(text))
    return "".join(chain.from_iterable(zip_longest(between, kept, fillvalue="")))


def timestamp(at: float) -> str:
    """A time as server-time has it."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


class Facts(NamedTuple):
    """What IRC shows of a person besides the name. `account` is empty if they have none."""

    user: str
    host: str
    account: str
    realname: str


class Scene(NamedTuple):
    """What all renderings have in common: the `server`'s name, the epoch of the ids, the time of
    day, how to find the facts of somebody by name, be they here or gone, and what the owner of an
    account is called in a room (their account's name, if they are not there)."""

    server: str
    epoch: Callable[[], str]
    facts: Callable[[str], Facts]
    now: Callable[[], float]
    words: Catalogue = ENGLISH
    nick: Callable[[str, str], str] = lambda room, account: account

    def source(self, name: str) -> str:
        """Somebody as the source of a line: ``nick!user@host``; the server, for whoever runs it."""
        if name == CONSOLE:
            return self.server
        facts = self.facts(name)
        return f"{name}!{facts.user}@{facts.host}"


class Irc:
    """The dialect for those who have negotiated `caps`, of those that change what is heard in
    rooms."""

    wants = Wants(prompts=False, acknowledgements=False, replay=True, tokens=False, rooms=True)
    labels_rooms = False
    echoes = True

    def __init__(self, scene: Scene, caps: frozenset[Cap]) -> None:
        self.scene = scene
        self.caps = caps

    @property
    def shared(self) -> log.Dialect:
        """Itself: it is shared by all who have these capabilities."""
        return self

    def greet(self) -> PersonalEvent | None:
        """IRC begins with the client."""
        return None

    def read(self, line: bytes, expected: Expected) -> Asked:
        """The session reads its lines itself: most commands are not one request."""
        raise NotImplementedError

    def read_talk(self, data: bytes) -> tuple[str, ...]:
        """Nothing is said without a command."""
        return ()

    def render(self, event: Event, *, labelled: bool = False) -> bytes:
        """The lines for what happens in rooms."""
        if isinstance(event, Burst) and event.style is None:
            return self._talk(event)
        return b"".join(self.lines(event, {}))

    def _talk(self, event: Burst) -> bytes:
        """The same as `lines`, for nearly all there is to render: what is short and plain."""
        before = f":{self.scene.source(event.name)} PRIVMSG #{event.room} :"
        room_left = MAX_LINE - 2 - len(before.encode())
        has_ids = Cap.MESSAGE_TAGS in self.caps
        tags = serialise_tags(self.stamp(event.at, "", event.name, {})).decode().rstrip(" ")
        begin = (f"{tags};" if tags else "@") + f"msgid={self.scene.epoch()}-"
        parts: list[str] = []
        for index, text in enumerate(event.texts):
            if (
                not text
                or len(text) > room_left
                or (not text.isascii() and len(text.encode()) > room_left)
            ):
                return b"".join(self.lines(event, {}))
            tagged = f"{begin}{event.id + index} " if has_ids else f"{tags} " if tags else ""
            parts.append(f"{tagged}{before}{text}\r\n")
        return "".join(parts).encode()

    def render_personal(self, event: PersonalEvent) -> bytes:
        """Only a `Personal` knows whom it speaks to."""
        raise NotImplementedError

    def acknowledge(self, entry: Entry) -> bytes:
        """What the author hears of what they did. The `ref` of what they said is the label, or
        empty, if they have asked for an echo; None: they have not."""
        if entry.ref is None and entry.messages:
            return b""
        lines = self.lines(entry.event, {})
        if not entry.ref or not lines:
            return b"".join(lines)
        if len(lines) == 1:
            return b"".join(self.lines(entry.event, {"label": entry.ref}))
        return self.batch("labeled-response", (), {"label": entry.ref}, entry.event)

    def batch(
        self, kind: str, parameters: Iterable[str], tags: Tags, *events: Event, name: str = "b"
    ) -> bytes:
        """A batch of what happened."""
        server = self.scene.server
        inside = [line for event in events for line in self.lines(event, {"batch": name})]
        begin = serialise("BATCH", f"+{name}", kind, *parameters, source=server, tags=tags)
        return begin + b"".join(inside) + serialise("BATCH", f"-{name}", source=server)

    def lines(  # noqa: PLR0911, PLR0912 (a case each)
        self, event: Event, extra: Tags
    ) -> list[bytes]:
        """The lines for `event`, each with these tags besides its own."""
        match event:
            case Burst(room=room, name=name, style=Style(continued=(_, *_))):
                tags = self._stamp(event, 0, extra)
                return self._message_of_lines(name, f"#{room}", event.style or _PLAIN, tags)
            case Burst(room=room, name=name, texts=texts):
                style = event.style or _PLAIN
                raw = style.raw or texts
                return [
                    line
                    for index, text in enumerate(raw)
                    for line in self.message(
                        name, f"#{room}", text, style, self._stamp(event, index, extra)
                    )
                ]
            case Said(room=room, name=name, text=text):
                return self.message(name, f"#{room}", text, _PLAIN, self._stamp(event, 0, extra))
            case Emoted(room=room, name=name, text=text):
                return self.message(
                    name, f"#{room}", text, _PLAIN, self._stamp(event, 0, extra), action=True
                )
            case Joined(names=names):
                return [
                    self._join(name, room, self._stamp(event, 0, extra, name))
                    for name in names
                    for room in event.rooms or (event.room,)
                ]
            case Left(by=by) if by:
                return self._removed(event, extra)
            case Left(names=names, reason=LeaveReason.PARTED, room=room):
                farewells = dict(event.farewells)
                return [
                    self.line(
                        *(name, "PART", f"#{room}"),
                        *([farewells[name]] if name in farewells else []),
                        tags=self._stamp(event, 0, extra, name),
                    )
                    for name in names
                ]
            case Left(names=names, reason=reason):
                words = "Quit" if reason is LeaveReason.LEFT else "Connection lost"
                said = {name: f"Quit: {farewell}" for name, farewell in event.farewells}
                return [
                    self.line(
                        *(name, "QUIT", said.get(name, words)),
                        tags=self._stamp(event, 0, extra, name),
                    )
                    for name in names
                ]
            case Renamed(old=old, new=new):
                facts = self.scene.facts(new)
                source = f"{old}!{facts.user}@{facts.host}"
                tags = self._stamp(event, 0, extra, new)
                return [serialise("NICK", new, source=source, tags=tags)]
            case (
                TopicChanged() | ModeChanged() | PaceChanged() | RoleChanged() | Banned() | Muted()
            ):
                return [self._controlled(event, extra)]
            case Deleted(by=by, room=room, messages=messages):
                tags = self._stamp(event, 0, extra, by)
                if Cap.REDACTION in self.caps:
                    return [
                        self.line(by, "REDACT", f"#{room}", self._msgid(id_), tags=tags)
                        for id_ in messages
                    ]
                words = TEXT.lines(event)[0].removeprefix("*** ")
                return [self.line(by, "NOTICE", f"#{room}", words, tags=tags)]
            case Typing(name=name, on=on, room=room) if Cap.MESSAGE_TAGS in self.caps:
                tags = {"+typing": "active" if on else "done", **extra}
                return [self.line(name, "TAGMSG", f"#{room}", tags=tags)]
            case _:
                return []

    def _controlled(self, event: ControlEvent, extra: Tags) -> bytes:
        """Somebody in charge has done something in a room."""
        by, command = CONSOLE, "MODE"
        parameters: tuple[str, ...] = ()
        match event:
            case TopicChanged(name=by, topic=topic):
                command, parameters = "TOPIC", (topic,)
            case ModeChanged(name=by, private=private):
                parameters = ("+i" if private else "-i",)
            case RoleChanged(by=by, name=name, role=role):
                parameters = (_MODES[role], self.scene.nick(event.room, name))
            case Banned(everywhere=True) | Muted(everywhere=True) | PaceChanged():
                command = "NOTICE"
                parameters = tuple(text.removeprefix("*** ") for text in TEXT.lines(event))
            case Banned(by=by, name=name, on=on) | Muted(by=by, name=name, on=on):
                mask = (MUTE if isinstance(event, Muted) else "") + name + EVERY_HOST
                parameters = ("+b" if on else "-b", mask)
        tags = self._stamp(event, 0, extra, by)
        return self.line(by, command, f"#{event.room}", *parameters, tags=tags)

    def _removed(self, left: Left, extra: Tags) -> list[bytes]:
        """Somebody in charge has removed them from a room; or from the chat, with the lobby."""
        if left.reason is LeaveReason.PARTED:
            tags = self._stamp(left, 0, extra, left.by)
            return [self.kicked(left.by, left.room, name, left.why, tags) for name in left.names]
        by = self.scene.server if left.by == CONSOLE else left.by
        words = f"Removed by {by}" + (f": {left.why}" if left.why else "")
        return [
            self.line(name, "QUIT", words, tags=self._stamp(left, 0, extra, name))
            for name in left.names
        ]

    def kicked(self, by: str, room: str, name: str, why: str, tags: Tags) -> bytes:
        """`name` has been removed from a room. IRC says by whom if it does not say why."""
        words = why or (self.scene.server if by == CONSOLE else by)
        return self.line(by, "KICK", f"#{room}", name, words, tags=tags)

    def message(
        self,
        name: str,
        target: str,
        text: str,
        style: Style,
        tags: Tags,
        *,
        action: bool = False,
    ) -> list[bytes]:
        """The lines for something said: the first has the id of the message and its tags. For
        clients that know messages of several lines, what is too long for a line is one of these."""
        command = "NOTICE" if style.notice else "PRIVMSG"
        source = self.scene.source(name)
        around = len(f":{source} {command} {target} :\r\n".encode())
        before, after = ("\x01ACTION ", DELIMITER) if action else ("", "")
        pieces = split(text, MAX_LINE - around - len(before + after)) if text else [""]
        if Cap.MESSAGE_TAGS in self.caps:
            tags = {**tags, **dict(style.tags)}
        if len(pieces) > 1 and Cap.MULTILINE in self.caps and not action:
            first, *rest = pieces
            whole = [(first, False), *((piece, True) for piece in rest)]
            return [self._multiline(command, source, target, whole, tags)]
        lines = []
        for piece in pieces:
            said = before + piece + after
            lines.append(serialise(command, target, said, source=source, tags=tags))
            tags = {key: value for key, value in tags.items() if key in _ON_EACH_LINE}
        return lines

    def _message_of_lines(self, name: str, target: str, style: Style, tags: Tags) -> list[bytes]:
        if Cap.MULTILINE not in self.caps:
            lines = []
            for text in filter(str.strip, style.raw):
                lines += self.message(name, target, text, style, tags)
                tags = {key: value for key, value in tags.items() if key in _ON_EACH_LINE}
            return lines
        command = "NOTICE" if style.notice else "PRIVMSG"
        whole = list(zip(style.raw, style.continued, strict=True))
        source, tags = self.scene.source(name), {**tags, **dict(style.tags)}
        return [self._multiline(command, source, target, whole, tags)]

    def _multiline(
        self, command: str, source: str, target: str, whole: Sequence[tuple[str, bool]], tags: Tags
    ) -> bytes:
        """One message of several lines (https://ircv3.net/specs/extensions/multiline): each, and
        whether it goes on with the one before."""
        around = len(f":{source} {command} {target} :\r\n".encode())
        parts = [serialise("BATCH", f"+{_BATCH}", MULTILINE, target, source=source, tags=tags)]
        for text, goes_on in whole:
            for index, piece in enumerate(split(text, MAX_LINE - around)):
                own = {"batch": _BATCH, **({CONCAT: ""} if goes_on or index else {})}
                parts.append(serialise(command, target, piece, source=source, tags=own))
        parts.append(serialise("BATCH", f"-{_BATCH}", source=self.scene.server))
        return b"".join(parts)

    def line(self, name: str, command: str, *parameters: str, tags: Tags) -> bytes:
        """A line whose source is somebody."""
        return serialise(command, *parameters, source=self.scene.source(name), tags=tags)

    def stamp(self, at: float, msgid: str, name: str, extra: Tags) -> Tags:
        """The tags of a line that `name` has caused, as far as they were asked for."""
        caps = self.caps
        tags = dict(extra)
        if Cap.SERVER_TIME in caps:
            tags["time"] = timestamp(at)
        if Cap.ACCOUNT_TAG in caps and (account := self.scene.facts(name).account):
            tags["account"] = account
        if Cap.MESSAGE_TAGS in caps and msgid:
            tags["msgid"] = msgid
        return tags

    def _stamp(
        self,
        event: Burst | Happening,
        index: int,
        extra: Tags,
        name: str | None = None,
    ) -> Tags:
        author = name if name is not None else getattr(event, "name", "")
        return self.stamp(event.at, self._msgid(event.id + index), author, extra)

    def _msgid(self, id_: int) -> str:
        return f"{self.scene.epoch()}-{id_}"

    def _join(self, name: str, room: str, tags: Tags) -> bytes:
        if Cap.EXTENDED_JOIN not in self.caps:
            return self.line(name, "JOIN", f"#{room}", tags=tags)
        facts = self.scene.facts(name)
        account, realname = facts.account or "*", facts.realname
        return self.line(name, "JOIN", f"#{room}", account, realname, tags=tags)


_ON_EACH_LINE = frozenset(("time", "batch", "account"))
_UNHEARD = frozenset((ErrorCode.MUTED, ErrorCode.NOT_IN_ROOM))
_BATCH = "m"  # each is over before another begins


class SharedDialects:
    """The one `Irc` for each set of capabilities."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._made: dict[frozenset[Cap], Irc] = {}

    def for_caps(self, caps: Iterable[Cap]) -> Irc:
        """What those hear who have negotiated `caps`."""
        key = IN_ROOMS & usable(caps)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = Irc(self.scene, key)
        return found


class Personal(Irc):
    """The dialect of one connection: `nick` says whose it is, and `caps` are all of its own."""

    def __init__(self, shared: Irc, nick: Callable[[], str], caps: frozenset[Cap]) -> None:
        super().__init__(shared.scene, caps)
        self._shared = shared
        self._nick = nick

    @property
    def shared(self) -> log.Dialect:
        """What it has in common with others."""
        return self._shared

    def render_personal(self, event: PersonalEvent) -> bytes:  # noqa: PLR0911, PLR0912
        """The lines for what is addressed to this connection."""
        match event:
            case Rendered(data=data):
                return data
            case Told():
                return b"".join(self.told(event, {}))
            case Replayed():
                return self._replayed(event)
            case Closed(reason=reason):
                words = self.scene.words.closings[reason]
                return serialise("ERROR", f"Closing link: {words}")
            case Invited(room=room, name=name):
                tags = self.stamp(self.scene.now(), "", name, {})
                return self.line(name, "INVITE", self._nick(), f"#{room}", tags=tags)
            case Removed(room=room, by=by, why=why):
                tags = self.stamp(self.scene.now(), "", by, {})
                if room == ALL_ROOMS:
                    words = f"Killed ({self.scene.server if by == CONSOLE else by} ({why}))"
                    return self.line(by, "KILL", self._nick(), words, tags=tags)
                return self.kicked(by, room, self._nick(), why, tags)
            case AccountChanged(change=Change.OPERATOR):
                nick, server = self._nick(), self.scene.server
                told = serialise(Numeric.YOUREOPER, nick, WORDS[Numeric.YOUREOPER], source=server)
                return told + self.line(nick, "MODE", nick, "+o", tags={})
            case AccountChanged(change=Change.NO_OPERATOR):
                return self.line(self._nick(), "MODE", self._nick(), "-o", tags={})
            case Answered(event=Refused(refusal=refusal), ref=ref) if refusal.code in _UNHEARD:
                return self._unheard(refusal, {"label": ref} if ref else {})
            case Refused(refusal=refusal) if refusal.code in _UNHEARD:
                return self._unheard(refusal, {})
            case Answered(event=answer):
                return self.render_personal(answer)
            case Announced() | Reported() | Skipped() | Saving() | Refused():
                return b"".join(map(self.notice, TEXT.lines(event)))
            case _:
                return b""

    def _unheard(self, refusal: Refusal, tags: Tags) -> bytes:
        """What they have said in a room was turned back when it was to be committed."""
        room, words = str(refusal.details.get("room", "*")), self.scene.words.refusal(refusal)
        numeric, server = Numeric.CANNOTSENDTOCHAN, self.scene.server
        return serialise(numeric, self._nick(), room, words, source=server, tags=tags)

    def told(self, event: Told | Sent, extra: Tags, style: Style | None = None) -> list[bytes]:
        """A private message; `Sent` is one of this connection's own."""
        if isinstance(event, Told):
            sender, recipient, style = event.sender, event.recipient, event.style
        else:
            sender, recipient = self._nick(), event.recipient
        style = style or _PLAIN
        text = style.raw[0] if style.raw else event.text
        tags = self.stamp(event.at, f"{self.scene.epoch()}-p{event.id}", sender, extra)
        return self.message(sender, recipient, text, style, tags)

    def notice(self, text: str) -> bytes:
        """The server says something to this connection."""
        text = text.removeprefix("*** ")
        return serialise("NOTICE", self._nick() or "*", text, source=self.scene.server)

    def _replayed(self, event: Replayed) -> bytes:
        """Messages of the past. For clients that know no times, the text says when it was."""
        heading = self.notice(TEXT.lines(event)[0]) if not event.continues else b""
        # Of what was deleted IRC says nothing.
        messages = [each for each in event.events if not isinstance(each, Tombstone)]
        if Cap.SERVER_TIME not in self.caps:
            return heading + b"".join(
                line for message in messages for line in self._past(_dated(message), {})
            )
        parts = [heading]
        for room, there in _by_room(messages, self._nick()):
            extra = {"batch": "past"} if Cap.BATCH in self.caps else {}
            lines = b"".join(line for each in there for line in self._past(each, extra))
            if extra:
                server = self.scene.server
                begin = serialise("BATCH", "+past", "chathistory", room, source=server)
                lines = begin + lines + serialise("BATCH", "-past", source=server)
            parts.append(lines)
        return b"".join(parts)

    def _past(self, message: Said | Emoted | Told, extra: Tags) -> list[bytes]:
        return (
            self.told(message, extra) if isinstance(message, Told) else self.lines(message, extra)
        )


def _dated(message: Said | Emoted | Told) -> Said | Emoted | Told:
    text = f"[{datetime.fromtimestamp(message.at, UTC):%Y-%m-%d %H:%M}] {message.text}"
    if isinstance(message, Told):
        return Told(message.id, message.at, message.sender, message.recipient, text)
    return type(message)(message.id, message.at, message.room, message.name, text)


def _by_room(
    messages: Iterable[Said | Emoted | Told], nick: str
) -> Iterable[tuple[str, list[Said | Emoted | Told]]]:
    """Runs of messages of one room, or of one sender."""
    runs: list[tuple[str, list[Said | Emoted | Told]]] = []
    for message in messages:
        where = message.sender if isinstance(message, Told) else f"#{message.room}"
        if not runs or runs[-1][0] != where:
            runs.append((where, []))
        runs[-1][1].append(message)
    return runs
