"""``python -m chatservice.gui``: the options, the dialog, and the window after it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react
from twisted.python.failure import Failure

from chatservice.client.__main__ import (
    add_plaintext_password,
    add_server,
    maker,
    settle_server,
)
from chatservice.client.arguments import as_fingerprint, as_name
from chatservice.client.errors import ChatError
from chatservice.client.faces.talk import on_signals
from chatservice.client.faces.words import Wording
from chatservice.dialects.wording import ENGLISH
from chatservice.gui import memory
from chatservice.gui.memory import Connection
from chatservice.gui.wording import ENGLISH as WINDOW

if TYPE_CHECKING:
    import tkinter as tk

    from chatservice.gui.connect import Wanted

PROGRAM = "python -m chatservice.gui"
THEMES = ("light", "dark", "auto")
NO_WINDOW = 2  # as for bad options
# Milliseconds between two looks at what Tk has to do: typing feels immediate, and an idle window
# takes little of a core.
TK_MS = 16
SIZE = (960, 640)  # in pixels of a usual screen
LEAST = (480, 320)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. What is missing is taken from the last connection."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Join a chat, in a window.")
    last = memory.last()
    add_server(parser, last.host, last.port)
    parser.add_argument("--name", type=as_name, help="your name")
    parser.add_argument("--tls", action=argparse.BooleanOptionalAction, help="encrypt")
    parser.add_argument(
        "--fingerprint",
        type=as_fingerprint,
        metavar="SHA256",
        help="encrypt, and trust this certificate only (AB:CD:...)",
    )
    add_plaintext_password(parser)
    parser.add_argument(
        "--connect", action="store_true", help="at once, if there is a name, without the dialog"
    )
    parser.add_argument(
        "--theme",
        choices=THEMES,
        default="auto",
        help="auto: as the desktop prefers it (default: %(default)s)",
    )
    options = parser.parse_args(argv)
    settle_server(parser, options, last.host, last.port)
    for name, kept in asdict(last).items():
        if getattr(options, name) is None:
            setattr(options, name, kept)
    return options


class Program:
    """One run of the program, in the window `root`. `options`: the command line."""

    def __init__(self, reactor: Any, root: tk.Tk, options: argparse.Namespace) -> None:
        self._reactor = reactor
        self._root = root
        self._options = options
        self._dialog: Any = None

    async def run(self) -> None:
        """Run until the end. Raises SystemExit with the status."""
        from chatservice.gui.theme import ChatLook, colours, scale  # noqa: PLC0415 (need tkinter)
        from chatservice.gui.window import Window  # noqa: PLC0415

        await deferLater(self._reactor, 0)  # it runs, and has its signal handlers: ours come next
        self._kept = scale(self._root)
        self._look = ChatLook(self._root, await colours(self._options.theme, self._reactor))
        self._window = Window(self._root, self._look, self._reactor)
        screen = (self._root.winfo_screenwidth(), self._root.winfo_screenheight())
        size = (min(self._look.px(most), there) for most, there in zip(SIZE, screen, strict=True))
        self._root.geometry("x".join(map(str, size)))
        self._root.minsize(*map(self._look.px, LEAST))
        self._root.protocol("WM_DELETE_WINDOW", self._leave)
        self._root.title(WINDOW.chat)
        self._root.deiconify()
        on_signals(self._reactor, self._leave)
        await self._talk()
        await deferLater(self._reactor, 0)  # or the window goes while a key in it is dealt with
        raise SystemExit(0)

    async def _talk(self) -> None:
        """Talk to one server after the other, until the user leaves."""
        from chatservice.gui.connect import Wanted  # noqa: PLC0415 (needs tkinter)

        options, complaint = self._options, ""
        connection = Connection(options.host, options.port, options.name, options.tls)
        wanted: Wanted | None = Wanted(connection)
        if not (options.connect and options.name):
            wanted = await self._ask(connection, complaint)
        while wanted is not None:
            memory.remember(wanted.connection)
            try:
                await self._talk_with(wanted)
            except (ChatError, SystemExit) as error:
                complaint = str(error)
                if isinstance(error, ChatError):
                    complaint = " ".join(Wording(where_of(wanted), ENGLISH).lines(error))
            else:
                if not self._window.changes_server:
                    return
                complaint = ""
            wanted = await self._ask(wanted.connection, complaint)

    async def _ask(self, connection: Connection, complaint: str) -> Wanted | None:
        from chatservice.gui.connect import ConnectDialog  # noqa: PLC0415 (needs tkinter)

        self._window.pack_forget()
        self._root.title(WINDOW.join)
        self._dialog = ConnectDialog(self._root, self._look, connection, complaint)
        self._dialog.pack(fill="both", expand=True)
        try:
            answer: Wanted | None = await self._dialog.answered
            return answer
        finally:
            self._dialog.destroy()
            self._dialog = None

    async def _talk_with(self, wanted: Wanted) -> None:
        """Talk until the end. Raises `ChatError`, or SystemExit if the `tls` extra is missing."""
        connection = wanted.connection
        options = argparse.Namespace(
            **{**vars(self._options), "host": connection.host, "port": connection.port},
        )
        options.name, options.tls = connection.name, connection.tls
        options.password = wanted.password
        make = maker(self._reactor, options)
        client = make(
            tell=self._window.tell,
            ask=self._window.ask,
            ask_password=self._window.ask_password,
            echo=True,
            past=True,
            rooms=True,
        )
        self._window.pack(fill="both", expand=True)
        try:
            await self._window.talk_with(client, where_of(wanted))
        finally:
            memory.remember(replace(connection, name=client.name or connection.name))

    def _leave(self) -> None:
        if self._dialog is not None:
            self._dialog.refuse()
        else:
            self._window.leave()


def where_of(wanted: Wanted) -> str:
    """The server, as ``HOST:PORT``."""
    return f"{wanted.connection.host}:{wanted.connection.port}"


def main(argv: Sequence[str] | None = None) -> None:
    """The program."""
    options = arguments(argv)
    try:
        import tkinter as tk  # noqa: PLC0415 (some Pythons come without it)
    except ImportError as error:
        _complain(WINDOW.no_tkinter.format(error=error))
    try:
        root = tk.Tk(className="chatservice")
    except tk.TclError as error:
        _complain(WINDOW.no_display.format(error=error))
    root.withdraw()
    root.report_callback_exception = _report
    react(lambda reactor: Deferred.fromCoroutine(_run(reactor, root, options)))


async def _run(reactor: Any, root: tk.Tk, options: argparse.Namespace) -> None:
    from twisted.internet import tksupport  # noqa: PLC0415 (it needs tkinter)

    tksupport.install(root, ms=TK_MS, reactor=reactor)
    try:
        await Program(reactor, root, options).run()
    finally:
        tksupport.uninstall()
        root.destroy()


def _report(*error: Any) -> None:
    """Log an exception in a callback of Tk's."""
    from twisted.logger import Logger  # noqa: PLC0415 (seldom)

    Logger().failure("The window has a fault.", Failure(error[1], error[0], error[2]))


def _complain(why: str) -> NoReturn:
    sys.stderr.write(f"{PROGRAM}: {' '.join(why.split())}\n")
    raise SystemExit(NO_WINDOW)


if __name__ == "__main__":
    main()
