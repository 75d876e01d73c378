"""The JSON dialect: for programs, one object a line.

The two tables are all there is to it: which ``"type"`` stands for which request or event. Their
fields are those of the dataclasses (see `objects`).
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from chatservice.core import requests
from chatservice.core.events import (
    AccountChanged,
    Acked,
    Announced,
    Answered,
    Burst,
    Closed,
    Emoted,
    Error,
    ErrorCode,
    Event,
    Joined,
    Left,
    Online,
    Recalled,
    Refusal,
    Refused,
    Renamed,
    Replayed,
    Said,
    Saving,
    Sent,
    Skipped,
    Told,
    Typing,
    Welcomed,
)
from chatservice.core.requests import Request
from chatservice.dialects.codec import Vocabulary
from chatservice.dialects.text import CRLF
from chatservice.dialects.wording import ENGLISH

REQUESTS = Vocabulary(
    {
        "hello": requests.Hello,
        "say": requests.Say,
        "emote": requests.Emote,
        "tell": requests.Tell,
        "reply": requests.Reply,
        "typing": requests.SetTyping,
        "who": requests.Who,
        "nick": requests.Nick,
        "history": requests.History,
        "search": requests.Search,
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
        "users": Online,
        "history": Recalled,
        "skipped": Skipped,
        "saving": Saving,
        "account": AccountChanged,
        "announced": Announced,
        "bye": Closed,
        "error": Error,
    }
)


class Asked(NamedTuple):
    """What a line asks for, or why it makes no sense; and the request's own mark."""

    request: Request | Refusal
    ref: str | None


def read(line: bytes) -> Asked:
    """What a program's line means."""
    ref = None
    try:
        given = _object(line)
        if (ref := given.get("ref")) is not None and not isinstance(ref, str):
            ref = None
            raise Refusal(ErrorCode.BAD_FIELD, field="ref", kind="string")
        request: Request = REQUESTS.read(given)
        if not getattr(request, "text", "some").strip():
            raise Refusal(ErrorCode.EMPTY_TEXT)
    except Refusal as refusal:
        return Asked(refusal, ref)
    return Asked(request, ref)


def asking(request: Request, ref: str | None = None) -> bytes:
    """The line for `request`: what `read` reads."""
    return line_of(REQUESTS.write(request), ref)


def hear(line: bytes) -> tuple[Event, str | None]:
    """The event that a server's line tells of, and the mark of the request that it answers.

    Raises `Refusal` for a line that is none, or of a type that we do not know.
    """
    given = _object(line)
    ref = given.get("ref")
    return cast(Event, EVENTS.read(given)), ref if isinstance(ref, str) else None


class JsonLines:
    """The dialect. Shared: it holds no state."""

    def render(self, event: Event) -> bytes:
        if isinstance(event, Answered):
            return self._lines(event.event, event.ref)
        return self._lines(event, None)

    def _lines(self, event: Event, ref: str | None) -> bytes:
        return b"".join([line_of(EVENTS.write(heard), ref) for heard in _as_heard(event)])


JSON = JsonLines()


def _object(line: bytes) -> dict[str, Any]:
    try:
        given = json.loads(line.decode())
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise Refusal(ErrorCode.NOT_JSON)
    return given


def _as_heard(event: Event) -> Iterable[Event]:
    """`event` as programs hear it: some are said otherwise to people."""
    match event:
        case Burst():
            return event.messages()
        case Sent(id=id_, at=at, recipient=recipient, waiting=waiting):
            return (Acked(id_, at, recipient, waiting),)
        case Replayed(events=events):
            return events
        case Refused(refusal=refusal):
            return (Error(refusal.code, ENGLISH.refusal(refusal)),)
    return (event,)


def line_of(written: dict[str, Any], ref: str | None) -> bytes:
    """An object as a line; with `ref`, it is marked with that."""
    line = json.dumps(written, ensure_ascii=False)
    if ref is not None:  # in ASCII: it is given back as it came, be it half a surrogate pair
        line = f'{line[:-1]}, "ref": {json.dumps(ref)}}}'
    return (line + CRLF).encode()
