"""What somebody asks of the chat, as frozen values, whichever dialect they asked it in.

Each dialect reads lines into these (`commands` a typed one, `jsonlines` an object), and
`session.requests` has the table of who may ask for each and what carries it out.
"""

from dataclasses import dataclass, field
from typing import Annotated

from chatservice.core.events import CURRENT_ROOM, LOBBY, Between, Id, Text
from chatservice.core.registry import MAX_PACE
from chatservice.core.sanctions import MAX_SECONDS


@dataclass(frozen=True, slots=True)
class Hello:
    """Come in as `name`. With the `token` of your last welcome you take over from a connection
    of yours that is still there, under the name that you have; nobody hears of it. A name that is
    registered needs its `password`, or a `token` that was given to its owner. With the password, or
    with the token and `beside`, you have several connections: none of them ends. With `rooms`, you
    hear all your rooms, not only the lobby."""

    name: str
    token: str = ""
    password: str = field(default="", repr=False)
    beside: bool = False
    rooms: bool = False


@dataclass(frozen=True, slots=True)
class Say:
    """Say `text` to everyone. Each line of it becomes a message."""

    text: Text
    room: str = LOBBY


@dataclass(frozen=True, slots=True)
class Emote:
    """Do `text`, as in "waves"."""

    text: Text
    room: str = LOBBY


@dataclass(frozen=True, slots=True)
class Tell:
    """Say `text` to one person alone."""

    to: str
    text: Text


@dataclass(frozen=True, slots=True)
class Reply:
    """Say `text` to whoever last wrote to you, or you last wrote to."""

    text: Text


@dataclass(frozen=True, slots=True)
class SetTyping:
    """You are writing something (`on`), or no longer. There is no answer."""

    on: bool
    room: str = LOBBY


@dataclass(frozen=True, slots=True)
class Away:
    """You do not answer for now (`on`), and say this `text` of it, if anything; or do again."""

    text: str = ""
    on: bool = True


@dataclass(frozen=True, slots=True)
class Who:
    """Ask who is online; or, with another room than the lobby, who is there."""

    room: str = LOBBY


@dataclass(frozen=True, slots=True)
class Nick:
    """Be called `name` from now on. A name that is registered needs its `password`, and is yours
    then as if you had come in with it."""

    name: str
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class History:
    """Ask for what has happened: the newest events before the id `before`, or, with `after`, the
    oldest ones after that id. At most `limit`, or fewer: a long answer is cut short. With
    `messages`, the newest messages alone, without the notices between them."""

    before: Id | None = None
    after: Id | None = None
    limit: Annotated[int, Between(1, 1000)] = 50
    messages: bool = False
    room: str = LOBBY


@dataclass(frozen=True, slots=True)
class Search:
    """Ask for the newest messages before the id `before` that have all these words, or words that
    begin so. At most `limit`, or fewer: a long answer is cut short."""

    words: str
    before: Id | None = None
    limit: Annotated[int, Between(1, 1000)] = 50
    room: str = LOBBY


