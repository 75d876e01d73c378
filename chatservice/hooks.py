"""``python -m chatservice.hooks``: programs that speak in a room, or listen there."""

import argparse
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from chatservice.core import names
from chatservice.core.events import Refusal
from chatservice.core.stores import Hook, HookKind
from chatservice.dialects.wording import ENGLISH
from chatservice.programs import one_line_errors
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.programs import hooks_in, open_hooks
from chatservice.storage.rows import MAX_ID

TOKEN_BYTES = 24


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m chatservice.hooks",
        description="Let programs speak in a room, by POST /hooks/TOKEN on a web port, or listen, "
        "by GET /rooms/ROOM/events. The server may be running. A token is shown once, when it is "
        "made.",
    )
    parser.add_argument(
        "--database",
        default="chat.sqlite3",
        metavar="FILE",
        help="the server's database, a file or a URI; add makes a file if there is none "
        "(default: %(default)s)",
    )
    words = parser.add_subparsers(dest="command", required=True)
    words.add_parser(
        "list", help="list number, name, room, what it may do (signed: speak), and date"
    )
    add = words.add_parser("add", help="make a hook, and print its path")
    add.add_argument("name", help="what it is called; its messages are signed NAME[bot]")
    add.add_argument("room")
    add.add_argument(
        "--signed",
        action="store_true",
        help="make a secret, too, with which GitHub signs; what is not signed is refused",
    )
    add.add_argument(
        "--listen", action="store_true", help="print a token that may listen, and not speak"
    )
    remove = words.add_parser("remove", help="remove a hook: its token is good for nothing then")
    remove.add_argument("number", type=int)
    return parser.parse_args(argv)


def list_(options: argparse.Namespace) -> None:
    for hook in hooks_in(options.database):
        made = datetime.fromtimestamp(hook.created, UTC)
        signed = "signed" if hook.secret else hook.kind.value
        print(f"{hook.number}\t{hook.name}\t#{hook.room}\t{signed}\t{made:%Y-%m-%d %H:%M:%S}")


def add(options: argparse.Namespace) -> None:
    name, room = names.checked(options.name), names.checked_room(options.room)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    kind = HookKind.LISTEN if options.listen else HookKind.SPEAK
    secret = secrets.token_urlsafe(TOKEN_BYTES) if options.signed else ""
    with open_hooks(options.database, create=True) as hooks:
        number = hooks.add_hook(token, Hook(0, kind, name, room, secret, time.time()))
    if number is None:
        raise SystemExit("hooks: there are too many; remove one first.")
    print(token if options.listen else f"/hooks/{token}")
    if secret:
        print(f"Secret: {secret}")


def remove(options: argparse.Namespace) -> None:
    with open_hooks(options.database) as hooks:
        number = options.number
        if not 0 < number <= MAX_ID or not hooks.remove_hook(number):
            raise SystemExit(f"hooks: there is no hook {number}.")


COMMANDS = {"list": list_, "add": add, "remove": remove}


def main(argv: Sequence[str] | None = None) -> None:
    """The program. Its status is 1 if that could not be done."""
    options = arguments(argv)
    with one_line_errors("hooks", BadDatabase):
        try:
            COMMANDS[options.command](options)
        except Refusal as refusal:
            raise SystemExit(f"hooks: {ENGLISH.refusal(refusal)}") from None


if __name__ == "__main__":
    main()
