"""The facts a chat is made of, as frozen values. No words: those are in `dialects`.

There are two kinds. What happens in rooms has an ``id`` (its place in the log of the chat) and a
time ``at``, and goes to everyone there. The rest is addressed to one person.

These definitions are also what goes over the wire in JSON (`dialects.jsonlines` has the table of
types): a field is called as it is here, or by the ``key`` in its metadata.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

LOBBY = "lobby"  # the room where everybody starts
ALL_ROOMS = "*"  # in a request: all rooms of the person who asks
CURRENT_ROOM = ""  # in a request: the room in which a connection speaks


class Between(NamedTuple):
    """The bounds of a number."""

    least: int
    most: int


# The place of something that has happened in the log. (2**53: JSON's numbers are exact up
# to there for everyone.)
Id = Annotated[int, Between(0, 2**53)]
# What somebody says. It may have several lines, each of which becomes a message.
Text = Annotated[str, "text"]
# Seconds since 1970; in JSON it is ISO 8601, in UTC, with milliseconds.
Time = Annotated[float, "time"]


@dataclass(frozen=True, slots=True)
class Said:
    """Somebody said `text` to everyone."""

    id: Id
    at: Time
    room: str
    name: str = field(metadata={"key": "from"})
    text: str


class Style(NamedTuple):
    """How something was said, at doors that can tell. It is not kept, and other doors do not show
    it: there a notice is a message, and `raw` is the text without its formatting. `tags` are those
    that its author's client has attached. With `continued`, the texts of `raw` are the lines of one
    message, and it says which of them go on with the one before."""

    notice: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    raw: tuple[str, ...] = ()
    continued: tuple[bool, ...] = ()

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Style":
        """That with these values, as JSON has them."""
        return cls(*map(_tuples, values))


def _tuples(value: Any) -> Any:
    """`value`, with tuples in place of lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class Burst:
    """One or more messages that `name` said together: what one read of the socket brought.

    The message ``texts[i]`` has the id ``id + i``.
    """

    id: int
    at: float
    room: str
    name: str
    texts: tuple[str, ...]
    style: Style | None = None

    def messages(self) -> Iterator[Said]:
        """One by one, as others hear them."""
        for index, text in enumerate(self.texts):
            yield Said(self.id + index, self.at, self.room, self.name, text)


@dataclass(frozen=True, slots=True)
class Emoted:
    """Somebody did something, as in "Alice waves"; everyone hears it, they too."""

    id: Id
    at: Time
    room: str
    name: str = field(metadata={"key": "from"})
    text: str


@dataclass(frozen=True, slots=True)
class Joined:
    """People who came together, in the order in which they came: into the chat (`arrived`), or
    into a room of it. `rooms`: all of them, if they came into several."""

    id: Id
    at: Time
    room: str
    names: tuple[str, ...]
    arrived: bool = True
    rooms: tuple[str, ...] = ()


class LeaveReason(StrEnum):
    """How somebody goes. `LOST`: the connection broke; they did not say goodbye. `PARTED`: they
    left a room, and are still in the chat."""

    LEFT = "left"
    LOST = "connection lost"
    PARTED = "parted"


@dataclass(frozen=True, slots=True)
class Left:
    """People who went together. `rooms`: all that they left, if those are several. `by`: who has
    removed them, and `why`, if somebody has."""

    id: Id
    at: Time
    room: str
    names: tuple[str, ...]
    reason: LeaveReason
    rooms: tuple[str, ...] = ()
    by: str = ""
    why: str = ""
    # What some of them said in leaving: names, and that. It is not kept, nor told to programs.
    farewells: tuple[tuple[str, str], ...] = field(
        default=(), compare=False, metadata={"hidden": True}
    )


@dataclass(frozen=True, slots=True)
class Renamed:
    """`old` is called `new` from now on. `rooms`: all where they are, if those are several."""

    id: Id
    at: Time
    room: str
    old: str
    new: str
    rooms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicChanged:
    """`name` has set the topic of the room; empty: there is none any more."""

    id: Id
    at: Time
    room: str
    name: str
    topic: str


@dataclass(frozen=True, slots=True)
class ModeChanged:
    """`name` has made the room `private` (by invitation), or public."""

    id: Id
    at: Time
    room: str
    name: str
    private: bool


