"""``python -m chatservice.migrate``: takes the chat in an SQLite file over into PostgreSQL."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from chatservice.programs import one_line_errors
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.programs import take_over


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m chatservice.migrate",
        description="Take all that an SQLite file holds over into a PostgreSQL database in which "
        "there is no chat so far. No server may be running on the file, which stays as it is.",
    )
    parser.add_argument("file", type=Path, help="the server's database so far")
    parser.add_argument("uri", help="the new one, postgresql://…")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """The program. Its status is 1 if nothing was taken over."""
    options = arguments(argv)
    with one_line_errors("migrate", BadDatabase):
        taken = take_over(options.file, options.uri)
        print(
            f"{taken.messages} messages, {taken.accounts} accounts, {taken.letters} waiting "
            f"messages, {taken.rooms} rooms, {taken.positions} read positions, {taken.hooks} hooks."
        )


if __name__ == "__main__":
    main()
