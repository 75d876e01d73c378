"""About the server: the welcome, and what may be asked of it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import chatservice
from chatservice.core.chat import MAX_AWAY
from chatservice.core.moderation import MAX_TOPIC
from chatservice.core.names import MAX_LENGTH
from chatservice.core.sanctions import MAX_REASON, MAX_SANCTIONS_IN_ROOM
from chatservice.dialects.irc.message import Message
from chatservice.dialects.irc.numerics import Numeric
from chatservice.session.irc import history, modes, network, operators, people, rooms, talk

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession

TOKENS_IN_LINE = 13  # of ISUPPORT: a line has 15 parameters
HELP = (
    "Rooms are channels: /join #room, /part, /topic, /list, /invite NAME #room.",
    "/msg NAME TEXT says something to one person; it waits for those who have an account.",
    "MODE #room +i makes a room private; whoever has made a room is in charge of it.",
    "KICK #room NAME, MODE #room +b NAME, +b m:NAME (mute), +o NAME are for those in charge.",
    "REGISTER * * PASSWORD keeps your nickname for you; log in with SASL, or PASS NAME:PASSWORD.",
)


def time_text(at: float) -> str:
    """A time, for people."""
    return f"{datetime.fromtimestamp(at, UTC):%a, %d %b %Y %H:%M:%S} UTC"


def welcome(session: "IrcSession") -> None:
    """What a client is told once it has registered."""
    name, version = session.network.name, chatservice.__version__
    session.reply(Numeric.WELCOME, server=name, nick=session.nick)
    session.reply(Numeric.YOURHOST, server=name, version=version)
    session.reply(Numeric.CREATED, since=time_text(session.network.started))
    session.reply_with(Numeric.MYINFO, name, f"chatservice-{version}", "io", "binoqt", "boq")
    _isupport(session)
    lusers(session, Message("LUSERS"))
    motd(session, Message("MOTD"))
    if operators.is_operator(session, session.user):
        operators.show(session)
    for room in session.user.sorted_rooms:
        rooms.show(session, session.services.chat.directory.rooms[room])


def _isupport(session: "IrcSession") -> None:
    tokens = (
        f"AWAYLEN={MAX_AWAY}",
        "CASEMAPPING=ascii",
        f"CHANLIMIT=#:{network.MAX_CHANNELS}",
        "CHANMODES=b,,,int",
        f"CHANNELLEN={MAX_LENGTH + 1}",
        "CHANTYPES=#",
        f"CHATHISTORY={history.MAX_MESSAGES}",
        "ELIST=MNU",
        "EXTBAN=,m",
        f"KICKLEN={MAX_REASON}",
        f"MAXLIST=b:{MAX_SANCTIONS_IN_ROOM}",
        f"MODES={modes.MAX_CHANGES}",
        f"MONITOR={network.MAX_MONITORED}",
        "MSGREFTYPES=msgid,timestamp",
        f"NAMELEN={people.MAX_REALNAME}",
        "NETWORK=chatservice",
        f"NICKLEN={MAX_LENGTH}",
        "PREFIX=(qov)~@+",
        f"TARGMAX=JOIN:{rooms.MAX_TARGETS},PART:{rooms.MAX_TARGETS},NAMES:{rooms.MAX_TARGETS},"
        f"PRIVMSG:{talk.MAX_TARGETS},NOTICE:{talk.MAX_TARGETS},TAGMSG:{talk.MAX_TARGETS},"
        f"KICK:{modes.MAX_CHANGES},WHOIS:4,LIST:",
        f"TOPICLEN={MAX_TOPIC}",
        "UTF8MAPPING=rfc8265",
        "UTF8ONLY",
        "WHOX",
    )
    for start in range(0, len(tokens), TOKENS_IN_LINE):
        session.reply(Numeric.ISUPPORT, *tokens[start : start + TOKENS_IN_LINE])


def lusers(session: "IrcSession", message: Message) -> None:
    """How many people and rooms there are."""
    chat, net = session.services.chat, session.network
    users, unknown = len(chat.users), max(net.unregistered, 0)
    invisible = sum(profile.invisible for profile in net.profiles.values())
    net.most_users = max(net.most_users, users)
    session.say(
        *(Numeric.LUSERCLIENT, session.nick),
        f"There are {users - invisible} users and {invisible} invisible on 1 servers",
    )
    session.reply(Numeric.LUSEROP, str(len(operators.here(session))))
    session.reply(Numeric.LUSERUNKNOWN, str(unknown))
    formed = sum(bool(room.members) for room in chat.directory.rooms.values())
    session.reply(Numeric.LUSERCHANNELS, str(formed))
    session.reply(Numeric.LUSERME, users=users)
    most = net.most_users
    session.reply(Numeric.LOCALUSERS, str(users), str(most), users=users, most=most)
    session.reply(Numeric.GLOBALUSERS, str(users), str(most), users=users, most=most)


def motd(session: "IrcSession", message: Message) -> None:
    """The message of the day."""
    lines = session.services.settings.motd
    if not lines:
        session.reply(Numeric.NOMOTD)
        return
    session.reply(Numeric.MOTDSTART, server=session.network.name)
    for line in lines:
        session.reply_with(Numeric.MOTD, f"- {line}")
    session.reply(Numeric.ENDOFMOTD)


def ping(session: "IrcSession", message: Message) -> None:
    """The client asks whether the server is there."""
    session.say("PONG", session.network.name, message.parameters[0])


def pong(session: "IrcSession", message: Message) -> None:
    """The server never asks: TCP does (see `--ping`)."""


def version(session: "IrcSession", message: Message) -> None:
    """Which program this is."""
    session.reply_with(
        Numeric.VERSION, f"chatservice-{chatservice.__version__}", session.network.name, ""
    )
    _isupport(session)


def time(session: "IrcSession", message: Message) -> None:
    """What time it is."""
    session.reply_with(Numeric.TIME, session.network.name, time_text(session.services.chat.now()))


def info(session: "IrcSession", message: Message) -> None:
    """What this server is."""
    session.reply_with(Numeric.INFO, f"chatservice {chatservice.__version__}")
    session.reply_with(Numeric.INFO, f"Running since {time_text(session.network.started)}")
    session.reply(Numeric.ENDOFINFO)


def links(session: "IrcSession", message: Message) -> None:
    """Which servers there are: to those who chat they are one, and so none is named."""
    session.reply(Numeric.ENDOFLINKS, message.parameters[-1] if message.parameters else "*")


def help_(session: "IrcSession", message: Message) -> None:
    """What one can do."""
    subject = message.parameters[0].upper() if message.parameters else "*"
    if subject not in ("*", "PRIVMSG", "JOIN", "MODE", "REGISTER"):
        session.reply(Numeric.HELPNOTFOUND, message.parameters[0])
        return
    first, *rest = HELP
    session.reply_with(Numeric.HELPSTART, subject, first)
    for line in rest:
        session.reply_with(Numeric.HELPTXT, subject, line)
    session.reply_with(Numeric.ENDOFHELP, subject, "End of /HELP")