@dataclass(frozen=True, slots=True)
class PaceChanged:
    """`name` has set the pace of the room: each person may say one message in so many `seconds`; 0:
    as many as they like."""

    id: Id
    at: Time
    room: str
    name: str
    seconds: Id


class Role(StrEnum):
    """What somebody may do in a room."""

    MEMBER = "member"
    OPERATOR = "operator"  # in charge of it
    FOUNDER = "founder"  # the same, and says who else is


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """`name`, who has registered, has another `role` in the room, which was given `by` somebody."""

    id: Id
    at: Time
    room: str
    name: str
    by: str
    role: Role


@dataclass(frozen=True, slots=True)
class Banned:
    """`name` must not be in the room (`on`), or may be again: somebody has decided so (`by`), and
    `why`. `until`: when it ends by itself. `everywhere`: in the whole chat."""

    id: Id
    at: Time
    room: str
    name: str
    by: str
    on: bool = True
    until: Time | None = None
    why: str = ""
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Muted:
    """`name` must not speak in the room (`on`), or may again; the rest as in a ban."""

    id: Id
    at: Time
    room: str
    name: str
    by: str
    on: bool = True
    until: Time | None = None
    why: str = ""
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Deleted:
    """These `messages` of one person in the room, by their ids, were deleted `by` somebody: show
    them no longer."""

    id: Id
    at: Time
    room: str
    name: str = field(metadata={"key": "from"})
    by: str
    messages: tuple[Id, ...]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of a message that was deleted `by` somebody: it stands where that stood, with
    its id and its time."""

    id: Id
    at: Time
    room: str
    name: str = field(metadata={"key": "from"})
    by: str


# In the log; and one by one, as it is heard.
ControlEvent = TopicChanged | ModeChanged | PaceChanged | RoleChanged | Banned | Muted
RoomEvent = Burst | Emoted | Tombstone | Joined | Left | Renamed | Deleted | ControlEvent
Happening = Said | Emoted | Tombstone | Joined | Left | Renamed | Deleted | ControlEvent
Message = Said | Emoted | Tombstone  # or what is left of one


@dataclass(frozen=True, slots=True)
class NameAsked:
    """The question that opens every connection."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """You are in, as `name`; this is who is online, you among them.

    What you hear from now on has an id above `last_id`. Ids are those of this `epoch`: in another
    they start over. The `token` is yours alone. `seen`: when somebody of your name was here last,
    they had heard all up to this id. `recent`: of who has not been here before, so many of the
    newest messages are of interest. `rooms`: those that you are in. `accounts`: whether names can
    be registered here. `away`: who of them does not answer for now.
    """

    name: str
    names: tuple[str, ...] = field(metadata={"key": "users"})
    epoch: str
    last_id: Id
    token: str
    # What follows is left out where there is nothing to tell.
    seen: Id | None = None
    recent: Id = 0
    rooms: "tuple[RoomInfo, ...]" = ()
    accounts: bool = True
    away: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Announced:
    """Lines of the operator's own: the message of the day, or an announcement at any time, to
    everyone or to those in `room`."""

    lines: tuple[str, ...]
    room: str = ""


@dataclass(frozen=True, slots=True)
class Online:
    """The answer to "who is here?": everyone who is online, or those in `room`. `away`: who of them
    does not answer for now."""

    names: tuple[str, ...] = field(metadata={"key": "users"})
    room: str = ""
    away: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoomInfo:
    """A room that you may know of. `people`: how many are in it; `users`: who they are, if that
    was asked; `slow`: each may say one message in so many seconds (0: as many as they like)."""

    room: str
    topic: str = ""
    private: bool = False
    people: Id = 0
    users: tuple[str, ...] = ()
    slow: Id = 0


@dataclass(frozen=True, slots=True)
class RoomList:
    """The rooms that you may know of. `more`: so many come after these."""

    rooms: tuple[RoomInfo, ...]
    more: Id = 0


@dataclass(frozen=True, slots=True)
class Person:
    """What you may know of `name`: since when they are here, whether the name is `registered`, and
    the rooms that you share. `away`: they do not answer for now, and say this of it, which may be
    nothing."""

    name: str
    since: Time
    registered: bool
    rooms: tuple[str, ...]
    away: str | None = None


@dataclass(frozen=True, slots=True)
class Invited:
    """`name` has invited you to `room`."""

    room: str
    name: str = field(metadata={"key": "from"})


@dataclass(frozen=True, slots=True)
class Removed:
    """You have been removed from `room` (the whole chat, if that is ``*``) `by` somebody, and
    `why`; you speak in `current` from now on."""

    room: str
    by: str
    why: str = ""
    current: str = LOBBY


class SanctionKind(StrEnum):
    """What somebody must not do."""

    BAN = "ban"  # be there
    MUTE = "mute"  # speak there


@dataclass(frozen=True, slots=True)
class SanctionInfo:
    """A ban or mute of `name`, which somebody has decided (`by`), `at` that time, and `why`.
    `until`: when it ends by itself. `account`: it holds for the owner of that name. `network`: it
    holds for newcomers from the same place who have not registered, too."""

    kind: SanctionKind
    name: str
    by: str
    at: Time
    until: Time | None = None
    why: str = ""
    account: bool = False
    network: bool = False


@dataclass(frozen=True, slots=True)
class SanctionList:
    """Who is banned or muted in `room` (the whole chat, if that is ``*``); if there are too many
    for one answer, only the newest, and `earlier` says how many there are beside them."""

    room: str
    bans: tuple[SanctionInfo, ...]
    earlier: Id = 0


@dataclass(frozen=True, slots=True)
class Reported:
    """For those in charge: somebody (`by`) has reported `name` in `room` (somewhere in the chat, if
    that is ``*``), and says `why`. `waited`: until one of them came in."""

    at: Time
    room: str
    name: str
    by: str
    why: str
    waited: bool = False


@dataclass(frozen=True, slots=True)
class ReportTaken:
    """Your report has been passed on to those in charge; or it is `kept` for them."""

    id: int
    at: float
    kept: bool


@dataclass(frozen=True, slots=True)
class IgnoreChanged:
    """You do not hear from now on what `name` says (`on`), or hear it again: at this time, after
    the entry `id`. Not for programs."""

    id: int
    at: float
    name: str
    on: bool = True


@dataclass(frozen=True, slots=True)
class IgnoredList:
    """Whom you ignore: what they are called, or their accounts are, the oldest first."""

    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoomSwitched:
    """`room` is the one in which you speak from now on. Not for programs."""

    room: str
    topic: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoomLeft:
    """You have left `room`, and speak in `current` from now on. Not for programs."""

    room: str
    current: str


@dataclass(frozen=True, slots=True)
class TopicShown:
    """The topic of `room`; empty: it has none. Not for programs."""

    room: str
    topic: str


@dataclass(frozen=True, slots=True)
class InvitationSent:
    """You have invited `to`, at this time, after the entry `id`."""

    id: int
    at: float
    room: str
    to: str


@dataclass(frozen=True, slots=True)
class QuietChanged:
    """Whether comings and goings in `room` are left out for you. Not for programs."""

    room: str
    on: bool


@dataclass(frozen=True, slots=True)
class Told:
    """A private message to you. Its `id` is its number among all private ones. `waited`: until you
    came in."""

    id: Id
    at: Time
    sender: str = field(metadata={"key": "from"})
    recipient: str = field(metadata={"key": "to"})
    text: str
    waited: bool = False
    style: Style | None = field(default=None, compare=False, metadata={"hidden": True})


@dataclass(frozen=True, slots=True)
class Sent:
    """Your private message has been handed to `recipient`; or it is `waiting` for them. It was the
    last of `count`. `away`: they do not answer for now, and say this of it; you are told so
    once."""

    id: int
    at: float
    recipient: str
    text: str
    waiting: bool = False
    count: int = 1
    away: str | None = None


@dataclass(frozen=True, slots=True)
class Acked:
    """What you asked for has happened, and stands in the log under this `id`; or it was a private
    message, which went to `to`, or is `waiting` for them to come in; or a report, which was passed
    on, or is `waiting` for somebody in charge. A text of several lines has
    become `count` messages, the last of which has the `id`. `away`: whom you have written to does
    not answer for now, and says this of it, which may be nothing; you are told so once."""

    id: Id
    at: Time
    to: str = ""
    waiting: bool = False
    count: Id = 1
    away: str | None = None


class Account(NamedTuple):
    """A registered name, and since when it is, in seconds since 1970: a name that is given up and
    registered again is another account."""

    name: str
    since: float

    def is_called(self, name: str) -> bool:
        """Whether `name` is its name, and not just like it. Case makes no difference."""
        return self.name.casefold() == name.casefold()


class Change(StrEnum):
    """What has become of an account."""

    REGISTERED = "registered"
    PASSWORD = "password"
    UNREGISTERED = "unregistered"
    OPERATOR = "operator"
    NO_OPERATOR = "no operator"


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """Your account, which is called `name`, is there now, or has another password, or is gone."""

    name: str
    change: Change


@dataclass(frozen=True, slots=True)
class PasswordAsked:
    """`name` has a password: what is it?"""

    name: str


@dataclass(frozen=True, slots=True)
class Typing:
    """Somebody is writing something just now (`on`), or no longer."""

    name: str
    on: bool
    room: str = LOBBY


@dataclass(frozen=True, slots=True)
class AwayChanged:
    """`name` does not answer for now (`on`), or does again."""

    name: str
    on: bool


@dataclass(frozen=True, slots=True)
class AwaySet:
    """You count as away (`on`), with this `text`, or no longer, since this time, after the entry
    `id`."""

    id: int
    at: float
    on: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What has happened, oldest first. `first_id`: nothing older is kept. `gone`: so many events
    since the id `after` that you gave are not kept any more."""

    events: tuple[Happening, ...]
    first_id: Id
    gone: Id = 0


