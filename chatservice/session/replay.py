"""What somebody who has just come in is shown of the past, before they hear what happens."""

from collections.abc import Awaitable

from twisted.internet.defer import Deferred

from chatservice.core.chat import Chat
from chatservice.core.cursor import Cursor
from chatservice.core.events import (
    ALL_ROOMS,
    Message,
    Refusal,
    Refused,
    Replayed,
    ReplayReason,
)
from chatservice.core.log import MAX_PAGE_EVENTS, Messages
from chatservice.core.requests import History
from chatservice.core.stores import ReadPosition
from chatservice.core.users import User


def taken(cursor: Cursor) -> "Deferred[None]":
    """Fires when all that `cursor` was sent has been written, or its connection is gone."""
    fired: Deferred[None] = Deferred()
    cursor.when_taken(lambda: fired.callback(None))
    return fired


class Replay:
    """Shows `cursor`, a connection of `user`, the past: what was said in their rooms since they had
    stopped reading there; or, if that is not known, the newest `recent` messages. `asker`: the
    network of its owner."""

    def __init__(
        self,
        chat: Chat,
        user: User,
        cursor: Cursor,
        since: ReadPosition | None,
        *,
        recent: int,
        asker: str,
    ) -> None:
        self._chat = chat
        self._user = user
        self._cursor = cursor
        self._since = since
        self._recent = recent
        self._asker = asker
        self._now = chat.now()

    async def run(self, entered: Awaitable[None]) -> None:
        """All of it, as fast as it is taken, up to when they have `entered`; then the cursor reads
        on where this ends."""
        cursor, since = self._cursor, self._since
        cursor.begin_replay(cursor.start if since is None else since.position)
        await entered
        here = self._chat.log.end
        interrupted = False
        try:
            if since is None:
                await self._send_recent()
            else:
                await self._send_missed(since, here)
        except Refusal as refusal:  # what was not shown waits until they come again
            interrupted = since is not None
            cursor.send(Refused(refusal))
        finally:
            cursor.end_replay(here, interrupted=interrupted)

    async def _send_recent(self) -> None:
        room = self._cursor.current
        if room in self._user.rooms:
            asked = History(limit=self._recent, messages=True, room=room)
            messages = await self._chat.recent(self._user, asked, self._asker)
            if messages:
                self._send(ReplayReason.RECENT, messages, len(messages))

    async def _send_missed(self, since: ReadPosition, here: int) -> None:
        chat, cursor = self._chat, self._cursor
        archive, reach = chat.archive, chat.reach(self._user, ALL_ROOMS)
        missed = await archive.missed(since, here, reach, self._asker)
        if missed.gone:
            self._send(ReplayReason.AWAY, (), missed.kept, gone=missed.gone)
        kept, ignores = missed.kept, self._user.ignores
        continues = missed.gone > 0
        position = since.position
        while position < here and not cursor.closing:
            page = await archive.recall(here, position - 1, MAX_PAGE_EVENTS, reach, self._asker)
            if not page.events:
                break
            position = page.events[-1].id + 1
            messages = tuple(event for event in page.events if isinstance(event, Message))
            if ignores is not None:
                heard = ignores.heard(messages)
                kept -= len(messages) - len(heard)
                messages = heard
            if messages:
                self._send(ReplayReason.AWAY, messages, kept, continues=continues)
                continues = True
                await taken(cursor)
            if not cursor.closing:
                cursor.replayed_to(position)

    def _send(
        self,
        reason: ReplayReason,
        messages: Messages,
        count: int,
        *,
        gone: int = 0,
        continues: bool = False,
    ) -> None:
        self._cursor.send(Replayed(reason, messages, self._now, count, gone, continues))
