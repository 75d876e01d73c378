"""The server's log, as far as peers can make it grow."""

from collections import Counter
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogEvent, Logger, LogLevel, formatEvent

log = Logger()

# Lines about one address in a minute: some ten people who come, talk and go. And about all of them:
# a thousand who arrive at once have 2,000, and more would be 2 GB a day.
ABOUT_ONE, ABOUT_ALL = 60, 10_000
WINDOW_SECONDS = 60.0


class PeerLog:
    """Writes what is said about peers into the log, and leaves out what is too much."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._since = clock.seconds()
        self._lines: Counter[str] = Counter()
        self._all = 0
        self._left_out = 0

    def about(self, network: str, line: str, *, level: Any = LogLevel.info, **values: Any) -> None:
        """A line about somebody from `network`; `values` fill its fields; `level` is one of
        `LogLevel`'s."""
        now = self._clock.seconds()
        if not 0 <= now - self._since < WINDOW_SECONDS:
            if self._left_out:
                log.info("{count} lines about peers have been left out.", count=self._left_out)
            self._since = now
            self._lines.clear()
            self._all = self._left_out = 0
        if self._all >= ABOUT_ALL or self._lines[network] >= ABOUT_ONE:
            self._left_out += 1
            return
        self._lines[network] += 1
        self._all += 1
        log.emit(level, line, **values)
        if self._lines[network] == ABOUT_ONE:
            log.info("That is enough about {network} for a minute.", network=network)

    def about_accepting(self, event: LogEvent) -> None:
        """What Twisted says of accepting connections: with no descriptor left, three lines each."""
        self.about("accepting connections", "{what}", what=formatEvent(event))
