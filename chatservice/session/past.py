"""The requests for what has happened."""

from chatservice.core import requests
from chatservice.core.events import PersonalEvent, Recalled, Replayed, ReplayReason
from chatservice.core.log import Messages
from chatservice.session.asker import Asker


async def history(asker: Asker, request: requests.History) -> PersonalEvent:
    chat, limit, user = asker.services.chat, request.limit, asker.user
    room = asker.room(request.room)
    await asker.caught_up()
    if not request.messages:
        return await chat.recall(user, request.before, request.after, limit, room)
    found = await chat.recent(user, request.before, limit, room)
    return _shown(asker, ReplayReason.RECENT, found, limit, room)


async def search(asker: Asker, request: requests.Search) -> PersonalEvent:
    chat, limit = asker.services.chat, request.limit
    await asker.caught_up()
    room = asker.room(request.room)
    found = await chat.find(asker.user, request.words, request.before, limit, room)
    return _shown(asker, ReplayReason.FOUND, found, limit, asker.cursor.current)


def _shown(
    asker: Asker, reason: ReplayReason, found: Messages, limit: int, room: str
) -> PersonalEvent:
    chat = asker.services.chat
    if not asker.dialect.wants.replay:
        return Recalled(found, chat.archive.first_id)
    more = len(found) >= limit
    return Replayed(reason, found, chat.now(), len(found), more=more, room=room)
