"""The requests for what has happened."""

from chatservice.core import requests
from chatservice.core.events import PersonalEvent, Recalled, Replayed, ReplayReason
from chatservice.core.log import Messages
from chatservice.session.asker import Asker


async def history(asker: Asker, request: requests.History) -> PersonalEvent:
    chat, network = asker.services.chat, asker.peer.network
    if not request.messages:
        return await chat.recall(request, network)
    found = await chat.recent(request, network)
    return _shown(asker, ReplayReason.RECENT, found, request.limit)


async def search(asker: Asker, request: requests.Search) -> PersonalEvent:
    found = await asker.services.chat.find(request, asker.peer.network)
    return _shown(asker, ReplayReason.FOUND, found, request.limit)


def _shown(asker: Asker, why: ReplayReason, found: Messages, limit: int) -> PersonalEvent:
    chat = asker.services.chat
    if not asker.dialect.wants.replay:
        return Recalled(found, chat.archive.first_id)
    return Replayed(why, found, chat.now(), len(found), more=len(found) >= limit)
