"""``python -m chatservice.client``: the options, and which face the client shows."""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet import asyncioreactor, task
from twisted.internet.defer import Deferred

from chatservice.client.chat_client import ChatClient
from chatservice.client.faces.looks import BELLS
from chatservice.client.faces.plain import talk_plainly


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m chatservice.client",
        description="Join a chat. From a pipe: send each line, say goodbye, and exit with status 0 "
        "if all was sent.",
    )
    parser.add_argument(
        "--host", type=as_host, default="localhost", help="the server (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=as_port, default=12345, help="its port (default: %(default)s)"
    )
    parser.add_argument("--name", type=as_name, help="who you are (default: you are asked)")
    parser.add_argument(
        "--password-file",
        type=as_password,
        metavar="FILE",
        dest="password",
        help="its first line is the password of the name, if it has one (default: you are asked)",
    )
    parser.add_argument(
        "--no-retry", action="store_true", help="end when there is no connection, or it is lost"
    )
    parser.add_argument(
        "--tls",
        action="store_true",
        help="encrypt; the server is one that this system's authorities vouch for, or has a "
        "self-signed certificate, which is trusted the first time and remembered",
    )
    parser.add_argument(
        "--fingerprint",
        type=as_fingerprint,
        metavar="SHA256",
        help="encrypt, and trust this certificate alone (AB:CD:...)",
    )
    parser.add_argument("--json", action="store_true", help="print events as JSON lines")
    parser.add_argument(
        "--plain", action="store_true", help="on a terminal too: read and print lines, no more"
    )
    parser.add_argument(
        "--bell",
        choices=BELLS,
        default="mentions",
        help="on a terminal: ring for every message, for none, or for those that mention you and "
        "private ones (default: %(default)s)",
    )
    parser.add_argument(
        "--timestamps", action="store_true", help="on a terminal: print when it was said"
    )
    return parser.parse_args(argv)


def as_port(value: str) -> int:
    """A port, from the words for it. Raises ArgumentTypeError, as do the others."""
    if not (value.isdecimal() and 0 < int(value) < 65536):
        raise argparse.ArgumentTypeError(f"{value}: a port is a number from 1 to 65535")
    return int(value)


def as_host(value: str) -> str:
    """A server's name or address."""
    if not value:
        raise argparse.ArgumentTypeError("a host has a name or an address")
    return value


def as_name(value: str) -> str:
    """A name that might do."""
    if not value.strip() or value.strip().startswith("/") or not value.isprintable():
        raise argparse.ArgumentTypeError(f"{value!r} is no name")
    return value


def as_password(file: str) -> str:
    """The first line of `file`."""
    try:
        with open(file, encoding="utf-8") as opened:
            password = opened.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{file}: {error}") from None
    if not password:
        raise argparse.ArgumentTypeError(f"{file}: its first line is empty")
    return password


def as_fingerprint(value: str) -> str:
    """A certificate's SHA-256, in the one way that it is written here."""
    digits = value.upper().removeprefix("SHA256:").replace(":", "")
    if not re.fullmatch("[0-9A-F]{64}", digits):
        raise argparse.ArgumentTypeError(f"{value!r} is not 32 bytes in hexadecimal")
    return ":".join(digits[i : i + 2] for i in range(0, 64, 2))


def maker(reactor: Any, options: argparse.Namespace) -> Callable[..., ChatClient]:
    """Makes the client that `options` describe. A face adds its own: `tell`, which is given a line
    about the server's certificate, and options of `ChatClient`. Raises SystemExit."""
    make = partial(
        ChatClient,
        options.name,
        options.host,
        options.port,
        password=options.password or "",
        reactor=reactor,
    )
    if not (options.tls or options.fingerprint):
        return lambda tell, **face: make(**face)
    try:
        from chatservice.client import trust  # noqa: PLC0415 (the extra may be missing)
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"--tls needs {error.name}: install the extra 'tls' (see Installation in the README)."
        ) from None
    try:
        known = trust.KnownServers(trust.known_servers_file())
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"The servers that are known cannot be read: {error}") from None

    def make_encrypted(tell: Callable[[str], None], **face: Any) -> ChatClient:
        decide = trust.Trust(options.host, options.port, known, tell, options.fingerprint)
        endpoint = trust.encrypted(reactor, options.host, options.port, decide)
        return make(endpoint=endpoint, **face)

    return make_encrypted


def wants_terminal(options: argparse.Namespace) -> bool:
    """Whether there is a terminal that can do more than print lines, and the library for it."""
    if options.plain or options.json or os.environ.get("TERM", "") in ("", "dumb"):
        return False
    try:
        import prompt_toolkit  # noqa: F401, PLC0415 (the base install lacks it)
    except ImportError:
        return False
    return sys.stdin.isatty() and sys.stdout.isatty()


async def run(reactor: Any, options: argparse.Namespace, *, on_terminal: bool) -> None:
    """Talk until the end. Raises SystemExit with the status."""
    await task.deferLater(reactor, 0)  # it runs, and its signal handlers are set: ours come next
    make = maker(reactor, options)
    where = f"{options.host}:{options.port}"
    retry = not options.no_retry
    if on_terminal:
        from chatservice.client.faces.terminal import talk_on_terminal  # noqa: PLC0415 (see above)

        talk = talk_on_terminal(
            reactor, make, where, retry=retry, bell=options.bell, timestamps=options.timestamps
        )
    else:
        talk = talk_plainly(reactor, make, where, retry=retry, as_json=options.json)
    raise SystemExit(await talk)


def main(argv: Sequence[str] | None = None) -> None:
    """The program."""
    options = arguments(argv)
    try:
        blocking = [(fd, os.get_blocking(fd)) for fd in (0, 1)]
    except OSError:
        raise SystemExit("Standard input and output must be open.") from None
    on_terminal = wants_terminal(options)
    if on_terminal:
        asyncioreactor.install(asyncio.new_event_loop())
    try:
        task.react(
            lambda reactor: Deferred.fromCoroutine(run(reactor, options, on_terminal=on_terminal))
        )
    finally:
        for fd, was_blocking in blocking:  # the terminal is the shell's, too
            os.set_blocking(fd, was_blocking)


if __name__ == "__main__":
    main()
