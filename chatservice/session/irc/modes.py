"""Those in charge of a room, as IRC has it: MODE and KICK."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from chatservice.core import requests
from chatservice.core.events import ErrorCode, Refusal, SanctionKind
from chatservice.core.room import Room
from chatservice.core.sanctions import MAX_REASON
from chatservice.dialects.irc.dialect import EVERY_HOST, MUTE, plain_text
from chatservice.dialects.irc.message import Message
from chatservice.dialects.irc.numerics import Numeric
from chatservice.session import moderation, rooms
from chatservice.session.irc.operators import is_operator
from chatservice.session.irc.rooms import matches, shown

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession

# The modes that every channel has: topics are for those in charge, and only members are heard.
ALWAYS = "nt"
MAX_CHANGES = 4  # people in one KICK, or MODE
_NO_BANS_FOR_YOU = "Only those in charge see the bans"
_BAD_MASK = "Ban NICK or NICK!*@*, or mute m:NICK; other masks have to mean one person who is here"
_WITHOUT_ACCOUNT = "Only somebody who has registered can be an operator"


class Sanctioned(NamedTuple):
    """What a mask of ``+b`` means: a ban or mute of whoever is called so."""

    kind: SanctionKind
    name: str


async def mode(session: "IrcSession", message: Message) -> None:
    """The modes of a room, or one's own."""
    target, *rest = message.parameters
    if not target.startswith("#"):
        _own_mode(session, target, rest)
        return
    room = session.services.chat.room_for(session.user, target)
    if not rest:
        private = "i" if room.private else ""
        session.reply_with(Numeric.CHANNELMODEIS, shown(room), f"+{private}{ALWAYS}")
        if (at := session.network.founded(room)) is not None:
            session.reply_with(Numeric.CREATIONTIME, shown(room), str(int(at)))
        return
    await _change_modes(session, room, rest[0], rest[1:])


async def _change_modes(
    session: "IrcSession", room: Room, letters: str, parameters: list[str]
) -> None:
    given, on = parameters[:MAX_CHANGES], True
    for letter in letters:
        if letter in "+-":
            on = letter == "+"
        elif letter == "b" and not given:
            _list_bans(session, room)
            return
        elif letter in "bo" and not session.services.chat.moderation.is_in_charge(
            session.user, room
        ):
            session.reply(Numeric.CHANOPRIVSNEEDED, shown(room))
            return
        elif letter == "o" and not given:
            session.reply(Numeric.NEEDMOREPARAMS, "MODE")
            return
        elif letter == "b":
            await _ban(session, room, given.pop(0), on=on)
        elif letter == "o":
            await _op(session, room, given.pop(0), on=on)
        elif letter == "i":
            await _set_private(session, room, on)
        elif letter in ALWAYS and on:
            session.answered_by_the_log()
        elif letter in ALWAYS or letter in "vqs":
            session.reply(Numeric.CHANOPRIVSNEEDED, shown(room))
            return
        else:
            session.reply(Numeric.UNKNOWNMODE, letter)
            return


async def _set_private(session: "IrcSession", room: Room, on: bool) -> None:
    if room.private is not on:
        request = requests.RoomMode(room.name, on)
        session.charge(request)
        await rooms.room_mode(session, request)
        session.answered_by_the_log()


def _list_bans(session: "IrcSession", room: Room) -> None:
    """Clients ask for this by themselves, so whoever may not see them gets no error."""
    chat = session.services.chat
    session.charge(requests.Bans(room.name))
    if not chat.moderation.is_in_charge(session.user, room):
        session.reply_with(Numeric.ENDOFBANLIST, shown(room), _NO_BANS_FOR_YOU)
        return
    for each in chat.moderation.listed(session.user, room):
        mask = (MUTE if each.kind is SanctionKind.MUTE else "") + each.name + EVERY_HOST
        session.reply_with(Numeric.BANLIST, shown(room), mask, each.by, str(int(each.at)))
    session.reply(Numeric.ENDOFBANLIST, shown(room))


async def _ban(session: "IrcSession", room: Room, mask: str, *, on: bool) -> None:
    meant = _meant(session, room, mask)
    if meant is None:
        session.reply_with(Numeric.INVALIDMODEPARAM, shown(room), "b", mask, _BAD_MASK)
        return
    kind = requests.Ban if meant.kind is SanctionKind.BAN else requests.Mute
    request = kind(meant.name, room.name, on=on)
    session.charge(request)
    await _take(session, room, meant.name, lambda: moderation.sanction(session, request))


