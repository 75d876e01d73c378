"""``python -m chatservice.client``: the options, and which face the client shows."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet import asyncioreactor, task
from twisted.internet.defer import Deferred

from chatservice.client.arguments import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    Address,
    as_address,
    as_fingerprint,
    as_name,
    as_password,
    as_port,
)
from chatservice.client.chat_client import ChatClient
from chatservice.client.faces.looks import BELLS
from chatservice.client.faces.plain import talk_plainly
from chatservice.client.known_servers import KnownServers, known_servers_file, place


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m chatservice.client",
        description="Join a chat. From a pipe: send each line, say goodbye, and exit with status 0 "
        "if all was sent.",
    )
    add_server(parser, DEFAULT_HOST, DEFAULT_PORT)
    parser.add_argument("--name", type=as_name, help="your name (default: you are asked)")
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
        help="encrypt, and trust this certificate only (AB:CD:...)",
    )
    add_plaintext_password(parser)
    parser.add_argument("--json", action="store_true", help="print events as JSON lines")
    parser.add_argument(
        "--plain", action="store_true", help="on a terminal, too, only read and print lines"
    )
    parser.add_argument(
        "--bell",
        choices=BELLS,
        default="mentions",
        help="on a terminal: ring for every message, for none, or for private ones and those that "
        "mention you (default: %(default)s)",
    )
    parser.add_argument(
        "--timestamps", action="store_true", help="on a terminal: print when it was said"
    )
    options = parser.parse_args(argv)
    settle_server(parser, options, DEFAULT_HOST, DEFAULT_PORT)
    return options


def add_server(parser: argparse.ArgumentParser, host: str, port: int) -> None:
    """The options that say where the server is. `host`, `port`: what they are by default."""
    parser.add_argument(
        "--host",
        type=as_address,
        metavar="HOST[:PORT]",
        help=f"the server's name or address (default: {host})",
    )
    parser.add_argument("--port", type=as_port, help=f"its port (default: {port})")


def settle_server(
    parser: argparse.ArgumentParser, options: argparse.Namespace, host: str, port: int
) -> None:
    """Make a host and a port of these options. Ends the program if they contradict each other."""
    address: Address = options.host or Address(host, None)
    if None not in (address.port, options.port) and address.port != options.port:
        parser.error(f"--host says port {address.port}, --port says {options.port}")
    options.host, options.port = address.host, address.port or options.port or port


def add_plaintext_password(parser: argparse.ArgumentParser) -> None:
    """The option that lets a password be read by others."""
    parser.add_argument(
        "--allow-plaintext-password",
        action="store_true",
        help="send the password without TLS, too, though others on the way can read it (to this "
        "machine it is sent in any case)",
    )


def maker(reactor: Any, options: argparse.Namespace) -> Callable[..., ChatClient]:
    """Makes the client that `options` describe. A face adds its own: `tell`, which is given a line
    about the server's certificate, and options of `ChatClient`. Raises SystemExit."""
    make = partial(
        ChatClient,
        options.name,
        options.host,
        options.port,
        password=options.password or "",
        allow_plaintext_password=options.allow_plaintext_password,
        reactor=reactor,
    )
    if not (options.tls or options.fingerprint):
        pinned = is_pinned(options.host, options.port)
        return lambda tell, **face: make(pinned=pinned, **face)
    try:
        from chatservice.client import trust  # noqa: PLC0415 (the extra may be missing)
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"--tls needs {error.name}: install the extra 'tls' (see Installation in the README)."
        ) from None
    try:
        known = KnownServers(known_servers_file())
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"The known servers cannot be read: {error}") from None

    def make_encrypted(tell: Callable[[str], None], **face: Any) -> ChatClient:
        decide = trust.Trust(
            options.host, options.port, known, tell, fingerprint=options.fingerprint
        )
        endpoint = trust.encrypted(reactor, options.host, options.port, decide)
        return make(endpoint=endpoint, **face)

    return make_encrypted


def is_pinned(host: str, port: int) -> bool:
    """Whether this server has been reached over TLS before."""
    try:
        return KnownServers(known_servers_file()).get(place(host, port)) is not None
    except (OSError, UnicodeDecodeError):
        return False


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
