"""The facts a chat is made of, as frozen values. No words: those live in `render`.

Two kinds of fact. What happens in a room has an ``id`` (its place in the room's log; an event
that holds several messages takes one id for each) and a time ``at`` (seconds since the epoch),
and goes to everyone there. The rest is addressed to one person.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Said:
    """One or more messages that `name` said together: what one read of the socket brought.

    The message ``texts[i]`` has the id ``id + i``.
    """

    id: int
    at: float
    room: str
    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Emoted:
    """`name` did something: ``/me waves``."""

    id: int
    at: float
    room: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Joined:
    """People who arrived together, in the order in which they came."""

    id: int
    at: float
    room: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Left:
    """People who went together. `lost`: their connections broke; they did not say goodbye."""

    id: int
    at: float
    room: str
    names: tuple[str, ...]
    lost: bool


@dataclass(frozen=True, slots=True)
class Renamed:
    """`old` is called `new` from now on."""

    id: int
    at: float
    room: str
    old: str
    new: str


RoomEvent = Said | Emoted | Joined | Left | Renamed


@dataclass(frozen=True, slots=True)
class NameAsked:
    """The question that opens every connection."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """You are in, as `name`; `names` are online, you among them."""

    name: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Announced:
    """Lines of the operator's own: the message of the day."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Online:
    """The answer to "who is here?"."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A private message to you."""

    sender: str
    text: str


@dataclass(frozen=True, slots=True)
class Sent:
    """Your private message has been handed to `recipient`."""

    recipient: str
    text: str


@dataclass(frozen=True, slots=True)
class Helped:
    """The commands there are: pairs of usage and what it does."""

    commands: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """You read too slowly and lost `count` messages, those between the ids `after` and `before`."""

    count: int
    after: int
    before: int


class Goodbye(StrEnum):
    """Why the server ends a connection."""

    EXIT = "exit"
    REFUSED = "refused"
    LONG_LINE = "long line"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Parted:
    """The server's last word on a connection. `name` is empty if you never had one."""

    name: str
    why: Goodbye


class Reason(StrEnum):
    """Why something was refused: the stable code of an error."""

    NAME_EMPTY = "name_empty"
    NAME_TOO_LONG = "name_too_long"
    NAME_CHARACTER = "name_character"
    NAME_START = "name_start"
    NAME_DIRECTION = "name_direction"
    NAME_MIXED = "name_mixed"
    NAME_MARKS = "name_marks"
    NAME_RESERVED = "name_reserved"
    NAME_TAKEN = "name_taken"
    NAME_FIRST = "name_first"
    UNKNOWN_COMMAND = "unknown_command"
    USAGE = "usage"
    NOBODY = "nobody"
    NO_CORRESPONDENT = "no_correspondent"
    GONE = "gone"
    NOT_READING = "not_reading"
    LINE_TOO_LONG = "line_too_long"


class Refusal(Exception):
    """Something asked for is declined. `details` fill the words that `render` has for `reason`."""

    def __init__(self, reason: Reason, **details: str | int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = details


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer that a `Refusal` becomes. `asks_name`: and the question is put again."""

    refusal: Refusal
    asks_name: bool = False


PersonalEvent = (
    NameAsked | Welcomed | Announced | Online | Told | Sent | Helped | Skipped | Parted | Refused
)
Event = RoomEvent | PersonalEvent
