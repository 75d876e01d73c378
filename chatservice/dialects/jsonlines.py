"""The JSON dialect: for programs, one object a line.

Two tables say which ``"type"`` stands for which request or event. The fields are those of the
dataclasses (see `codec`).
"""

import json
from collections.abc import Iterable
from typing import Any, assert_never, cast

from chatservice.core import log, requests
from chatservice.core.drafts import Entry
from chatservice.core.events import (
    AccountChanged,
    Acked,
    Announced,
    Answered,
    AwayChanged,
    AwaySet,
    Banned,
    Burst,
    Closed,
    Deleted,
    Emoted,
    Error,
    ErrorCode,
    Event,
    Explained,
    FieldKind,
    Helped,
    IgnoreChanged,
    IgnoredList,
    InvitationSent,
    Invited,
    Joined,
    Left,
    ModeChanged,
    Muted,
    NameAsked,
    Online,
    PaceChanged,
    PasswordAsked,
    Person,
    PersonalEvent,
    ProgramEvent,
    QuietChanged,
    Recalled,
    Refusal,
    Refused,
    Removed,
    Renamed,
    Rendered,
    Replayed,
    Reported,
    ReportTaken,
    RoleChanged,
    RoomInfo,
    RoomLeft,
    RoomList,
    RoomSwitched,
    Said,
    SanctionInfo,
    SanctionList,
    Saving,
    Sent,
    Skipped,
    Told,
    Tombstone,
    TopicChanged,
    TopicShown,
    Typing,
    Welcomed,
)
from chatservice.core.limits import MAX_LINES
from chatservice.core.requests import Emote, Reply, Request, Say, Tell
from chatservice.dialects.codec import Vocabulary
from chatservice.dialects.dialect import Asked, Expected, Wants
from chatservice.dialects.text import CRLF
from chatservice.dialects.wording import ENGLISH, Catalogue

MAX_DIGITS = 20  # of an integer; the largest that a field may have has 16

REQUESTS = Vocabulary(
    {
        "hello": requests.Hello,
        "say": requests.Say,
        "emote": requests.Emote,
        "tell": requests.Tell,
        "reply": requests.Reply,
        "typing": requests.SetTyping,
        "away": requests.Away,
        "who": requests.Who,
        "nick": requests.Nick,
        "history": requests.History,
        "search": requests.Search,
        "join": requests.Join,
        "part": requests.Part,
        "rooms": requests.Rooms,
        "whois": requests.Whois,
        "topic": requests.Topic,
        "room_mode": requests.RoomMode,
        "invite": requests.Invite,
        "op": requests.Op,
        "founder": requests.Founder,
        "announce": requests.Announce,
        "kick": requests.Kick,
        "ban": requests.Ban,
        "mute": requests.Mute,
        "bans": requests.Bans,
        "report": requests.Report,
        "delete": requests.Delete,
        "ignore": requests.Ignore,
        "ignores": requests.Ignores,
        "register": requests.Register,
        "password": requests.ChangePassword,
        "unregister": requests.Unregister,
        "exit": requests.Exit,
    }
)
EVENTS = Vocabulary(
    {
        "welcome": Welcomed,
        "ack": Acked,
        "said": Said,
        "emoted": Emoted,
        "told": Told,
        "joined": Joined,
        "left": Left,
        "renamed": Renamed,
        "typing": Typing,
        "away": AwayChanged,
        "users": Online,
        "topic": TopicChanged,
        "room_mode": ModeChanged,
        "pace": PaceChanged,
        "role": RoleChanged,
        "banned": Banned,
        "muted": Muted,
        "deleted": Deleted,
        "tombstone": Tombstone,
        "removed": Removed,
        "sanction": SanctionInfo,
        "bans": SanctionList,
        "reported": Reported,
        "ignores": IgnoredList,
        "room": RoomInfo,
        "rooms": RoomList,
        "person": Person,
        "invited": Invited,
        "history": Recalled,
        "skipped": Skipped,
        "saving": Saving,
        "account": AccountChanged,
        "announced": Announced,
        "bye": Closed,
        "error": Error,
    }
)


def read(line: bytes) -> Asked:
    """The request that a program's line stands for."""
    ref = None
    try:
        given = _object(line)
        if (ref := given.get("ref")) is not None and not isinstance(ref, str):
            ref = None
            raise Refusal(ErrorCode.BAD_FIELD, field="ref", kind=FieldKind("string"))
        request: Request = REQUESTS.read(given)
        if isinstance(request, Say | Emote | Tell | Reply):
            _check_text(request.text)
    except Refusal as refusal:
        return Asked(refusal, ref)
    return Asked(request, ref)


def _check_text(text: str) -> None:
    if not text:
        raise Refusal(ErrorCode.EMPTY_TEXT)
    if text.count("\n") >= MAX_LINES:
        raise Refusal(ErrorCode.TOO_MANY_LINES, limit=MAX_LINES)


def encode_request(request: Request, ref: str | None = None) -> bytes:
    """The line for `request`, as `read` reads it."""
    return line_of(REQUESTS.write(request), ref)


