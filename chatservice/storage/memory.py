"""Stores that keep everything in memory: what a server without a database has of the past, and what
embeds a chat, or tests one, can have of accounts."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from chatservice.core import names
from chatservice.core.cursor import Pages
from chatservice.core.drafts import Committed, Draft, Entry, decide
from chatservice.core.events import (
    ALL_ROOMS,
    Account,
    Emoted,
    ErrorCode,
    Message,
    Recalled,
    Refusal,
    Said,
    Saving,
    Told,
    Tombstone,
)
from chatservice.core.ignoring import Change as IgnoreChange
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
from chatservice.core.sanctions import Sanction
from chatservice.core.stores import (
    MAX_ACCOUNT_TOKENS,
    MAX_ACCOUNTS,
    MAX_KNOWN_NETWORKS,
    MAX_READ_POSITIONS,
    Credentials,
    MissedCount,
    OfflineMessage,
    ReadPosition,
    Report,
    closest,
    expect_place,
    expect_room,
)
from chatservice.storage.recent import RecentMessages
from chatservice.storage.turns import Turns
from chatservice.storage.words import Query

# Messages, and characters, that one step of a search looks at: some 2 ms.
SEARCH_STEP = 1000
SEARCH_SIZE = 16 * 1024


class MemoryArchive:
    """A `stores.Archive` that has no more than the log in memory. With a `clock` what is looked up
    waits for its turn, so that it holds up nobody."""

    trouble: Saving | None = None
    shows_unsaved = False
    pages: Pages | None = None

    tokens = None
    whispers = None

    def __init__(self, epoch: str, clock: Clock | None = None) -> None:
        self._epoch = epoch
        self._turns = Turns(clock)
        self._registry = Registry()
        self._next_id = 1
        self._positions: OrderedDict[str, ReadPosition] = OrderedDict()
        self.reports = MemoryReportStore()

    def submit(
        self, drafts: Sequence[Draft], committed: Callable[[Sequence[Committed]], None], /
    ) -> None:
        decided = decide(drafts, self._registry, self._next_id)
        self._next_id = decided[-1].next_id
        for _, outcome, _ in decided:
            if isinstance(outcome, Entry):
                self.reports.forget_rooms(outcome.ended)
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
        await self._turns.wait(asker)
        log = self._log
        gone = 0 if after is None else max(min(log.first_id, before) - after - 1, 0)
        return Recalled(recalled(log, before, after, limit, reach), log.first_id, gone)

    async def recent(self, before: int, limit: int, reach: Reach, asker: str = "") -> Messages:
        await self._turns.wait(asker)
        return newest(self._recent.newest_first(before, reach), limit)

    async def find(
        self, words: str, before: int, limit: int, reach: Reach, asker: str = ""
    ) -> Messages:
        query = Query.parse(words)
        if not query:
            return ()
        found: list[Said | Emoted] = []
        limit = min(limit, MAX_PAGE_EVENTS)
        while len(found) < limit:
            await self._turns.wait(asker, query.size)
            step = self._step(before, reach)
            if not step:
                break
            before = step[-1].id
            found += [
                message
                for message in step
                if not isinstance(message, Tombstone) and query.matches(message.text)
            ]
        return newest(found, limit)

    def _step(self, before: int, reach: Reach) -> list[Message]:
        """The newest messages before that id, as many as one step of a search looks at."""
        step: list[Message] = []
        size = 0
        for message in self._recent.newest_first(before, reach):
            step.append(message)
            size += 0 if isinstance(message, Tombstone) else len(message.text)
            if len(step) == SEARCH_STEP or size >= SEARCH_SIZE:
                break
        return step

    async def seen(self, name: str, asker: str = "") -> ReadPosition | None:
        return self._positions.get(name)

    def arrive(self, name: str) -> None:
        self._positions.pop(name, None)

    def depart(self, name: str, position: ReadPosition) -> None:
        self._positions[name] = position
        if len(self._positions) > MAX_READ_POSITIONS:
            self._positions.popitem(last=False)

    def heard(self, position: int) -> None:
        """This archive ends with the process."""

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

    async def keep_ignored(self, change: IgnoreChange) -> None:
        """There are no accounts without a database."""

    def change_ignored(self, change: IgnoreChange) -> None:
        """Nor here."""

    def enroll(
        self,
        account: Account,
        rooms: Mapping[str, int],
        founded: Iterable[RoomRecord],
        sanctions: Iterable[Sanction] = (),
    ) -> None:
        """There are no accounts without a database."""


class MemoryReportStore:
    """`stores.ReportStore` that is gone with the process."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Report, str]] = {}
        self._numbers = 0

    async def keep(self, report: Report, origin: str) -> int:
        origins = [each for _, each in self._kept.values()]
        expect_place(len(origins), origins.count(origin))
        self._numbers += 1
        self._kept[self._numbers] = report._replace(number=self._numbers), origin
        return self._numbers

    async def kept(self, asker: str = "") -> tuple[Report, ...]:
        return tuple(report for report, _ in self._kept.values())

    async def discard(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._kept.pop(number, None)

    def forget_rooms(self, rooms: Iterable[str]) -> None:
        """There are none of those any longer."""
        for room in rooms:
            for number, (report, origin) in list(self._kept.items()):
                if report.room == room:
                    self._kept[number] = report._replace(room=ALL_ROOMS), origin


class _Kept(NamedTuple):
    """An offline message, for whom, and whom it is counted for."""

    owner: Account
    origin: str
    message: OfflineMessage


class MemoryAccountStore:
    """`stores.AccountsAndMessages` that are gone with the process."""

    def __init__(self) -> None:
        self._accounts: dict[str, Credentials] = {}
        self._by_key: dict[str, str] = {}
        self._networks: dict[Account, dict[str, None]] = {}
        self._tokens: dict[Account, dict[str, None]] = {}
        self._messages: dict[int, _Kept] = {}
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
        self._networks.pop(account, None)
        self._tokens.pop(account, None)

    async def remove(self, account: Account) -> None:
        self._expect(account)
        del self._accounts[account.name]
        for key in names.keys(account.name):
            del self._by_key[key]
        self._networks.pop(account, None)
        self._tokens.pop(account, None)
        for number, kept in list(self._messages.items()):
            if kept.owner == account:
                del self._messages[number]

    async def knows(self, account: Account, network: str, asker: str = "") -> bool:
        return network in self._networks.get(account, ())

    async def remember(self, account: Account, network: str) -> None:
        found = self._accounts.get(account.name)
        if found is None or found.account != account:
            return
        networks = self._networks.setdefault(account, {})
        networks.pop(network, None)
        networks[network] = None
        if len(networks) > MAX_KNOWN_NETWORKS:
            del networks[next(iter(networks))]

    async def keep_token(self, owner: Credentials, token: str) -> None:
        if self._accounts.get(owner.account.name) == owner:
            tokens = self._tokens.setdefault(owner.account, {})
            tokens.pop(token, None)
            tokens[token] = None
            if len(tokens) > MAX_ACCOUNT_TOKENS:
                del tokens[next(iter(tokens))]

    async def token_owner(self, token: str, asker: str = "") -> Credentials | None:
        owners = (account for account, tokens in self._tokens.items() if token in tokens)
        account = next(owners, None)
        return None if account is None else self._accounts[account.name]

    async def forget_token(self, token: str) -> None:
        for tokens in self._tokens.values():
            tokens.pop(token, None)

    async def forget_tokens(self, account: Account) -> None:
        self._tokens.pop(account, None)

    async def post(self, owner: Account, message: Told, origin: str) -> int:
        self._expect(owner)
        origins = [kept.origin for kept in self._messages.values() if kept.owner == owner]
        expect_room(owner, len(origins), origins.count(origin))
        self._numbers += 1
        told = Told(
            self._numbers, message.at, message.sender, owner.name, message.text, waited=True
        )
        sender = self._accounts.get(message.sender)
        is_theirs = sender is not None and sender.account.since <= message.at
        self._messages[told.id] = _Kept(
            owner, origin, OfflineMessage(told, sender.account if sender and is_theirs else None)
        )
        return told.id

    async def offline_messages(self, owner: Account) -> tuple[OfflineMessage, ...]:
        return tuple(kept.message for kept in self._messages.values() if kept.owner == owner)

    async def discard(self, messages: tuple[Told, ...]) -> None:
        for message in messages:
            kept = self._messages.get(message.id)
            if kept is not None and kept.message.told == message:
                del self._messages[message.id]

    def _protecting(self, name: str) -> Iterator[Credentials]:
        for key in names.keys(name):
            if key in self._by_key:
                yield self._accounts[self._by_key[key]]

    def _expect(self, account: Account) -> None:
        found = self._accounts.get(account.name)
        if found is None or found.account != account:
            raise Refusal(ErrorCode.NOT_REGISTERED)
