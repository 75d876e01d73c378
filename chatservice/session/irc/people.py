"""Who is here: WHO, WHOIS, WHOWAS, MONITOR, AWAY and the like."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chatservice.core import requests
from chatservice.core.chat import MAX_AWAY
from chatservice.core.events import Refusal
from chatservice.core.room import Room
from chatservice.core.users import User
from chatservice.dialects.irc.capabilities import Cap
from chatservice.dialects.irc.dialect import plain_text
from chatservice.dialects.irc.message import Message, pack, serialise
from chatservice.dialects.irc.numerics import Numeric
from chatservice.session.asker import committed
from chatservice.session.irc.network import MAX_MONITORED
from chatservice.session.irc.operators import is_operator
from chatservice.session.irc.rooms import channels_of, matches, prefix, shown

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession

MAX_REALNAME = 128
MAX_WHO = 500  # people in one answer to a mask
MAX_NAMES = 5  # in one USERHOST
TARGETS_IN_LINE = 300  # bytes, of MONITOR
WHOX = "tcuihsnfdlaor"  # the order in which the fields of a WHOX reply stand
_WHOIS_NAMES = 4  # in one WHOIS


def who(session: "IrcSession", message: Message) -> None:
    """WHO mask, and WHOX: WHO mask %fields,token."""
    mask, fields = [*message.parameters, "*", ""][:2] if message.parameters else ("*", "")
    if len(message.parameters) < 2:
        fields = ""
    session.charge(requests.Who())
    chat = session.services.chat
    room: Room | None = None
    if mask.startswith("#"):
        room = chat.directory.room(mask)
        found: Iterable[User] = ()
        if room is not None and chat.moderation.is_open_to(session.user, room):
            found = [u for u in room.members if _is_visible(session, u) or u is session.user]
    else:
        found = _people(session, mask)
    for user in list(found)[:MAX_WHO]:
        _who_reply(session, user, room, fields)
    session.reply(Numeric.ENDOFWHO, mask)


def _people(session: "IrcSession", mask: str) -> Iterable[User]:
    users = session.services.chat.users
    if "*" not in mask and "?" not in mask:
        try:
            return [session.services.chat.directory.user(mask)]
        except Refusal:
            return []
    everyone = mask in ("*", "0")
    return [
        user
        for name, user in users.items()
        if (everyone or matches(mask, name)) and _is_visible(session, user)
    ]


def _is_visible(session: "IrcSession", user: User) -> bool:
    return (
        user is session.user
        or not session.network.profile(user).invisible
        or not session.user.rooms.keys().isdisjoint(user.rooms)
    )


def _who_reply(session: "IrcSession", user: User, room: Room | None, fields: str) -> None:
    network, multi = session.network, Cap.MULTI_PREFIX in session.caps
    facts, profile = network.facts_of(user), network.profile(user)
    flags = ("G" if user.away is not None else "H") + ("*" if is_operator(session, user) else "")
    if room is not None:
        flags += prefix(room, user, multi=multi)
    channel = shown(room) if room is not None else "*"
    if not fields.startswith("%"):
        session.reply_with(
            *(Numeric.WHOREPLY, channel, facts.user, facts.host, network.name),
            *(user.name, flags, f"0 {facts.realname}"),
        )
        return
    wanted, _, token = fields[1:].partition(",")
    idle = int(session.services.chat.now() - profile.spoke) if profile.spoke else 0
    values = {
        "t": token or "0",
        "c": channel,
        "u": facts.user,
        "i": "255.255.255.255",  # which stands for an address that is not shown
        "h": facts.host,
        "s": network.name,
        "n": user.name,
        "f": flags,
        "d": "0",
        "l": str(min(idle, 9)) if len(wanted) > 1 and idle < 10 else str(idle),
        "a": facts.account or "0",
        "o": "n/a",
        "r": facts.realname,
    }
    session.reply_with(Numeric.WHOSPCRPL, *(values[field] for field in WHOX if field in wanted))


def whois(session: "IrcSession", message: Message) -> None:
    """WHOIS name, or WHOIS server name."""
    if not message.parameters:
        session.reply(Numeric.NONICKNAMEGIVEN)
        return
    asked = message.parameters[-1]
    for name in asked.split(",")[:_WHOIS_NAMES]:
        session.charge(requests.Whois(name))
        try:
            user = session.services.chat.directory.user(name)
        except Refusal:
            session.reply(Numeric.NOSUCHNICK, name)
        else:
            _whois(session, user)
    session.reply(Numeric.ENDOFWHOIS, asked)


def _whois(session: "IrcSession", user: User) -> None:
    network, name = session.network, user.name
    facts, profile = network.facts_of(user), network.profile(user)
    session.reply_with(Numeric.WHOISUSER, name, facts.user, facts.host, "*", facts.realname)
    if channels := channels_of(session, user):
        session.reply_with(Numeric.WHOISCHANNELS, name, " ".join(channels))
    session.reply(Numeric.WHOISSERVER, name, network.name)
    if facts.account:
        session.reply(Numeric.WHOISACCOUNT, name, facts.account)
    if user.is_registered:
        session.reply(Numeric.WHOISREGNICK, name)
    if is_operator(session, user):
        session.reply(Numeric.WHOISOPERATOR, name)
    if user.away is not None:
        session.reply_with(Numeric.AWAY, name, network.words_of(user.away))
    idle = int(session.services.chat.now() - (profile.spoke or user.since))
    session.reply(Numeric.WHOISIDLE, name, str(max(idle, 0)), str(int(user.since)))


def whowas(session: "IrcSession", message: Message) -> None:
    """Who was here under a name."""
    if not message.parameters or not message.parameters[0]:
        session.reply(Numeric.NONICKNAMEGIVEN)
        return
    name, *rest = message.parameters
    gone = session.network.gone(name)
    if rest and rest[0].lstrip("-").isdecimal() and int(rest[0][:9]) > 0:
        gone = gone[: int(rest[0][:9])]
    if not gone:
        session.reply(Numeric.WASNOSUCHNICK, name)
    for was in gone:
        facts = was.facts
        session.reply_with(
            Numeric.WHOWASUSER, was.name, facts.user, facts.host, "*", facts.realname
        )
        session.reply_with(
            Numeric.WHOISSERVER, was.name, session.network.name, session.network.time(was.at)
        )
    session.reply(Numeric.ENDOFWHOWAS, name)


def userhost(session: "IrcSession", message: Message) -> None:
    """The user names and hosts of some people."""
    found = []
    session.spend(min(len(message.parameters), MAX_NAMES))
    for name in message.parameters[:MAX_NAMES]:
        try:
            user = session.services.chat.directory.user(name)
        except Refusal:
            continue
        facts = session.network.facts_of(user)
        away = "-" if user.away is not None else "+"
        found.append(f"{user.name}={away}{facts.user}@{facts.host}")
    session.reply_with(Numeric.USERHOST, " ".join(found))


def ison(session: "IrcSession", message: Message) -> None:
    """Which of some people are here."""
    asked = " ".join(message.parameters).split()
    session.spend(len(asked))
    found = [here for name in asked if (here := session.network.called(name))]
    session.reply_with(Numeric.ISON, " ".join(found))


async def away(session: "IrcSession", message: Message) -> None:
    """They do not answer for now; without a text, they do again."""
    text = plain_text(message.parameters[0])[:MAX_AWAY] if message.parameters else ""
    session.charge(requests.Away(text))
    chat, user = session.services.chat, session.user
    await committed(lambda then: chat.set_away(user, session, text or None, then=then))
    session.reply(Numeric.NOWAWAY if text else Numeric.UNAWAY)


def setname(session: "IrcSession", message: Message) -> None:
    """Have another real name."""
    realname = plain_text(message.parameters[0]).strip()
    if not realname or len(realname) > MAX_REALNAME:
        session.fail_command("INVALID_REALNAME", "Real name is not valid")
        return
    # Like another name, it would say what they must not.
    session.services.chat.moderation.expect_voice(session.user, *session.user.rooms)
    session.network.profile(session.user).realname = realname
    if Cap.SETNAME in session.caps:
        session.say("SETNAME", realname, source=session.source)
    session.network.tell_neighbours(
        session.user,
        Cap.SETNAME,
        lambda _: serialise("SETNAME", realname, source=session.source),
    )


def monitor(session: "IrcSession", message: Message) -> None:
    """Be told when somebody comes or goes (MONITOR)."""
    subcommand, *rest = message.parameters
    targets = [name for name in rest[0].split(",") if name] if rest else []
    network = session.network
    session.spend(len(targets))
    match subcommand.upper():
        case "+":
            _monitor(session, targets)
        case "-":
            for name in targets:
                network.watch_no_more(session, name)
        case "C":
            network.forget(session)
        case "L":
            for line in pack(session.monitored.values(), TARGETS_IN_LINE, ","):
                session.reply_with(Numeric.MONLIST, line)
            session.reply(Numeric.ENDOFMONLIST)
        case "S":
            _show_monitored(session, list(session.monitored.values()))
        case _:
            pass


def _monitor(session: "IrcSession", targets: list[str]) -> None:
    network = session.network
    added = []
    for index, name in enumerate(targets):
        if len(session.monitored) >= MAX_MONITORED:
            session.say(
                *(Numeric.MONLISTFULL, session.nick, str(MAX_MONITORED)),
                *(",".join(targets[index:]), "Monitor list is full"),
            )
            break
        try:
            network.watch(session, name)
        except Refusal as refusal:
            words = network.dialects.scene.words.refusal(refusal)
            session.reply_with(Numeric.ERRONEUSNICKNAME, name, words)
        else:
            added.append(name)
    _show_monitored(session, added)


def _show_monitored(session: "IrcSession", names: list[str]) -> None:
    network = session.network
    session.spend(len(names))
    online, offline = [], []
    for name in names:
        if shown := network.watch(session, name):
            online.append(network.dialects.scene.source(shown))
        else:
            offline.append(name)
    for numeric, found in ((Numeric.MONONLINE, online), (Numeric.MONOFFLINE, offline)):
        for line in pack(found, TARGETS_IN_LINE, ","):
            session.reply_with(numeric, line)
