"""The log's durable part: a `stores.Archive` in an SQLite file."""

import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatservice.complaints import Complaints
from chatservice.core.deleting import Erasure
from chatservice.core.drafts import Committed, Draft
from chatservice.core.events import ALL_ROOMS, Account, Change, ErrorCode, Refusal, Saving
from chatservice.core.ignoring import Change as IgnoreChange
from chatservice.core.ignoring import Ignoring
from chatservice.core.log import Log, Now, Origin
from chatservice.core.registry import Registry, RoomRecord
from chatservice.core.sanctions import Sanction
from chatservice.core.stores import ReadPosition
from chatservice.core.users import User
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.group_commit import GroupCommit
from chatservice.storage.keep import KEEP_ALL, Keep
from chatservice.storage.past import ReadablePast
from chatservice.storage.sqlite import (
    account_changes,
    ignored,
    moderation,
    positions,
    rooms,
    rows,
    search,
    wal,
)
from chatservice.storage.sqlite.account_changes import AccountChange
from chatservice.storage.sqlite.database import (
    CRASH_GAP,
    connect,
    open_for_server,
    transaction,
)
from chatservice.storage.sqlite.hooks import SqliteHookStore
from chatservice.storage.sqlite.positions import PendingPositions
from chatservice.storage.sqlite.reading import Reading
from chatservice.storage.sqlite.reports import SqliteReportStore
from chatservice.storage.sqlite.retention import Housekeeping
from chatservice.storage.sqlite.schema import UPGRADES
from chatservice.storage.sqlite.threads import (
    SEARCH_SECONDS,
    SWITCH_SECONDS,
    Reader,
    Writer,
)
from chatservice.storage.turns import Turns

log = Logger()
FORGET_SECONDS = 2.0  # that the end of a server is held up by words that are to be forgotten
T = TypeVar("T")