def _meant(session: "IrcSession", room: Room, mask: str) -> Sanctioned | None:
    """Who is meant by `mask`: the one of that name; or, since clients make masks of hosts, the only
    one in the room whom it fits. Nobody else can come to be banned by it."""
    kind = SanctionKind.MUTE if mask.startswith(MUTE) else SanctionKind.BAN
    written = mask.removeprefix(MUTE)
    name = written.removesuffix(EVERY_HOST)
    if not any(sign in name for sign in "*?!@"):
        return Sanctioned(kind, name) if name else None
    session.charge(requests.Who())
    found = ""
    for user in room.members:
        if matches(written, session.network.dialects.scene.source(user.name)):
            if found:
                return None
            found = user.name
    return Sanctioned(kind, found) if found else None


async def _op(session: "IrcSession", room: Room, name: str, *, on: bool) -> None:
    request = requests.Op(name, room.name, on)
    try:
        session.charge(request)
        await _take(session, room, name, lambda: moderation.op(session, request))
    except Refusal as refusal:
        if refusal.code not in (ErrorCode.NO_SUCH_ACCOUNT, ErrorCode.NO_ACCOUNTS):
            raise
        called = session.network.called(name)
        if not called:
            session.reply(Numeric.NOSUCHNICK, name)
        elif room.name not in session.services.chat.users[called].rooms:
            session.reply(Numeric.USERNOTINCHANNEL, called, shown(room))
        else:
            session.reply_with(Numeric.INVALIDMODEPARAM, shown(room), "o", called, _WITHOUT_ACCOUNT)


async def _take(
    session: "IrcSession", room: Room, name: str, measure: Callable[[], Awaitable[object]]
) -> None:
    """Somebody in charge of `room` does something to whoever is called `name`. What comes of it
    stands in the log."""
    try:
        await measure()
    except Refusal as refusal:
        words = session.network.dialects.scene.words.refusal(refusal)
        match refusal.code:
            case ErrorCode.PROTECTED | ErrorCode.NOT_FOUNDER | ErrorCode.TOO_MANY_OPERATORS:
                session.reply_with(Numeric.CHANOPRIVSNEEDED, shown(room), words)
            case ErrorCode.TOO_MANY_BANS:
                session.reply(Numeric.BANLISTFULL, shown(room), "b")
            case ErrorCode.NOT_BANNED | ErrorCode.NOT_MUTED | ErrorCode.HELD_WITH:
                session.reply_with(Numeric.INVALIDMODEPARAM, shown(room), "b", name, words)
            case _:
                raise
    else:
        if room.name in session.user.rooms:
            session.answered_by_the_log()


async def kick(session: "IrcSession", message: Message) -> None:
    """KICK room name reason; several names of one room, or as many rooms as names."""
    names, people = message.parameters[0].split(","), message.parameters[1].split(",")
    reason = plain_text(message.parameters[2]).strip() if len(message.parameters) > 2 else ""
    if len(names) == 1:
        names *= len(people)
    if len(names) != len(people):
        session.reply(Numeric.NEEDMOREPARAMS, "KICK")
        return
    for name, whom in list(zip(names, people, strict=True))[:MAX_CHANGES]:
        try:
            await _kick(session, name, whom, reason[:MAX_REASON])
        except Refusal as refusal:
            session.reply_refusal(refusal)


async def _kick(session: "IrcSession", name: str, whom: str, reason: str) -> None:
    chat, user = session.services.chat, session.user
    find = chat.room_for if is_operator(session, user) else chat.own_room
    room = find(user, name) if name.startswith("#") else None
    if room is None:
        session.reply(Numeric.NOSUCHCHANNEL, name)
        return
    request = requests.Kick(whom, room.name, reason)
    session.charge(request)
    try:
        await _take(session, room, whom, lambda: moderation.kick(session, request))
    except Refusal as refusal:
        called = session.network.called(whom)
        if refusal.code is not ErrorCode.NOBODY or not called:
            raise
        session.reply(Numeric.USERNOTINCHANNEL, called, shown(room))


def _own_mode(session: "IrcSession", target: str, rest: list[str]) -> None:
    user = session.services.chat.directory.user(target)
    if user is not session.user:
        session.reply(Numeric.USERSDONTMATCH)
        return
    profile = session.network.profile(user)
    if not rest:
        invisible = "i" if profile.invisible else ""
        operator = "o" if is_operator(session, user) else ""
        session.reply_with(Numeric.UMODEIS, f"+{invisible}{operator}")
        return
    on, changed = True, ""
    for letter in rest[0]:
        if letter in "+-":
            on = letter == "+"
        elif letter == "i":
            if profile.invisible is not on:
                profile.invisible = on
                changed = "+i" if on else "-i"
        elif letter != "o":  # which whoever runs the server gives and takes
            session.reply(Numeric.UMODEUNKNOWNFLAG)
            return
    if changed:
        session.say("MODE", session.nick, changed, source=session.source)
