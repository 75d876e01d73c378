"""``python -m chatservice.accounts``: the names that have a password. The server may be running."""

import argparse
import getpass
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from chatservice.accounts.passwords import fit
from chatservice.core import names
from chatservice.core.events import Account, Refusal
from chatservice.dialects.wording import ENGLISH
from chatservice.programs import one_line_errors
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.programs import ChangesAccounts, accounts_in, open_accounts

# From a pipe: the longest password takes no more, in bytes, and a line that does not end is none.
MAX_LINE = 8192


class Command(NamedTuple):
    """A word of the command line: what it does, for --help; and whether a name follows it."""

    carry_out: Callable[[argparse.Namespace], None]
    help: str
    takes_name: bool = True


def list_(options: argparse.Namespace) -> None:
    for account, is_operator in accounts_in(options.database):
        since = datetime.fromtimestamp(account.since, UTC)
        operator = "\toperator" if is_operator else ""
        print(f"{account.name}\t{since:%Y-%m-%d %H:%M:%S}{operator}")


def add(options: argparse.Namespace) -> None:
    account = Account(names.well_formed(options.name), time.time())
    hashed = hash_of(asked_password())
    with open_accounts(options.database, create=True) as accounts:
        accounts.add(account, hashed)


def password(options: argparse.Namespace) -> None:
    name = names.well_formed(options.name)
    with open_accounts(options.database) as accounts:
        account = called(accounts, name)
        accounts.change(account, hash_of(asked_password()))


def remove(options: argparse.Namespace) -> None:
    name = names.well_formed(options.name)
    with open_accounts(options.database) as accounts:
        accounts.remove(called(accounts, name))


def erase(options: argparse.Namespace) -> None:
    if not options.messages:
        remove(options)
        return
    name = names.well_formed(options.name)
    with open_accounts(options.database) as accounts:
        account = called(accounts, name)
        # Most of it first: whoever interrupts this can go on later, while there is the account.
        before = accounts.erase_messages(account)
        accounts.remove(account)
        accounts.wait_for_servers()
        since = accounts.erase_messages(account, before.position)
        print(f"{before.messages + since.messages} messages erased.")


def operator(options: argparse.Namespace) -> None:
    name = names.well_formed(options.name)
    with open_accounts(options.database) as accounts:
        accounts.set_operator(called(accounts, name), not options.off)


COMMANDS: Mapping[str, Command] = {
    "list": Command(
        list_, "list each name, when it was registered (UTC), and operators", takes_name=False
    ),
    "add": Command(add, "register a name, which may be one that is reserved for operators"),
    "password": Command(
        password, "set another password; connections that were made with the old one end"
    ),
    "operator": Command(operator, "make somebody an operator: they are in charge everywhere"),
    "remove": Command(remove, "unregister a name, and delete the messages that wait for it"),
    "erase": Command(erase, "the same; with --messages, also erase what its owner has said"),
}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m chatservice.accounts",
        description="List or change the names that have a password. The server may be running. A "
        "password is asked for; from a pipe, it is the first line of the input.",
    )
    parser.add_argument(
        "--database",
        default="chat.sqlite3",
        metavar="FILE",
        help="the server's database, a file or a URI; add makes a file if there is none "
        "(default: %(default)s)",
    )
    words = parser.add_subparsers(dest="command", required=True)
    for word, command in COMMANDS.items():
        added = words.add_parser(word, help=command.help)
        if command.takes_name:
            added.add_argument("name")
        if word == "operator":
            added.add_argument("--off", action="store_true", help="no longer")
        if word == "erase":
            added.add_argument(
                "--messages",
                action="store_true",
                help="erase all that was said under that name since it was registered, in every "
                "room; and private messages from it that nobody has read",
            )
    return parser.parse_args(argv)


def asked_password() -> str:
    """From the terminal, twice, or from a pipe. Raises SystemExit or `Refusal`."""
    if not sys.stdin.isatty():
        line = sys.stdin.buffer.readline(MAX_LINE).removeprefix(b"\xef\xbb\xbf")
        return fit(line.rstrip(b"\r\n").decode("utf-8", "surrogateescape"))
    typed = fit(getpass.getpass("Password: "))
    if fit(getpass.getpass("Again: ")) != typed:
        raise SystemExit("accounts: the passwords differ.")
    return typed


def hash_of(password: str) -> str:
    """What is kept of `password`. Raises SystemExit."""
    try:
        from chatservice.accounts.hashing import hasher  # noqa: PLC0415 (the extra may be missing)
    except ModuleNotFoundError:
        raise SystemExit(
            "accounts: argon2-cffi is missing: install the extra 'accounts' "
            "(see Installation in the README)."
        ) from None
    return hasher().hash(password)


def called(accounts: ChangesAccounts, name: str) -> Account:
    """The account of exactly that name. Raises SystemExit."""
    found = accounts.find(name)
    if found is None:
        raise SystemExit(f"accounts: {name} is not registered.")
    if found.account.name != name:
        raise SystemExit(f"accounts: {name} is not registered, but {found.account.name} is.")
    return found.account


def main(argv: Sequence[str] | None = None) -> None:
    """The program. Its status is 1 if that could not be done."""
    options = arguments(argv)
    with one_line_errors("accounts", BadDatabase):
        try:
            COMMANDS[options.command].carry_out(options)
        except Refusal as refusal:
            raise SystemExit(f"accounts: {ENGLISH.refusal(refusal)}") from None


if __name__ == "__main__":
    main()
