"""``python -m chatservice.console``: the server with a window for its operator."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.python import usage

from chatservice.options import Options
from chatservice.tap import makeService

if TYPE_CHECKING:
    import tkinter as tk

PROGRAM = "chatservice.console"
THEMES = ("light", "dark", "auto")
BAD_OPTION = 1  # as with twistd
NO_WINDOW = 2
# Milliseconds between two rounds of Tk's events. Typing feels immediate, and an idle window takes
# 2 % of a core.
TK_MS = 20


class ConsoleOptions(Options):
    """The options of ``twistd chat``, and those of the window."""

    synopsis = f"Usage: python -m {PROGRAM} [options]"
    longdesc = f"{Options.longdesc} This one has a window. Closing it stops the server."
    optParameters = [  # noqa: RUF012 (Twisted's way)
        ["theme", None, "auto", "Colours of the window: light, dark, or auto, as on the desktop."],
    ]

    def postOptions(self) -> None:
        if self["theme"] not in THEMES:
            raise usage.UsageError(f"--theme {self['theme']}: one of {', '.join(THEMES)}.")
        super().postOptions()


def main(arguments: Sequence[str]) -> int:
    """Run the program. Returns its exit status: 0 when the server was stopped, BAD_OPTION or
    NO_WINDOW after a line on standard error. Raises `service.CannotStart`."""
    options = ConsoleOptions()
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
    _serve(root, options)
    return 0


def _serve(root: tk.Tk, options: ConsoleOptions) -> None:
    """Run until the server is told to stop, in the window or by a signal."""
    from twisted.internet import reactor, tksupport  # noqa: PLC0415 (it needs tkinter)

    from chatservice.console.lines import Lines  # noqa: PLC0415
    from chatservice.console.window import Window  # noqa: PLC0415
    from chatservice.desktop.theme import is_dark, palette  # noqa: PLC0415

    lines = Lines()
    globalLogBeginner.beginLoggingTo(
        [textFileLogObserver(sys.stdout), lines], redirectStandardIO=False
    )
    service = makeService(options)
    colours = palette(is_dark(options["theme"]))
    # Like a signal from outside, so that a second one ends the program at once.
    stop = partial(signal.raise_signal, signal.SIGTERM)
    window = Window(root, service, lines, colours, stop)
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", window.show_stopping)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
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
