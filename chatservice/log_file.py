"""The server's log file and the terminal it was started from.

twistd writes its log with a class that starts a new file at 1 MB, keeps every old one, and cannot
be told that the file was renamed. Where twistd is to write a file, the service brings this one.
"""

import os
from contextlib import suppress
from pathlib import Path

from twisted.logger import ILogObserver, LogEvent, formatEventAsClassicLogText
from zope.interface import implementer

# Readable by the owner and the group: the log holds addresses, and messages with --log-messages.
MODE = 0o640


@implementer(ILogObserver)
class LogFile:
    """Appends the log to a file, which may be renamed and opened again while the server runs.

    Events may come from any thread. Raises `OSError` if the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._descriptor = self._open()

    def __call__(self, event: LogEvent) -> None:
        if text := formatEventAsClassicLogText(event):
            os.write(self._descriptor, text.encode("utf-8", "backslashreplace"))

    def reopen(self) -> None:
        """Go on in the file that has the path now; it is made if there is none. Raises `OSError`,
        and then goes on in the old file."""
        opened = self._open()
        os.dup2(opened, self._descriptor, inheritable=False)  # at once: other threads write, too
        os.close(opened)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, MODE)


class Terminal:
    """Standard error of the program that was started.

    When the server has started, or cannot, twistd has let go of the terminal (as a daemon) or sent
    standard error to the log. `close` it, or whoever reads its other end waits for ever.
    """

    def __init__(self) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):  # it was started without standard error
            self._descriptor = os.dup(2)

    def show(self, line: str) -> None:
        """Print a line, if there is anything to print it on."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.write(self._descriptor, f"{line}\n".encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
