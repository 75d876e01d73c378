"""Events in words: the only place where there are any.

A dialect turns an event into the bytes that a connection hears. The text dialect is here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Protocol

from chatservice.core.events import (
    AccountChanged,
    Announced,
    Burst,
    Change,
    Closed,
    CloseReason,
    Emoted,
    Error,
    ErrorCode,
    Event,
    Helped,
    Joined,
    LeaveReason,
    Left,
    NameAsked,
    Online,
    PasswordAsked,
    Refusal,
    Refused,
    Renamed,
    Replayed,
    ReplayReason,
    Said,
    Saving,
    Sent,
    Skipped,
    Told,
    Welcomed,
)

CRLF = "\r\n"
QUESTION = "What is your name?"
WELCOME = "Welcome {name}, you are connected to the server."
RENAMED = "*** {old} is now known as {new}."
ERROR = "Error: "
PASSWORD_QUESTION = "What is the password of {name}?"
CHANGES = {
    Change.REGISTERED: "*** {name} is yours from now on, with that password.",
    Change.PASSWORD: "*** {name} has that password from now on.",
    Change.UNREGISTERED: "*** {name} is anybody's from now on.",
}
GOODBYE = "*** Goodbye"
GOODBYES = {
    CloseReason.EXIT: f"{GOODBYE}.",
    CloseReason.REFUSED: f"{GOODBYE}: too much was refused.",
    CloseReason.LONG_LINE: f"{GOODBYE}: that line was too long.",
    CloseReason.SHUTDOWN: "*** The server is shutting down. Goodbye.",
    CloseReason.LATE: f"{GOODBYE}: you did not say who you are in time.",
    CloseReason.TAKEN_OVER: f"{GOODBYE}: you have come in again from elsewhere.",
    CloseReason.KICKED: f"{GOODBYE}: the operator has ended your connection.",
    CloseReason.CLAIMED: f"{GOODBYE}: the name that you had is registered, and its owner has come in.",
}
MAX_NAMED = 3  # of people who come or go together, before "and 497 others"

REFUSALS = {
    ErrorCode.NAME_EMPTY: "a name needs at least one character.",
    ErrorCode.NAME_TOO_LONG: "a name can have {limit} characters at most.",
    ErrorCode.NAME_CHARACTER: "a name cannot contain {character}.",
    ErrorCode.NAME_START: "a name cannot begin with a digit, a hyphen or an accent.",
    ErrorCode.NAME_DIRECTION: "a name cannot mix right-to-left and left-to-right writing like that.",
    ErrorCode.NAME_MIXED: "a name cannot mix letters or digits of different scripts.",
    ErrorCode.NAME_MARKS: "a name cannot pile up accents like that.",
    ErrorCode.NAME_RESERVED: "{name} is a name that the server needs.",
    ErrorCode.NAME_TAKEN: "{name} is taken.",
    ErrorCode.NAME_FIRST: "say who you are first.",
    ErrorCode.NAMED_ALREADY: "you are in already.",
    ErrorCode.UNKNOWN_COMMAND: "{command} is not a command. Type /help for those there are.",
    ErrorCode.USAGE: "this command is used like this: {usage}",
    ErrorCode.NOBODY: "nobody here is called {name}.",
    ErrorCode.NO_CORRESPONDENT: "nobody has written to you, and you to nobody, so far.",
    ErrorCode.GONE: "{name} has left the chat.",
    ErrorCode.NOT_READING: "{name} is not reading just now; your message was not sent.",
    ErrorCode.LINE_TOO_LONG: "a line can have {limit} bytes at most.",
    ErrorCode.SERVER_FULL: "the server is full. Try again later.",
    ErrorCode.ADDRESS_FULL: "there are too many connections from your address.",
    ErrorCode.NOT_JSON: "a line must be one JSON object, in UTF-8.",
    ErrorCode.UNKNOWN_TYPE: "there is no type {type}.",
    ErrorCode.MISSING_FIELD: "the field {field} is missing.",
    ErrorCode.BAD_FIELD: "the field {field} takes this: {kind}.",
    ErrorCode.EMPTY_TEXT: "there is nothing in that text.",
    ErrorCode.UNKNOWN_ROOM: "there is no room {room}.",
    ErrorCode.NOT_SAVED: "the server's disk does not answer; nothing has been done. Try again later.",
    ErrorCode.PASSWORD_NEEDED: "{name} has a password.",
    ErrorCode.WRONG_PASSWORD: "that is not the password of {name}.",
    ErrorCode.NOT_A_MEMBER: "that is not the password of a member called {name}.",
    ErrorCode.PASSWORD_LENGTH: "a password has {least} to {most} printable characters.",
    ErrorCode.PASSWORD_IN_CLEAR: "others could listen to a password here; use TLS.",
    ErrorCode.TOO_OFTEN: "that was tried too often. Wait for some minutes.",
    ErrorCode.BUSY: "the server is busy. Try again.",
    ErrorCode.NAME_REGISTERED: "{name} is registered.",
    ErrorCode.NAME_NOT_YOURS: "{name} is not a name of yours.",
    ErrorCode.NOT_REGISTERED: "the name that you have is not registered to you.",
    ErrorCode.NO_ACCOUNTS: "this server keeps no passwords.",
    ErrorCode.TOO_MANY_ACCOUNTS: "there are too many registered names.",
    ErrorCode.LETTERBOX_FULL: "too many messages wait for {name} already.",
}


class Dialect(Protocol):
    """How one kind of connection hears events."""

    def render(self, event: Event) -> bytes:
        """The line or lines for `event`, each with its end; nothing if the dialect is silent."""
        ...


class Text:
    """For a person behind ``nc``, ``telnet`` or the stdio client. Shared: it holds no state.
    `zone`: that of the times; None: the one where this runs."""

    def __init__(self, zone: tzinfo | None = UTC) -> None:
        self._zone = zone

    def render(self, event: Event) -> bytes:
        if isinstance(event, Burst):  # nearly all there is to render, and many lines at once
            prefix = event.name + ": "
            return (prefix + (CRLF + prefix).join(event.texts) + CRLF).encode()
        lines = _again(event, self._zone) if isinstance(event, Replayed) else _lines(event)
        return "".join([line + CRLF for line in lines]).encode()


TEXT = Text()


def several(names: Sequence[str]) -> str:
    """``Alice, Bob, Carol and 497 others``: a list that does not grow with the crowd."""
    if len(names) <= MAX_NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:MAX_NAMED])} and {len(names) - MAX_NAMED} others"


def refusal_in_words(refusal: Refusal) -> str:
    """Why it was refused, for a person."""
    return REFUSALS[refusal.reason].format_map(refusal.details)


def _online(names: Sequence[str]) -> str:
    return f"*** Online ({len(names)}): {', '.join(names)}"


def _lines(event: Event) -> Sequence[str]:  # noqa: PLR0911, PLR0912 (one case for each event)
    match event:
        case Said(name=name, text=text):
            return (f"{name}: {text}",)
        case Emoted(name=name, text=text):
            return (f"* {name} {text}",)
        case Joined(names=names):
            return (f"*** {several(names)} {_has(names)} joined the chat.",)
        case Left(names=names, reason=reason):
            why = " (connection lost)" if reason is LeaveReason.LOST else ""
            return (f"*** {several(names)} {_has(names)} left the chat{why}.",)
        case Renamed(old=old, new=new):
            return (RENAMED.format(old=old, new=new),)
        case Told(sender=sender, text=text):
            return (f"[{sender} -> you] {text}",)
        case Sent(recipient=recipient, text=text, waiting=waiting):
            later = f" (it waits until {recipient} comes in)" if waiting else ""
            return (f"[you -> {recipient}] {text}{later}",)
        case AccountChanged(name=name, change=change):
            return (CHANGES[change].format(name=name),)
        case PasswordAsked(name=name):
            return (PASSWORD_QUESTION.format(name=name),)
        case NameAsked():
            return (QUESTION,)
        case Welcomed(name=name, names=names):
            return (WELCOME.format(name=name), _online(names))
        case Announced(lines=lines):
            return [f"*** {line}".rstrip() for line in lines]
        case Online(names=names):
            return (_online(names),)
        case Helped(commands=commands):
            width = max(len(usage) for usage, _ in commands)
            return [f"*** {usage:<{width}}  {does}" for usage, does in commands]
        case Skipped(count=count):
            return (f"*** You missed {_messages(count)}: your connection was too slow.",)
        case Saving(on=False, trouble=trouble):
            return (f"*** What is said is not being saved for now: {trouble}.",)
        case Saving(lost=lost):
            missing = f", but {_messages(lost)} could not be kept" if lost else ""
            return (f"*** What is said is being saved again{missing}.",)
        case Closed(name=name, why=CloseReason.EXIT) if name:
            return (f"{GOODBYE}, {name}.",)
        case Closed(why=why):
            return (GOODBYES[why],)
        case Refused(refusal=refusal, asks_name=True):
            return (f"{ERROR}{refusal_in_words(refusal)} {QUESTION}",)
        case Refused(refusal=refusal, asks_password=name) if name:
            question = PASSWORD_QUESTION.format(name=name)
            return (f"{ERROR}{refusal_in_words(refusal)} {question}",)
        case Refused(refusal=refusal):
            return (f"{ERROR}{refusal_in_words(refusal)}",)
        case Error(message=message):
            return (f"{ERROR}{message}",)
    return ()


def _again(event: Replayed, zone: tzinfo | None) -> Sequence[str]:
    """With the time when each was said; and the day, if it was another."""
    today = datetime.fromtimestamp(event.at, zone).date()
    lines = [] if event.continues else [_heading(event)]
    for message in event.events:
        at = datetime.fromtimestamp(message.at, zone)
        day = "" if at.date() == today else f"{at:%Y-%m-%d} "
        lines += [f"[{day}{at:%H:%M:%S}] {line}" for line in _lines(message)]
    return lines


def _heading(event: Replayed) -> str:
    count = event.count
    if event.why is ReplayReason.AWAY:
        gone = f" ({_messages(event.gone)} before that are gone)" if event.gone else ""
        return f"*** {_messages(count)} while you were away{gone}{':' if count else '.'}"
    if event.why is ReplayReason.LETTERS:
        return f"*** {count} private message{'s' * (count > 1)} while you were away:"
    if not count:
        return "*** No messages."
    if event.why is ReplayReason.FOUND:
        return f"*** {'The newest ' * event.more}{_messages(count)} found:"
    return f"*** The last {_messages(count)}:" if count > 1 else "*** The last message:"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
