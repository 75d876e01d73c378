"""Reading the past: the log in memory, and the database."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from twisted.internet.defer import Deferred

from chatservice.core.drafts import Entry
from chatservice.core.events import Emoted, Happening, Recalled, Said
from chatservice.core.log import (
    BATCH_SIZE,
    MAX_PAGE_EVENTS,
    Messages,
    Page,
    Reach,
    newest,
    take_page,
)
from chatservice.storage.past import PAGE_ROWS, Past
from chatservice.storage.postgres.commits import MAX_WORD
from chatservice.storage.rows import Row
from chatservice.storage.turns import Turns
from chatservice.storage.words import Query

Ask = Callable[..., "Deferred[Any]"]

SEARCH_ROWS = 500  # in one step of a search
# Rows that a search looks through before it takes to the index, the newest; and at most, where the
# index is of no use.
SCANNED_FIRST = 2000
MAX_SCANNED = 200_000
# Ids that one row has at most (chat.MAX_BURST), so that a range finds the row that reaches into it.
ROW_IDS = 500
_COLUMNS = ", ".join(Row._fields)
# Left to itself, the planner walks through all rows in search of a rare word.
_INDEXED = f"""
WITH hits AS MATERIALIZED (
    SELECT id, room FROM events WHERE words @@ $1::tsquery
    UNION ALL SELECT id, room FROM events WHERE unindexed),
newest AS MATERIALIZED (
    SELECT id FROM hits
    WHERE id < $2::bigint AND room IN (SELECT jsonb_array_elements_text($3::jsonb))
    ORDER BY id DESC LIMIT $4::bigint)