class SqliteArchive(ReadablePast):
    """A `stores.Archive` in the file at `path`: a group commit, and what reads the past.

    `notice` is called when what is said cannot be saved, and when it can be again;
    `account_changed` when a program of the operator's has changed an account; `erased` when one
    has erased messages. What is asked of it in vain raises `Refusal`: NOT_SAVED, BUSY, or TOO_SLOW
    for a search. `now` tells the time of day, for what is kept for some days.
    """

    tokens = None
    whispers = None  # there is no other server
    _reading: Reading

    def __init__(
        self,
        path: Path,
        reactor: Any,
        keep: Keep = KEEP_ALL,
        *,
        now: Now = time.time,
        indexed: bool = True,
        upgrades: Sequence[str] = UPGRADES,
        thread: Callable[[str], ThreadPool] = lambda name: ThreadPool(0, 1, name),
    ) -> None:
        # What there was when it was opened.
        self.rooms: list[RoomRecord] = []
        self.people: list[User] = []  # there is no other server
        self.operators: set[Account] = set()
        self.sanctions: list[Sanction] = []
        self.ignored: list[tuple[Account, Ignoring]] = []
        self.notice: Callable[[Saving], None] = lambda _: None
        self.account_changed: Callable[[Account, Change], None] = lambda account, change: None
        self.erased: Callable[[Erasure], None] = lambda erasure: None
        self.fenced: Callable[[], None] = lambda: None
        self.told: Callable[[str, Any], Callable[[Draft], None] | None] = lambda kind, data: None
        self.hooks = SqliteHookStore(self)
        self._path = path
        self._now = now
        self._indexed = indexed
        self._upgrades = upgrades
        complaints = Complaints(reactor, known=(sqlite3.Error,))
        self._writer = Writer(reactor, thread("writer"), complaints)
        self._reader = Reader(reactor, thread("reader"), complaints)
        self._searcher = Reader(
            reactor,
            thread("searcher"),
            complaints,
            seconds=SEARCH_SECONDS,
            too_slow=ErrorCode.TOO_SLOW,
            nice=True,
        )
        self.reports = SqliteReportStore(self)
        self._positions = PendingPositions(self._is_saved)
        self._commits = GroupCommit(reactor, self._writer.write, self._positions, self._tell_notice)
        self._reading = Reading(self._commits.held, self._reader, self._searcher, Turns(reactor))
        self._housekeeping = Housekeeping(
            reactor,
            self.write,
            keep,
            now,
            deleted_before=self._reading.deleted_before,
            changed=self._tell_change,
            erased=self._tell_erased,
        )

    def open(self, *, may_have_accounts: bool = True) -> None:
        """Go on where the file ends. It must be open before anything happens, and after the process
        has forked. Raises `database.BadDatabase`; also if there are accounts, and may not be."""
        self._opened = opened = open_for_server(self._path, self._upgrades)
        connection = opened.connection
        if not may_have_accounts and _has_accounts(connection):
            opened.close()
            raise BadDatabase(
                f"{self._path}: names in it have passwords, which needs argon2-cffi: "
                "install the extra 'accounts' (see Installation in the README)."
            )
        try:
            origin, gaps = _begin(connection)
            kept = rooms.kept(connection)
            with transaction(connection):
                moderation.forget_gone(connection, [room.name for room in kept], self._now())
            self.operators = moderation.operators(connection, ALL_ROOMS)
            self.sanctions = moderation.sanctions(connection)
            self.ignored = ignored.kept(connection)
            indexed = self._indexed and search.has_index(connection)
            wal.stamp(connection, opened.path)
            wal.empty(connection)  # after a crash it may hold what was deleted before that
            readers = [connect(opened.path, read_only=True) for _ in range(2)]
            firsts = [rows.first_id(reader) for reader in readers]  # they open their files now
        except sqlite3.Error as error:
            opened.close()
            raise BadDatabase(f"{self._path}: {error}.") from None
        first_id = origin.next_id if firsts[0] is None else firsts[0]
        self._reading.begin(first_id, gaps, indexed=indexed)
        self.rooms = kept
        registry = Registry(map(deepcopy, kept), operators=self.operators, sanctions=self.sanctions)
        self._commits.begin(origin.next_id, origin.messages, registry)
        self._log.begin(origin)
        sys.setswitchinterval(SWITCH_SECONDS)
        self._writer.start(opened, indexed=indexed)
        self._reader.start(readers[0])
        self._searcher.start(readers[1])
        self._housekeeping.start(indexed=indexed)

    def set_keep(self, keep: Keep) -> None:
        """Keep more, or less, from now on."""
        self._housekeeping.set_keep(keep)

    def close(self) -> "Deferred[None]":
        """Fires when everything is on disk and the file is closed; or when that has been tried for
        some seconds."""
        self._housekeeping.stop()

        def stop_reading(_: object) -> "Deferred[Any]":
            return DeferredList([self._reader.stop(), self._searcher.stop()])

        def closed(result: object) -> None:
            if isinstance(result, Failure):
                log.failure("The database was not closed well.", result)

        closing: Deferred[Any] = self._commits.close().addCallback(stop_reading)
        return closing.addCallback(lambda _: self._writer.stop(self._end)).addBoth(closed)

    def _end(self) -> None:
        """On the thread that writes."""
        connection = self._opened.connection
        try:
            if not self._commits.held:
                connection.execute("INSERT OR REPLACE INTO facts VALUES('clean', 1)")
            if self._reading.indexed:
                search.forget_all_words(connection, FORGET_SECONDS)
        finally:
            self._opened.close()

    # Other stores in this file (`sqlite.accounts`) read and write by these.

    def read(
        self, question: Callable[[sqlite3.Connection], T], *, asker: str = ""
    ) -> "Deferred[T]":
        """The answer to `question`, for somebody of the network `asker`."""
        return self._reader.ask(question, asker=asker)

    def write(self, work: Callable[[sqlite3.Connection], T], size: int = 0) -> "Deferred[T]":
        """Do `work`, with `size` bytes of text in it, in a transaction of its own. Fires when that
        is on disk; what `work` raises undoes it."""
        return self._commits.enqueue(work, size)

    # stores.EventStore

    @property
    def trouble(self) -> Saving | None:
        return self._commits.trouble

    @property
    def shows_unsaved(self) -> bool:
        return self._commits.trouble is not None

    def attach(self, log: Log) -> None:
        self._log = log
        self._reading.attach(log)
        self._positions.attach(log)

    def submit(
        self, drafts: Sequence[Draft], committed: Callable[[Sequence[Committed]], None], /
    ) -> None:
        self._commits.submit(drafts, committed)

    # stores.MembershipStore

    async def memberships(self, account: Account, asker: str = "") -> Mapping[str, int]:
        return await self._reader.ask(lambda c: rooms.memberships(c, account), asker=asker)

    def enroll(
        self,
        account: Account,
        joined: Mapping[str, int],
        founded: Iterable[RoomRecord],
        sanctions: Iterable[Sanction] = (),
    ) -> None:
        there, names, held = dict(joined), [room.name for room in founded], list(sanctions)

        def as_decided(registry: Registry) -> Callable[[sqlite3.Connection], None]:
            """What has been decided since then is saved before it, and must not be undone."""
            present = registry.rooms_of_owner(account)
            in_rooms = {
                room: id_ for room, id_ in there.items() if present is None or room in present
            }
            found = (registry.rooms.get(name) for name in names)
            records = [deepcopy(room) for room in found if room and room.founder == account]
            kept = (registry.sanction(each.scope, each.key) for each in held)
            holding = [each for each in kept if each is not None]
            return lambda c: rooms.enroll(c, account, in_rooms, records, holding)

        self._commits.enqueue(as_decided, of_registry=True).addErrback(
            lambda failure: log.failure("Memberships are not saved.", failure)
        )

    # stores.IgnoreStore

    async def keep_ignored(self, change: IgnoreChange) -> None:
        await self.write(lambda c: ignored.keep(c, change))

    def change_ignored(self, change: IgnoreChange) -> None:
        self.write(lambda c: ignored.keep(c, change)).addErrback(
            lambda failure: log.failure("Who is ignored is not saved.", failure)
        )

    # stores.ReadPositionStore

    async def seen(self, name: str, asker: str = "") -> ReadPosition | None:
        if name in self._positions:
            reached = self._positions[name]
            return None if reached is None else await self._reader.ask(reached.read, asker=asker)
        return await self._reader.ask(lambda c: positions.find(c, name), asker=asker)

    def arrive(self, name: str) -> None:
        self._positions.arrive(name)
        self._commits.go_on()

    def depart(self, name: str, position: ReadPosition) -> None:
        self._positions.depart(name, position)
        self._commits.go_on()

    def heard(self, position: int) -> None:
        def not_saved(failure: Failure) -> None:
            failure.trap(Refusal)  # which is told by those who notice more of it

        self.write(lambda c: positions.heard(c, position)).addErrback(not_saved)

    def _tell_notice(self, saving: Saving) -> None:
        self.notice(saving)

    def _tell_erased(self, erasure: Erasure) -> None:
        self.erased(erasure)

    def _tell_change(self, change: AccountChange) -> None:
        log.info(
            "An operator has changed the account {name}: {change}.",
            name=change.account.name,
            change=change.change.value,
        )
        self.account_changed(*change)

    def _is_saved(self, position: int) -> bool:
        return position <= self._log.end and self.trouble is None


