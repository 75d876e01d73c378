"""Reading the past: what is the same whatever database keeps it."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.core.cursor import Pages
from chatservice.core.drafts import Entry
from chatservice.core.events import Recalled, Refusal
from chatservice.core.log import Batch, Log, Messages, Reach
from chatservice.core.stores import MissedCount, ReadPosition
from chatservice.storage.recent import RecentMessages
from chatservice.storage.turns import Turns

log = Logger()

# Rows in a page of what the log no longer holds: some milliseconds of reading.
PAGE_ROWS = 500
# Pages that are kept for readers who have stopped at the same place: some 4 MB.
MAX_PAGES = 16


class Past(ABC):
    """What has happened, and is still kept: from the id `first_id` on. What is in memory waits for
    its turn."""

    def __init__(self, turns: Turns) -> None:
        self.first_id = 1
        self._turns = turns
        self._pages: OrderedDict[int, Batch] = OrderedDict()

    def attach(self, log: Log) -> None:
        self._log = log
        self._recent_messages = RecentMessages(log)
        log.erasing.append(self._erase)

    def _erase(self, erased: Mapping[int, str]) -> None:
        """Messages with these ids have been deleted."""
        for page in self._pages.values():
            page.erase(erased)

    def deleted_before(self, first_id: int) -> None:
        """Nothing older is kept any more."""
        self.first_id = max(self.first_id, first_id)

    # As `stores.PastStore` has it.

    @abstractmethod
    async def recall(
        self, before: int, after: int | None, limit: int, reach: Reach, asker: str
    ) -> Recalled: ...

    @abstractmethod
    async def recent(self, before: int, limit: int, reach: Reach, asker: str) -> Messages: ...

    @abstractmethod
    async def find(
        self, words: str, before: int, limit: int, reach: Reach, asker: str
    ) -> Messages: ...

    async def missed(
        self, since: ReadPosition, before: int, reach: Reach, asker: str
    ) -> MissedCount:
        """As `stores.PastStore` has it."""
        firsts = {room: max(since.position, self.first_id, reach[room]) for room in reach}
        old = {room: first for room, first in firsts.items() if first < self._log.first_id}
        counts = await self._messages_before(old, asker) if old else {}
        kept = gone = 0
        for room, first in firsts.items():
            until_first = counts.get(room)
            if until_first is None:
                until_first = self._log.messages_before(first, room)
            kept += max(self._log.messages_before(before, room) - until_first, 0)
            if reach[room] <= since.position:
                gone += max(until_first - since.messages.get(room, until_first), 0)
        return MissedCount(kept, gone)

    @abstractmethod
    async def _messages_before(self, ids: Mapping[str, int], asker: str) -> Mapping[str, int]:
        """How many messages there have been in each of these rooms before that id."""

    def load(
        self, position: int, rooms: frozenset[str], then: Callable[[Batch | None, int], None], /
    ) -> None:
        """As `cursor.Pages` has it. Pages are shared by those who have stopped at the same place
        (see MAX_PAGES)."""
        held = self._log.first_id
        page = self._pages.get(position)
        if page is not None and page.start < held:
            self._pages.move_to_end(position)
            then(page, 0)
            return

        def loaded(entries: list[Entry]) -> None:
            if not entries:
                then(None, 0)
                return
            batch = Batch(entries, self._log.report)
            batch.erase(self._log.erased.between(batch.start, batch.end))  # since it was read
            if position < batch.start:
                self.deleted_before(min(batch.start, self.first_id))
            self._pages[position] = batch
            if len(self._pages) > MAX_PAGES:
                self._pages.popitem(last=False)
            then(batch, 0)

        def failed(failure: Failure) -> None:
            if failure.check(Refusal) is None:
                log.failure("A page of the log cannot be read.", failure)
            then(None, 0)

        self._entries(position, held).addCallbacks(loaded, failed).addErrback(
            lambda failure: log.failure("A page of the log cannot be delivered.", failure)
        )

    @abstractmethod
    def _entries(self, position: int, end: int) -> "Deferred[list[Entry]]":
        """A page of those from `position` on, before the id `end`: at most PAGE_ROWS, and no more
        once they have BATCH_SIZE characters."""


class ReadablePast:
    """The part of a `stores.Archive` that its `Past` does."""

    _reading: Past

    @property
    def first_id(self) -> int:
        return self._reading.first_id

    @property
    def pages(self) -> Pages:
        return self._reading

    async def recall(
        self, before: int, after: int | None, limit: int, reach: Reach, asker: str = ""
    ) -> Recalled:
        return await self._reading.recall(before, after, limit, reach, asker)

    async def recent(self, before: int, limit: int, reach: Reach, asker: str = "") -> Messages:
        return await self._reading.recent(before, limit, reach, asker)

    async def find(
        self, words: str, before: int, limit: int, reach: Reach, asker: str = ""
    ) -> Messages:
        return await self._reading.find(words, before, limit, reach, asker)

    async def missed(
        self, since: ReadPosition, before: int, reach: Reach, asker: str = ""
    ) -> MissedCount:
        return await self._reading.missed(since, before, reach, asker)
