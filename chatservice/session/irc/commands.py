"""The table of commands: what each needs, and what carries it out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from chatservice.dialects.irc.message import Message
from chatservice.dialects.irc.numerics import Numeric
from chatservice.session.irc import (
    history,
    modes,
    multiline,
    operators,
    people,
    queries,
    redaction,
    registration,
    rooms,
    talk,
)

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession


class When(Enum):
    """When a command may be given."""

    ANY_TIME = auto()
    BEFORE = auto()  # before they are registered
    REGISTERED = auto()


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table: `carry_out` needs so many parameters. What it comes to may have to be
    awaited."""

    carry_out: Callable[["IrcSession", Message], object]
    parameters: int = 0
    when: When = When.REGISTERED


_BEFORE, _ANY = When.BEFORE, When.ANY_TIME

COMMANDS: Mapping[str, Command] = {
    "AUTHENTICATE": Command(registration.authenticate, 1, _ANY),
    "AWAY": Command(people.away),
    "BATCH": Command(multiline.batch, 1),
    "CAP": Command(registration.cap, 1, _ANY),
    "CHATHISTORY": Command(history.chathistory, 1),
    "HELP": Command(queries.help_),
    "HELPOP": Command(queries.help_),
    "INFO": Command(queries.info),
    "INVITE": Command(rooms.invite, 2),
    "ISON": Command(people.ison, 1),
    "JOIN": Command(rooms.join, 1),
    "KICK": Command(modes.kick, 2),
    "KILL": Command(operators.kill, 1),
    "LINKS": Command(queries.links),
    "LIST": Command(rooms.list_),
    "LUSERS": Command(queries.lusers),
    "MODE": Command(modes.mode, 1),
    "MONITOR": Command(people.monitor, 1),
    "MOTD": Command(queries.motd),
    "NAMES": Command(rooms.names),
    "NICK": Command(registration.nick, 0, _ANY),
    "NOTICE": Command(multiline.notice),
    "OPER": Command(operators.oper, 2),
    "PART": Command(rooms.part, 1),
    "PASS": Command(registration.password, 1, _BEFORE),
    "PING": Command(queries.ping, 1, _ANY),
    "PONG": Command(queries.pong, 0, _ANY),
    "PRIVMSG": Command(multiline.privmsg),
    "QUIT": Command(registration.quit_, 0, _ANY),
    "REDACT": Command(redaction.redact, 2),
    "REGISTER": Command(registration.register, 3, _ANY),
    "REPORT": Command(operators.report, 2),
    "SETNAME": Command(people.setname, 1),
    "TAGMSG": Command(talk.tagmsg),
    "TIME": Command(queries.time),
    "TOPIC": Command(rooms.topic, 1),
    "USER": Command(registration.user, 4, _BEFORE),
    "USERHOST": Command(people.userhost, 1),
    "VERIFY": Command(registration.verify, 2, _ANY),
    "VERSION": Command(queries.version),
    "WALLOPS": Command(operators.wallops, 1),
    "WHO": Command(people.who),
    "WHOIS": Command(people.whois),
    "WHOWAS": Command(people.whowas),
}


# What is of no use once whoever asks has gone.
PASSING = frozenset(
    {
        *(
            "CHATHISTORY",
            "HELP",
            "HELPOP",
            "INFO",
            "ISON",
            "LINKS",
            "LIST",
            "LUSERS",
            "MOTD",
            "NAMES",
            "PING",
        ),
        *("PONG", "TIME", "USERHOST", "VERSION", "WHO", "WHOIS", "WHOWAS"),
    }
)


def carry_out(session: "IrcSession", message: Message) -> object:
    """Do what `message` asks for, if it may be asked now."""
    command = COMMANDS.get(message.command)
    if command is None:
        session.reply(Numeric.UNKNOWNCOMMAND, message.command)
        return None
    if command.when is When.REGISTERED and not session.is_in:
        session.reply(Numeric.NOTREGISTERED)
        return None
    if command.when is When.BEFORE and session.is_in:
        session.reply(Numeric.ALREADYREGISTERED)
        return None
    if len(message.parameters) < command.parameters:
        session.reply(Numeric.NEEDMOREPARAMS, message.command)
        return None
    return command.carry_out(session, message)
