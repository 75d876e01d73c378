"""PRIVMSG, NOTICE and TAGMSG."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chatservice.core import requests
from chatservice.core.chat import MAX_BURST
from chatservice.core.events import ErrorCode, Refusal, Rendered, Sent, Style, Told
from chatservice.core.sanitize import safe_lines, sanitize
from chatservice.core.users import Absence, User
from chatservice.dialects.irc.capabilities import Cap
from chatservice.dialects.irc.dialect import Personal, plain_text, safe_formatting
from chatservice.dialects.irc.message import MAX_LINE, Message, serialise
from chatservice.dialects.irc.numerics import Numeric
from chatservice.session import talk
from chatservice.session.irc.network import irc_sessions

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession

MAX_TARGETS = 4  # of one message
_ACTION = re.compile(r"\x01ACTION ?([^\x01]*)\x01?")
_TYPING = ("+typing", "+draft/typing")


async def tagmsg(session: "IrcSession", message: Message) -> None:
    """Tags without a text: that somebody is typing, a reaction. They are not kept."""
    if Cap.MESSAGE_TAGS not in session.caps:
        session.reply(Numeric.UNKNOWNCOMMAND, "TAGMSG")
        return
    tags = _client_tags(message)
    for target in _targets(session, message):
        if target.startswith("#"):
            room = session.services.chat.own_room(session.user, target)
            typing = next((tags[key] for key in _TYPING if key in tags), None)
            if typing is not None and len(tags) == 1:
                on = typing == "active"
                talk.set_typing(session, requests.SetTyping(on, room.name))
                _echo_tags(session, f"#{room.name}", tags, session.network.new_id())
                continue
            session.services.chat.moderation.expect_voice(session.user, room.name)
            shown, people = f"#{room.name}", list(room.members)
        else:
            session.services.chat.moderation.expect_voice(session.user)
            user = session.services.chat.directory.user(target)
            shown, people = user.name, [user]
        _relay_tags(session, shown, people, tags)


def _relay_tags(
    session: "IrcSession", shown: str, people: list[User], tags: dict[str, str]
) -> None:
    """Those at IRC doors who have asked for tags hear them."""
    msgid = session.network.new_id()
    for user in people:
        for other in irc_sessions(user):
            if Cap.MESSAGE_TAGS in other.caps and (other is not session or shown == user.name):
                other.tell(Rendered(_tagmsg(session, other.personal, shown, tags, msgid)))
    _echo_tags(session, shown, tags, msgid)


def _echo_tags(session: "IrcSession", shown: str, tags: dict[str, str], msgid: str) -> None:
    if Cap.ECHO_MESSAGE in session.caps:
        stamped = session.personal.stamp(session.services.chat.now(), msgid, session.nick, tags)
        session.say("TAGMSG", shown, source=session.source, tags=stamped)


def _tagmsg(
    session: "IrcSession", heard: Personal, shown: str, tags: dict[str, str], msgid: str
) -> bytes:
    stamped = heard.stamp(session.services.chat.now(), msgid, session.nick, tags)
    return serialise("TAGMSG", shown, source=session.source, tags=stamped)


async def say(session: "IrcSession", message: Message, *, notice: bool) -> None:
    """Say something, in rooms or to people. Nobody answers a notice by itself; neither does the
    server."""
    if not message.parameters:
        if not notice:
            session.reply(Numeric.NORECIPIENT)
        return
    text = message.parameters[1] if len(message.parameters) > 1 else ""
    if not text:
        if not notice:
            session.reply(Numeric.NOTEXTTOSEND)
        return
    if not _fits(session, message, text):
        session.reply(Numeric.INPUTTOOLONG)
        return
    session.network.profile(session.user).spoke = session.services.chat.now()
    for target in _targets(session, message):
        try:
            if target.startswith("#"):
                _say_in_room(session, target, text, message, notice=notice)
            else:
                await _tell(session, target, text, message, notice=notice)
        except Refusal as refusal:
            if not notice:
                _refuse(session, target, refusal)


async def say_multiline(
    session: "IrcSession",
    target: str,
    message: Message,
    lines: Sequence[tuple[str, bool]],
    *,
    notice: bool,
) -> None:
    """One message of several lines: each, and whether it goes on with the one before."""
    whole: list[str] = []
    for line, goes_on in lines:
        if goes_on:
            whole[-1] += line
        else:
            whole.append(line)
    session.network.profile(session.user).spoke = session.services.chat.now()
    try:
        if not target.startswith("#"):
            for text in filter(str.strip, whole):
                await _tell(session, target, text, message, notice=notice)
            return
        said = tuple(text for text in map(plain_text, whole) if text.strip())
        raw, continued = zip(*lines, strict=True)
        formatted = tuple(map(safe_formatting, raw))
        style = Style(notice, tuple(_client_tags(message).items()), formatted, continued)
        room = session.services.chat.own_room(session.user, target).name
        for text in said:
            session.charge(requests.Say(text, room))
        talk.say_all(session, said, room, style)
        if session.ref is not None:
            session.answered_by_the_log()
    except Refusal as refusal:
        if not notice:
            _refuse(session, target, refusal)


def _refuse(session: "IrcSession", target: str, refusal: Refusal) -> None:
    match refusal.code:
        case ErrorCode.NOBODY | ErrorCode.GONE:
            session.reply(Numeric.NOSUCHNICK, target)
        case ErrorCode.UNKNOWN_ROOM:
            session.reply(Numeric.NOSUCHCHANNEL, target)
        case ErrorCode.NOT_IN_ROOM:
            session.reply(Numeric.CANNOTSENDTOCHAN, target)
        case ErrorCode.MUTED:
            words = session.network.dialects.scene.words.refusal(refusal)
            session.reply_with(Numeric.CANNOTSENDTOUSER, target, words)
        case _:
            session.reply_refusal(refusal)


def say_lines(session: "IrcSession", data: bytes) -> int:
    """Say all that `data`, some complete lines, says in one room at once. Returns how many lines
    these are; 0: there is something else in it, or something that needs a closer look."""
    end = data.find(b" :") + 2
    before = data[:end]
    count = data.count(b"\n")
    if end < len("PRIVMSG #a :") or before.count(b" ") != 2 or b"," in before:
        return 0
    if count > MAX_BURST or data.count(b"\n" + before) + 1 != count:
        return 0
    lines = safe_lines(data)
    if lines is None:
        return 0
    shown_before = before.decode()
    texts = tuple([line[len(shown_before) :] for line in lines])
    longest = max(map(len, texts)) if data.isascii() else max(len(t.encode()) for t in texts)
    room = session.services.chat.directory.room(shown_before[len("PRIVMSG ") : -2])
    if (
        room is None
        or room.name not in session.user.rooms
        or longest + len(f":{session.source} PRIVMSG #{room.name} :\r\n".encode()) > MAX_LINE
        or not all(map(str.strip, texts))
    ):
        return 0
    session.network.profile(session.user).spoke = session.services.chat.now()
    talk.say_all(session, texts, room.name)
    return count


def _fits(session: "IrcSession", message: Message, text: str) -> bool:
    """Whether others can be sent it in one line, with whose it is before it. (What is said at other
    doors is split.)"""
    longest = max(message.parameters[0].split(","), key=len)
    line = f":{session.source} {message.command} {longest} :{text}\r\n"
    return len(line.encode()) <= MAX_LINE


def _targets(session: "IrcSession", message: Message) -> list[str]:
    targets = message.parameters[0].split(",") if message.parameters else []
    if len(targets) > MAX_TARGETS:
        session.reply(Numeric.TOOMANYTARGETS, targets[MAX_TARGETS])
    return targets[:MAX_TARGETS]


def _client_tags(message: Message) -> dict[str, str]:
    return {
        sanitize(key): sanitize(value) for key, value in message.tags.items() if key.startswith("+")
    }


def _styled(text: str, message: Message, *, notice: bool) -> tuple[str, Style | None]:
    """What all doors show, and what IRC's do."""
    plain = plain_text(text)
    tags = tuple(_client_tags(message).items())
    formatted = safe_formatting(text)
    raw = (formatted,) if formatted != plain else ()
    return plain, Style(notice, tags, raw) if notice or tags or raw else None