SELECT {_COLUMNS} FROM newest JOIN events USING (id) ORDER BY id DESC
"""  # noqa: S608


class Reading(Past):
    """`look_up` asks the database what is quick, `search` what need not be; `node` is this
    server."""

    def __init__(self, look_up: Ask, search: Ask, turns: Turns) -> None:
        super().__init__(turns)
        self._look_up = look_up
        self._search = search
        self._node = 0

    def begin(self, first_id: int, node: int) -> None:
        self.first_id = first_id
        self._node = node
        self._pages.clear()

    async def recall(
        self, before: int, after: int | None, limit: int, reach: Reach, asker: str
    ) -> Recalled:
        """As `stores.PastStore` has it."""
        await self._turns.wait(asker)
        if after is None:
            newer = self._log.between(before, None, reach)
            taken = await self._newest(newer, before, limit, reach, asker, spoken=False)
            return Recalled(tuple(reversed(taken.events)), self.first_id)
        gone = max(min(self.first_id, before) - after - 1, 0)
        if after + 1 >= self._log.first_id:
            start = max(after, self.first_id - 1)
            taken = take_page(self._log.between(before, start, reach), limit)
            return Recalled(tuple(taken.events), self.first_id, gone)
        held = self._log.first_id
        page = await self._page(after, min(before, held), limit, reach, asker)
        events = list(page.events)
        if not page.full:
            last = events[-1].id if events else after
            newer = self._log.between(before, max(last, held - 1), reach)
            events = take_page(chain(events, newer), limit).events
        return Recalled(tuple(events), self.first_id, gone)

    async def recent(self, before: int, limit: int, reach: Reach, asker: str) -> Messages:
        """As `stores.PastStore` has it."""
        await self._turns.wait(asker)
        newer = self._recent_messages.newest_first(before, reach)
        taken = await self._newest(newer, before, limit, reach, asker, spoken=True)
        return newest(taken.events, limit)

    async def _messages_before(self, ids: Mapping[str, int], asker: str) -> Mapping[str, int]:
        answer = await self._look_up(
            "SELECT json_object_agg(key, messages_before(key, value::bigint)) "
            "FROM jsonb_each_text($1::jsonb)",
            json.dumps(ids),
            asker=asker,
        )
        counts: dict[str, int] = json.loads(answer[0][0])
        return counts

    def _entries(self, position: int, end: int) -> "Deferred[list[Entry]]":
        def read(answer: Iterable[Sequence[str | None]]) -> list[Entry]:
            entries: list[Entry] = []
            size = 0
            for values in answer:
                *of_row, node = values
                row = row_of_values(of_row)
                if row.end <= position:
                    continue
                if node != str(self._node):
                    row = row._replace(author=None, ref=None)
                entries.append(row.entry())
                size += entries[-1].size
                if size >= BATCH_SIZE:
                    break
            return entries

        asked = self._look_up(
            f"SELECT {_COLUMNS}, node FROM events WHERE id > $1::bigint AND id < $2::bigint "  # noqa: S608
            f"ORDER BY id LIMIT {PAGE_ROWS}",
            str(position - ROW_IDS),
            str(end),
        )
        return asked.addCallback(read)

    async def find(self, text: str, before: int, limit: int, reach: Reach, asker: str) -> Messages:
        """As `stores.PastStore` has it: the newest rows are looked through, and older ones found in
        the index; where there is no word to look up, those are looked through as well."""
        query = Query.parse(text)
        if not query:
            return ()
        limit = min(limit, MAX_PAGE_EVENTS)
        found: list[Happening] = []
        steps = _Steps(query, before)
        while len(found) < limit and (step := steps.next(reach)) is not None:
            answer = await self._search(*step, asker=asker, size=query.size)
            rows = [row_of_values(values) for values in answer]
            for row in rows:
                for event in reversed(row.happenings(before=before, reach=reach)):
                    if isinstance(event, Said | Emoted) and query.matches(event.text):
                        found.append(event)
            steps.came(rows)
        return newest(found, limit)

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
        first_id = self.first_id
        taken = take_page((event for event in newer if event.id >= first_id), limit)
        held = self._log.first_id
        if taken.full or held <= first_id:
            return taken
        older = await self._page(
            -1, min(before, held), limit, reach, asker, newest_first=True, spoken=spoken
        )
        return take_page(chain(taken.events, older.events), limit)

    async def _page(
        self,
        after: int,
        before: int,
        limit: int,
        reach: Reach,
        asker: str,
        *,
        newest_first: bool = False,
        spoken: bool = False,
    ) -> Page:
        """A page of what the database has between these ids."""
        events: list[Happening] = []
        low, high = after, before
        wanted = min(limit, MAX_PAGE_EVENTS)
        while True:
            answer = await self._look_up(
                between(newest_first=newest_first, spoken=spoken),
                json.dumps(list(reach)),
                str(low),
                str(high),
                str(wanted),
                asker=asker,
            )
            rows = [row_of_values(values) for values in answer]
            for row in rows:
                happenings = row.happenings(after, before, reach)
                events += reversed(happenings) if newest_first else happenings
            page = take_page(events, limit)
            if page.full or len(rows) < wanted:
                return page
            if newest_first:
                high = rows[-1].id
            else:
                low = rows[-1].end - 1


class _Steps:
    """Which rows a search looks at next."""

    def __init__(self, query: Query, before: int) -> None:
        self._query = query
        self._before = before
        self._looked_at = 0
        self._index = ""
        self._over = False

    def next(self, reach: Reach) -> tuple[str, ...] | None:
        """A query and its parameters; None: there are no more rows to look at."""
        if self._over:
            return None
        rooms = json.dumps(list(reach))
        if self._index:
            return _INDEXED, self._index, str(self._before), rooms, str(SEARCH_ROWS)
        return (
            between(newest_first=True, spoken=True),
            rooms,
            "-1",
            str(self._before),
            str(SEARCH_ROWS),
        )

    def came(self, rows: Sequence[Row]) -> None:
        """Those were looked at."""
        self._over = len(rows) < SEARCH_ROWS
        if rows:
            self._before = rows[-1].id
        self._looked_at += len(rows)
        if not self._index and self._looked_at >= SCANNED_FIRST and self._query.phrases:
            self._index = _tsquery(self._query)
        if self._looked_at >= MAX_SCANNED:
            self._over = True


def _tsquery(query: Query) -> str:
    """What rows must have that the query may find: its words, of which the last of each phrase may
    go on."""
    terms = []
    for phrase in query.phrases:
        for word in phrase:
            quoted = word[:MAX_WORD].replace("\\", "\\\\").replace("'", "''")
            is_last = word is phrase[-1] or len(word) > MAX_WORD
            terms.append(f"'{quoted}'" + (":*" if is_last else ""))
    return " & ".join(terms)


# The next $2 rows with messages after the id $1, of all rooms.
SPOKEN = (
    f"SELECT {_COLUMNS} FROM events WHERE id > $1::bigint AND kind IN ('said', 'emoted') "  # noqa: S608
    "ORDER BY id LIMIT $2::bigint"
)


def between(*, newest_first: bool, spoken: bool) -> str:
    """The rows of the rooms $1 between the ids $2 and $3, at most $4 of them. Each room is looked
    up in its index."""
    order = "ORDER BY id DESC" if newest_first else "ORDER BY id"
    condition = (
        f"id > $2::bigint - {ROW_IDS} AND id < $3::bigint AND id + greatest(messages, 1) - 1 "
        "> $2::bigint"
    )
    if spoken:
        condition += " AND messages > 0"
    of_rooms = (
        f"SELECT e.* FROM jsonb_array_elements_text($1::jsonb) AS r, LATERAL (SELECT {_COLUMNS} "  # noqa: S608
        f"FROM events WHERE room = r AND rooms = '' AND {condition} {order} LIMIT $4::bigint) AS e"
    )
    if spoken:
        return f"{of_rooms} {order} LIMIT $4::bigint"
    of_several = (
        f"(SELECT {_COLUMNS} FROM events WHERE rooms <> '' AND {condition} {order} "  # noqa: S608
        "LIMIT $4::bigint)"
    )
    return f"{of_rooms} UNION ALL {of_several} {order} LIMIT $4::bigint"


def row_of_values(values: Sequence[str | None]) -> Row:
    """The row that has these values, in the order of its fields."""
    (id_, at, room, kind, name, text, messages, earlier, rooms, author, acknowledged, ref) = values
    return Row(
        int(id_ or 0),
        float(at or 0.0),
        room or "",
        kind or "",
        name or "",
        text or "",
        int(messages or 0),
        int(earlier or 0),
        rooms or "",
        None if author is None else int(author),
        int(acknowledged or 0),
        None if ref is None else json.loads(ref),
    )
