"""Every text that the server and its clients show to people: one catalogue for each language.

Events and refusals carry a code and details. A `Catalogue` has the words for them, and nothing else
has any: another language is another `Catalogue`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chatservice.core.events import (
    ALL_ROOMS,
    NO_DATABASE,
    SLOW_DISK,
    Change,
    CloseReason,
    ErrorCode,
    FieldKind,
    Person,
    Refusal,
    ReplayReason,
    Reported,
    Role,
    RoomInfo,
)

MAX_NAMED = 3  # of people who come or go together, before "and 497 others"

_ERRORS: Mapping[ErrorCode, str] = {
    ErrorCode.NAME_EMPTY: "a name needs at least one character.",
    ErrorCode.NAME_TOO_LONG: "a name can have at most {limit} characters.",
    ErrorCode.NAME_CHARACTER: "a name cannot contain {character}.",
    ErrorCode.NAME_START: "a name cannot begin with a digit, a hyphen or an accent.",
    ErrorCode.NAME_DIRECTION: "a name cannot mix right-to-left and left-to-right writing that way.",
    ErrorCode.NAME_MIXED: "a name cannot mix letters or digits of different scripts.",
    ErrorCode.NAME_MARKS: "a name cannot pile up accents.",
    ErrorCode.NAME_RESERVED: "{name} is a reserved name.",
    ErrorCode.NAME_TAKEN: "{name} is taken.",
    ErrorCode.NAME_FIRST: "choose a name first.",
    ErrorCode.NAMED_ALREADY: "you have a name already.",
    ErrorCode.UNKNOWN_COMMAND: "{command} is not a command. Type /help for a list.",
    ErrorCode.USAGE: "usage: {usage}",
    ErrorCode.NOBODY: "nobody here is called {name}.",
    ErrorCode.NO_CORRESPONDENT: "there is no private message to reply to.",
    ErrorCode.GONE: "{name} has left the chat.",
    ErrorCode.NOT_READING: "{name} is not reading at the moment; your message was not sent.",
    ErrorCode.LINE_TOO_LONG: "a line can have at most {limit} bytes.",
    ErrorCode.LINE_NOT_ENDED: "your line has not ended: press Enter, or send a line feed (\\n).",
    ErrorCode.TLS_NEEDED: "this port speaks TLS. Connect with TLS, or to a port without it.",
    ErrorCode.SERVER_FULL: "the server is full. Try again later.",
    ErrorCode.ADDRESS_FULL: "there are too many connections from your address.",
    ErrorCode.NOT_JSON: "a line must be one JSON object, in UTF-8.",
    ErrorCode.UNKNOWN_TYPE: "unknown type: {type}.",
    ErrorCode.MISSING_FIELD: "the field {field} is missing.",
    ErrorCode.BAD_FIELD: "the field {field} must be of this kind: {kind}.",
    ErrorCode.EMPTY_TEXT: "the text is empty.",
    ErrorCode.TOO_MANY_LINES: "a text can have at most {limit} lines.",
    ErrorCode.UNKNOWN_ROOM: "there is no room {room}.",
    ErrorCode.NOT_IN_ROOM: "you are not in {room}.",
    ErrorCode.CANNOT_JOIN: "you cannot join that room.",
    ErrorCode.TOO_MANY_ROOMS: "there are too many rooms, or you are in too many.",
    ErrorCode.NOT_FOUNDER: "only the founder of {room} can do that.",
    ErrorCode.TOO_SOON: "{room} is slow: nobody has heard that. Say it again in {seconds} s.",
    ErrorCode.NOT_IN_CHARGE: "only those in charge of {room} can do that.",
    ErrorCode.PROTECTED: "{name} is in charge, too.",
    ErrorCode.NO_SUCH_ACCOUNT: "{name} is not registered.",
    ErrorCode.BANNED: "you are banned from {room}{until}.",
    ErrorCode.MUTED: "you are muted in {room}{until}; nobody has heard that.",
    ErrorCode.NOT_BANNED: "{name} is not banned there.",
    ErrorCode.NOT_MUTED: "{name} is not muted there.",
    ErrorCode.HELD_WITH: "{name} is held only as somebody from the network of {other}: "
    "lift what holds {other}.",
    ErrorCode.TOO_MANY_BANS: "there are {limit} bans and mutes already.",
    ErrorCode.TOO_MANY_OPERATORS: "{limit} people are in charge of that room already.",
    ErrorCode.TOO_MANY_REPORTS: "too many reports wait for those in charge already.",
    ErrorCode.NOT_YOURSELF: "you cannot ignore yourself.",
    ErrorCode.NOT_IGNORED: "you do not ignore {name}.",
    ErrorCode.TOO_MANY_IGNORED: "{limit} people are ignored already; nobody else can be.",
    ErrorCode.REASON_TOO_LONG: "a reason can have at most {limit} characters.",
    ErrorCode.AWAY_TOO_LONG: "what you say of your absence can have at most {limit} characters.",
    ErrorCode.TOPIC_TOO_LONG: "a topic can have at most {limit} characters.",
    ErrorCode.TOO_MANY_INVITATIONS: "too many invitations to {room} are open.",
    ErrorCode.NO_SUCH_MESSAGE: "there is no such message.",
    ErrorCode.TOO_LATE: "you can delete what you have said within {minutes} minutes.",
    ErrorCode.NOT_SAVED: "the server's disk does not respond; nothing was done. Try again later.",
    ErrorCode.PASSWORD_NEEDED: "{name} needs a password.",
    ErrorCode.WRONG_PASSWORD: "wrong password for {name}.",
    ErrorCode.NOT_A_MEMBER: "wrong name or password: {name}.",
    ErrorCode.PASSWORD_LENGTH: "a password must have {least} to {most} printable characters.",
    ErrorCode.PASSWORD_IN_CLEAR: "this connection is not encrypted; use TLS.",
    ErrorCode.TOO_OFTEN: "too many attempts; wait a few minutes.",
    ErrorCode.BUSY: "the server is busy. Try again.",
    ErrorCode.NAME_REGISTERED: "{name} is registered.",
    ErrorCode.NAME_NOT_YOURS: "you do not own {name}.",
    ErrorCode.NOT_REGISTERED: "your name is not registered.",
    ErrorCode.NO_ACCOUNTS: "this server has no accounts.",
    ErrorCode.TOO_MANY_ACCOUNTS: "there are too many registered names.",
    ErrorCode.LETTERBOX_FULL: "too many messages are waiting for {name} already.",
    ErrorCode.LINE_DISCARDED: "that line was discarded, since it may be a password.",
    ErrorCode.TOO_MANY_UNREAD: "{name} has not read your last {limit} messages yet.",
    ErrorCode.TOO_MANY_WORDS: "a search can have at most {limit} words.",
    ErrorCode.TOO_SLOW: "that search takes too long. Use rarer or longer words.",
}

_CLOSINGS: Mapping[CloseReason, str] = {
    CloseReason.EXIT: "Goodbye.",
    CloseReason.REFUSED: "Goodbye: too many failed attempts.",
    CloseReason.LONG_LINE: "Goodbye: that line was too long.",
    CloseReason.SHUTDOWN: "The server is shutting down. Goodbye.",
    CloseReason.LATE: "Goodbye: you did not log in in time.",
    CloseReason.TAKEN_OVER: "Goodbye: you logged in elsewhere.",
    CloseReason.KICKED: "Goodbye: the operator has ended your connection.",
    CloseReason.MALFORMED: "Goodbye: what you sent makes no sense here.",
    CloseReason.CLAIMED: "Goodbye: your name is registered, and its owner has logged in.",
    CloseReason.PASSWORD_CHANGED: "Goodbye: your password was changed.",
    CloseReason.UNREGISTERED: "Goodbye: your name is no longer registered.",
}

_CHANGES: Mapping[Change, str] = {
    Change.REGISTERED: "{name} is now registered to you.",
    Change.PASSWORD: "Password changed.",
    Change.UNREGISTERED: "{name} is no longer registered.",
    Change.OPERATOR: "{name} is now an operator of this server.",
    Change.NO_OPERATOR: "{name} is no longer an operator of this server.",
}

# What each command does, for /help and completion; by the command's name.
_COMMANDS: Mapping[str, str] = {
    "me": "say what you are doing",
    "msg": "send a private message",
    "reply": "answer the last private message",
    "away": "tell others that you do not answer for now",
    "back": "end that you are away",
    "who": "list who is online, or in a room",
    "whois": "show who somebody is",
    "nick": "change your name",
    "history": "show the last messages again",
    "search": "find messages",
    "join": "join a room, or make one, and speak there",
    "part": "leave a room",
    "switch": "speak in another of your rooms",
    "in": "say one line in another room",
    "rooms": "list the rooms",
    "topic": "show or set the topic of the room",
    "private": "admit only people who are invited to the room",
    "public": "open the room to everyone",
    "invite": "invite somebody into the room",
    "quiet": "hide comings and goings in the room, or show them",
    "report": "tell those in charge, and nobody else, that somebody misbehaves",
    "delete": "delete what you have just said",
    "ignore": "hear nothing of what somebody says",
    "unignore": "hear somebody again",
    "slow": "let each person say one message in so many seconds",
    "kick": "remove somebody from the room",
    "ban": "keep somebody out of the room",
    "unban": "end a ban",
    "bans": "list the bans and mutes of the room",
    "mute": "let somebody hear and not be heard in the room",
    "unmute": "end a mute",
    "op": "put somebody in charge of the room, too",
    "deop": "end that somebody is in charge of the room",
    "founder": "give the room to somebody",
    "announce": "say something to everyone in the chat",
    "register": "register your name",
    "password": "change your password",
    "unregister": "unregister your name",
    "help": "list the commands, or explain one",
    "exit": "leave the chat",
}


# What /help tells of one command beside what it does, by the command's name.
_DETAILS: Mapping[str, str] = {
    "me": "Everyone in the room reads it as: * NAME ACTION",
    "msg": "Only NAME reads it. If NAME is registered and away, it is delivered later.",
    "reply": "It goes to whoever last wrote to you, or you last wrote to.",
    "away": "For example: /away lunch. Whoever writes to you alone is told so once, and /who and "
    "/whois show it. It holds, whatever you say, until /back.",
    "back": "It also ends when you leave the chat.",
    "who": "Without ROOM, everyone who is online is listed.",
    "whois": "It shows since when they are here, whether their name is registered, "
    "and which rooms you share.",
    "nick": "Everyone is told. If the new name is registered, you are asked for its password.",
    "history": "N is 20 if it is left out, and 200 at most. Times are those of UTC.",
    "search": "It shows the newest 20 messages in your rooms that contain all WORDS, "
    "or words that begin with them.",
    "join": "The # before a room's name may be left out. Whoever makes a room is its founder.",
    "part": "Without ROOM, you leave the one in which you speak.",
    "switch": "What you say from then on is said in ROOM.",
    "in": "You stay where you are.",
    "rooms": "Rooms to which you are not invited are not listed. With the name of a room, those "
    "that come after it are.",
    "topic": "Without TEXT, it is shown. Only those in charge of a room can set it.",
    "private": "Only those in charge of a room can do that. Others no longer see that it exists.",
    "public": "Only those in charge of a room can do that. What was said before stays private.",
    "invite": "Only those in charge of a room can do that. An invitation holds for a week.",
    "quiet": "With neither on nor off, it changes from one to the other. Others do not notice.",
    "report": "For example: /report Eve she sends everyone advertisements. It goes to those in "
    "charge of the room and of the server; if none is here, it is kept for them. NAME is not told.",
    "delete": "Without N, your last message in the room; you have 15 minutes. Those in charge can "
    "delete anybody's last messages: /delete Eve 3. What people have seen, they have seen.",
    "ignore": "Neither in rooms nor in private, under whatever name they take. They are not told. "
    "It holds until /unignore; if your name is not registered, as long as you stay. Without NAME, "
    "those whom you ignore are listed.",
    "unignore": "What they have said meanwhile is in /history.",
    "slow": "For example: /slow 30. Those in charge are exempt. /slow 0 ends it.",
    "kick": "They can come back. From the lobby, or with server before NAME, they have to leave "
    "the chat.",
    "ban": "For example: /ban Eve 2h spam. Without TIME (30m, 2h, 7d) it is for good. With server "
    "before NAME, it holds in the whole chat. NAME need not be here.",
    "unban": "With server before NAME, in the whole chat.",
    "bans": "It shows whom, by whom, until when and why. With server, those of the whole chat.",
    "mute": "For example: /mute Eve 30m. Without TIME (30m, 2h, 7d) it is for good. With server "
    "before NAME, it holds in the whole chat.",
    "unmute": "With server before NAME, in the whole chat.",
    "op": "Only the founder of a room can do that. NAME must be registered.",
    "deop": "Only the founder of a room can do that; anyone in charge can give it up.",
    "announce": "Only operators of the server can do that. It is said in the server's name.",
    "founder": "Only operators of the server can do that. NAME must be registered.",
    "register": "Nobody else can use the name then. A password has 8 characters or more.",
    "password": "You are asked for your present password next.",
    "unregister": "You are asked for your password next. Messages that wait for you are deleted.",
    "help": "For example: /help join",
    "exit": "Closing the connection is leaving, too.",
}


# What follows a command's name, by that name.
_ARGUMENTS: Mapping[str, str] = {
    "me": "ACTION",
    "msg": "NAME TEXT",
    "reply": "TEXT",
    "away": "[TEXT]",
    "nick": "NAME",
    "history": "[N]",
    "search": "WORDS",
    "who": "[ROOM]",
    "whois": "NAME",
    "join": "ROOM",
    "part": "[ROOM]",
    "switch": "ROOM",
    "in": "ROOM TEXT",
    "topic": "[TEXT]",
    "invite": "NAME",
    "quiet": "[on|off]",
    "report": "NAME REASON",
    "delete": "[NAME] [N]",
    "ignore": "[NAME]",
    "unignore": "NAME",
    "slow": "SECONDS",
    "kick": "[server] NAME [REASON]",
    "ban": "[server] NAME [TIME] [REASON]",
    "unban": "[server] NAME",
    "bans": "[server]",
    "mute": "[server] NAME [TIME] [REASON]",
    "unmute": "[server] NAME",
    "op": "NAME",
    "deop": "NAME",
    "founder": "NAME",
    "announce": "TEXT",
    "register": "PASSWORD",
    "password": "NEW",
    "help": "[COMMAND]",
}

# What a field of an object must be, by the code of a `FieldKind`.
_KINDS: Mapping[str, str] = {
    "string": "string",
    "boolean": "true or false",
    "number": "number",
    "time": "time",
    "natural": "integer from {}",
    "integer": "integer from {} to {}",
}


def _counted(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _private(count: int) -> str:
    return "1 private message" if count == 1 else f"{count} private messages"


def _some(names: Sequence[str]) -> str:
    """``Alice, Bob, Carol and 497 others``: a list that does not grow with the crowd."""
    if len(names) <= MAX_NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:MAX_NAMED])} and {len(names) - MAX_NAMED} others"


def _joined(names: Sequence[str]) -> str:
    return f"{_some(names)} {'has' if len(names) == 1 else 'have'} joined the chat."


def _left(names: Sequence[str]) -> str:
    return f"{_some(names)} {'has' if len(names) == 1 else 'have'} left the chat."


def _lost(names: Sequence[str]) -> str:
    has = "has" if len(names) == 1 else "have"
    return f"{_some(names)} {has} left the chat (connection lost)."


def _joined_room(names: Sequence[str], room: str) -> str:
    """`room` is empty where the line says it already."""
    has = "has" if len(names) == 1 else "have"
    return f"{_some(names)} {has} joined{f' #{room}' if room else ''}."


def _left_room(names: Sequence[str], room: str) -> str:
    has = "has" if len(names) == 1 else "have"
    return f"{_some(names)} {has} left{f' #{room}' if room else ''}."


def _messages_of(name: str, count: int) -> str:
    return f"{'a message' if count == 1 else f'{count} messages'}{f' from {name}' if name else ''}"


def _deleted(name: str, by: str, count: int) -> str:
    return f"{by} has deleted {_messages_of('' if name == by else name, count)}."


def _tombstone(name: str, by: str) -> str:
    return f"A message from {name} was deleted{'' if name == by else f' by {by}'}."


def _for(why: str) -> str:
    return f": {why}" if why else "."


def _removed(names: Sequence[str], by: str, why: str, chat: bool) -> str:
    return f"{by} has removed {_some(names)}{' from the chat' if chat else ''}{_for(why)}"


def _you_removed(by: str, room: str, why: str) -> str:
    return f"{by} has removed you from {f'#{room}' if room else 'the chat'}{_for(why)}"


def _reported(event: Reported, room: str, at: str) -> str:
    """`at`: when it was, unless it has just happened."""
    where = f" in #{room}" if room else ""
    when = f" on {at}" if at else ""
    return f"{event.by} has reported {event.name}{where}{when}: {event.why}"


def _bans_heading(count: int, earlier: int, where: str) -> str:
    if not count:
        return f"Nobody is banned or muted in {where}."
    newest = f", the newest {count}" if earlier else ""
    return f"{count + earlier} banned or muted in {where}{newest}:"


# Whom a ban or mute holds: the owner of an account, or a guest; and newcomers from their network.
_WHOM: Mapping[tuple[bool, bool], str] = {
    (False, False): "guests of that name",
    (False, True): "guests of that name, and new guests from their network",
    (True, False): "the account",
    (True, True): "the account, and new guests from their network",
}

_ROLES: Mapping[Role, str] = {
    Role.MEMBER: "{by} has removed {name} as operator of the room.",
    Role.OPERATOR: "{by} has put {name} in charge of the room.",
    Role.FOUNDER: "{by} has given the room to {name}.",
}


def _people_in_room(room: str, names: Sequence[str]) -> str:
    return f"In #{room} ({len(names)}): {', '.join(names)}"


def _room(room: RoomInfo) -> Sequence[str]:
    people = "1 person" if room.people == 1 else f"{room.people} people"
    private = ", private" if room.private else ""
    slow = f", slow: {room.slow} s" if room.slow else ""
    topic = f": {room.topic}" if room.topic else ""
    return (f"#{room.room} ({people}{private}{slow}){topic}",)


def _rooms_heading(count: int) -> str:
    return "1 room:" if count == 1 else f"{count} rooms:"


def _is_away(name: str, text: str) -> str:
    return f"{name} is away{_for(text)}"


def _you_are_away(text: str) -> str:
    return f"You are now away{_for(text)}"


def _person(person: Person, since: str) -> Sequence[str]:
    registered = "registered" if person.registered else "not registered"
    lines = [f"{person.name} ({registered}) has been here since {since}."]
    if person.away is not None:
        lines.append(_is_away(person.name, person.away))
    if person.rooms:
        lines.append("Rooms in common: " + ", ".join(f"#{room}" for room in person.rooms))
    return lines


Counted = Callable[[int], str]
Named = Callable[[Sequence[str]], str]


def _queued(count: int) -> str:
    return "1 message queued" if count == 1 else f"{count} messages queued"


def _pasted(count: int) -> str:
    return f"{count} lines pasted. Enter sends them, Ctrl-C drops them."


def _maybe_unsent(count: int) -> str:
    return f"your last {'line' if count == 1 else f'{count} lines'} may not have been sent."


def _typing(names: Sequence[str]) -> str:
    match names:
        case [name]:
            return f"{name} is typing…"
        case [one, other]:
            return f"{one} and {other} are typing…"
        case _:
            return "several people are typing…"


# What is wrong with a certificate, by OpenSSL's number for it.
_FAULTS: Mapping[int, str] = {
    9: "is not valid yet",
    10: "has expired",
    19: "is vouched for by an authority that this system does not know",
    20: "is vouched for by an authority that this system does not know",
    21: "is not vouched for by anyone that this system knows",
}


@dataclass(frozen=True)
class ClientWords:
    """The words that our own clients add to those of the server."""

    # Why there is no connection, or will be none.
    closed: str = "the server closed the connection"
    closed_silently: str = (
        "the server closed the connection without a word; if it expects TLS, use TLS (--tls)"
    )
    silent: str = "what listens there does not answer as a chat; if it expects TLS, use TLS (--tls)"
    no_chat: str = "what listens there does not answer as a chat"
    lost: str = "the connection was lost"
    no_host: str = "there is no such host"
    no_answer: str = "there is no answer"
    no_goodbye: str = "the server does not say goodbye"
    long_line: str = "the server sent a line of more than {limit} bytes"
    too_much: str = "the server sends more than can be kept"
    tls_wanted: str = "the server expects TLS on this port; use TLS (--tls), or its plain port"
    tls_unknown: str = (
        "the server does not speak TLS on this port; leave out TLS (--tls), or use its TLS port"
    )
    tls_failed: str = "TLS: {reason}"
    fault: str = "a fault in the client: {error}"
    taken_over: str = "You logged in elsewhere."
    claimed: str = "Your name is registered, and its owner has logged in."
    kicked: str = "The operator has ended your connection."
    password_changed: str = "Your password was changed."
    unregistered: str = "Your name is no longer registered."
    left: str = "You have left the chat."
    # The connection, as it is told.
    disconnected: str = "Disconnected."
    disconnected_because: str = "Disconnected: {reason}."
    cannot_connect: str = "Cannot connect to {where}: {reason}."
    retrying_in: str = "Retrying in {seconds} s."
    retrying: str = "Retrying."
    # The status line.
    connected: str = "connected to {where}"
    connecting: str = "connecting to {where}…"
    catching_up: str = "catching up…"
    offline: str = "offline, retrying in {seconds} s"
    leaving: str = "leaving… {key} leaves at once"
    queued: Counted = _queued
    online: str = "{count} online"
    typing: Named = _typing
    room_lost: str = "*** You are not in #{room} any more: {why}"
    was_private: str = "it takes an invitation."
    # What becomes of a request, or of a line.
    unsure: str = "The connection broke: it may not have arrived."
    backlog: str = "Too much else has arrived before the answer."
    odd_answer: str = "The server gave an answer that does not fit."
    after_leaving: str = "not sent, since you have left: {line}"
    maybe_unsent: Counted = _maybe_unsent
    this_maybe_unsent: str = "this may not have been sent: {line}"
    left_in_line: str = "Not sent: {line}"
    not_connected: str = "Not connected: that was not sent."
    no_connection_yet: str = "There is no connection yet. Press Enter again when there is one."
    long_input: str = "a line has more than {limit} bytes."
    nobody_reads: str = "Nobody reads what this prints."
    more_lines: str = "and more lines, which were not read."
    public_action: str = "an action is shown to everyone; say it where you talk to everyone."
    pasted: Counted = _pasted
    # What is asked, and what came while you were away.
    password: str = "Password: "
    while_away: str = "(while you were away)"
    # Passwords over connections that are not encrypted.
    password_in_clear: str = "The password was not sent: this connection is not encrypted."
    password_in_clear_pinned: str = (
        "The password was not sent: this connection is not encrypted, but this server has been "
        "reached over TLS before."
    )
    use_tls: str = "Use TLS (--tls), or else --allow-plaintext-password."
    use_password_file: str = "Its password can be given with --password-file FILE."
    # Certificates.
    first_time: str = (
        "First time at {where}. Its certificate is self-signed; from now on it must have this "
        "fingerprint (SHA-256), which its operator can confirm: {shown}"
    )
    certificate_changed: str = (
        "WARNING: the certificate of {where} has changed. It was {known}; now it is {shown}. "
        "Somebody may be intercepting the connection. If its operator has made a new one, have "
        "them confirm that, and remove its line in {file}."
    )
    from_authority: str = "one that an authority vouches for"
    not_the_fingerprint: str = (
        "WARNING: the certificate of {where} is not the one that --fingerprint names; it is "
        "{shown}."
    )
    faulty_certificate: str = "The certificate of {where} {faults}."
    faults: Mapping[int, str] = field(default_factory=lambda: _FAULTS)
    other_fault: str = "has fault {number}"
    and_: str = " and "
    other_server: str = "The certificate of {where} is for another server, not for {host}."
    not_remembered: str = "{where} cannot be remembered: {error}"


@dataclass(frozen=True)
class Catalogue:
    """The words of one language (by default English).

    Texts are templates for `str.format`; where a language has more than one form, they are
    functions of the number or the names. What stands around them (``***``, ``[A -> you]``, times)
    is the text dialect's.
    """

    foreign: str = "This is a chat server. Connect with nc, telnet or a chat client."
    question: str = "What is your name?"
    password_question: str = "Password for {name}:"
    welcome: str = "Welcome {name}, you are connected to the server."
    help_hint: str = "Type /help for a list of commands."
    help_in_charge: str = "Those in charge of a room also have {commands}."
    online: str = "Online ({count}): {names}"
    joined: Named = _joined
    left: Named = _left
    lost: Named = _lost
    joined_room: Callable[[Sequence[str], str], str] = _joined_room
    left_room: Callable[[Sequence[str], str], str] = _left_room
    people_in_room: Callable[[str, Sequence[str]], str] = _people_in_room
    room: Callable[[RoomInfo], Sequence[str]] = _room
    rooms_heading: Counted = _rooms_heading
    more_rooms: str = "{count} more: /rooms {room} lists those that come next."
    person: Callable[[Person, str], Sequence[str]] = _person
    away_list: str = "Away: {names}"
    is_away: Callable[[str, str], str] = _is_away
    you_are_away: Callable[[str], str] = _you_are_away
    away_unexplained: str = "Away"
    back: str = "You are no longer away."
    ignoring: str = "You no longer hear {name}."
    not_ignoring: str = "You hear {name} again."
    ignored: str = "You ignore: {names}"
    nobody_ignored: str = "You ignore nobody."
    topic: str = "Topic of #{room}: {topic}"
    no_topic: str = "#{room} has no topic."
    room_left: str = "You have left #{room}. You are now speaking in #{current}."
    invitation_sent: str = "{name} is invited to #{room}."
    topic_changed: str = "{name} has set the topic: {topic}"
    topic_removed: str = "{name} has removed the topic."
    made_private: str = "{name} has made the room private: only invited people can join."
    made_public: str = "{name} has made the room public."
    made_slow: str = (
        "{name} has slowed the room down: one message from each person every {seconds} s."
    )
    made_quick: str = "{name} has ended the slow mode of the room."
    removed: Callable[[Sequence[str], str, str, bool], str] = _removed
    you_removed: Callable[[str, str, str], str] = _you_removed
    roles: Mapping[Role, str] = field(default_factory=lambda: _ROLES)
    resigned: str = "{name} is no longer in charge of the room."
    deleted: Callable[[str, str, int], str] = _deleted
    tombstone: Callable[[str, str], str] = _tombstone
    operator: str = "The operator"
    operator_within: str = "the operator"  # within a sentence
    banned: str = "{by} has banned {name}{where}{until}{why}"
    muted: str = "{by} has muted {name}{where}{until}{why}"
    unbanned: str = "{by} has ended the ban of {name}{where}."
    unmuted: str = "{by} has ended the mute of {name}{where}."
    everywhere: str = " in the whole chat"
    whole_chat: str = "the whole chat"
    until: str = " until {at}"
    why: str = ": {why}"
    bans_heading: Callable[[int, int, str], str] = _bans_heading
    listed_ban: str = "{name} is banned ({whom}) by {by} since {at}{until}"
    listed_mute: str = "{name} is muted ({whom}) by {by} since {at}{until}"
    whom: Mapping[tuple[bool, bool], str] = field(default_factory=lambda: _WHOM)
    reported: Callable[[Reported, str, str], str] = _reported
    report_passed_on: str = "Your report was passed on to those in charge."
    report_kept: str = "Nobody in charge is here. Your report is kept for them."
    quiet: str = "Comings and goings in #{room} are now hidden."
    not_quiet: str = "Comings and goings in #{room} are now shown."
    invited: str = "{name} invites you to #{room}. Type /join {room} to join."
    renamed: str = "{old} is now known as {new}."
    you: str = "you"
    waiting: str = "(will be delivered when {name} returns)"
    skipped: str = "You missed {messages}: your connection was too slow."
    not_saving: str = "Messages are not being saved at the moment: {trouble}."
    saving: str = "Messages are being saved again."
    saving_lost: str = "Messages are being saved again, but {messages} could not be kept."
    goodbye: str = "Goodbye, {name}."
    error: str = "Error: {message}"
    counted: Counted = _counted
    away: str = "{messages} while you were away"
    gone: str = "({messages} before that are no longer kept)"
    private: Counted = _private
    no_messages: str = "No messages."
    found: str = "{messages} found:"
    newest_found: str = "The newest {messages} found:"
    last: str = "The last {messages}:"
    last_one: str = "The last message:"
    errors: Mapping[ErrorCode, str] = field(default_factory=lambda: _ERRORS)
    closings: Mapping[CloseReason, str] = field(default_factory=lambda: _CLOSINGS)
    changes: Mapping[Change, str] = field(default_factory=lambda: _CHANGES)
    commands: Mapping[str, str] = field(default_factory=lambda: _COMMANDS)
    arguments: Mapping[str, str] = field(default_factory=lambda: _ARGUMENTS)
    details: Mapping[str, str] = field(default_factory=lambda: _DETAILS)
    aliases: str = "Also: {aliases}"
    kinds: Mapping[str, str] = field(default_factory=lambda: _KINDS)
    kind_list: str = "list of {kind}"
    kind_choice: str = "one of {values}"
    kind_or: str = " or "
    space: str = "a space"
    troubles: Mapping[str, str] = field(
        default_factory=lambda: {each: each for each in (SLOW_DISK, NO_DATABASE)}
    )
    client: ClientWords = field(default_factory=ClientWords)

    def refusal(self, refusal: Refusal) -> str:
        """Why something was refused."""
        details: dict[str, object] = dict(refusal.details)
        if isinstance(kind := details.get("kind"), FieldKind):
            details["kind"] = self.kind(kind)
        if details.get("character") == " ":
            details["character"] = self.space
        if details.get("room") == ALL_ROOMS:
            details["room"] = self.whole_chat
        if isinstance(until := details.get("until"), int):
            at = f"{datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC"
            details["until"] = self.until.format(at=at) if until else ""
        if refusal.code is ErrorCode.USAGE:
            details["usage"] = self.usage(str(details["command"]))
        return self.errors[refusal.code].format_map(details)

    def usage(self, command: str) -> str:
        """How the command of that name is typed."""
        return f"/{command} {self.arguments.get(command, '')}".rstrip()

    def explained(self, command: str, aliases: Sequence[str]) -> list[str]:
        """What /help tells of one command, whose other names are `aliases`."""
        lines = [f"{self.usage(command)}  {self.commands[command]}", self.details[command]]
        if aliases:
            others = ", ".join(f"/{alias}" for alias in aliases)
            lines.append(self.aliases.format(aliases=others))
        return lines

    def kind(self, kind: FieldKind) -> str:
        """What a field must be."""
        values = [self.kind(v) if isinstance(v, FieldKind) else v for v in kind.values]
        match kind.code:
            case "list":
                return self.kind_list.format(kind=values[0])
            case "choice":
                return self.kind_choice.format(values=", ".join(f"`{value}`" for value in values))
            case "object":
                return self.kind_or.join(f"`{value}`" for value in values)
            case _:
                return self.kinds[kind.code].format(*values)

    def trouble(self, trouble: str) -> str:
        """Why messages are not being saved; most often in the words of the system."""
        return self.troubles.get(trouble, trouble)

    def heading(
        self, reason: ReplayReason, count: int, *, gone: int = 0, more: bool = False
    ) -> str:
        """What stands above messages that are shown again. `gone`: so many before them are not
        kept any more; `more`: there may be older ones."""
        messages = self.counted(count)
        match reason:
            case ReplayReason.AWAY:
                missed = self.away.format(messages=messages)
                if gone:
                    missed += " " + self.gone.format(messages=self.counted(gone))
                return missed + (":" if count else ".")
            case ReplayReason.LETTERS:
                return self.away.format(messages=self.private(count)) + ":"
            case _ if not count:
                return self.no_messages
            case ReplayReason.FOUND:
                return (self.newest_found if more else self.found).format(messages=messages)
            case ReplayReason.RECENT:
                return self.last_one if count == 1 else self.last.format(messages=messages)


ENGLISH = Catalogue()
