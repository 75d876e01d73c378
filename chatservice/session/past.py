"""The requests for what has happened."""

from dataclasses import replace

from chatservice.core import requests
from chatservice.core.events import PersonalEvent, Recalled, Replayed, ReplayReason
from chatservice.core.log import Messages
from chatservice.session.asker import Asker


async def history(asker: Asker, request: requests.History) -> PersonalEvent:
    chat, user, network = asker.services.chat, asker.user, asker.peer.network
    asked = replace(request, room=asker.room(request.room))
    await asker.caught_up()
    if not asked.messages:
        return await chat.recall(user, asked, network)
    found = await chat.recent(user, asked, network)
    return _shown(asker, ReplayReason.RECENT, found, asked.limit, asked.room)


async def search(asker: Asker, request: requests.Search) -> PersonalEvent:
    asked = replace(request, room=asker.room(request.room))
    await asker.caught_up()
    found = await asker.services.chat.find(asker.user, asked, asker.peer.network)
    return _shown(asker, ReplayReason.FOUND, found, asked.limit, asker.cursor.current)


def _shown(
    asker: Asker, reason: ReplayReason, found: Messages, limit: int, room: str
) -> PersonalEvent:
    chat = asker.services.chat
    if not asker.dialect.wants.replay:
        return Recalled(found, chat.archive.first_id)
    more = len(found) >= limit
    return Replayed(reason, found, chat.now(), len(found), more=more, room=room)