class ReplayReason(StrEnum):
    """Why messages are shown again."""

    RECENT = "recent"  # the newest there are
    AWAY = "away"  # they were said while you were away
    FOUND = "found"  # they have the words that you looked for
    LETTERS = "letters"  # they are private, and have waited for you


@dataclass(frozen=True, slots=True)
class Replayed:
    """Messages from the room's history, as a person sees them, and there will be `count` of them
    with those that follow; or a part that `continues` the one before. `gone`: so many older ones
    are not kept any more; `more`: there may be older ones. `at`: what time it is.
    `room`: what was said elsewhere says where."""

    reason: ReplayReason
    events: tuple["Message | Told", ...]
    at: float
    count: int = 0
    gone: int = 0
    continues: bool = False
    more: bool = False
    room: str = LOBBY


# Troubles of `Saving` that are no error of the disk's.
SLOW_DISK = "the disk does not respond"
NO_DATABASE = "the database does not respond"


@dataclass(frozen=True, slots=True)
class Saving:
    """Whether what is said is being saved (`on`), or cannot be for now, because of `trouble`.
    `lost`: so many messages never will be."""

    on: bool
    trouble: str = ""
    lost: Id = 0


@dataclass(frozen=True, slots=True)
class Helped:
    """The names of the commands that there are."""

    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """What the command of that name does. `aliases`: other names that it has."""

    command: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer that the session of a door has put into that door's own words."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Skipped:
    """You read too slowly and lost `count` messages, those between the ids `after` and `before`."""

    count: Id
    after: Id
    before: Id


