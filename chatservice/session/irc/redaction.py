"""REDACT (https://ircv3.net/specs/extensions/message-redaction): deleting messages in rooms."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chatservice.core import requests
from chatservice.core.events import Burst, ErrorCode, Refusal, Style
from chatservice.core.log import Log
from chatservice.dialects.irc.message import Message
from chatservice.session import moderation
from chatservice.session.irc.operators import is_operator

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession

_CODES = {
    ErrorCode.NO_SUCH_MESSAGE: "UNKNOWN_MSGID",
    ErrorCode.NOT_IN_CHARGE: "REDACT_FORBIDDEN",
    ErrorCode.TOO_LATE: "REDACT_FORBIDDEN",
}


async def redact(session: "IrcSession", message: Message) -> None:
    """REDACT room msgid reason; the reason is not kept."""
    target, msgid = message.parameters[:2]
    chat, user = session.services.chat, session.user
    words = session.network.dialects.scene.words.refusal
    find = chat.room_for if is_operator(session, user) else chat.own_room
    try:
        if not target.startswith("#"):
            raise Refusal(ErrorCode.NO_SUCH_MESSAGE)  # nothing is kept of what is private
        room = find(user, target)
    except Refusal as refusal:
        session.fail_command("INVALID_TARGET", target, words(refusal))
        return
    epoch, _, number = msgid.rpartition("-")
    is_known = epoch == chat.log.epoch and number.isdecimal() and len(number) < 17
    ids = _ids(chat.log, int(number) if is_known else 0)
    session.charge(requests.Delete(ids[0], room.name))
    try:
        for id_ in ids:
            await moderation.delete(session, requests.Delete(id_, room.name))
    except Refusal as refusal:
        if refusal.code not in _CODES:
            raise
        session.fail_command(_CODES[refusal.code], target, msgid, words(refusal))
    else:
        if room.name in user.rooms:
            session.answered_by_the_log()


def _ids(log: Log, id_: int) -> Sequence[int]:
    """Those of the message with that id: several, if it has lines that are messages elsewhere."""
    batch = log.batch_from(id_)
    for entry in batch.entries if batch is not None else ():
        match entry.event:
            case Burst(id=first, style=Style(continued=(_, *_))) if first == id_:
                return range(first, entry.end)
    return (id_,)