def decode_event(line: bytes) -> tuple[ProgramEvent, str | None]:
    """The event that a server's line tells of, and the `ref` of the request that it answers.

    Raises `Refusal` for a line that is not a JSON object, or not of a type that we know.
    """
    given = _object(line)
    ref = given.get("ref")
    return cast(ProgramEvent, EVENTS.read(given)), ref if isinstance(ref, str) else None


class JsonLines:
    """The dialect. `words`: the language of the messages of errors."""

    wants = Wants(prompts=False, acknowledgements=True, replay=False, tokens=True, rooms=False)

    def __init__(self, words: Catalogue = ENGLISH) -> None:
        self._words = words

    def greet(self) -> PersonalEvent | None:
        return None

    def read(self, line: bytes, expected: Expected) -> Asked:
        return read(line) if line.strip() else Asked(None)

    def read_talk(self, data: bytes) -> tuple[str, ...]:
        return ()

    labels_rooms = False  # an event has its room
    echoes = False

    @property
    def shared(self) -> log.Dialect:
        return self

    def render(self, event: Event, *, labelled: bool = False) -> bytes:
        return self._lines(event, None)

    def render_personal(self, event: PersonalEvent) -> bytes:
        if isinstance(event, Answered):
            return self._lines(event.event, event.ref)
        return self._lines(event, None)

    def _lines(self, event: Event, ref: str | None) -> bytes:
        heard = _as_heard(event, self._words)
        return b"".join([line_of(EVENTS.write(event), ref) for event in heard])

    def acknowledge(self, entry: Entry) -> bytes:
        """A program is told where what it did stands in the log."""
        acked = Acked(entry.end - 1, entry.event.at, count=entry.acknowledged)
        return self._lines(acked, entry.ref)


JSON = JsonLines()


def _integer(digits: str) -> int | float:
    """Very long ones, which Python refuses since reading them takes long, are read as a float: they
    are out of the bounds of every field."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


class _Constant(Exception):
    """NaN, Infinity or -Infinity, which are Python's."""


def _refuse_constant(constant: str) -> None:
    raise _Constant(constant)


# Made once: what json.loads makes for each call costs as much as to read a line.
_decode = json.JSONDecoder(parse_int=_integer, parse_constant=_refuse_constant).decode
_decode_leniently = json.JSONDecoder(parse_int=_integer).decode
_encode = json.JSONEncoder(ensure_ascii=False).encode


def _object(line: bytes) -> dict[str, Any]:
    """The object in `line`."""
    given = None
    try:
        text = line.decode()
        try:
            given = _decode(text)
        except _Constant:
            REQUESTS.read(_decode_leniently(text))  # an error in a field is told first
    except (ValueError, AttributeError, RecursionError):
        pass
    if not isinstance(given, dict):
        raise Refusal(ErrorCode.NOT_JSON)
    return given


def _as_heard(  # noqa: PLR0911, PLR0912 (a case for each kind)
    event: Event, words: Catalogue
) -> Iterable[Event]:
    """The events that programs hear for `event`: some take another form there, or none."""
    match event:
        case Burst():
            return event.messages()
        case RoomSwitched() | QuietChanged() | RoomLeft():
            return ()
        case TopicShown(room=room, topic=topic):
            return (RoomInfo(room, topic),)
        case InvitationSent(id=id_, at=at, to=to):
            return (Acked(id_, at, to),)
        case AwaySet(id=id_, at=at) | IgnoreChanged(id=id_, at=at):
            return (Acked(id_, at),)
        case ReportTaken(id=id_, at=at, kept=kept):
            return (Acked(id_, at, waiting=kept),)
        case Sent(id=id_, at=at, recipient=recipient, waiting=waiting, count=count):
            return (Acked(id_, at, recipient, waiting, count, event.away),)
        case Replayed(events=events):
            return events
        case Refused(refusal=refusal):
            return (Error(refusal.code, words.refusal(refusal)),)
        case Answered(event=answer):
            return _as_heard(answer, words)
        case NameAsked() | PasswordAsked() | Helped() | Explained() | Rendered():
            return ()
        case (
            Said()
            | Emoted()
            | Joined()
            | Left()
            | Renamed()
            | Welcomed()
            | Announced()
            | Online()
            | Told()
            | Acked()
            | Typing()
            | AwayChanged()
            | Recalled()
            | Saving()
            | AccountChanged()
            | Skipped()
            | Closed()
            | Error()
            | TopicChanged()
            | ModeChanged()
            | PaceChanged()
            | RoleChanged()
            | Banned()
            | Muted()
            | Deleted()
            | Tombstone()
            | Removed()
            | SanctionInfo()
            | SanctionList()
            | Reported()
            | IgnoredList()
            | RoomInfo()
            | RoomList()
            | Person()
            | Invited()
        ):
            return (event,)
        case _:
            assert_never(event)


def line_of(written: dict[str, Any], ref: str | None) -> bytes:
    """The line for an object, with the `ref` of the request that it answers."""
    line = _encode(written)
    if ref is not None:  # in ASCII: it comes back as it was, even half a surrogate pair
        line = f'{line[:-1]}, "ref": {json.dumps(ref)}}}'
    return (line + CRLF).encode()
