"""What somebody who has just come in is shown of the past, before they hear the room."""

from twisted.internet.defer import Deferred

from chatservice.core.stores import Archive, Mark
from chatservice.core.chat import Chat
from chatservice.core.cursor import Cursor
from chatservice.core.events import Emoted, Refusal, Refused, Replayed, Said, Why
from chatservice.core.log import RECALLED_MOST


def taken(cursor: Cursor) -> "Deferred[None]":
    """Fires when all that `cursor` was told has been sent, or its connection is gone."""
    fired: Deferred[None] = Deferred()
    cursor.when_taken(lambda: fired.callback(None))
    return fired


class Recollection:
    """Tells `cursor`, which has just entered the room, of the past: what was said since `mark`,
    where its owner stopped reading; or, without one, the newest `recent` messages."""

    def __init__(self, chat: Chat, cursor: Cursor, mark: Mark | None, recent: int) -> None:
        self._archive: Archive = chat.archive
        self._log = chat.lobby.log
        self._now = chat.now()
        self._cursor = cursor
        self._mark = mark
        self._recent = recent

    async def tell(self) -> None:
        """All of it, as fast as it is taken; then the cursor reads on where this ends."""
        cursor = self._cursor
        here = cursor.position
        cursor.hold()
        try:
            if self._mark is None:
                await self._tell_recent(here)
            else:
                cursor.go_to(self._mark.position)
                cursor.owe(self._mark.position)
                here = await self._tell_missed(self._mark, here)
            cursor.owe(None)
        except Refusal as refusal:  # what they are owed waits until they come again
            cursor.tell(Refused(refusal))
        finally:
            cursor.release(here)

    async def _tell_recent(self, here: int) -> None:
        messages = await self._archive.recent(here, self._recent)
        if messages:
            self._cursor.tell(Replayed(Why.RECENT, messages, self._now, len(messages)))

    async def _tell_missed(self, mark: Mark, here: int) -> int:
        """Returns where the cursor is to read on: the log may move past `here` meanwhile."""
        away = await self._archive.away(mark, here)
        if away.gone:
            self._cursor.tell(Replayed(Why.AWAY, (), self._now, away.kept, away.gone))
        continues = away.gone > 0
        cursor = self._cursor
        while cursor.position < here and not cursor.parted:
            page = await self._archive.recall(here, cursor.position - 1, RECALLED_MOST)
            if not page.events:
                break
            cursor.go_to(page.events[-1].id + 1)
            messages = tuple(event for event in page.events if isinstance(event, Said | Emoted))
            if messages:
                cursor.tell(Replayed(Why.AWAY, messages, self._now, away.kept, 0, continues))
                continues = True
                await taken(cursor)
                if not cursor.parted:
                    cursor.owe(cursor.position)
            here = max(here, self._log.first_id)
        return here
