"""``python -m chatservice.accounts``: the names that have a password. The server may be running."""

import argparse
import getpass
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from chatservice.accounts.passwords import fit
from chatservice.core import names
from chatservice.core.events import Account, Refusal
from chatservice.dialects.wording import ENGLISH
from chatservice.storage.sqlite import accounts
from chatservice.storage.sqlite.database import (
    BadDatabase,
    open_existing,
    open_for_server,
    renew_keys,
)

PATIENCE = 10.0  # seconds for a server that is writing


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m chatservice.accounts",
        description="List, add or remove names that have a password. A password is asked for; from "
        "a pipe, it is the first line of the input.",
    )
    parser.add_argument(
        "--database",
        type=Path,
        default=Path("chat.sqlite3"),
        metavar="FILE",
        help="the server's file; add makes it if there is none (default: %(default)s)",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="each name, and when it was registered (UTC)")
    for command, does in (
        ("add", "register a name, which may be one that is reserved for operators"),
        ("password", "give a name another password"),
        ("remove", "a name is anybody's again, and what waited for it is gone"),
    ):
        commands.add_parser(command, help=does).add_argument("name")
    return parser.parse_args(argv)


def asked_password() -> str:
    """From the terminal, twice, or from a pipe. Raises SystemExit or `Refusal`."""
    if not sys.stdin.isatty():
        return fit(sys.stdin.readline().rstrip("\r\n"))
    password = fit(getpass.getpass("Password: "))
    if getpass.getpass("Again: ") != password:
        raise SystemExit("accounts: these are two passwords.")
    return password


def hashed(password: str) -> str:
    """What is kept of it. Raises SystemExit."""
    try:
        from chatservice.accounts.hashing import hasher  # noqa: PLC0415 (the extra may be missing)
    except ModuleNotFoundError:
        raise SystemExit(
            "accounts: this needs argon2-cffi: install the extra 'accounts' "
            "(see Installation in the README)."
        ) from None
    return hasher().hash(password)


def work_of(options: argparse.Namespace) -> Callable[[sqlite3.Connection], None]:
    """What is to be done to the database. Raises `Refusal`."""
    name = names.well_formed(options.name)
    if options.command == "remove":
        return lambda connection: accounts.remove(connection, called(connection, name))
    kept = hashed(asked_password())
    if options.command == "add":
        return lambda connection: accounts.add(connection, Account(name, time.time()), kept)
    return lambda connection: accounts.change(connection, called(connection, name), kept)


def called(connection: sqlite3.Connection, name: str) -> Account:
    """The account of exactly that name. Raises SystemExit."""
    found = accounts.find(connection, name)
    if found is None:
        raise SystemExit(f"accounts: {name} is not registered.")
    if found.account.name != name:
        raise SystemExit(f"accounts: {name} is not registered, but {found.account.name} is.")
    return found.account


def run(options: argparse.Namespace) -> None:
    """Do what they say. Raises `Refusal`, BadDatabase, `sqlite3.Error`."""
    work = work_of(options) if options.command != "list" else None
    if options.command == "add" and not options.database.exists():
        open_for_server(options.database).close()
    connection = open_existing(options.database)
    try:
        if work is None:
            for account in accounts.all_accounts(connection):
                since = datetime.fromtimestamp(account.since, UTC)
                print(f"{account.name}\t{since:%Y-%m-%d %H:%M:%S}")
            return
        connection.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            renew_keys(connection)
            work(connection)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    finally:
        connection.close()


def main(argv: Sequence[str] | None = None) -> None:
    """The program. Its status is 1 if that could not be done."""
    try:
        run(arguments(argv))
    except Refusal as refusal:
        raise SystemExit(f"accounts: {ENGLISH.refusal(refusal)}") from None
    except (BadDatabase, sqlite3.Error) as error:
        raise SystemExit(f"accounts: {error}") from None
    except (KeyboardInterrupt, EOFError):
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
