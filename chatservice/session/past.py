"""The requests for what has happened."""

from chatservice.core import requests
from chatservice.core.events import PersonalEvent, Recalled, Replayed, ReplayReason
from chatservice.core.log import Messages
from chatservice.session.asker import Asker


async def history(asker: Asker, request: requests.History) -> PersonalEvent:
    chat, limit = asker.services.chat, request.limit
    if not request.messages:
        return await chat.recall(request.before, request.after, limit, request.room)
    found = await chat.recent(request.before, limit, request.room)
    return _shown(asker, ReplayReason.RECENT, found, limit)


async def search(asker: Asker, request: requests.Search) -> PersonalEvent:
    chat, limit = asker.services.chat, request.limit
    found = await chat.find(request.words, request.before, limit, request.room)
    return _shown(asker, ReplayReason.FOUND, found, limit)


def _shown(asker: Asker, why: ReplayReason, found: Messages, limit: int) -> PersonalEvent:
    chat = asker.services.chat
    if not asker.dialect.wants.replay:
        return Recalled(found, chat.archive.first_id)
    return Replayed(why, found, chat.now(), len(found), more=len(found) >= limit)
