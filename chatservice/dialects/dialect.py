"""What a session needs of a dialect, whichever it is."""

from enum import Enum, auto
from typing import NamedTuple, Protocol

from chatservice.core import log
from chatservice.core.events import PersonalEvent, Refusal
from chatservice.core.requests import Request


class Expected(Enum):
    """What the next line is, where a person types it."""

    NAME = auto()  # or one of the few commands that need none
    PASSWORD = auto()
    REQUEST = auto()


class Asked(NamedTuple):
    """What a line asks for, or why it makes no sense; None: nothing. `ref`: the request's own mark,
    which its answer carries."""

    request: Request | Refusal | None
    ref: str | None = None


class Wants(NamedTuple):
    """What the peers of a dialect want to be told.

    prompts: questions, for a name or a password; without them, an error has a code that says so.
    acknowledgements: that what they said stands in the log, and where.
    replay: the past, as it was said; without it, they ask for pages of events.
    tokens: something to prove with, from another connection, that they are the same person.
    rooms: all their rooms; without it, the lobby, until they name another one.
    """

    prompts: bool
    acknowledgements: bool
    replay: bool
    tokens: bool
    rooms: bool


class Dialect(log.Dialect, Protocol):
    """A way to speak with the server: reads what a peer sends, and renders what it hears. Shared
    by all connections that speak it: it holds no state."""

    wants: Wants

    def greet(self) -> PersonalEvent | None:
        """What a new connection is told first."""

    def read(self, line: bytes, expected: Expected) -> Asked:
        """What `line`, without its LF, asks for."""

    def read_talk(self, data: bytes) -> tuple[str, ...]:
        """The messages in `data`, some complete lines, if each line is one and nothing else; or
        nothing. Most reads are like this, and are served as one."""
