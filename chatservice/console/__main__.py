"""``python -m chatservice.console``: the server with a window for its operator."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.python import usage

from chatservice.control.shell import ControlError
from chatservice.control.wire import beside
from chatservice.options import DEFAULT_DATABASE, Options
from chatservice.tap import makeService

if TYPE_CHECKING:
    import tkinter as tk

PROGRAM = "chatservice.console"
THEMES = ("light", "dark", "auto")
BAD_OPTION = 1  # as with twistd
NO_WINDOW = 2
NO_SERVER = 3
# Milliseconds between two rounds of Tk's events. Typing feels immediate, and an idle window takes
# 2 % of a core.
TK_MS = 20


class ConsoleOptions(Options):
    """The options of ``twistd chat``, and those of the window."""

    synopsis = f"Usage: python -m {PROGRAM} [options]"
    longdesc = (
        f"{Options.longdesc} This one has a window. Closing it stops the server. With --attach "
        "[PATH], the window shows a server that runs already (see --attach --help)."
    )
    optParameters = [  # noqa: RUF012 (Twisted's way)
        ["theme", None, "auto", "Colours of the window: light, dark, or auto, as on the desktop."],
    ]

    def postOptions(self) -> None:
        _check_theme(self["theme"])
        super().postOptions()


class AttachOptions(usage.Options):
    """The options of a window on a server that runs already."""

    synopsis = f"Usage: python -m {PROGRAM} --attach [options] [PATH]"
    longdesc = (
        "A window on a server that runs on this machine, for its own user and root. PATH is its "
        f"UNIX socket, {beside(DEFAULT_DATABASE)} unless it is given. Closing the window leaves "
        "the server alone."
    )
    optFlags = [["attach", None, "Show a server that runs already."]]  # noqa: RUF012 (Twisted's way)
    optParameters = [*ConsoleOptions.optParameters]  # noqa: RUF012

    def parseArgs(self, path: str | None = None) -> None:
        self["path"] = path or beside(DEFAULT_DATABASE)

    def postOptions(self) -> None:
        _check_theme(self["theme"])


def _check_theme(theme: str) -> None:
    if theme not in THEMES:
        raise usage.UsageError(f"--theme {theme}: one of {', '.join(THEMES)}.")


def main(arguments: Sequence[str]) -> int:
    """Run the program. Returns its exit status: 0 when the server or the window was stopped,
    BAD_OPTION, NO_WINDOW or NO_SERVER after a line on standard error. Raises
    `service.CannotStart`."""
    options = AttachOptions() if "--attach" in arguments else ConsoleOptions()
    try:
        options.parseOptions(list(arguments))
    except usage.UsageError as error:
        return _complain(str(error), BAD_OPTION)
    try:
        import tkinter as tk  # noqa: PLC0415 (some Pythons come without it)
    except ImportError as error:
        return _complain(
            f"the window needs tkinter ({error}). Debian and Ubuntu have it in python3-tk; "
            "twistd -n chat needs no window.",
            NO_WINDOW,
        )
    try:
        root = tk.Tk(className="chatservice")
    except tk.TclError as error:
        return _complain(
            f"no window can be opened ({error}). twistd -n chat needs none.", NO_WINDOW
        )
    if isinstance(options, ConsoleOptions):
        _serve(root, options)
        return 0
    try:
        _attach(root, options)
    except ControlError as error:
        return _complain(str(error), NO_SERVER)
    return 0


def _serve(root: tk.Tk, options: ConsoleOptions) -> None:
    """Run until the server is told to stop, in the window or by a signal."""
    from twisted.internet import reactor, tksupport  # noqa: PLC0415 (it needs tkinter)

    from chatservice.console.server import OwnServer  # noqa: PLC0415
    from chatservice.console.window import Window  # noqa: PLC0415
    from chatservice.control.lines import Lines  # noqa: PLC0415
    from chatservice.desktop.theme import is_dark, palette  # noqa: PLC0415

    lines = Lines()
    globalLogBeginner.beginLoggingTo(
        [textFileLogObserver(sys.stdout), lines], redirectStandardIO=False
    )
    service = makeService(options)
    colours = palette(is_dark(options["theme"]))
    # Like a signal from outside, so that a second one ends the program at once.
    stop = partial(signal.raise_signal, signal.SIGTERM)
    window = Window(root, OwnServer(service), lines, colours, stop)
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", window.show_stopping)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.callWhenRunning(window.start)
    tksupport.install(root, ms=TK_MS)
    reactor.run()
    tksupport.uninstall()
    root.destroy()


def _attach(root: tk.Tk, options: AttachOptions) -> None:
    """Show a server that runs already, until the window is closed."""
    from twisted.internet import reactor, tksupport  # noqa: PLC0415 (it needs tkinter)

    from chatservice.console.attached import AttachedServer  # noqa: PLC0415
    from chatservice.console.window import Window  # noqa: PLC0415
    from chatservice.control.lines import Lines  # noqa: PLC0415
    from chatservice.desktop.theme import is_dark, palette  # noqa: PLC0415

    lines = Lines()
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    server = AttachedServer(reactor, options["path"], lines)
    server.attach()
    window = Window(root, server, lines, palette(is_dark(options["theme"])), reactor.stop)
    reactor.addSystemEventTrigger("before", "shutdown", server.close)
    reactor.callWhenRunning(server.start)
    reactor.callWhenRunning(window.start)
    tksupport.install(root, ms=TK_MS)
    reactor.run()
    tksupport.uninstall()
    root.destroy()


def _complain(what: str, status: int) -> int:
    sys.stderr.write(f"{PROGRAM}: {what}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
