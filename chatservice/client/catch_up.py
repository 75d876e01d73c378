"""Catching up: how a client gets what it did not hear of the log.

The log is read in pages. A part of it that was missed is told in chunks of bounded size, each when
the program has taken enough of the last; meanwhile what else comes in is held.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from chatservice.client.connection import Connection
from chatservice.client.events import Missed, RoomLost
from chatservice.client.feed import Feed
from chatservice.client.inbox import size
from chatservice.client.link import Link
from chatservice.client.outstanding import Outstanding, Settlement
from chatservice.client.state import State
from chatservice.core.events import (
    ALL_ROOMS,
    Error,
    Happening,
    Joined,
    Left,
    Message,
    ProgramEvent,
    Recalled,
    Replayed,
    ReplayReason,
    RoomInfo,
    Skipped,
)
from chatservice.core.requests import History, Join

PAGE = 1000  # events to ask for at a time; the server gives fewer
PAGE_REF = "gap"  # the ref of what is asked while catching up
# Of a chunk. All that a server's memory has of a log (20,000 messages, 4 million characters) fits
# into one, so that how many messages were missed is nearly always told in one number.
MAX_CHUNK, MAX_CHUNK_SIZE = 25_000, 8 * 1024 * 1024
# Pages that fill one gap: ten million events, or some minutes. A server that never comes to the end
# is believed no longer.
MAX_PAGES = 10_000
# What may be held. Beyond that, what the log has too is dropped and fetched later; and where that
# does not help, the server is left.
MAX_HELD, MAX_HELD_SIZE = 50_000, 16 * 1024 * 1024


class Pages:
    """Asks for pages of history, one at a time, and for what else is needed. `send` sends a
    request."""

    def __init__(self, send: Callable[[History | Join], None]) -> None:
        self._send = send
        self._awaited: Deferred[ProgramEvent | None] | None = None

    async def get(self, request: History) -> Recalled | None:
        """The page; None if there is no answer, or another one."""
        page = await self.ask(request)
        return page if isinstance(page, Recalled) else None

    async def ask(self, request: History | Join) -> ProgramEvent | None:
        """The answer; None if there is none."""
        awaited: Deferred[ProgramEvent | None] = Deferred()
        self._awaited = awaited
        self._send(request)
        return await awaited

    def answer(self, event: ProgramEvent | None) -> None:
        """This is the answer. None: there will be none."""
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.callback(event)


class Held:
    """What came in while pages were awaited, until its turn comes."""

    def __init__(self) -> None:
        self._items: deque[tuple[ProgramEvent, str | None]] = deque()
        self._size = 0
        self.dropped_to = 0  # the log has to be read up to this id

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, event: ProgramEvent, ref: str | None) -> bool:
        """False: there is too much."""
        self._items.append((event, ref))
        self._size += size(event)
        if self._is_full:
            self._drop()
        return not self._is_full

    def take(self) -> tuple[ProgramEvent, str | None]:
        event, ref = self._items.popleft()
        self._size -= size(event)
        return event, ref

    def clear(self) -> None:
        self._items.clear()
        self._size = self.dropped_to = 0

    @property
    def _is_full(self) -> bool:
        return len(self._items) > MAX_HELD or self._size > MAX_HELD_SIZE

    def _drop(self) -> None:
        """What can be read in the log."""
        kept = [(event, ref) for event, ref in self._items if not isinstance(event, Happening)]
        dropped = (event.id for event, _ in self._items if isinstance(event, Happening))
        self.dropped_to = max(self.dropped_to, *dropped, 0)
        self._items = deque(kept)
        self._size = sum(size(event) for event, _ in kept)


class Chunk(NamedTuple):
    """A part of what was missed. `gone`: so many events are no longer kept, or cannot be had."""

    events: list[Happening]
    gone: int


class Gap:
    """What happened after the id `after` and before `before`, or what `held` has dropped. `stop`
    says whether nobody wants to hear more."""

    def __init__(
        self,
        pages: Pages,
        held: Held,
        stop: Callable[[], bool],
        *,
        after: int,
        before: int,
        rooms: str,
    ) -> None:
        self._pages = pages
        self._held = held
        self._stop = stop
        self._after = after
        self._before = before
        self._rooms = rooms
        self._asked = 0

    @property
    def before(self) -> int:
        return max(self._before, self._held.dropped_to + 1)

    def is_filled(self) -> bool:
        return self._after + 1 >= self.before or self._stop()

    async def next_chunk(self) -> Chunk:
        """The next part, of all that is left if it is not too much."""
        events: list[Happening] = []
        gone = length = 0
        while not self.is_filled() and len(events) < MAX_CHUNK and length < MAX_CHUNK_SIZE:
            before = self.before
            page = await self._next_page(before)
            gone += before - self._after - 1 if page is None else page.gone
            if page is None or not page.events or page.events[-1].id <= self._after:
                self._after = before - 1  # there is nothing more, or it cannot be had
            else:
                events += page.events
                length += size(page)
                self._after = page.events[-1].id
        return Chunk(events, gone)

    async def _next_page(self, before: int) -> Recalled | None:
        self._asked += 1
        if self._asked > MAX_PAGES:
            return None
        return await self._pages.get(History(before, self._after, PAGE, room=self._rooms))


class CatchUp:
    """Fills gaps: between what we have heard and a welcome, or where the server has skipped
    something for us. `live` is called when that is done. `echo`: our own messages are told, too;
    `rooms`: those that we hear, as a request names them; `now`: the time, in seconds."""

    def __init__(
        self,
        link: Link,
        feed: Feed,
        requests: Outstanding,
        live: Callable[[], None],
        *,
        echo: bool,
        rooms: str,
        now: Callable[[], float],
    ) -> None:
        self.held = Held()
        self._lifecycle = link.lifecycle
        self._link = link
        self._feed = feed
        self._requests = requests
        self._live = live
        self._echo = echo
        self._rooms = rooms
        self._now = now
        self._pages = Pages(lambda request: link.send(request, PAGE_REF))

    def begin(
        self,
        last_id: int,
        old_name: str | None,
        name: str,
        *,
        same_log: bool,
        recent: int,
        rejoin: Sequence[str],
    ) -> None:
        """Come into the rooms `rejoin` again; tell of the `recent` newest messages that we need not
        hear again, and of what happened up to `last_id` while we were away, who were `old_name`
        before and are `name` now; settle what was asked for."""
        self._lifecycle.enter(State.CATCHING_UP)
        settlement = Settlement(self._requests, old_name) if same_log else None
        self._own(self._catch_up(last_id, name, settlement, recent, rejoin))

    def skipped(self, event: Skipped, name: str | None) -> None:
        """Get what the log still has of it. `name`: ours."""
        if self._feed.position.last_id + 1 >= event.before:
            self._feed.put(event)
        else:
            self._lifecycle.enter(State.CATCHING_UP)
            self._own(self._fill(event, Settlement(self._requests, name)))

    def answer(self, event: ProgramEvent) -> None:
        """This answers the request for a page."""
        self._pages.answer(event)

    def lost(self) -> None:
        """The connection is gone."""
        self.held.clear()
        self._pages.answer(None)
        self._feed.inbox.release()

    def _own(self, work: "Coroutine[Deferred[Any], Any, None]") -> None:
        Deferred.fromCoroutine(work).addErrback(self._link.break_down)

    def _gap(self, before: int) -> Gap:
        """What we have not heard before the id `before`."""
        last_id = self._feed.position.last_id
        return Gap(
            self._pages,
            self.held,
            self._is_enough,
            after=last_id,
            before=before,
            rooms=self._rooms,
        )

    def _is_enough(self) -> bool:
        """Whether we want to leave, and wait for nothing that may stand in the log."""
        return self._lifecycle.is_leaving and not self._requests

    def _is_current(self, connection: Connection | None) -> bool:
        """Whether `connection` is still there."""
        return connection is self._link.connection

    async def _rejoin(self, rooms: Sequence[str]) -> int:
        """Come into `rooms` again. Returns the id of the newest event in them, up to which nothing
        of them was sent to us."""
        connection = self._link.connection
        for room in rooms:
            answer = await self._pages.ask(Join(room))
            if not self._is_current(connection):
                return 0
            if isinstance(answer, RoomInfo):
                self._feed.room_map.enter(answer)
                self._feed.user_map.meet(answer.room, answer.users)
            else:
                self._feed.room_map.leave(room)
                why = answer.message if isinstance(answer, Error) else ""
                self._feed.put(RoomLost(room, why))
        newest = None
        if rooms and self._rooms == ALL_ROOMS:
            newest = await self._pages.get(History(limit=1, room=self._rooms))
        return newest.events[-1].id if newest is not None and newest.events else 0

    async def _catch_up(
        self,
        last_id: int,
        name: str,
        settlement: Settlement | None,
        recent: int,
        rejoin: Sequence[str],
    ) -> None:
        connection = self._link.connection
        last_id = max(last_id, await self._rejoin(rejoin))
        if not self._is_current(connection):
            return
        if recent:
            before = self._feed.position.last_id + 1
            page = await self._pages.get(
                History(before, limit=recent, messages=True, room=self._rooms)
            )
            if page is not None and page.events:
                self._feed.put(replayed(ReplayReason.RECENT, page, self._now()))
        gap = self._gap(last_id + 1)
        gone = 0
        while not gap.is_filled() and self._is_current(connection):
            chunk = await gap.next_chunk()
            if not self._is_current(connection):
                break
            gone += chunk.gone
            self._tell_missed(chunk, name, settlement)
            await self._feed.until_not_full()
        if self._is_current(connection):
            if gone or settlement is None:
                self._requests.lose_track()
            self._end(gap)

    def _tell_missed(self, chunk: Chunk, name: str, settlement: Settlement | None) -> None:
        """But not of the comings and goings of `name`, which are our own."""
        events: Iterable[Happening] = chunk.events
        if settlement is not None:
            events = settlement.settle(chunk.events, echo=self._echo)
        others = [each for event in events if (each := _without(event, name)) is not None]
        count = _messages(others)
        if count or chunk.gone:
            self._feed.put(Missed(count, chunk.gone))
        for event in others:
            self._feed.put_once(event, past=True)

    async def _fill(self, skipped: Skipped, settlement: Settlement) -> None:
        connection = self._link.connection
        gap = self._gap(skipped.before)
        lost = skipped.count
        while not gap.is_filled() and self._is_current(connection):
            chunk = await gap.next_chunk()
            if not self._is_current(connection):
                break
            others = list(settlement.settle(chunk.events, echo=False))
            lost -= _messages(event for event in others if event.id < skipped.before)
            if lost > 0 and gap.is_filled():
                self._feed.put(Skipped(lost, skipped.after, skipped.before))
            for event in chunk.events if self._echo else others:
                self._feed.put_once(event)
            await self._feed.until_not_full()
        if self._is_current(connection):
            self._end(gap)

    def _end(self, gap: Gap) -> None:
        self._feed.position.reach(gap.before - 1)
        self._lifecycle.enter(State.LIVE)
        self._live()


def replayed(why: ReplayReason, page: Recalled, now: float, limit: int = 0) -> Replayed:
    """The messages of a page of history, as they are shown to people. `now`: in seconds. `limit`:
    so many were asked for, if it matters that there may be more."""
    messages = tuple(event for event in page.events if isinstance(event, Message))
    more = 0 < limit <= len(messages)
    return Replayed(why, messages, now, len(messages), more=more)


def _messages(events: Iterable[Happening]) -> int:
    return sum(isinstance(event, Message) for event in events)


def _without(event: Happening, name: str) -> Happening | None:
    if isinstance(event, Joined | Left) and name in event.names:
        names = tuple(each for each in event.names if each != name)
        return replace(event, names=names) if names else None
    return event
