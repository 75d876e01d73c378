"""What somebody who has just come in is shown of the past, before they hear the room."""

from twisted.internet.defer import Deferred

from chatservice.core.chat import Chat
from chatservice.core.cursor import Cursor
from chatservice.core.events import Emoted, Refusal, Refused, Replayed, ReplayReason, Said
from chatservice.core.log import MAX_PAGE_EVENTS
from chatservice.core.stores import Archive, ReadPosition


def taken(cursor: Cursor) -> "Deferred[None]":
    """Fires when all that `cursor` was told has been sent, or its connection is gone."""
    fired: Deferred[None] = Deferred()
    cursor.when_taken(lambda: fired.callback(None))
    return fired


class Replay:
    """Tells `cursor`, which has just entered the room, of the past: what was said since `since`,
    where its owner stopped reading; or, without one, the newest `recent` messages. `asker`: the
    network of its owner."""

    def __init__(
        self, chat: Chat, cursor: Cursor, since: ReadPosition | None, recent: int, asker: str = ""
    ) -> None:
        self._asker = asker
        self._archive: Archive = chat.archive
        self._log = chat.lobby.log
        self._now = chat.now()
        self._cursor = cursor
        self._position = since
        self._recent = recent

    async def run(self) -> None:
        """All of it, as fast as it is taken; then the cursor reads on where this ends."""
        cursor = self._cursor
        here = cursor.position
        cursor.begin_replay()
        try:
            if self._position is None:
                await self._send_recent(here)
            else:
                cursor.seek(self._position.position)
                cursor.set_replay_pending(self._position.position)
                here = await self._send_missed(self._position, here)
            if not cursor.is_closed:  # or it may not have been taken
                cursor.set_replay_pending(None)
        except Refusal as refusal:  # what they are owed waits until they come again
            cursor.send(Refused(refusal))
        finally:
            cursor.end_replay(here)

    async def _send_recent(self, here: int) -> None:
        messages = await self._archive.recent(here, self._recent, self._asker)
        if messages:
            self._cursor.send(Replayed(ReplayReason.RECENT, messages, self._now, len(messages)))

    async def _send_missed(self, since: ReadPosition, here: int) -> int:
        """Returns where the cursor is to read on: the log may move past `here` meanwhile."""
        away = await self._archive.missed(since, here, self._asker)
        if away.gone:
            self._cursor.send(Replayed(ReplayReason.AWAY, (), self._now, away.kept, away.gone))
        continues = away.gone > 0
        cursor = self._cursor
        while cursor.position < here and not cursor.closing:
            page = await self._archive.recall(
                here, cursor.position - 1, MAX_PAGE_EVENTS, self._asker
            )
            if not page.events:
                break
            cursor.seek(page.events[-1].id + 1)
            messages = tuple(event for event in page.events if isinstance(event, Said | Emoted))
            if messages:
                cursor.send(
                    Replayed(ReplayReason.AWAY, messages, self._now, away.kept, 0, continues)
                )
                continues = True
                await taken(cursor)
                if not cursor.closing:
                    cursor.set_replay_pending(cursor.position)
            here = max(here, self._log.first_id)
        return here
