"""A typed line, and what the user asked for by it: one table of commands.

A request is a frozen value; `session` carries it out. The table says of each command whether it
may be given before the user has a name.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chatservice.events import Reason, Refusal


@dataclass(frozen=True, slots=True)
class Say:
    """Say `text` to everyone."""

    text: str


@dataclass(frozen=True, slots=True)
class Emote:
    """Do `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Say `text` to `recipient` alone."""

    recipient: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Say `text` to whoever last wrote to you, or you last wrote to."""

    text: str


@dataclass(frozen=True, slots=True)
class Who:
    """Ask who is online."""


@dataclass(frozen=True, slots=True)
class Nick:
    """Be called `name` from now on."""

    name: str


@dataclass(frozen=True, slots=True)
class Help:
    """Ask what commands there are."""


@dataclass(frozen=True, slots=True)
class Exit:
    """Leave."""


Request = Say | Emote | Tell | Reply | Who | Nick | Help | Exit


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table. `build` takes the arguments as typed; None: they do not fit `usage`."""

    name: str
    aliases: tuple[str, ...]
    arguments: str
    help: str
    build: Callable[[str], Request | None]
    before_name: bool = False

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.arguments}".rstrip()


def _tell(arguments: str) -> Request | None:
    recipient, _, text = arguments.partition(" ")
    text = text.strip()
    return Tell(recipient, text) if text else None


COMMANDS = (
    Command("me", (), "ACTION", "say what you are doing", lambda a: Emote(a) if a else None),
    Command("msg", ("w", "tell"), "NAME TEXT", "say something to one person alone", _tell),
    Command(
        "reply",
        ("r",),
        "TEXT",
        "answer the last private message",
        lambda a: Reply(a) if a else None,
    ),
    Command("who", ("names", "users"), "", "list who is online", lambda _: Who()),
    Command("nick", (), "NAME", "change your name", lambda a: Nick(a) if a else None),
    Command("help", ("h", "?"), "", "show this list", lambda _: Help(), before_name=True),
    Command("exit", ("quit",), "", "leave the chat", lambda _: Exit(), before_name=True),
)
_BY_NAME = {word: command for command in COMMANDS for word in (command.name, *command.aliases)}


def parse(line: str, *, has_name: bool = True) -> Request:
    """What a line means. It holds no line end; blank ones are the caller's to ignore.

    Blanks before a command change nothing: a slip of the finger must not make a private message
    public. Raises `Refusal` (UNKNOWN_COMMAND, USAGE, NAME_FIRST).
    """
    typed = line.lstrip()
    if not typed.startswith("/"):
        return Say(line)
    if typed.startswith("//"):
        return Say(typed[1:])
    word, _, arguments = typed[1:].partition(" ")
    command = _BY_NAME.get(word.lower())
    if command is None:
        raise Refusal(Reason.UNKNOWN_COMMAND, command="/" + word)
    if not (has_name or command.before_name):
        raise Refusal(Reason.NAME_FIRST)
    request = command.build(arguments.strip())
    if request is None:
        raise Refusal(Reason.USAGE, usage=command.usage)
    return request
