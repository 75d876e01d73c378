"""``python -m chatservice.backup``: a copy of the database, while the server runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from chatservice.programs import one_line_errors
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.sqlite.files import back_up


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m chatservice.backup",
        description="Write a checked copy of the server's database, as it is at one moment, to "
        "FILE. The server may be running. docs/backup.md says how to restore it.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="where the copy goes")
    parser.add_argument(
        "--database",
        type=Path,
        default=Path("chat.sqlite3"),
        metavar="FILE",
        help="the server's database (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """The program. Its status is 1 if there is no backup."""
    options = arguments(argv)
    with one_line_errors("backup", BadDatabase):
        done = back_up(options.database, options.file, replace=options.force)
        print(
            f"{options.file}: {done.messages} messages and {done.accounts} accounts in "
            f"{done.size / 1_000_000:.1f} MB, checked."
        )


if __name__ == "__main__":
    main()
