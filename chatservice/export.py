"""``python -m chatservice.export``: what was said in a room, as JSON lines or as text."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from chatservice.core.events import LOBBY, Happening
from chatservice.dialects.jsonlines import JSON
from chatservice.dialects.text import TEXT
from chatservice.programs import one_line_errors
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.programs import events_in


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m chatservice.export",
        description="Write what was said in a room to standard output, oldest first. The "
        "server may be running.",
    )
    parser.add_argument(
        "--database",
        default="chat.sqlite3",
        metavar="FILE",
        help="the server's database, a file or a URI (default: %(default)s)",
    )
    parser.add_argument("--room", default=LOBBY, help="which room (default: %(default)s)")
    parser.add_argument(
        "--format",
        choices=("json", "text"),
        default="json",
        help="the lines of the JSON dialect, or those that people see, with their times in UTC "
        "(default: %(default)s)",
    )
    return parser.parse_args(argv)


def line_of(event: Happening, as_: str) -> bytes:
    """`event` as a line in that format, with its end."""
    if as_ == "json":
        return JSON.render(event).replace(b"\r\n", b"\n")
    at = datetime.fromtimestamp(event.at, UTC)
    return f"[{at:%Y-%m-%d %H:%M:%S}] ".encode() + TEXT.render(event).replace(b"\r\n", b"\n")


def main(argv: Sequence[str] | None = None) -> None:
    """The program. Its status is 1 if not everything could be read, and written."""
    options = arguments(argv)
    with one_line_errors("export", BadDatabase):
        for event in events_in(options.database, options.room):
            sys.stdout.buffer.write(line_of(event, options.format))


if __name__ == "__main__":
    main()