class CloseReason(StrEnum):
    """Why the server ends a connection."""

    EXIT = "exit"
    REFUSED = "refused"
    LONG_LINE = "long line"
    SHUTDOWN = "shutdown"
    TAKEN_OVER = "taken over"
    LATE = "login timeout"
    KICKED = "kicked"
    CLAIMED = "name claimed"
    PASSWORD_CHANGED = "password changed"
    UNREGISTERED = "unregistered"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Closed:
    """The server's last word on a connection. `name` is empty if you never had one."""

    name: str
    reason: CloseReason


class ErrorCode(StrEnum):
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
    NAMED_ALREADY = "named_already"
    UNKNOWN_COMMAND = "unknown_command"
    USAGE = "usage"
    NOBODY = "nobody"
    NO_CORRESPONDENT = "no_correspondent"
    GONE = "gone"
    NOT_READING = "not_reading"
    LINE_TOO_LONG = "line_too_long"
    LINE_NOT_ENDED = "line_not_ended"
    TLS_NEEDED = "tls_needed"
    SERVER_FULL = "server_full"
    ADDRESS_FULL = "address_full"
    NOT_JSON = "not_json"
    UNKNOWN_TYPE = "unknown_type"
    MISSING_FIELD = "missing_field"
    BAD_FIELD = "bad_field"
    EMPTY_TEXT = "empty_text"
    TOO_MANY_LINES = "too_many_lines"
    UNKNOWN_ROOM = "unknown_room"
    NOT_IN_ROOM = "not_in_room"
    CANNOT_JOIN = "cannot_join"
    TOO_MANY_ROOMS = "too_many_rooms"
    NOT_FOUNDER = "not_founder"
    NOT_IN_CHARGE = "not_in_charge"
    TOO_SOON = "too_soon"
    PROTECTED = "protected"
    NO_SUCH_ACCOUNT = "no_such_account"
    BANNED = "banned"
    MUTED = "muted"
    NOT_BANNED = "not_banned"
    NOT_MUTED = "not_muted"
    HELD_WITH = "held_with"
    TOO_MANY_BANS = "too_many_bans"
    TOO_MANY_OPERATORS = "too_many_operators"
    TOO_MANY_REPORTS = "too_many_reports"
    NOT_YOURSELF = "not_yourself"
    NOT_IGNORED = "not_ignored"
    TOO_MANY_IGNORED = "too_many_ignored"
    REASON_TOO_LONG = "reason_too_long"
    AWAY_TOO_LONG = "away_too_long"
    TOPIC_TOO_LONG = "topic_too_long"
    TOO_MANY_INVITATIONS = "too_many_invitations"
    NO_SUCH_MESSAGE = "no_such_message"
    TOO_LATE = "too_late"
    NOT_SAVED = "not_saved"
    PASSWORD_NEEDED = "password_needed"
    WRONG_PASSWORD = "wrong_password"
    NOT_A_MEMBER = "not_a_member"
    PASSWORD_LENGTH = "password_length"
    PASSWORD_IN_CLEAR = "password_in_clear"
    TOO_OFTEN = "too_often"
    BUSY = "busy"
    NAME_REGISTERED = "name_registered"
    NAME_NOT_YOURS = "name_not_yours"
    NOT_REGISTERED = "not_registered"
    NO_ACCOUNTS = "no_accounts"
    TOO_MANY_ACCOUNTS = "too_many_accounts"
    LETTERBOX_FULL = "letterbox_full"
    LINE_DISCARDED = "line_discarded"
    TOO_MANY_UNREAD = "too_many_unread"
    TOO_MANY_WORDS = "too_many_words"
    TOO_SLOW = "too_slow"


