"""``python -m chatservice.operate``: the operator's shell, for a server that runs."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from chatservice.client.faces.rows import width
from chatservice.control.shell import ControlError, Shell
from chatservice.control.wire import PATIENCE, Json, beside
from chatservice.core.sanitize import limit_marks, sanitize
from chatservice.dialects.commands import seconds_of
from chatservice.programs import one_line_errors

Argument = tuple[str, dict[str, Any]]
MAX_TIMEOUT = 86400.0  # seconds; who waits longer has other trouble
UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


NAME: Argument = ("name", {"help": "whom"})
REASON: Argument = ("reason", {"nargs": "*", "help": "why; they are told"})
ROOM: Argument = ("--room", {"metavar": "ROOM", "help": "in this room, not in the whole chat"})
TIME: Argument = (
    "duration",
    {
        "nargs": "?",
        "metavar": "time",
        "help": "how long, such as 30m, 2h, 7d or 2w; for good unless it is given",
    },
)


class Command(NamedTuple):
    """A word of the command line: what it does, for --help; what may follow it; and how an answer
    is shown to people."""

    help: str
    arguments: Sequence[Argument]
    show: Callable[[Json], Iterable[str]]


def show_people(answer: Json) -> Iterable[str]:
    rows = []
    for person in answer["people"]:
        doors = [
            f"{each['address']} ({each['door']}{', TLS' if each['tls'] else ''})"
            for each in person["connections"]
        ]
        if person["elsewhere"]:
            doors.append("another server")
        registered = "yes" if person["registered"] else "guest"
        rooms = " ".join(f"#{room}" for room in person["rooms"])
        since, idle = _time(person["since"]), _span(person["idle"])
        if person["away"] is not None:
            idle += ", away"
        rows.append((person["name"], registered, since, idle, ", ".join(doors), rooms))
    return table(("NAME", "REGISTERED", "SINCE", "IDLE", "FROM", "ROOMS"), rows)


def show_rooms(answer: Json) -> Iterable[str]:
    rows = [
        (
            f"#{room['name']}",
            str(room["people"]),
            "private" if room["private"] else "open",
            room["topic"],
        )
        for room in answer["rooms"]
    ]
    return table(("ROOM", "PEOPLE", "ACCESS", "TOPIC"), rows)


def show_bans(answer: Json) -> Iterable[str]:
    rows = []
    for each in answer["bans"]:
        until = "for good" if each["until"] is None else _time(each["until"])
        by = "operator" if each["by"] == "*" else each["by"]
        rows.append((each["kind"], each["name"], by, _time(each["at"]), until, each["reason"]))
    return table(("WHAT", "NAME", "BY", "SINCE", "UNTIL", "REASON"), rows)


def show_reports(answer: Json) -> Iterable[str]:
    rows = []
    for each in answer["reports"]:
        where = "" if each["room"] == "*" else f"#{each['room']}"
        rows.append((_time(each["at"]), where, each["name"], each["by"], each["reason"]))
    return table(("WHEN", "ROOM", "NAME", "BY", "REASON"), rows)


def show_text(answer: Json) -> Iterable[str]:
    return [safe(answer["text"])]


def show_announced(answer: Json) -> Iterable[str]:
    people = answer["people"]
    return [f"Announced to {people} {'person' if people == 1 else 'people'}."]


def show_reloaded(answer: Json) -> Iterable[str]:
    return map(safe, answer["lines"])


def show_status(answer: Json) -> Iterable[str]:
    if answer["database"] == "none":
        database = "none: messages are in memory only"
    elif answer["trouble"]:
        database = f"{answer['database']}: messages cannot be saved ({answer['trouble']})"
    else:
        database = answer["database"]
    rows = [
        ("version", answer["version"]),
        ("process", f"{answer['pid']}, {answer['phase']}, up {_span(answer['seconds'])}"),
        *(("listens on", door) for door in answer["doors"]),
        ("connections", str(answer["connections"])),
        ("people", str(answer["people"])),
        ("rooms", str(answer["rooms"])),
        ("messages", str(answer["messages"])),
        ("database", database),
    ]
    return table((), rows)


COMMANDS: Mapping[str, Command] = {
    "who": Command("list who is here, in private rooms, too", [ROOM], show_people),
    "rooms": Command("list the rooms, private ones, too", [], show_rooms),
    "kick": Command(
        "end somebody's connections, or put them out of a room", [NAME, REASON, ROOM], show_text
    ),
    "ban": Command(
        "put somebody out, and keep them out; they need not be here",
        [NAME, TIME, REASON, ROOM],
        show_text,
    ),
    "unban": Command("end a ban", [NAME, ROOM], show_text),
    "mute": Command(
        "let somebody listen, and not be heard; they need not be here",
        [NAME, TIME, REASON, ROOM],
        show_text,
    ),
    "unmute": Command("end a mute", [NAME, ROOM], show_text),
    "bans": Command("list bans and mutes", [ROOM], show_bans),
    "reports": Command(
        "list reports that nobody in charge has seen",
        [("--forget", {"action": "store_true", "help": "and delete them"})],
        show_reports,
    ),
    "announce": Command(
        "say something to everyone",
        [("text", {"nargs": "+", "help": "what to say"}), ROOM],
        show_announced,
    ),
    "reload": Command(
        "take up changed options and certificates, as SIGHUP does", [], show_reloaded
    ),
    "status": Command("show how the server is", [], show_status),
}


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line. Options may stand anywhere after the command."""
    parser = argparse.ArgumentParser(
        prog="python -m chatservice.operate",
        description="Look after a chat server that runs on this machine. Its own user can, and "
        "root. The status is 0 if that was done, 1 if it was refused or no server answers, and 2 "
        "if it was not understood.",
    )
    words = parser.add_subparsers(required=True, metavar="COMMAND")
    for word, command in COMMANDS.items():
        added = words.add_parser(
            word, help=command.help, description=f"{command.help.capitalize()}."
        )
        for name, options in command.arguments:
            added.add_argument(name, **options)
        added.add_argument(
            "--database",
            default="chat.sqlite3",
            metavar="FILE",
            help="the server's database, beside which its socket is (default: %(default)s)",
        )
        added.add_argument(
            "--control", metavar="PATH", help="the server's socket, if it is somewhere else"
        )
        added.add_argument(
            "--timeout",
            type=_waiting,
            default=PATIENCE,
            metavar="SECONDS",
            help="how long to wait for the server (default: %(default)g)",
        )
        added.add_argument("--json", action="store_true", help="print the answer as a JSON object")
    if argv and argv[0] in words.choices:
        found: argparse.Namespace = words.choices[argv[0]].parse_intermixed_args(argv[1:])
        found.command = argv[0]
        return found
    return parser.parse_args(argv)  # which says what is wrong


