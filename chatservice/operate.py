"""``python -m chatservice.operate``: the operator's shell, for a server that runs."""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from chatservice.client.faces.rows import width
from chatservice.control.shell import ControlError, Shell
from chatservice.control.wire import Json, beside
from chatservice.core.sanitize import limit_marks, sanitize
from chatservice.programs import one_line_errors

Argument = tuple[str, dict[str, Any]]
NAME: Argument = ("name", {"help": "who"})
REASON: Argument = ("reason", {"nargs": "*", "help": "why; they are told"})
ROOM: Argument = ("--room", {"metavar": "ROOM", "help": "of this room only"})
UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


class Command(NamedTuple):
    """A word of the command line: what it does, for --help; what may follow it; and how an answer
    is shown to people."""

    help: str
    arguments: Sequence[Argument]
    show: Callable[[Sequence[Json]], Iterable[str]]


def show_people(answers: Sequence[Json]) -> Iterable[str]:
    """A table."""
    rows = []
    for person in _all(answers, "people"):
        doors = [
            f"{each['door']}{' (TLS)' if each['tls'] else ''} {each['address']}"
            for each in person["connections"]
        ]
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(person["since"]))
        registered = "yes" if person["registered"] else "guest"
        rooms = " ".join(f"#{room}" for room in person["rooms"])
        rows.append(
            (person["name"], registered, since, _span(person["idle"]), ", ".join(doors), rooms)
        )
    return table(("NAME", "REGISTERED", "SINCE", "IDLE", "FROM", "ROOMS"), rows)


def show_rooms(answers: Sequence[Json]) -> Iterable[str]:
    """A table."""
    rows = [
        (
            f"#{room['name']}",
            str(room["people"]),
            "private" if room["private"] else "open",
            room["topic"],
        )
        for room in _all(answers, "rooms")
    ]
    return table(("ROOM", "PEOPLE", "ACCESS", "TOPIC"), rows)


def show_kicked(answers: Sequence[Json]) -> Iterable[str]:
    return [f"{safe(answers[0]['name'])} has been sent away."]


def show_announced(answers: Sequence[Json]) -> Iterable[str]:
    people = answers[0]["heard_by"]
    return [f"Announced to {people} {'person' if people == 1 else 'people'}."]


def show_reloaded(answers: Sequence[Json]) -> Iterable[str]:
    return map(safe, answers[0]["lines"])


def show_status(answers: Sequence[Json]) -> Iterable[str]:
    status = answers[0]
    trouble = status["trouble"]
    if status["database"] == "none":
        database = "none: messages are in memory only"
    else:
        state = f"messages cannot be saved: {trouble}" if trouble else "messages are saved"
        database = f"{status['database']}: {state}"
    rows = [
        ("version", status["version"]),
        ("process", f"{status['pid']}, {status['phase']} for {_span(status['seconds'])}"),
        *(("door", door) for door in status["doors"]),
        ("connections", str(status["connections"])),
        ("people", str(status["users"])),
        ("rooms", str(status["rooms"])),
        ("messages", str(status["messages"])),
        ("database", database),
    ]
    return table((), rows)


COMMANDS: Mapping[str, Command] = {
    "who": Command("who is here, in private rooms, too", [ROOM], show_people),
    "rooms": Command("the rooms, private ones, too", [], show_rooms),
    "kick": Command("end somebody's connections", [NAME, REASON], show_kicked),
    "announce": Command(
        "say something to everyone",
        [ROOM, ("text", {"nargs": "+", "help": "what to say"})],
        show_announced,
    ),
    "reload": Command("apply changed options, as SIGHUP does", [], show_reloaded),
    "status": Command("how the server is", [], show_status),
}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m chatservice.operate",
        description="Ask a server that runs on this machine, or tell it what to do.",
    )
    parser.add_argument(
        "--database",
        default="chat.sqlite3",
        metavar="FILE",
        help="the server's database, beside which its socket is (default: %(default)s)",
    )
    parser.add_argument(
        "--control", metavar="PATH", help="the server's socket, if it is somewhere else"
    )
    parser.add_argument("--json", action="store_true", help="print what the server answers")
    words = parser.add_subparsers(dest="command", required=True)
    for word, command in COMMANDS.items():
        added = words.add_parser(word, help=command.help, description=command.help)
        for name, options in command.arguments:
            added.add_argument(name, **options)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """The program. Its status is 1 if that could not be done."""
    options = vars(arguments(argv))
    path = options.pop("control") or beside(options["database"])
    word, as_json = options.pop("command"), options.pop("json")
    options.pop("database")
    fields = {
        key: " ".join(value) if isinstance(value, list) else value for key, value in options.items()
    }
    with one_line_errors("operate", ControlError), Shell(path) as shell:
        answers = list(shell.ask(word, **fields))
        if as_json:
            for answer in answers:
                print(json.dumps(answer))  # in ASCII: nothing of it reaches a terminal as it is
        else:
            for line in COMMANDS[word].show(answers):
                print(line)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the columns of `rows` one below the other, safe for a terminal."""
    shown = [tuple(map(safe, row)) for row in rows]
    lines = [tuple(heads), *shown] if heads else shown
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell + " " * (most - width(cell)) for cell, most in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]


def safe(text: str) -> str:
    """`text` as it may reach a terminal."""
    return limit_marks(sanitize(str(text)))


def _all(answers: Sequence[Json], key: str) -> list[Json]:
    return [item for answer in answers for item in answer[key]]


def _span(seconds: float) -> str:
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


if __name__ == "__main__":
    main()
