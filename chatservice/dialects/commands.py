"""The commands of the text dialect: one table, and what a typed line asks for."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from chatservice.core.events import (
    ALL_ROOMS,
    CURRENT_ROOM,
    LOBBY,
    ErrorCode,
    Explained,
    Helped,
    Refusal,
)
from chatservice.core.registry import MAX_PACE
from chatservice.core.requests import (
    MAX_DELETED,
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
    Quiet,
    Register,
    Reply,
    Report,
    Request,
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
from chatservice.core.sanctions import MAX_SECONDS

# Messages that /history shows: as many as fit a screen, or at most several screens.
SHOWN, MAX_SHOWN = 20, 200
LISTED = 50  # rooms that /rooms lists
MAX_FOUND = 20  # messages that /search shows


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table. `build` makes a `request` of the arguments as typed, or returns None if
    they do not fit. (The catalogue of words says how the command is used.)"""

    name: str
    aliases: tuple[str, ...]
    request: type[Request]
    build: Callable[[str], Request | None]


def _tell(arguments: str) -> Request | None:
    recipient, _, text = arguments.partition(" ")
    text = text.strip()
    return Tell(recipient, text) if text else None


def _history(arguments: str) -> Request | None:
    if not arguments:
        return History(limit=SHOWN, messages=True, room=CURRENT_ROOM)
    wanted = int(arguments) if arguments.isdecimal() and len(arguments) < 10 else 0
    limit = min(wanted, MAX_SHOWN)
    return History(limit=limit, messages=True, room=CURRENT_ROOM) if wanted else None


def _search(arguments: str) -> Request | None:
    return Search(arguments, limit=MAX_FOUND, room=ALL_ROOMS) if arguments else None


def _in(arguments: str) -> Request | None:
    room, _, text = arguments.partition(" ")
    text = text.strip()
    return Say(text, room) if text else None


def _quiet(arguments: str) -> Request | None:
    on = {"": None, "on": True, "off": False}
    return Quiet(on[arguments]) if arguments in on else None


