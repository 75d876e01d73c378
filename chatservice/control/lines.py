"""The newest lines of the log, by kind."""

from collections import deque
from collections.abc import Collection
from enum import StrEnum
from heapq import merge
from itertools import takewhile
from threading import Lock
from typing import NamedTuple

from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText
from zope.interface import implementer

# Lines that are kept of each kind: some hours of a quiet chat. If messages and warnings shared the
# room, a warning would be gone within a second.
KEPT = 1000
# Lines of each kind that are shown at once. Nobody reads more in a tenth of a second, and the chat
# waits while Tk draws them, for some 3 ms.
AT_ONCE = 200
LONGEST = 2000  # characters; the middle of a longer line, such as a traceback, is left out


class Kind(StrEnum):
    """What a line is about."""

    PEOPLE = "people"  # arrivals and departures
    MESSAGES = "messages"
    WARNINGS = "warnings"
    SERVER = "server"  # everything else


EVERYTHING = frozenset(Kind)
_KINDS = {"chatservice.server.peer_log": Kind.PEOPLE, "chatservice.session.talk": Kind.MESSAGES}


class Line(NamedTuple):
    """A line of the log. `number` counts all of them; `at`: seconds since 1970."""

    number: int
    at: float
    kind: Kind
    text: str


@implementer(ILogObserver)
class Lines:
    """A log observer that keeps the newest lines. It may be called from any thread."""

    def __init__(self) -> None:
        self._kept: dict[Kind, deque[Line]] = {kind: deque(maxlen=KEPT) for kind in Kind}
        self._count: dict[Kind, int] = dict.fromkeys(Kind, 0)
        self._number = 0
        self._taken = 0
        self._counted = dict(self._count)
        self._lock = Lock()

    def __call__(self, event: LogEvent) -> None:
        text = eventAsText(_readable(event), includeTimestamp=False, includeSystem=False)
        self.add(event["log_time"], kind_of(event), text)

    def add(self, at: float, kind: Kind, text: str) -> None:
        """There is such a line, which was written at that time (in seconds since 1970)."""
        text = text.rstrip()
        if len(text) > LONGEST:
            text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
        with self._lock:
            self._number += 1
            self._count[kind] += 1
            self._kept[kind].append(Line(self._number, at, kind, text))

    def take(self, kinds: Collection[Kind]) -> tuple[list[Line], int]:
        """The lines of `kinds` since the last call, in order, and how many more there were than
        can be shown."""
        with self._lock:
            new = [
                list(takewhile(self._is_new, reversed(self._kept[kind])))[:AT_ONCE][::-1]
                for kind in kinds
            ]
            come = sum(self._count[kind] - self._counted[kind] for kind in kinds)
            self._taken = self._number
            self._counted = dict(self._count)
        return list(merge(*new)), come - sum(map(len, new))

    def kept(self, kinds: Collection[Kind]) -> list[Line]:
        """All lines of `kinds` that are kept, in order. `take` goes on after them."""
        with self._lock:
            kept = [list(self._kept[kind]) for kind in kinds]
            self._taken = self._number
            self._counted = dict(self._count)
        return list(merge(*kept))

    def _is_new(self, line: Line) -> bool:
        return line.number > self._taken


class _Spoken(str):
    """The text of a message. It is safe to show as it is; its `repr` would be harder to read (the
    joiners of Persian would become ``\\u200c``)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _readable(event: LogEvent) -> LogEvent:
    """The event with the text of a message as people wrote it."""
    if isinstance(text := event.get("text"), str):
        return {**event, "text": _Spoken(text)}
    return event


def kind_of(event: LogEvent) -> Kind:
    """What an event of the log is about."""
    if event["log_level"] >= LogLevel.warn:
        return Kind.WARNINGS
    return _KINDS.get(event["log_namespace"], Kind.SERVER)
