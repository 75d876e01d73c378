"""One connection, at whatever door: who are you, then commands, then goodbye.

A session is handed complete lines and turns them into requests to the chat. Refusals become
answers in one place. What the connection hears goes through its cursor.
"""

import re
from dataclasses import dataclass
from typing import Protocol

from twisted.logger import Logger

from chatservice import commands
from chatservice.chat import Chat, User
from chatservice.commands import COMMANDS, Emote, Exit, Help, Nick, Reply, Request, Say, Tell, Who
from chatservice.cursor import Cursor, Outlet
from chatservice.events import (
    Announced,
    Goodbye,
    Helped,
    NameAsked,
    Online,
    Parted,
    Reason,
    Refusal,
    Refused,
    Welcomed,
)
from chatservice.render import TEXT
from chatservice.screen import safe_lines, sanitised

log = Logger()

REFUSED_NAMES = 5  # then the server closes: enough for a person, too few to try out a name list


class Door(Outlet, Protocol):
    """The connection that a session serves."""

    @property
    def paused(self) -> bool:
        """Whether no more lines may be served for now."""

    def expect_end(self) -> None:
        """The last word is on its way; a peer that does not take it is cut off after a while."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator chose. `motd`: lines shown after the welcome."""

    motd: tuple[str, ...] = ()
    log_messages: bool = False


class Session:
    """The conversation with one connection. `peer` says in the log whose it is."""

    __slots__ = ("_chat", "_door", "_refused", "_settings", "_user", "closing", "cursor", "peer")

    def __init__(self, chat: Chat, settings: Settings, door: Door, peer: object) -> None:
        self.cursor = Cursor(TEXT, door)
        self._chat = chat
        self._settings = settings
        self._door = door
        self.peer = peer
        self._user: User | None = None
        self._refused = 0
        self.closing = False

    def begin(self) -> None:
        """The connection is there: ask who it is."""
        log.info("{peer} has connected.", peer=self.peer)
        self.cursor.tell(NameAsked())

    def receive(self, data: bytes) -> bytes:
        """Serve complete lines. Returns those that must wait, because the door was paused."""
        if self.closing:
            return b""
        if self._user is not None and (texts := _plain_talk(data)):
            self._say(self._user, texts)
            return b""
        lines = data.split(b"\n")
        for index, line in enumerate(lines):
            if self._door.paused:
                return b"\n".join(lines[index:])
            self._receive_line(line)
        return b""

    def part(self, why: Goodbye) -> None:
        """End it from this side: nothing more is obeyed, and everything due is still sent."""
        if self.closing:
            return
        self.closing = True
        name = self._user.name if self._user is not None else ""
        self._door.expect_end()
        self.cursor.tell(Parted(name, why))
        self._leave(lost=False, why=why.value)

    def lost(self, why: str, *, clean: bool) -> None:
        """The connection is gone; `clean`: the peer closed it in order."""
        self.closing = True
        self._leave(lost=not clean, why=why)
        self._chat.lobby.drop(self.cursor)
        log.info("{peer} has disconnected: {why}", peer=self.peer, why=why)

    def refuse_long_line(self, limit: int) -> None:
        """A line was longer than `limit` bytes. There is no telling where the next one begins."""
        if self.closing:
            return
        self.cursor.tell(Refused(Refusal(Reason.LINE_TOO_LONG, limit=limit)))
        self.part(Goodbye.LONG_LINE)

    def _receive_line(self, line: bytes) -> None:
        text = sanitised(line.removesuffix(b"\r").decode("utf-8", "replace"))
        if self.closing or not text.strip():
            return
        try:
            if self._user is not None:
                self._carry_out(self._user, commands.parse(text))
            elif text.lstrip().startswith("/"):
                self._carry_out_nameless(commands.parse(text, has_name=False))
            else:
                self._join(text)
        except Refusal as refusal:
            self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        if self._user is not None:
            self.cursor.tell(Refused(refusal))
            return
        self._refused += 1
        over = self._refused == REFUSED_NAMES
        self.cursor.tell(Refused(refusal, asks_name=not over))
        if over:
            self.part(Goodbye.REFUSED)

    def _join(self, name: str) -> None:
        self._user = user = self._chat.join(name, self.cursor)
        self.cursor.tell(Welcomed(user.name, self._chat.online()))
        if self._settings.motd:
            self.cursor.tell(Announced(self._settings.motd))
        log.info("{name} has joined from {peer}.", name=user.name, peer=self.peer)

    def _leave(self, *, lost: bool, why: str) -> None:
        user, self._user = self._user, None
        if user is not None:
            self._chat.leave(user, lost=lost)
            log.info("{name} has left from {peer}: {why}", name=user.name, peer=self.peer, why=why)

    def _say(self, user: User, texts: tuple[str, ...]) -> None:
        self._chat.say(user, texts)
        if self._settings.log_messages:
            for text in texts:
                log.info("{name}: {text!r}", name=user.name, text=text)

    def _carry_out_nameless(self, request: Request) -> None:
        match request:
            case Help():
                self._help()
            case Exit():
                self.part(Goodbye.EXIT)

    def _carry_out(self, user: User, request: Request) -> None:
        match request:
            case Say(text=text):
                if text.strip():
                    self._say(user, (text,))
            case Emote(text=text):
                self._chat.emote(user, text)
                if self._settings.log_messages:
                    log.info("* {name} {text!r}", name=user.name, text=text)
            case Tell(recipient=recipient, text=text):
                self._chat.tell(user, recipient, text)
            case Reply(text=text):
                self._chat.reply(user, text)
            case Nick(name=name):
                old = user.name
                self._chat.rename(user, name)
                log.info("{old} is now known as {new}.", old=old, new=user.name)
            case Who():
                self.cursor.tell(Online(self._chat.online()))
            case Help():
                self._help()
            case Exit():
                self.part(Goodbye.EXIT)

    def _help(self) -> None:
        self.cursor.tell(Helped(tuple((command.usage, command.help) for command in COMMANDS)))


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
