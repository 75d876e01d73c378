"""Reading the past: the log in memory, what is held for a failing disk, and the database."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, takewhile

from twisted.internet.defer import Deferred

from chatservice.core.drafts import Entry
from chatservice.core.events import Happening, Recalled
from chatservice.core.log import (
    BATCH_SIZE,
    MAX_PAGE_EVENTS,
    Messages,
    Page,
    Reach,
    newest,
    take_page,
)
from chatservice.storage.group_commit import Held
from chatservice.storage.past import PAGE_ROWS, Past
from chatservice.storage.sqlite import rows, search
from chatservice.storage.sqlite.database import snapshot
from chatservice.storage.sqlite.threads import Reader
from chatservice.storage.turns import Turns
from chatservice.storage.words import Query


class Reading(Past):
    """`held` is what is not on disk; `reader` answers what is quick, `searcher` what need not be;
    what is in memory waits for its turn."""

    def __init__(self, held: Held, reader: Reader, searcher: Reader, turns: Turns) -> None:
        super().__init__(turns)
        self._held = held
        self._reader = reader
        self._searcher = searcher
        self._gaps: Sequence[tuple[int, int]] = ()
        self.indexed = False  # whether words are looked up in an index

    def begin(self, first_id: int, gaps: Sequence[tuple[int, int]], *, indexed: bool) -> None:
        """`gaps`: ids that stand for nothing, each from the first to before the second."""
        self.first_id = first_id
        self._gaps = gaps
        self.indexed = indexed

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
        query, indexed = Query.parse(words), self.indexed
        found = await self._searcher.ask(
            lambda c: search.find(c, query, before, limit, reach, indexed=indexed),
            asker=asker,
            size=query.size,
        )
        return newest(reversed(found), limit)

    async def _messages_before(self, ids: Mapping[str, int], asker: str) -> Mapping[str, int]:
        return await self._reader.ask(
            lambda c: {room: rows.messages_before(c, id_, room) for room, id_ in ids.items()},
            asker=asker,
        )

    def _entries(self, position: int, end: int) -> "Deferred[list[Entry]]":
        def read(connection: sqlite3.Connection) -> list[Entry]:
            entries: list[Entry] = []
            size = 0
            for row in rows.rows_between(connection, position - 1, end):
                entries.append(row.entry())
                size += entries[-1].size
                if len(entries) >= PAGE_ROWS or size >= BATCH_SIZE:
                    break
            return entries

        return self._reader.ask(read)

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
