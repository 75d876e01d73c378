"""The log as the window has it: the newest lines of each kind."""

from collections import deque
from collections.abc import Collection
from enum import StrEnum
from heapq import merge
from itertools import takewhile
from threading import Lock
from typing import NamedTuple

from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText
from zope.interface import implementer

# Lines of one kind that are kept: some hours of a quiet chat. Each kind has its own, or a warning
# would be gone in a second where messages are logged.
KEPT = 1000
# Lines of one kind that are shown at once. Nobody reads more in a tenth of a second, and Tk takes
# some 3 ms for them, in which the chat waits.
AT_ONCE = 200
LONGEST = 2000  # characters; of what is longer, such as a traceback, the middle is left out


class Kind(StrEnum):
    """What a line is about."""

    PEOPLE = "people"  # arrivals and departures
    MESSAGES = "messages"
    WARNINGS = "warnings"
    SERVER = "server"  # all else


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
    """A log observer that keeps the newest lines, until somebody wants them.

    It may be called from any thread.
    """

    def __init__(self) -> None:
        self._kept: dict[Kind, deque[Line]] = {kind: deque(maxlen=KEPT) for kind in Kind}
        self._count: dict[Kind, int] = dict.fromkeys(Kind, 0)
        self._number = 0
        self._taken = 0
        self._counted = dict(self._count)
        self._lock = Lock()

    def __call__(self, event: LogEvent) -> None:
        kind = kind_of(event)
        text = eventAsText(_readable(event), includeTimestamp=False, includeSystem=False).rstrip()
        if len(text) > LONGEST:
            text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
        with self._lock:
            self._number += 1
            self._count[kind] += 1
            self._kept[kind].append(Line(self._number, event["log_time"], kind, text))

    def take(self, kinds: Collection[Kind]) -> tuple[list[Line], int]:
        """Those of `kinds` that are new since the last time, in order; and how many more there
        were, which are too many to show."""
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
        """All of `kinds` that are kept, in order; `take` goes on after them."""
        with self._lock:
            kept = [list(self._kept[kind]) for kind in kinds]
            self._taken = self._number
            self._counted = dict(self._count)
        return list(merge(*kept))

    def _is_new(self, line: Line) -> bool:
        return line.number > self._taken


class _Spoken(str):
    """A message, which has been made safe: quoted it is no safer, and reads worse (of Persian's
    joiners it would make ``\\u200c``)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _readable(event: LogEvent) -> LogEvent:
    """With what people say as it is elsewhere in the window."""
    if isinstance(text := event.get("text"), str):
        return {**event, "text": _Spoken(text)}
    return event


def kind_of(event: LogEvent) -> Kind:
    """What an event of the log is about."""
    if event["log_level"] >= LogLevel.warn:
        return Kind.WARNINGS
    return _KINDS.get(event["log_namespace"], Kind.SERVER)