@dataclass(frozen=True, slots=True)
class FieldKind:
    """What a field of an object must be. `values` fill the text that the catalogue of words has for
    `code`."""

    code: str
    values: tuple["int | str | FieldKind", ...] = ()


class Refusal(Exception):
    """Something asked for is declined. `details` fill the text that the
    catalogue of words has for `code`."""

    def __init__(self, code: ErrorCode, **details: str | int | FieldKind) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer that a `Refusal` becomes. `asks_name`: and the question is put again; or the one
    for the password of `asks_password`."""

    refusal: Refusal
    asks_name: bool = False
    asks_password: str = ""


@dataclass(frozen=True, slots=True)
class Error:
    """What was asked for is declined: a stable code, and words for a person."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Answered:
    """`event` is the answer to the request that carried `ref`."""

    event: "PersonalEvent"
    ref: str


PersonalEvent = (
    NameAsked
    | Welcomed
    | Announced
    | Online
    | RoomInfo
    | RoomList
    | Removed
    | SanctionInfo
    | SanctionList
    | Reported
    | ReportTaken
    | IgnoreChanged
    | IgnoredList
    | Left  # these, for those in charge who are not in the room
    | RoleChanged
    | Banned
    | Muted
    | Deleted
    | RoomSwitched
    | RoomLeft
    | TopicShown
    | InvitationSent
    | AwayChanged
    | AwaySet
    | QuietChanged
    | Person
    | Invited
    | Told
    | Sent
    | Acked
    | Typing
    | Recalled
    | Replayed
    | Saving
    | AccountChanged
    | PasswordAsked
    | Explained
    | Helped
    | Skipped
    | Closed
    | Refused
    | Error
    | Answered
    | Rendered
)
Event = RoomEvent | Said | PersonalEvent
# What a program hears: all others have become one of these. (`jsonlines.EVENTS` has their names.)
ProgramEvent = (
    Happening
    | Welcomed
    | Announced
    | Online
    | RoomInfo
    | RoomList
    | Person
    | Invited
    | Removed
    | SanctionInfo
    | SanctionList
    | Reported
    | IgnoredList
    | Told
    | Acked
    | Typing
    | AwayChanged
    | Recalled
    | Saving
    | AccountChanged
    | Skipped
    | Closed
    | Error
)
