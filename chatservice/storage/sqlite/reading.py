"""Reading the past: the log in memory, what is held for a failing disk, and the database."""

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain, takewhile

from chatservice.core.events import Happening, Recalled
from chatservice.core.log import MAX_PAGE_EVENTS, Log, Messages, Page, newest, take_page
from chatservice.core.stores import MissedCount, ReadPosition
from chatservice.storage.group_commit import Held
from chatservice.storage.recent import RecentMessages
from chatservice.storage.sqlite import rows, search
from chatservice.storage.sqlite.database import snapshot
from chatservice.storage.sqlite.threads import Reader
from chatservice.storage.turns import Turns
from chatservice.storage.words import Query


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

    def attach(self, log: Log) -> None:
        self._log = log
        self.recent_messages = RecentMessages(log)

    def begin(self, first_id: int, gaps: Sequence[tuple[int, int]], *, indexed: bool) -> None:
        """`gaps`: ids that stand for nothing, each from the first to before the second."""
        self.first_id = first_id
        self._gaps = gaps
        self._indexed = indexed

    def deleted_before(self, first_id: int) -> None:
        """Nothing older is kept any more."""
        self.first_id = max(self.first_id, first_id)

    async def recall(self, before: int, after: int | None, limit: int, asker: str) -> Recalled:
        """As `stores.EventStore` has it."""
        await self._turns.wait(asker)
        if after is None:
            held = self._held.newest_first(min(before, self._log.first_id), spoken=False)
            newer = chain(self._log.between(before, None), held)
            taken = await self._newest(newer, before, limit, asker, spoken=False)
            return Recalled(tuple(reversed(taken.events)), self.first_id)
        if after + 1 >= self._log.first_id:
            taken = take_page(self._log.between(before, max(after, self.first_id - 1)), limit)
            return Recalled(tuple(taken.events), self.first_id, self._gone(after, before))

        def page(connection: sqlite3.Connection) -> tuple[Page, int]:
            old = _happenings(connection, after, before, newest_first=False, spoken=False)
            with snapshot(connection):
                return take_page(old, limit), rows.first_id(connection) or 0

        saved, first = await self._reader.ask(page, asker=asker)
        self.deleted_before(first)  # some have been just now
        gone = self._gone(after, before)
        events = list(saved.events)
        last = events[-1].id if events else after
        if not saved.full:
            held = self._held.oldest_first(last, min(before, self._log.first_id))
            newer = chain(held, self._log.between(before, last))
            events = take_page(chain(events, newer), limit).events
        return Recalled(tuple(events), self.first_id, gone)

    async def recent(self, before: int, limit: int, asker: str) -> Messages:
        """As `stores.EventStore` has it."""
        await self._turns.wait(asker)
        held = self._held.newest_first(min(before, self._log.first_id), spoken=True)
        newer = chain(self.recent_messages.newest_first(before), held)
        taken = await self._newest(newer, before, limit, asker, spoken=True)
        return newest(taken.events, limit)

    async def find(self, words: str, before: int, limit: int, asker: str) -> Messages:
        """As `stores.EventStore` has it."""
        query, indexed = Query.parse(words), self._indexed
        found = await self._searcher.ask(
            lambda c: search.find(c, query, before, limit, indexed=indexed),
            asker=asker,
            size=query.size,
        )
        return newest(reversed(found), limit)

    async def missed(self, since: ReadPosition, before: int, asker: str) -> MissedCount:
        """As `stores.EventStore` has it."""
        first = max(since.position, self.first_id)
        until_before = self._log.messages_before(before)  # be it saved or not
        if first >= self._log.first_id:
            until_first = self._log.messages_before(first)
        else:
            until_first = await self._reader.ask(
                lambda c: rows.messages_before(c, first), asker=asker
            )
        return MissedCount(until_before - until_first, max(until_first - since.messages, 0))

    async def _newest(
        self, newer: Iterable[Happening], before: int, limit: int, asker: str, *, spoken: bool
    ) -> Page:
        """The newest come first. `newer`: those that need not be read from the database."""
        kept = takewhile(self._is_kept, newer)
        taken, first = take_page(kept, limit), self._log.first_id
        if taken.full or first <= self.first_id:
            return taken
        older = await self._reader.ask(
            lambda c: take_page(
                _happenings(c, -1, min(before, first), newest_first=True, spoken=spoken), limit
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
    connection: sqlite3.Connection, after: int, before: int, *, newest_first: bool, spoken: bool
) -> Iterable[Happening]:
    """For one page: of a row with hundreds of messages no more than that are made."""
    found = rows.rows_between(connection, after, before, newest_first=newest_first, spoken=spoken)
    for row in found:
        if newest_first:
            least = max(after, min(before, row.end) - 1 - MAX_PAGE_EVENTS)
            yield from reversed(rows.happenings(row, least, before))
        else:
            most = min(before, max(after + 1, row.id) + MAX_PAGE_EVENTS)
            yield from rows.happenings(row, after, most)