def _has_accounts(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM accounts LIMIT 1").fetchone() is not None


def _begin(connection: sqlite3.Connection) -> tuple[Origin, list[tuple[int, int]]]:
    """Where the log goes on, and the ids that stand for nothing. From here on a crash is one."""
    facts = dict(connection.execute("SELECT key, value FROM facts").fetchall())
    newest_row = connection.execute(
        "SELECT id, messages FROM events ORDER BY id DESC LIMIT 1"
    ).fetchone()
    next_id = 1
    if newest_row is not None:
        id_, its_messages = newest_row
        next_id = id_ + (its_messages or 1)
    there = rows.rooms_of(connection)
    messages = {room: rows.messages_in(connection, room) for room in there}
    with transaction(connection):
        position = next_id
        if facts.get("opened") and not facts.get("clean"):
            position = min(next_id, facts.get("heard", next_id))
        counts = {room: rows.messages_before(connection, position, room) for room in there}
        positions.leave_all(connection, ReadPosition(position, counts))
        if facts.get("opened") and not facts.get("clean"):
            last = connection.execute("SELECT max(past) FROM gaps").fetchone()[0] or 0
            start = max(next_id, last)
            connection.execute("INSERT INTO gaps VALUES(?, ?)", (start, start + CRASH_GAP))
            next_id = start + CRASH_GAP
        connection.execute("INSERT OR REPLACE INTO facts VALUES('opened', 1)")
        connection.execute("DELETE FROM facts WHERE key = 'clean'")
        account_changes.take(connection)  # nobody is here whom they concern
    gaps = connection.execute("SELECT first, past FROM gaps").fetchall()
    return Origin(facts["epoch"], next_id, messages), gaps