def _say_in_room(
    session: "IrcSession", target: str, text: str, message: Message, *, notice: bool
) -> None:
    chat = session.services.chat
    room = chat.own_room(session.user, target).name
    action = None if notice else _ACTION.fullmatch(text)
    if action is not None:
        plain = plain_text(action[1])
        emote = requests.Emote(plain, room)
        session.charge(emote)
        talk.emote(session, emote)
    else:
        plain, style = _styled(text, message, notice=notice)
        session.charge(requests.Say(plain, room))
        talk.say_all(session, (plain,), room, style)
    if session.ref is not None:
        session.answered_by_the_log()


async def _tell(
    session: "IrcSession", target: str, text: str, message: Message, *, notice: bool
) -> None:
    services, user = session.services, session.user
    action = None if notice else _ACTION.fullmatch(text)
    plain, style = _styled(text, message, notice=notice)
    if action is not None:
        plain = f"* {user.name} {plain_text(action[1])}"
    session.charge(requests.Tell(target, plain))
    sent: Sent = await services.offline_messages.send(user, session, target, plain, style)
    if sent.away is not None:
        words = session.network.words_of(Absence(sent.away))
        session.reply_with(Numeric.AWAY, sent.recipient, words)
    if sent.waiting and not notice:
        words = session.network.dialects.scene.words.waiting.format(name=sent.recipient)
        session.say("NOTICE", session.nick, words)
    if Cap.ECHO_MESSAGE in session.caps:
        told = Told(sent.id, sent.at, user.name, sent.recipient, plain, style=style)
        session.echo(told)
