"""Reading the past: the log in memory, what is held for a failing disk, and the database."""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, takewhile

from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.core.drafts import Entry
from chatservice.core.events import Happening, Recalled, Refusal
from chatservice.core.log import (
    BATCH_SIZE,
    MAX_PAGE_EVENTS,
    Batch,
    Log,
    Messages,
    Page,
    Reach,
    newest,
    take_page,
)
from chatservice.core.stores import MissedCount, ReadPosition
from chatservice.storage.group_commit import Held
from chatservice.storage.recent import RecentMessages
from chatservice.storage.sqlite import rows, search
from chatservice.storage.sqlite.database import snapshot
from chatservice.storage.sqlite.threads import Reader
from chatservice.storage.turns import Turns
from chatservice.storage.words import Query

log = Logger()

# Rows in a page of what the log no longer holds: some milliseconds of reading.
PAGE_ROWS = 500
# Pages that are kept for readers who have stopped at the same place: some 4 MB.
MAX_PAGES = 16


class Reading:
    """What has happened, and is still kept: from the id `first_id` on. `held` is what is not on
    disk; `reader` answers what is quick, `searcher` what need not be; what is in memory waits for
    its turn."""

    def __init__(self, held: Held, reader: Reader, searcher: Reader, turns: Turns) -> None:
        self.first_id = 1
        self._held = held
        self._reader = reader
        self._searcher = searcher
        self._turns = turns
        self._gaps: Sequence[tuple[int, int]] = ()
        self._indexed = False
        self._pages: OrderedDict[int, Batch] = OrderedDict()

    def attach(self, log: Log) -> None:
        self._log = log
        self._recent_messages = RecentMessages(log)

    def begin(self, first_id: int, gaps: Sequence[tuple[int, int]], *, indexed: bool) -> None:
        """`gaps`: ids that stand for nothing, each from the first to before the second."""
        self.first_id = first_id
        self._gaps = gaps
        self._indexed = indexed

    def deleted_before(self, first_id: int) -> None:
        """Nothing older is kept any more."""
        self.first_id = max(self.first_id, first_id)

    async def recall(
        self, before: int, after: int | None, limit: int, reach: Reach, asker: str
    ) -> Recalled:
        """As `stores.PastStore` has it."""
        await self._turns.wait(asker)
        if after is None:
            held = self._held.newest_first(min(before, self._log.first_id), reach, spoken=False)
            newer = chain(self._log.between(before, None, reach), held)
            taken = await self._newest(newer, before, limit, reach, asker, spoken=False)
            return Recalled(tuple(reversed(taken.events)), self.first_id)
        if after + 1 >= self._log.first_id:
            start = max(after, self.first_id - 1)
            taken = take_page(self._log.between(before, start, reach), limit)
            return Recalled(tuple(taken.events), self.first_id, self._gone(after, before))

        def page(connection: sqlite3.Connection) -> tuple[Page, int]:
            old = _happenings(connection, after, before, reach, newest_first=False, spoken=False)
            with snapshot(connection):
                return take_page(old, limit), rows.first_id(connection) or 0

        saved, first = await self._reader.ask(page, asker=asker)
        self.deleted_before(first)  # some have been just now
        gone = self._gone(after, before)
        events = list(saved.events)
        last = events[-1].id if events else after
        if not saved.full:
            held = self._held.oldest_first(last, min(before, self._log.first_id), reach)
            newer = chain(held, self._log.between(before, last, reach))
            events = take_page(chain(events, newer), limit).events
        return Recalled(tuple(events), self.first_id, gone)

    async def recent(self, before: int, limit: int, reach: Reach, asker: str) -> Messages:
        """As `stores.PastStore` has it."""
        await self._turns.wait(asker)
        held = self._held.newest_first(min(before, self._log.first_id), reach, spoken=True)
        newer = chain(self._recent_messages.newest_first(before, reach), held)
        taken = await self._newest(newer, before, limit, reach, asker, spoken=True)
        return newest(taken.events, limit)

    async def find(self, words: str, before: int, limit: int, reach: Reach, asker: str) -> Messages:
        """As `stores.PastStore` has it."""
        query, indexed = Query.parse(words), self._indexed
        found = await self._searcher.ask(
            lambda c: search.find(c, query, before, limit, reach, indexed=indexed),
            asker=asker,
            size=query.size,
        )
        return newest(reversed(found), limit)

    async def missed(
        self, since: ReadPosition, before: int, reach: Reach, asker: str
    ) -> MissedCount:
        """As `stores.PastStore` has it."""
        firsts = {room: max(since.position, self.first_id, reach[room]) for room in reach}
        old = [room for room, first in firsts.items() if first < self._log.first_id]
        counts: dict[str, int] = {}
        if old:
            counts = await self._reader.ask(
                lambda c: {room: rows.messages_before(c, firsts[room], room) for room in old},
                asker=asker,
            )
        kept = gone = 0
        for room, first in firsts.items():
            until_first = counts.get(room)
            if until_first is None:
                until_first = self._log.messages_before(first, room)
            kept += max(self._log.messages_before(before, room) - until_first, 0)
            if reach[room] <= since.position:
                gone += max(until_first - since.messages.get(room, until_first), 0)
        return MissedCount(kept, gone)

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

        def read(connection: sqlite3.Connection) -> list[Entry]:
            entries: list[Entry] = []
            size = 0
            for row in rows.rows_between(connection, position - 1, held):
                entries.append(row.entry())
                size += entries[-1].size
                if len(entries) >= PAGE_ROWS or size >= BATCH_SIZE:
                    break
            return entries

        def loaded(entries: list[Entry]) -> None:
            if not entries:
                then(None, 0)
                return
            batch = Batch(entries, self._log.report)
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

        self._reader.ask(read).addCallbacks(loaded, failed).addErrback(
            lambda failure: log.failure("A page of the log cannot be delivered.", failure)
        )

    async def _newest(
        self,
        newer: Iterable[Happening],
        before: int,
        limit: int,
        reach: Reach,
        asker: str,
        *,
        spoken: bool,
    ) -> Page:
        """The newest come first. `newer`: those that need not be read from the database."""
        kept = takewhile(self._is_kept, newer)
        taken, first = take_page(kept, limit), self._log.first_id
        if taken.full or first <= self.first_id:
            return taken
        older = await self._reader.ask(
            lambda c: take_page(
                _happenings(c, -1, min(before, first), reach, newest_first=True, spoken=spoken),
                limit,
            ),
            asker=asker,
        )
        return take_page(chain(taken.events, older.events), limit)

    def _is_kept(self, event: Happening) -> bool:
        """The log in memory may have what has been deleted."""
        return event.id >= self.first_id

    def _gone(self, after: int, before: int) -> int:
        """How many ids after that one stand for events that are not kept any more."""
        first = min(self.first_id, before)
        gaps = sum(max(min(past, first) - max(start, after + 1), 0) for start, past in self._gaps)
        return max(first - after - 1 - gaps, 0)


def _happenings(
    connection: sqlite3.Connection,
    after: int,
    before: int,
    reach: Reach,
    *,
    newest_first: bool,
    spoken: bool,
) -> Iterable[Happening]:
    """For one page: of a row with hundreds of messages no more than that are made."""
    found = rows.rows_between(
        connection, after, before, reach, newest_first=newest_first, spoken=spoken
    )
    for row in found:
        if newest_first:
            least = max(after, min(before, row.end) - 1 - MAX_PAGE_EVENTS)
            yield from reversed(row.happenings(least, before, reach))
        else:
            most = min(before, max(after + 1, row.id) + MAX_PAGE_EVENTS)
            yield from row.happenings(after, most, reach)