def main(argv: Sequence[str] | None = None) -> None:
    """The program. Its status is 1 if that could not be done."""
    options = vars(arguments(sys.argv[1:] if argv is None else argv))
    word, as_json, timeout = (options.pop(each) for each in ("command", "json", "timeout"))
    control, database = options.pop("control"), options.pop("database")
    fields = _fields(**options)
    with one_line_errors("operate", ControlError):
        if (path := control or beside(database)) is None:
            raise ControlError("a server without a database file has a socket only with --control.")
        with Shell(path, timeout) as shell:
            answer = shell.ask(word, **fields)
        if as_json:
            print(json.dumps(answer))  # in ASCII: nothing of it reaches a terminal as it is
        else:
            for line in COMMANDS[word].show(answer):
                print(line)


def _waiting(text: str) -> float:
    """A time to wait."""
    with suppress(ValueError):
        if 0 < (seconds := float(text)) <= MAX_TIMEOUT:
            return seconds
    raise argparse.ArgumentTypeError(f"a number of seconds above 0, {MAX_TIMEOUT:.0f} at most")


def _fields(
    duration: str | None = None, reason: Sequence[str] = (), text: Sequence[str] = (), **others: Any
) -> Json:
    """What is sent to the server. As in the chat, what is no time belongs to the reason."""
    seconds = None if duration is None else seconds_of(duration)
    if duration is not None and seconds is None:
        reason = (duration, *reason)
    return {**others, "seconds": seconds, "reason": " ".join(reason), "text": " ".join(text)}


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the columns of `rows` one below the other, safe for a terminal."""
    lines = [tuple(map(safe, row)) for row in rows]
    if heads:
        lines.insert(0, tuple(heads))
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell + " " * (most - width(cell)) for cell, most in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]


def safe(text: str) -> str:
    """`text` as it may reach a terminal."""
    return limit_marks(sanitize(text))


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def _span(seconds: float) -> str:
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


if __name__ == "__main__":
    main()
