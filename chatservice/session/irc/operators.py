"""Operators of the server: OPER, KILL, WALLOPS.

They are accounts, so whoever has logged in to one of these is an operator already.
"""

from typing import TYPE_CHECKING

from chatservice.core import requests
from chatservice.core.events import ALL_ROOMS, LOBBY, ErrorCode, Refusal, Rendered
from chatservice.core.moderation import MAX_TOPIC
from chatservice.core.registry import Rank
from chatservice.core.sanctions import MAX_REASON
from chatservice.core.users import User
from chatservice.dialects.irc.dialect import plain_text
from chatservice.dialects.irc.message import Message, serialise
from chatservice.dialects.irc.numerics import Numeric
from chatservice.dialects.text import TEXT
from chatservice.session import moderation, weights
from chatservice.session.irc import registration
from chatservice.session.irc.network import irc_sessions

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession

_WRONG = (ErrorCode.WRONG_PASSWORD, ErrorCode.NOT_A_MEMBER, ErrorCode.PASSWORD_NEEDED)


def is_operator(session: "IrcSession", user: User) -> bool:
    """Whether `user` is an operator of the server."""
    return session.services.chat.moderation.rank(user, None) is Rank.SERVER_OPERATOR


def here(session: "IrcSession") -> list[User]:
    """The operators of the server who are here."""
    chat = session.services.chat
    owners = (chat.owner(account) for account in chat.directory.operators)
    return [user for user in owners if user is not None]


def show(session: "IrcSession") -> None:
    """They are told that they are an operator."""
    session.reply(Numeric.YOUREOPER)
    session.say("MODE", session.nick, "+o", source=session.source)


async def oper(session: "IrcSession", message: Message) -> None:
    """OPER account password: log in to the account of an operator."""
    if is_operator(session, session.user):
        show(session)
        return
    if not session.takes_passwords:
        accounts = session.services.authenticator.accounts
        code = ErrorCode.NO_ACCOUNTS if accounts is None else ErrorCode.PASSWORD_IN_CLEAR
        words = session.network.dialects.scene.words.refusal(Refusal(code))
        session.reply_with(Numeric.NOOPERHOST, words)
        return
    session.spend(weights.ACCOUNT)
    name, secret = message.parameters[:2]
    try:
        account = await session.services.authenticator.admit(name, secret, session.peer)
    except Refusal as refusal:
        if refusal.code not in _WRONG and not refusal.code.startswith("name_"):
            raise
        account = None
    chat, user = session.services.chat, session.user
    if account is None:
        session.note("{name} has given OPER a wrong password.", name=user.name)
        session.reply(Numeric.PASSWDMISMATCH)
    elif account not in chat.directory.operators:
        session.reply(Numeric.NOOPERHOST)
    elif user.account is not None or chat.owner(account) is not None:
        session.reply_with(Numeric.NOOPERHOST, "Log in to that account when you connect (SASL)")
    else:
        registration.log_in(session, account)
        session.note("{name} is an operator, as {account}.", name=user.name, account=account.name)
        show(session)


async def report(session: "IrcSession", message: Message) -> None:
    """REPORT [#room] name why: tell those in charge, and nobody else; of the lobby, unless a room
    is named."""
    room, name, *why = message.parameters
    if not room.startswith("#"):
        room, name, why = LOBBY, room, [name, *why]
    request = requests.Report(name, plain_text(" ".join(why)), room)
    session.charge(request)
    for line in TEXT.lines(await moderation.report(session, request)):
        session.say("NOTICE", session.nick, line.removeprefix("*** "))


async def kill(session: "IrcSession", message: Message) -> None:
    """KILL name reason: they have to leave the chat."""
    if not is_operator(session, session.user):
        session.reply(Numeric.NOPRIVILEGES)
        return
    name, *why = message.parameters
    reason = plain_text(why[0]).strip()[:MAX_REASON] if why else ""
    request = requests.Kick(name, ALL_ROOMS, reason)
    session.charge(request)
    try:
        await moderation.kick(session, request)
    except Refusal as refusal:
        if refusal.code is not ErrorCode.PROTECTED:
            raise
        words = session.network.dialects.scene.words.refusal(refusal)
        session.reply_with(Numeric.NOPRIVILEGES, words)


def wallops(session: "IrcSession", message: Message) -> None:
    """Something said to all operators of the server who use IRC."""
    if not is_operator(session, session.user):
        session.reply(Numeric.NOPRIVILEGES)
        return
    text = plain_text(message.parameters[0])[:MAX_TOPIC]
    line = serialise("WALLOPS", text, source=session.source)
    for user in here(session):
        for other in irc_sessions(user):
            other.tell(Rendered(line))
