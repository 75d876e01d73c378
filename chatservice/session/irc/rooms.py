"""Rooms, which are channels in IRC."""

import re
from collections.abc import Iterator
from fnmatch import translate
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from chatservice.core import requests
from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.moderation import MAX_TOPIC
from chatservice.core.room import Room
from chatservice.core.users import User
from chatservice.dialects.irc.capabilities import Cap
from chatservice.dialects.irc.dialect import plain_text
from chatservice.dialects.irc.message import Message, pack
from chatservice.dialects.irc.numerics import Numeric
from chatservice.session import rooms
from chatservice.session.asker import committed

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession

# Rooms in one JOIN, PART or NAMES.
MAX_TARGETS = 10
NAMES_IN_LINE = 380  # bytes
# Of a mask: nothing that it could fit is longer, and each star takes some 20 microseconds.
MAX_MASK, MAX_STARS = 120, 10


def shown(room: Room) -> str:
    """The name of a channel."""
    return f"#{room.name}"


def prefix(room: Room, user: User, *, multi: bool) -> str:
    """What stands before the name of a member: ``~`` of the founder who has an account, ``@`` of
    one who has none, whose room goes with them, and of operators."""
    if not room.is_founder(user):
        return "@" if user.account in room.operators else ""
    if user.account is None:
        return "@"
    return "~@" if multi else "~"


def _several(names: str) -> list[str]:
    return names.split(",")[:MAX_TARGETS]


async def join(session: "IrcSession", message: Message) -> None:
    """Come into rooms; ``0``: leave all."""
    if message.parameters[0] == "0":
        for name in session.user.sorted_rooms:
            await _part(session, name)
        return
    for name in _several(message.parameters[0]):
        if not name.startswith("#"):
            session.reply(Numeric.NOSUCHCHANNEL, name)
            continue
        try:
            await _join(session, name)
        except Refusal as refusal:
            _refuse_join(session, name, refusal)


def _refuse_join(session: "IrcSession", name: str, refusal: Refusal) -> None:
    match refusal.code:
        case ErrorCode.CANNOT_JOIN:
            session.reply(Numeric.INVITEONLYCHAN, name)
        case ErrorCode.TOO_MANY_ROOMS:
            session.reply(Numeric.TOOMANYCHANNELS, name)
        case ErrorCode.BANNED:
            words = session.network.dialects.scene.words.refusal(refusal)
            session.reply_with(Numeric.BANNEDFROMCHAN, name, words)
        case code if code.startswith("name_"):
            words = session.network.dialects.scene.words.refusal(refusal)
            session.reply_with(Numeric.NOSUCHCHANNEL, name, words)
        case _:
            session.reply_refusal(refusal)


async def _join(session: "IrcSession", name: str) -> None:
    chat, user = session.services.chat, session.user
    network = session.peer.network
    session.charge(requests.Join(name))
    enter = partial(chat.join_room, user, session, name, network)
    entry = await committed(lambda then: enter(then=then))
    if entry is None:  # they are there already
        session.answered_by_the_log()
        return
    room = chat.own_room(user, name)
    session.deliver_reports()
    session.note("{name} has joined #{room}.", name=user.name, room=room.name)
    show(session, room)
    session.network.tell_of_absence(session, room)


def show(session: "IrcSession", room: Room) -> None:
    """They are in `room`: what it is, and who is there."""
    facts = session.network.facts(session.nick)
    extended = (facts.account or "*", facts.realname) if Cap.EXTENDED_JOIN in session.caps else ()
    session.say("JOIN", shown(room), *extended, source=session.source)
    if room.topic:
        _show_topic(session, room)
    _show_names(session, room)


async def part(session: "IrcSession", message: Message) -> None:
    """Leave rooms."""
    farewell = plain_text(message.parameters[1])[:MAX_TOPIC] if len(message.parameters) > 1 else ""
    for name in _several(message.parameters[0]):
        try:
            await _part(session, name, farewell)
        except Refusal as refusal:
            unknown = refusal.code is ErrorCode.UNKNOWN_ROOM
            session.reply(Numeric.NOSUCHCHANNEL if unknown else Numeric.NOTONCHANNEL, name)


async def _part(session: "IrcSession", name: str, farewell: str = "") -> None:
    request = requests.Part(name)
    session.charge(request)
    await rooms.part(session, request, farewell)
    session.answered_by_the_log()


async def topic(session: "IrcSession", message: Message) -> None:
    """Show a topic, or set one."""
    name = message.parameters[0]
    chat = session.services.chat
    try:
        room = chat.own_room(session.user, name)
    except Refusal as refusal:
        unknown = refusal.code is ErrorCode.UNKNOWN_ROOM
        session.reply(Numeric.NOSUCHCHANNEL if unknown else Numeric.NOTONCHANNEL, name)
        return
    if len(message.parameters) > 1:
        text = plain_text(message.parameters[1])[:MAX_TOPIC]
        request = requests.Topic(room.name, text)
        session.charge(request)
        await rooms.topic(session, request)
        session.answered_by_the_log()
    elif room.topic:
        _show_topic(session, room)
    else:
        session.reply(Numeric.NOTOPIC, shown(room))