@dataclass(frozen=True, slots=True)
class Register:
    """The name that you have is yours alone from now on: it needs this `password`."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """The name that you have registered needs another `password` instead of the `old` one. All your
    other connections end."""

    password: str = field(repr=False)
    old: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Unregister:
    """The name that you have registered, with that `password`, is no longer registered. All your
    other connections end."""

    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Join:
    """Come into `room`, which is made if there is none."""

    room: str


@dataclass(frozen=True, slots=True)
class Part:
    """Leave `room`."""

    room: str = CURRENT_ROOM


@dataclass(frozen=True, slots=True)
class Switch:
    """Speak in `room` from now on."""

    room: str


@dataclass(frozen=True, slots=True)
class Rooms:
    """Ask which rooms there are: the lobby, and then by name; with `after`, those after that one.
    At most `limit`."""

    after: str | None = None
    limit: Annotated[int, Between(1, 1000)] = 100


@dataclass(frozen=True, slots=True)
class Whois:
    """Ask who `name` is."""

    name: str


@dataclass(frozen=True, slots=True)
class Topic:
    """Set the `topic` of `room`, which those in charge may; without one, ask for it."""

    room: str = LOBBY
    topic: str | None = None


# Seconds between the messages of one person.
Pace = Annotated[int, Between(0, MAX_PACE)]


@dataclass(frozen=True, slots=True)
class RoomMode:
    """Make `room`, of which you are in charge, `private` (by invitation), or public; or let each
    person say one message there in so many seconds (`slow`; 0: as many as they like)."""

    room: str
    private: bool | None = None
    slow: Pace | None = None


@dataclass(frozen=True, slots=True)
class Invite:
    """Invite somebody into `room`, of which you are in charge."""

    to: str
    room: str = LOBBY


@dataclass(frozen=True, slots=True)
class Op:
    """Put the owner of the registered `name` in charge of `room` as well (`on`), or no longer;
    which its founder may."""

    name: str
    room: str = LOBBY
    on: bool = True


@dataclass(frozen=True, slots=True)
class Founder:
    """Give `room` to the owner of the registered `name`, which operators of the server may."""

    name: str
    room: str


@dataclass(frozen=True, slots=True)
class Kick:
    """Remove `name` from `room`, of which you are in charge. From the lobby, or everywhere (``*``),
    it ends their connections."""

    name: str
    room: str = LOBBY
    reason: str = ""


# How long a ban or mute holds.
Seconds = Annotated[int, Between(1, MAX_SECONDS)]


@dataclass(frozen=True, slots=True)
class Ban:
    """Remove `name`, who need not be here, from `room` (``*``: from the whole chat), for so many
    `seconds` or for good; or, without `on`, end that."""

    name: str
    room: str = LOBBY
    seconds: Seconds | None = None
    reason: str = ""
    on: bool = True


@dataclass(frozen=True, slots=True)
class Mute:
    """Let `name` hear and not be heard in `room` (``*``: in the whole chat), for so many `seconds`
    or for good; or, without `on`, end that."""

    name: str
    room: str = LOBBY
    seconds: Seconds | None = None
    reason: str = ""
    on: bool = True


# Messages that are deleted at once: what somebody has pasted.
MAX_DELETED = 100


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the message with this `id` in `room`; without one, the last `count` messages there of
    `name`, or of yours. You can delete what you have said in the last 15 minutes, and those in
    charge of the room whatever anybody has."""

    id: Id | None = None
    room: str = LOBBY
    name: str = ""
    count: Annotated[int, Between(1, MAX_DELETED)] = 1


@dataclass(frozen=True, slots=True)
class Announce:
    """Say `text` to everyone, whatever rooms they hear, in the server's name; which its operators
    may. Each line of it becomes a line."""

    text: str


@dataclass(frozen=True, slots=True)
class Bans:
    """Ask who is banned or muted in `room` (``*``: in the whole chat), of which you are in
    charge."""

    room: str = LOBBY


@dataclass(frozen=True, slots=True)
class Report:
    """Tell those in charge of `room`, and nobody else, that `name` misbehaves there, and why
    (`reason`)."""

    name: str
    reason: str
    room: str = LOBBY


@dataclass(frozen=True, slots=True)
class Ignore:
    """Hear nothing of what `name` says (`on`), who need not be here, or hear it again. They are not
    told."""

    name: str
    on: bool = True


@dataclass(frozen=True, slots=True)
class Ignores:
    """Ask whom you ignore."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hide comings and goings in `room` (`on`), or show them; None: the other way round."""

    on: bool | None = None
    room: str = CURRENT_ROOM


@dataclass(frozen=True, slots=True)
class Help:
    """Ask what commands there are; or what the one called `command` does."""

    command: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """Leave."""


@dataclass(frozen=True, slots=True)
class Password:
    """The answer to the question for a password; an empty one gives up what needed it."""

    password: str = field(repr=False)


# These hold a password, or are refused for want of one.
WithPassword = Hello | Nick | Register | ChangePassword | Unregister
AboutAccount = Register | ChangePassword | Unregister
# Each of these has its answer.
AboutRooms = Join | Part | Switch | Rooms | Whois | Topic | RoomMode | Invite | Quiet
InCharge = Op | Founder | Kick | Ban | Mute | Bans | Announce | Delete
Talk = Say | Emote | Tell | Reply
AboutMe = Away | Report | Ignore | Ignores | Who | Nick
Question = Talk | AboutMe | History | Search | AboutRooms | InCharge | AboutAccount
Request = Question | Hello | SetTyping | Help | Exit | Password
