"""PRIVMSG and NOTICE, by themselves and as lines of one message.

See https://ircv3.net/specs/extensions/multiline.
"""

from typing import TYPE_CHECKING

from chatservice.dialects.irc.capabilities import MAX_BYTES, MAX_LINES, Cap
from chatservice.dialects.irc.dialect import CONCAT, MULTILINE, plain_text
from chatservice.dialects.irc.message import Message
from chatservice.dialects.irc.numerics import Numeric
from chatservice.session.irc import talk

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession

_PARAMETERS = 3  # of a batch that begins


class Multiline:
    """A message of several lines that somebody is sending: `start` has begun it, as the batch
    `name`. Once something is wrong with it, the rest of it `is_refused`, too."""

    def __init__(self, name: str, start: Message) -> None:
        self.name = name
        self.start = start
        self.target = start.parameters[2]
        self.command = ""
        self.lines: list[tuple[str, bool]] = []
        self.is_refused = False
        self._size = 0

    def add(self, message: Message) -> tuple[str, ...]:
        """Another line of it. Returns what is wrong with that: a code, and words."""
        target, text = (*message.parameters, "", "")[:2]
        goes_on = CONCAT in message.tags
        self._size += len(text.encode()) + (0 if goes_on else 1)
        self.command = self.command or message.command
        if target.casefold() != self.target.casefold():
            return "MULTILINE_INVALID_TARGET", self.target, target, "All lines have one target"
        if message.command != self.command:
            return "MULTILINE_INVALID", "All lines have one command"
        if goes_on and not (text and self.lines):
            return "MULTILINE_INVALID", "There is nothing that goes on with a line"
        if len(self.lines) == MAX_LINES:
            return "MULTILINE_MAX_LINES", str(MAX_LINES), "These are too many lines"
        if self._size > MAX_BYTES + 1:
            return "MULTILINE_MAX_BYTES", str(MAX_BYTES), "This is too long"
        self.lines.append((text, goes_on))
        return ()


async def privmsg(session: "IrcSession", message: Message) -> None:
    """Say something, in rooms or to people."""
    if not _is_line(session, message):
        await talk.say(session, message, notice=False)


async def notice(session: "IrcSession", message: Message) -> None:
    """The same, and nobody answers by itself; neither does the server."""
    if not _is_line(session, message):
        await talk.say(session, message, notice=True)


async def batch(session: "IrcSession", message: Message) -> None:
    """Begin a message of several lines, or end it: then it is said."""
    sign, name = message.parameters[0][:1], message.parameters[0][1:]
    if Cap.MULTILINE not in session.caps:
        session.reply(Numeric.UNKNOWNCOMMAND, "BATCH")
    elif sign == "+" and name and session.multiline is None:
        _begin(session, name, message)
    elif sign == "-" and session.multiline is not None and name == session.multiline.name:
        await _end(session, session.multiline)
    else:
        session.multiline = None
        _refuse(session, "MULTILINE_INVALID", "No batch of that name can begin, or end, here")


def _begin(session: "IrcSession", name: str, message: Message) -> None:
    if len(message.parameters) != _PARAMETERS or message.parameters[1] != MULTILINE:
        _refuse(session, "MULTILINE_INVALID", f"A batch is +NAME {MULTILINE} TARGET")
        return
    session.multiline = Multiline(name, message)
    session.answered_by_the_log()  # when it is over


async def _end(session: "IrcSession", message: Multiline) -> None:
    session.multiline = None
    if message.is_refused:
        return
    if not any(plain_text(text).strip() for text, _ in message.lines):
        _refuse(session, "MULTILINE_INVALID", "All of its lines are blank")
        return
    start = message.start._replace(command=message.command)
    session.begin_command(start)
    is_notice = message.command == "NOTICE"
    await talk.say_multiline(session, message.target, start, message.lines, notice=is_notice)


def _is_line(session: "IrcSession", message: Message) -> bool:
    """Whether it is a line of what they have begun; if so, it is added to that."""
    name, multiline = message.tags.get("batch"), session.multiline
    if name is None or Cap.MULTILINE not in session.caps:
        return False
    if multiline is None or name != multiline.name:
        session.multiline = None
        _refuse(session, "MULTILINE_INVALID", "No such batch has begun")
    elif not multiline.is_refused and (wrong := multiline.add(message)):
        multiline.is_refused = True
        _refuse(session, *wrong)
    session.answered_by_the_log()
    return True


def _refuse(session: "IrcSession", code: str, *context: str) -> None:
    session.standard("FAIL", "BATCH", code, *context)