def _show_topic(session: "IrcSession", room: Room) -> None:
    session.reply_with(Numeric.TOPIC, shown(room), room.topic)
    if (setting := session.network.topic_setting(room)) is not None:
        by, at = setting
        session.reply_with(Numeric.TOPICWHOTIME, shown(room), by, str(int(at)))


def names(session: "IrcSession", message: Message) -> None:
    """Who is in a room."""
    chat = session.services.chat
    if not message.parameters:
        session.reply(Numeric.ENDOFNAMES, "*")
        return
    for name in _several(message.parameters[0]):
        session.charge(requests.Who())
        room = chat.directory.room(name) if name.startswith("#") else None
        if room is not None and chat.moderation.is_open_to(session.user, room):
            _show_members(session, room)
    session.reply(Numeric.ENDOFNAMES, message.parameters[0])


def _show_members(session: "IrcSession", room: Room) -> None:
    for parameters in name_lines(session, room):
        session.reply_with(Numeric.NAMREPLY, *parameters)


def name_lines(session: "IrcSession", room: Room) -> Iterator[tuple[str, ...]]:
    """The parameters of each NAMREPLY for `room`, but for the first."""
    symbol = "@" if room.private else "="
    for line in pack(_member_names(session, room), NAMES_IN_LINE, " "):
        yield symbol, shown(room), line


def _show_names(session: "IrcSession", room: Room) -> None:
    _show_members(session, room)
    session.reply(Numeric.ENDOFNAMES, shown(room))


def _member_names(session: "IrcSession", room: Room) -> Iterator[str]:
    multi = Cap.MULTI_PREFIX in session.caps
    for user in room.members:
        if session.network.profile(user).invisible and room.name not in session.user.rooms:
            continue
        name = prefix(room, user, multi=multi) + user.name
        if Cap.USERHOST_IN_NAMES in session.caps:
            facts = session.network.facts_of(user)
            name += f"!{facts.user}@{facts.host}"
        yield name


def list_(session: "IrcSession", message: Message) -> None:
    """Which rooms there are: with a mask (M), without one (N), of so many people (U)."""
    chat = session.services.chat
    session.charge(requests.Rooms())
    wanted = message.parameters[0].split(",") if message.parameters else []
    session.reply(Numeric.LISTSTART, "Channel")
    for info in chat.rooms_for(session.user):
        name = f"#{info.room}"
        if info.people and all(_is_wanted(name, info.people, each) for each in wanted):
            session.reply_with(Numeric.LIST, name, str(info.people), info.topic)
    session.reply(Numeric.LISTEND)


def _is_wanted(name: str, people: int, condition: str) -> bool:
    if condition[:1] in "<>" and condition[1:].isdecimal():
        number = int(condition[1:][:9])
        return people < number if condition[0] == "<" else people > number
    if condition.startswith("!"):
        return not matches(condition[1:], name)
    return matches(condition, name)


def matches(mask: str, name: str) -> bool:
    """Whether `name` is like `mask`, where ``*`` and ``?`` stand for others."""
    if len(mask) > MAX_MASK or mask.count("*") > MAX_STARS:
        return False
    return _pattern(mask).match(name.casefold()) is not None


@lru_cache(maxsize=64)  # the cache of `fnmatch` would take 300 MB
def _pattern(mask: str) -> "re.Pattern[str]":
    return re.compile(translate(mask.casefold().replace("[", "[[]")))


async def invite(session: "IrcSession", message: Message) -> None:
    """Invite somebody into a room."""
    whom, name = message.parameters[:2]
    chat = session.services.chat
    room = chat.own_room(session.user, name)
    invited = chat.directory.user(whom)
    if room.name in invited.rooms:
        session.reply(Numeric.USERONCHANNEL, invited.name, shown(room))
        return
    request = requests.Invite(invited.name, room.name)
    session.charge(request)
    rooms.invite(session, request)
    session.reply_with(Numeric.INVITING, invited.name, shown(room))
    session.network.tell_of_invitation(session.user, invited, room)


def channels_of(session: "IrcSession", user: User) -> list[str]:
    """The channels of `user` that the session's person may know of, as WHOIS shows them."""
    chat = session.services.chat
    multi = Cap.MULTI_PREFIX in session.caps
    invisible = session.network.profile(user).invisible
    found = []
    for name in user.sorted_rooms:
        room = chat.directory.rooms[name]
        is_shared = name in session.user.rooms
        is_hidden = room.private or invisible
        if is_shared or (not is_hidden and chat.moderation.is_open_to(session.user, room)):
            found.append(prefix(room, user, multi=multi) + shown(room))
    return found
