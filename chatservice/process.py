"""Things of the process that the server runs in: its log file, terminal and descriptors."""

import os
import resource
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from twisted.logger import ILogObserver, LogEvent, Logger, formatEventAsClassicLogText
from zope.interface import implementer

from chatservice.core.limits import Limits

log = Logger()

# Readable by the owner and the group: the log holds addresses, and messages with --log-messages.
LOG_MODE = 0o640
# Descriptors that are not connections: the log, the reactor's, threads', files that are read, and
# connections that are accepted only to be turned away (Twisted accepts some hundred at once).
RESERVED_DESCRIPTORS = 200


@implementer(ILogObserver)
class LogFile:
    """A log observer that appends to a file and can reopen it, for rotation.

    twistd's own log file cannot be reopened: it starts a new file at 1 MB and keeps every old one.
    Events may come from any thread. Raises `OSError` if the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._descriptor = self._open()

    def __call__(self, event: LogEvent) -> None:
        if text := formatEventAsClassicLogText(event):
            os.write(self._descriptor, text.encode("utf-8", "backslashreplace"))

    def reopen(self) -> None:
        """Open the path again, where a new file is made if the old one was renamed. Raises
        `OSError`, and then goes on in the old file."""
        opened = self._open()
        os.dup2(opened, self._descriptor, inheritable=False)  # atomic: other threads may write
        os.close(opened)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, LOG_MODE)


class Terminal:
    """Standard error as it was when the program was started.

    By the time the server has started, or failed to, twistd has redirected it to the log, or to
    nowhere in a daemon. `close` it afterwards, or a pipe that it leads to never ends.
    """

    def __init__(self) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):  # it was started without standard error
            self._descriptor = os.dup(2)

    def show(self, line: str) -> None:
        """Print a line, if that is possible."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.write(self._descriptor, f"{line}\n".encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def within_descriptors(limits: Limits) -> Limits:
    """`limits`, with no more connections than there are descriptors for. Raises the limit of this
    process as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.max_users + RESERVED_DESCRIPTORS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft >= wanted:
        return limits
    most = max(soft - RESERVED_DESCRIPTORS, soft // 2)
    log.warn("With {soft} descriptors there are {most} connections at most.", soft=soft, most=most)
    return replace(limits, max_users=most)


def resident() -> float:
    """Resident memory of this process in bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux: the most that it ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    return float(pages * os.sysconf("SC_PAGE_SIZE"))
