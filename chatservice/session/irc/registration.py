"""Coming in: capabilities, a name, a password; and going."""

import base64
import binascii
import re
from typing import TYPE_CHECKING

from chatservice.core import names
from chatservice.core.events import Account, CloseReason, ErrorCode, Refusal
from chatservice.core.requests import Nick, Register
from chatservice.dialects.irc.capabilities import VALUES, Cap
from chatservice.dialects.irc.dialect import plain_text
from chatservice.dialects.irc.message import Message, serialise
from chatservice.dialects.irc.numerics import Numeric
from chatservice.session import people, registration, weights
from chatservice.session.asker import Answer

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession

MAX_IDENT = 10  # characters of a user name, which nothing depends on
MAX_REALNAME = 128
MAX_FAREWELL = 200
# Base64 of a name, a name and a password (SASL PLAIN), and one chunk of it.
MAX_SASL, SASL_CHUNK = 4000, 400
CAPS_IN_LINE = 400  # bytes
CAP_LS_302 = 302
_IDENT = re.compile(r"[A-Za-z0-9._-]+")


def cap(session: "IrcSession", message: Message) -> None:
    """CAP LS, LIST, REQ and END."""
    subcommand, *rest = message.parameters
    match subcommand.upper():
        case "LS":
            _cap_ls(session, rest)
        case "LIST":
            session.say("CAP", session.nick, "LIST", " ".join(sorted(session.caps)))
        case "REQ":
            _cap_req(session, rest[0] if rest else "")
        case "END":
            if session.negotiating:
                session.negotiating = False
                session.sasl = None
                session.try_to_register()
        case _:
            session.reply(Numeric.INVALIDCAPCMD, subcommand)


def _cap_ls(session: "IrcSession", rest: list[str]) -> None:
    if not session.is_in:
        session.negotiating = True
    if rest and rest[0].isdecimal() and int(rest[0]) >= CAP_LS_302:
        session.version = CAP_LS_302
        session.set_caps(session.caps | {Cap.CAP_NOTIFY})
    offered = [
        f"{cap}={VALUES[cap]}" if session.version >= CAP_LS_302 and cap in VALUES else str(cap)
        for cap in session.offered
    ]
    session.say("CAP", session.nick, "LS", " ".join(offered))


def _cap_req(session: "IrcSession", asked: str) -> None:
    if not session.is_in:
        session.negotiating = True
    offered = {str(cap): cap for cap in session.offered}
    wanted = asked.split()
    if any(word.removeprefix("-") not in offered for word in wanted):
        session.say("CAP", session.nick, "NAK", asked)
        return
    caps = set(session.caps)
    for word in wanted:
        if word.startswith("-"):
            caps.discard(offered[word[1:]])
        else:
            caps.add(offered[word])
    if session.version >= CAP_LS_302:
        caps.add(Cap.CAP_NOTIFY)  # which they cannot do without
    session.say("CAP", session.nick, "ACK", asked)
    session.set_caps(frozenset(caps))


def nick(session: "IrcSession", message: Message) -> object:
    """Ask for a name, or for another one."""
    name = message.parameters[0] if message.parameters else ""
    if not name:
        session.reply(Numeric.NONICKNAMEGIVEN)
        return None
    if session.is_in:
        return _rename(session, name)
    checked = names.well_formed(name)
    session.wanted = checked
    session.try_to_register()
    return None


async def _rename(session: "IrcSession", name: str) -> None:
    request = Nick(name)
    session.charge(request)
    answer: Answer = await people.nick(session, request)
    if answer is None:
        session.answered_by_the_log()


def user(session: "IrcSession", message: Message) -> None:
    """Say who they are besides the name."""
    ident, _, _, realname = message.parameters[:4]
    if not realname.strip() or not ident:
        session.reply(Numeric.NEEDMOREPARAMS, "USER")
        return
    if not _IDENT.fullmatch(ident):
        session.reply(Numeric.INVALIDUSERNAME)
        return
    session.ident = ident[:MAX_IDENT]
    session.realname = plain_text(realname)[:MAX_REALNAME]
    session.try_to_register()


def password(session: "IrcSession", message: Message) -> None:
    """PASS password, or name:password, with which most clients log in to something."""
    given = message.parameters[0]
    if not session.takes_passwords:
        refusal = Refusal(
            ErrorCode.NO_ACCOUNTS
            if session.services.authenticator.accounts is None
            else ErrorCode.PASSWORD_IN_CLEAR
        )
        words = session.network.dialects.scene.words.refusal(refusal)
        session.standard("FAIL", "PASS", refusal.code.upper(), words)
        return
    name, colon, secret = given.partition(":")
    session.password = secret if colon and name else given


