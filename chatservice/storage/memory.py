"""Stores that keep everything in memory: what a server without a database has of the past, and what
embeds a chat, or tests one, can have of accounts."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from chatservice.core import names
from chatservice.core.cursor import Pages
from chatservice.core.drafts import Committed, Draft, decide
from chatservice.core.events import (
    Account,
    Emoted,
    ErrorCode,
    Recalled,
    Refusal,
    Said,
    Saving,
    Told,
)
from chatservice.core.log import (
    MAX_PAGE_EVENTS,
    Clock,
    Log,
    Messages,
    Origin,
    Reach,
    newest,
    recalled,
)
from chatservice.core.registry import Registry, RoomRecord
from chatservice.core.stores import (
    MAX_ACCOUNTS,
    MAX_OFFLINE_MESSAGES,
    MAX_READ_POSITIONS,
    Credentials,
    MissedCount,
    OfflineMessage,
    ReadPosition,
    closest,
)
from chatservice.storage.fair_queue import QUESTION_SIZE, FairQueue
from chatservice.storage.recent import RecentMessages
from chatservice.storage.words import Query

# Messages, and characters, that a search looks at in one turn of the reactor: some 2 ms.
SEARCH_STEP = 1000
SEARCH_SIZE = 16 * 1024


class MemoryArchive:
    """A `stores.Archive` that has no more than the log in memory. With a `clock` long searches are
    made in steps, so that they hold up nobody."""

    trouble: Saving | None = None
    pages: Pages | None = None

    def __init__(self, epoch: str, clock: Clock | None = None) -> None:
        self._epoch = epoch
        self._searches = _Searches(clock)
        self._registry = Registry()
        self._next_id = 1
        self._positions: OrderedDict[str, ReadPosition] = OrderedDict()

    def submit(
        self, drafts: Sequence[Draft], committed: Callable[[Sequence[Committed]], None], /
    ) -> None:
        decided = decide(drafts, self._registry, self._next_id)
        self._next_id = decided[-1].next_id
        committed(decided)

    @property
    def first_id(self) -> int:
        return self._log.first_id

    def attach(self, log: Log) -> None:
        self._log = log
        self._recent = RecentMessages(log)
        log.begin(Origin(self._epoch))

    async def recall(
        self, before: int, after: int | None, limit: int, reach: Reach, asker: str = ""
    ) -> Recalled:
        log = self._log
        gone = 0 if after is None else max(min(log.first_id, before) - after - 1, 0)
        return Recalled(recalled(log, before, after, limit, reach), log.first_id, gone)

    async def recent(self, before: int, limit: int, reach: Reach, asker: str = "") -> Messages:
        return newest(self._recent.newest_first(before, reach), limit)

    async def find(
        self, words: str, before: int, limit: int, reach: Reach, asker: str = ""
    ) -> Messages:
        query = Query.parse(words)
        if not query:
            return ()
        search = _Search(query, self._recent, before=before, limit=limit, reach=reach, asker=asker)
        return newest(await self._searches.run(search), limit)

    async def seen(self, name: str, asker: str = "") -> ReadPosition | None:
        return self._positions.get(name)

    def arrive(self, name: str) -> None:
        self._positions.pop(name, None)

    def depart(self, name: str, position: ReadPosition) -> None:
        self._positions[name] = position
        if len(self._positions) > MAX_READ_POSITIONS:
            self._positions.popitem(last=False)

    async def missed(
        self, since: ReadPosition, before: int, reach: Reach, asker: str = ""
    ) -> MissedCount:
        log = self._log
        kept = gone = 0
        for room, start in reach.items():
            first = max(since.position, log.first_id, start)
            until_first = log.messages_before(first, room)
            kept += max(log.messages_before(before, room) - until_first, 0)
            if start <= since.position:
                gone += max(until_first - since.messages.get(room, until_first), 0)
        return MissedCount(kept, gone)

    async def memberships(self, account: Account, asker: str = "") -> Mapping[str, int]:
        return {}

    def enroll(
        self, account: Account, rooms: Mapping[str, int], founded: Iterable[RoomRecord]
    ) -> None:
        """There are no accounts without a database."""


class _Search:
    """A search that is being made, from the newest message on."""

    def __init__(
        self,
        query: Query,
        recent: RecentMessages,
        *,
        before: int,
        limit: int,
        reach: Reach,
        asker: str,
    ) -> None:
        self.asker = asker
        self.size = QUESTION_SIZE + query.size
        self.found: list[Said | Emoted] = []
        self.answer: Deferred[list[Said | Emoted]]
        self._query = query
        self._recent = recent
        self._before = before
        self._reach = reach
        self._limit = min(limit, MAX_PAGE_EVENTS)

    def step(self) -> bool:
        """Look at some more. Whether it is done."""
        size = 0
        for looked_at, message in enumerate(self._recent.newest_first(self._before, self._reach)):
            if looked_at == SEARCH_STEP or size >= SEARCH_SIZE:
                return False
            self._before = message.id
            size += len(message.text)
            if self._query.matches(message.text):
                self.found.append(message)
                if len(self.found) == self._limit:
                    return True
        return True


class _Searches:
    """Makes searches, a step of one of them in a turn of the reactor; askers take turns."""

    def __init__(self, clock: Clock | None) -> None:
        self._clock = clock
        self._waiting: FairQueue[_Search] = FairQueue()
        self._due: Any = None

    def run(self, search: _Search) -> "Deferred[list[Said | Emoted]]":
        """What it finds, the newest first. Fails with `Refusal` (BUSY)."""
        search.answer = Deferred(lambda _: self._waiting.remove(search))
        if self._clock is None:
            while not search.step():
                pass
            search.answer.callback(search.found)
            return search.answer
        try:
            self._waiting.add(search)
        except Refusal as refusal:
            search.answer.errback(refusal)
        else:
            self._go_on()
        return search.answer

    def _go_on(self) -> None:
        if self._due is None and self._clock is not None:
            self._due = self._clock.callLater(0, self._step)

    def _step(self) -> None:
        self._due = None
        search = self._waiting.next()
        if search is None:
            return
        if search.step():
            search.answer.callback(search.found)
        else:
            self._waiting.add(search)
        self._go_on()


class MemoryAccountStore:
    """`stores.AccountsAndMessages` that are gone with the process."""

    def __init__(self) -> None:
        self._accounts: dict[str, Credentials] = {}
        self._by_key: dict[str, str] = {}
        self._messages: dict[int, tuple[Account, Told, Account | None]] = {}
        self._numbers = 0

    async def find(self, name: str, asker: str = "") -> Credentials | None:
        return closest(self._protecting(name), name)

    async def owners(self, name: str, asker: str = "") -> frozenset[Account]:
        return frozenset(found.account for found in self._protecting(name))

    async def add(self, account: Account, hashed: str) -> None:
        other = closest(self._protecting(account.name), account.name)
        if other is not None:
            raise Refusal(ErrorCode.NAME_REGISTERED, name=other.account.name)
        if len(self._accounts) >= MAX_ACCOUNTS:
            raise Refusal(ErrorCode.TOO_MANY_ACCOUNTS)
        self._accounts[account.name] = Credentials(account, hashed)
        for key in names.keys(account.name):
            self._by_key[key] = account.name

    async def change(self, account: Account, hashed: str) -> None:
        self._expect(account)
        self._accounts[account.name] = Credentials(account, hashed)

    async def remove(self, account: Account) -> None:
        self._expect(account)
        del self._accounts[account.name]
        for key in names.keys(account.name):
            del self._by_key[key]
        for number, (owner, _, _) in list(self._messages.items()):
            if owner == account:
                del self._messages[number]

    async def post(self, owner: Account, message: Told) -> int:
        self._expect(owner)
        if sum(to == owner for to, _, _ in self._messages.values()) >= MAX_OFFLINE_MESSAGES:
            raise Refusal(ErrorCode.LETTERBOX_FULL, name=owner.name)
        self._numbers += 1
        told = Told(
            self._numbers, message.at, message.sender, owner.name, message.text, waited=True
        )
        sender = self._accounts.get(message.sender)
        is_theirs = sender is not None and sender.account.since <= message.at
        self._messages[told.id] = owner, told, sender.account if sender and is_theirs else None
        return told.id

    async def offline_messages(self, owner: Account) -> tuple[OfflineMessage, ...]:
        return tuple(
            OfflineMessage(told, sender)
            for to, told, sender in self._messages.values()
            if to == owner
        )

    async def discard(self, messages: tuple[Told, ...]) -> None:
        for message in messages:
            kept = self._messages.get(message.id)
            if kept is not None and kept[1] == message:
                del self._messages[message.id]

    def _protecting(self, name: str) -> Iterator[Credentials]:
        for key in names.keys(name):
            if key in self._by_key:
                yield self._accounts[self._by_key[key]]

    def _expect(self, account: Account) -> None:
        found = self._accounts.get(account.name)
        if found is None or found.account != account:
            raise Refusal(ErrorCode.NOT_REGISTERED)