_TIME = re.compile(r"([1-9]\d{0,4})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds_of(time: str) -> int | None:
    """How long ``30m`` or ``2h`` is; None if that is no such time."""
    if (found := _TIME.fullmatch(time)) is None:
        return None
    return min(int(found[1]) * _UNITS[found[2]], MAX_SECONDS)


def _scoped(arguments: str) -> tuple[str, str]:
    """Where somebody in charge acts, and the rest: ``server`` before it is the whole chat."""
    word, _, rest = arguments.partition(" ")
    if word.lower() == "server" and rest.strip():
        return ALL_ROOMS, rest.strip()
    return CURRENT_ROOM, arguments


def _slow(arguments: str) -> Request | None:
    if not (arguments.isdecimal() and len(arguments) < 10):
        return None
    return RoomMode(CURRENT_ROOM, slow=min(int(arguments), MAX_PACE))


def _op(on: bool) -> Callable[[str], Request | None]:
    return lambda a: Op(a, CURRENT_ROOM, on) if a and " " not in a else None


def _kick(arguments: str) -> Request | None:
    room, rest = _scoped(arguments)
    name, _, reason = rest.partition(" ")
    return Kick(name, room, reason.strip()) if name else None


def _sanction(request: type[Ban | Mute]) -> Callable[[str], Request | None]:
    """``[server] NAME [TIME] [REASON]``"""

    def build(arguments: str) -> Request | None:
        room, rest = _scoped(arguments)
        name, _, reason = rest.partition(" ")
        first, _, others = reason.strip().partition(" ")
        if (seconds := seconds_of(first)) is not None:
            reason = others
        return request(name, room, seconds, reason.strip()) if name else None

    return build


def _lift(request: type[Ban | Mute]) -> Callable[[str], Request | None]:
    def build(arguments: str) -> Request | None:
        room, name = _scoped(arguments)
        return request(name, room, on=False) if name and " " not in name else None

    return build


def _bans(arguments: str) -> Request | None:
    where = {"": CURRENT_ROOM, "server": ALL_ROOMS}
    return Bans(where[arguments.lower()]) if arguments.lower() in where else None


def _report(arguments: str) -> Request | None:
    name, _, reason = arguments.partition(" ")
    reason = reason.strip()
    return Report(name, reason, CURRENT_ROOM) if reason else None


def _delete(arguments: str) -> Request | None:
    """``[NAME] [N]``; a name does not begin with a digit."""
    name, _, number = arguments.rpartition(" ")
    if not (number.isdecimal() and len(number) < 10):
        name, number = arguments, "1"
    if " " in name or not int(number):
        return None
    return Delete(None, CURRENT_ROOM, name, min(int(number), MAX_DELETED))


def _ignore(arguments: str) -> Request:
    return Ignore(arguments) if arguments else Ignores()


COMMANDS = (
    Command("me", (), Emote, lambda a: Emote(a, CURRENT_ROOM) if a else None),
    Command("msg", ("w", "tell"), Tell, _tell),
    Command("reply", ("r",), Reply, lambda a: Reply(a) if a else None),
    Command("away", (), Away, Away),
    Command("back", (), Away, lambda _: Away(on=False)),
    Command("who", ("names", "users"), Who, lambda a: Who(a or LOBBY)),
    Command("whois", (), Whois, lambda a: Whois(a) if a else None),
    Command("nick", (), Nick, lambda a: Nick(a) if a else None),
    Command("history", (), History, _history),
    Command("search", (), Search, _search),
    Command("join", ("j",), Join, lambda a: Join(a) if a else None),
    Command("part", ("leave",), Part, lambda a: Part(a or CURRENT_ROOM)),
    Command("switch", (), Switch, lambda a: Switch(a) if a else None),
    Command("in", (), Say, _in),
    Command("rooms", ("list",), Rooms, lambda a: Rooms(a or None, LISTED)),
    Command("topic", (), Topic, lambda a: Topic(CURRENT_ROOM, a or None)),
    Command("private", (), RoomMode, lambda _: RoomMode(CURRENT_ROOM, True)),
    Command("public", (), RoomMode, lambda _: RoomMode(CURRENT_ROOM, False)),
    Command("invite", (), Invite, lambda a: Invite(a, CURRENT_ROOM) if a else None),
    Command("quiet", (), Quiet, _quiet),
    Command("report", (), Report, _report),
    Command("delete", (), Delete, _delete),
    Command("ignore", (), Ignore, _ignore),
    Command("unignore", (), Ignore, lambda a: Ignore(a, on=False) if a else None),
    Command("slow", (), RoomMode, _slow),
    Command("kick", (), Kick, _kick),
    Command("ban", (), Ban, _sanction(Ban)),
    Command("unban", (), Ban, _lift(Ban)),
    Command("bans", (), Bans, _bans),
    Command("mute", (), Mute, _sanction(Mute)),
    Command("unmute", (), Mute, _lift(Mute)),
    Command("op", (), Op, _op(True)),
    Command("deop", (), Op, _op(False)),
    Command("founder", (), Founder, lambda a: Founder(a, CURRENT_ROOM) if a else None),
    Command("announce", (), Announce, lambda a: Announce(a) if a else None),
    Command("register", (), Register, lambda a: Register(a) if a else None),
    Command("password", (), ChangePassword, lambda a: ChangePassword(a) if a else None),
    Command("unregister", (), Unregister, lambda _: Unregister()),
    Command("help", ("h", "?"), Help, Help),
    Command("exit", ("quit",), Exit, lambda _: Exit()),
)
# Those that only people in charge can use: /help lists them in one line.
IN_CHARGE = frozenset(
    {"slow", "kick", "ban", "unban", "bans", "mute", "unmute", "op", "deop", "founder", "announce"}
)
HELPED = Helped(tuple(command.name for command in COMMANDS))


def explained(name: str) -> Explained:
    """What is told of the command that is called so, with a slash or without. Raises `Refusal`
    (UNKNOWN_COMMAND)."""
    bare = name.removeprefix("/")
    command = BY_NAME.get(bare.lower())
    if command is None:
        raise Refusal(ErrorCode.UNKNOWN_COMMAND, command="/" + bare)
    return Explained(command.name, command.aliases)


_PASSWORD_COMMAND = re.compile(r"\s*/(?:register|password)(?:\s+|$)", re.IGNORECASE)
BY_NAME = {word: command for command in COMMANDS for word in (command.name, *command.aliases)}


def parse(line: str, *, has_name: bool = True) -> Request:
    """The request that `line` stands for. It has no line end, and is not blank.

    Blanks before a command are ignored: a slip of the finger must not make a private message
    public. Before there is a name, a line that is not a command is one. Raises `Refusal`
    (UNKNOWN_COMMAND, USAGE).
    """
    typed = line.lstrip()
    if not typed.startswith("/"):
        return Say(line, CURRENT_ROOM) if has_name else Hello(line)
    if typed.startswith("//"):
        return Say(typed[1:], CURRENT_ROOM)
    word, _, arguments = typed[1:].partition(" ")
    command = BY_NAME.get(word.lower())
    if command is None:
        raise Refusal(ErrorCode.UNKNOWN_COMMAND, command="/" + word)
    request = command.build(arguments.strip())
    if request is None:
        raise Refusal(ErrorCode.USAGE, command=command.name)
    return request


def password_at(line: str) -> int | None:
    """Where the password begins in a command that has one, so that it can be hidden and left out of
    histories; None if `line` is not such a command."""
    found = _PASSWORD_COMMAND.match(line)
    return found.end() if found is not None else None