async def authenticate(session: "IrcSession", message: Message) -> None:
    """SASL, of which there is PLAIN."""
    given = message.parameters[0]
    if Cap.SASL not in session.caps:
        session.reply(Numeric.SASLFAIL)
        return
    if session.proven is not None or (session.is_in and session.user.account is not None):
        session.reply(Numeric.SASLALREADY)
        return
    if given == "*":
        session.sasl = None
        session.reply(Numeric.SASLABORTED)
    elif session.sasl is None:
        if given.upper() == "PLAIN":
            session.sasl = ""
            session.say("AUTHENTICATE", "+")
        else:
            session.reply(Numeric.SASLMECHS, "PLAIN")
            session.reply(Numeric.SASLFAIL)
    elif len(given) > SASL_CHUNK:
        session.sasl = None
        session.reply(Numeric.SASLTOOLONG)
    elif len(session.sasl) + len(given) > MAX_SASL:
        session.sasl = None
        session.reply(Numeric.SASLFAIL)
    else:
        session.sasl += "" if given == "+" else given
        if len(given) < SASL_CHUNK:
            blob, session.sasl = session.sasl, None
            await _prove(session, blob)


async def _prove(session: "IrcSession", blob: str) -> None:
    account: Account | None = None
    try:
        decoded = base64.b64decode(blob, validate=True).decode()
        authorised, name, secret = decoded.split("\0")
    except (binascii.Error, ValueError):
        authorised, name, secret = "", "", ""
    session.spend(weights.ACCOUNT)
    if name and secret and authorised in ("", name):
        try:
            account = await session.services.authenticator.admit(name, secret, session.peer)
        except Refusal:
            account = None
    if account is None:
        session.reply(Numeric.SASLFAIL)
        return
    if session.is_in:
        chat = session.services.chat
        if chat.owner(account) is not None:  # who may be there, and need not be the same person
            session.reply(Numeric.SASLFAIL)
            return
        try:
            log_in(session, account)
        except Refusal:  # the owner is banned from where they are
            session.reply(Numeric.SASLFAIL)
            return
    else:
        session.proven = account
    facts = f"{session.nick}!{session.ident or '*'}@{account.name}.account"
    session.reply(Numeric.LOGGEDIN, facts, account.name, account=account.name)
    session.reply(Numeric.SASLSUCCESS)


def log_in(session: "IrcSession", account: Account) -> None:
    """They have proven, in the chat, that they own `account`."""
    session.services.chat.claim(session.user, account)
    session.deliver_waiting()
    session.network.tell_neighbours(
        session.user,
        Cap.ACCOUNT_NOTIFY,
        lambda _: serialise("ACCOUNT", account.name, source=session.source),
    )


async def register(session: "IrcSession", message: Message) -> None:
    """REGISTER account email password (draft/account-registration): the name that they have."""
    name, _, secret = message.parameters[:3]
    if not session.is_in:
        words = "Connect first, then register"
        session.fail_command("COMPLETE_CONNECTION_REQUIRED", name, words)
        return
    if session.user.account is not None:
        words = "You have an account already"
        session.fail_command("ALREADY_AUTHENTICATED", session.user.account.name, words)
        return
    own = session.user.name
    if name not in ("*", own):
        words = "The account's name is your nickname"
        session.fail_command("ACCOUNT_NAME_MUST_BE_NICK", name, words)
        return
    try:
        request = Register(secret)
        session.charge(request)
        await registration.change_account(session, request)
    except Refusal as refusal:
        words = session.network.dialects.scene.words.refusal(refusal)
        code = _REGISTER_CODES.get(refusal.code, "TEMPORARILY_UNAVAILABLE")
        session.fail_command(code, own, words)
        return
    session.say("REGISTER", "SUCCESS", own, "Account created")
    facts = session.network.facts(own)
    session.reply(Numeric.LOGGEDIN, f"{own}!{facts.user}@{facts.host}", own, account=own)
    session.network.tell_neighbours(
        session.user,
        Cap.ACCOUNT_NOTIFY,
        lambda _: serialise("ACCOUNT", own, source=session.source),
    )


_REGISTER_CODES = {
    ErrorCode.PASSWORD_LENGTH: "WEAK_PASSWORD",
    ErrorCode.NAME_REGISTERED: "ACCOUNT_EXISTS",
    ErrorCode.NAME_RESERVED: "BAD_ACCOUNT_NAME",
}


def verify(session: "IrcSession", message: Message) -> None:
    """No account has to be verified."""
    session.fail_command("INVALID_CODE", message.parameters[0], "There is nothing to verify")


def quit_(session: "IrcSession", message: Message) -> None:
    """Leave, and maybe say something."""
    is_last = session.is_in and len(session.user.sessions) == 1 and not session.user.elsewhere
    if is_last and message.parameters:
        session.user.farewell = plain_text(message.parameters[0])[:MAX_FAREWELL]
    session.close(CloseReason.EXIT)
