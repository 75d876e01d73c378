"""The log's durable part: an archive on SQLite, with a thread that writes and one that reads.

Group commit: while one transaction is being written, what the room says gathers for the next. What
cannot be saved, since the disk is full, slow or locked, is delivered all the same, and held and
tried again until it is.
"""

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatservice.core.events import (
    Burst,
    Emoted,
    ErrorCode,
    Happening,
    Recalled,
    Refusal,
    Said,
    Saving,
)
from chatservice.core.log import Batch, Entry, Log, Messages, Now, Origin, Page, newest, take_page
from chatservice.core.stores import MAX_READ_POSITIONS, MissedCount, ReadPosition
from chatservice.storage.sqlite import rows, search
from chatservice.storage.sqlite.database import (
    CRASH_GAP,
    UPGRADES,
    BadDatabase,
    connect,
    open_for_server,
)

log = Logger()
T = TypeVar("T")

# Characters in one transaction: some 20 ms of writing.
TRANSACTION_SIZE = 4 * 1024 * 1024
# After so many seconds a transaction holds nobody up any longer. A disk that is well takes some
# milliseconds; and somebody else who writes is waited for for one second (database.BUSY_SECONDS).
PATIENCE_SECONDS = 2.0
RETRY_SECONDS = 1.0  # between attempts while the disk fails
# What is held for a disk that fails, in characters and in messages; beyond, the oldest is lost.
HELD_SIZE = 16 * 1024 * 1024
HELD_MESSAGES = 100_000
MAX_WRITES = 1000  # of other things than messages that may wait to be written
MAX_READS = 1000  # questions that may wait for their answers
# Rows in one step, and characters: some 10 ms, for which the next commit may have to wait.
PRUNE_ROWS = 500
PRUNE_SIZE = 256 * 1024
PRUNE_SECONDS = 60.0  # between looks at what need not be kept any longer
STEP_SECONDS = 0.1  # between steps of the housekeeping
IDLE_SECONDS = 1.0  # the same when there is nothing to do
CLOSE_SECONDS = 5.0  # for what is not saved, in the end


class Keep(NamedTuple):
    """What is kept: messages for so many days, or so many of them, or all."""

    days: float | None = None
    messages: int | None = None


KEEP_ALL = Keep()


class _Unsaved:
    """A batch that is not on disk so far."""

    __slots__ = ("batch", "committed")

    def __init__(self, batch: Batch, committed: Callable[[Batch], None]) -> None:
        self.batch = batch
        self.committed: Callable[[Batch], None] | None = committed

    def deliver(self) -> None:
        committed, self.committed = self.committed, None
        if committed is not None:
            committed(self.batch)

    @property
    def messages(self) -> int:
        return sum(entry.messages for entry in self.batch.entries)


class _Write(NamedTuple):
    """Something else to be written, and who waits for it."""

    work: Callable[[sqlite3.Connection], Any]
    done: "Deferred[Any]"


class SqliteArchive:
    """An `archive.Archive` in the database that lies at `path`.

    `notice` is called when what is said cannot be saved, and when it can be again. What is asked
    of it in vain raises `Refusal` (NOT_SAVED). `now` is the time of day.
    """

    def __init__(
        self,
        path: Path,
        reactor: Any,
        keep: Keep = KEEP_ALL,
        *,
        indexed: bool = True,
        upgrades: Sequence[str] = UPGRADES,
        thread: Callable[[str], ThreadPool] = lambda name: ThreadPool(0, 1, name),
        now: Now = time.time,
    ) -> None:
        self.trouble: Saving | None = None
        self.notice: Callable[[Saving], None] = lambda _: None
        self._path = path
        self._reactor = reactor
        self._now = now
        self._keep = keep
        self._indexed = indexed
        self._upgrades = upgrades
        self._writer, self._reader = map(thread, ("writer", "reader"))
        self.first_id = 1
        self._gaps: list[tuple[int, int]] = []
        self._messages = 0  # before those that are not saved
        self._reads = 0
        self._unsaved: deque[_Unsaved] = deque()
        self._writes: deque[_Write] = deque()
        self._marks: dict[str, _Place | None] = {}
        self._marking: dict[str, _Place | None] = {}
        self._held_size = self._held_messages = self._lost = 0
        self._busy = False
        self._retry: Any = None
        self._house: Any = None
        self._pruned_at = -PRUNE_SECONDS
        self._closing: Deferred[None] | None = None
        self._given_up = False

    def attach(self, log: Log) -> None:
        self._log = log

    def open(self, *, may_have_accounts: bool = True) -> None:
        """Go on where the file ends. It must be open before anything happens, and after the process
        has forked. Raises `database.BadDatabase`; also if there are accounts, and may not be."""
        self._opened = open_for_server(self._path, self._upgrades)
        if not may_have_accounts and _has_accounts(self._opened.connection):
            self._opened.close()
            raise BadDatabase(
                f"{self._path}: names in it have passwords, which needs argon2-cffi: "
                "install the extra 'accounts' (see Installation in the README)."
            )
        connection = self._opened.connection
        try:
            origin, self._gaps = _begin(connection)
            self._indexed = self._indexed and search.has_index(connection)
            self._reading = connect(self._path, read_only=True)
            first = rows.first_id(self._reading)  # it opens its files now
        except sqlite3.Error as error:
            self._opened.close()
            raise BadDatabase(f"{self._path}: {error}.") from None
        self.first_id = origin.next_id if first is None else first
        self._messages = origin.messages
        self._log.begin(origin)
        for pool in (self._writer, self._reader):
            pool.start()
        self._house = self._reactor.callLater(STEP_SECONDS, self._keep_house)

    # Writing.

    def commit(self, batch: Batch, committed: Callable[[Batch], None]) -> None:
        """A `log.Commit`."""
        unsaved = _Unsaved(batch, committed)
        self._unsaved.append(unsaved)
        self._held_size += batch.size
        self._held_messages += unsaved.messages
        if self.trouble is not None:
            self._lose_some()
            unsaved.deliver()
        else:
            self._write_on()

    def write(self, work: Callable[[sqlite3.Connection], T]) -> "Deferred[T]":
        """Do `work` in a transaction of its own. Fires when that is on disk; what `work` raises
        undoes it. Fails with `Refusal` (NOT_SAVED) if the disk does."""
        done: Deferred[Any] = Deferred()
        if len(self._writes) >= MAX_WRITES:
            done.errback(Refusal(ErrorCode.NOT_SAVED))
        else:
            self._writes.append(_Write(work, done))
            self._write_on()
        return done

    def arrive(self, name: str) -> None:
        self._marks[name] = None
        self._write_on()

    def depart(self, name: str, position: int) -> None:
        if name in self._marks or len(self._marks) < MAX_READ_POSITIONS:
            log = self._log
            is_saved = position <= log.end and self.trouble is None
            is_here = position >= log.first_id and not is_saved
            self._marks[name] = _Place(position, log.messages_before(position) if is_here else None)
        self._write_on()

    def _write_on(self) -> None:
        """Write what waits, unless that is being done."""
        if self._busy or self._retry is not None:
            return
        if not (self._unsaved or self._writes or self._marks):
            self._tell_closed()
            return
        self._busy = True
        batches = list(self._next_batches())
        marks, self._marks, self._marking = self._marks, {}, self._marks
        writes = [self._writes.popleft() for _ in range(len(self._writes))]
        patience = self._reactor.callLater(PATIENCE_SECONDS, self._too_slow)

        def save_batches() -> None:
            with _transaction(self._opened.connection) as connection:
                messages = self._messages
                for unsaved in batches:
                    rows.save(connection, unsaved.batch.entries, messages)
                    messages += unsaved.messages
                _save_marks(connection, marks)

        def save() -> list[Callable[[], None]]:
            self._opened.check_place()
            if batches or marks:
                save_batches()
            return [_attempt(self._opened.connection, write) for write in writes]

        def over(result: "list[Callable[[], None]] | Failure") -> None:
            self._busy = False
            if patience.active():
                patience.cancel()
            if isinstance(result, Failure):
                self._marking = {}
                for name, place in marks.items():
                    self._marks.setdefault(name, place)
                self._fail(result.getErrorMessage())
                for write in writes:
                    write.done.errback(Refusal(ErrorCode.NOT_SAVED))
                self._wait()
            else:
                self._marking = {}
                self._saved(batches)
                for tell in result:
                    tell()
                self._write_on()

        deferToThreadPool(self._reactor, self._writer, save).addBoth(over).addErrback(_log_fault)

    def _next_batches(self) -> Iterable[_Unsaved]:
        size = 0
        for unsaved in self._unsaved:
            yield unsaved
            size += unsaved.batch.size
            if size >= TRANSACTION_SIZE:
                return

    def _saved(self, batches: list[_Unsaved]) -> None:
        for unsaved in batches:
            self._unsaved.remove(unsaved)  # the first, unless it has been lost meanwhile
            self._forget(unsaved)
        for unsaved in batches:
            unsaved.deliver()
        if self.trouble is not None and not self._unsaved:
            lost, self._lost = self._lost, 0
            self.trouble = None
            log.info("Messages are being saved again; {lost} are lost.", lost=lost)
            self.notice(Saving(True, lost=lost))

    def _forget(self, unsaved: _Unsaved) -> None:
        self._held_size -= unsaved.batch.size
        self._held_messages -= unsaved.messages
        self._messages += unsaved.messages

    def _too_slow(self) -> None:
        self._fail(f"the disk has taken more than {PATIENCE_SECONDS:g} seconds")

    def _fail(self, why: str) -> None:
        """Nobody waits for the disk from now on."""
        if self.trouble is None:
            self.trouble = Saving(False, why)
            log.error("Messages are not being saved: {why}", why=why)
            self.notice(self.trouble)
        for unsaved in list(self._unsaved):
            unsaved.deliver()
        self._lose_some()

    def _lose_some(self) -> None:
        """Keep what is held within its bounds; but what is being written."""
        spare = len(list(self._next_batches())) if self._busy else 0
        while len(self._unsaved) > spare and (
            self._held_size > HELD_SIZE or self._held_messages > HELD_MESSAGES
        ):
            unsaved = self._unsaved[spare]
            del self._unsaved[spare]
            self._lost += unsaved.messages
            self._held_size -= unsaved.batch.size
            self._held_messages -= unsaved.messages

    def _wait(self) -> None:
        def again() -> None:
            self._retry = None
            self._write_on()

        if self._given_up:
            self._tell_closed()
        else:
            self._retry = self._reactor.callLater(RETRY_SECONDS, again)

    # Reading.

    def read(self, question: Callable[[sqlite3.Connection], T]) -> "Deferred[T]":
        """The answer to `question`. Fails with `Refusal` (NOT_SAVED) if there is none to be had."""
        if self._reads >= MAX_READS:
            failed: Deferred[T] = Deferred()
            failed.errback(Refusal(ErrorCode.NOT_SAVED))
            return failed
        self._reads += 1

        def answered(result: T | Failure) -> T | Failure:
            self._reads -= 1
            if isinstance(result, Failure) and result.check(sqlite3.Error):
                log.failure("The database cannot be read.", result)
                raise Refusal(ErrorCode.NOT_SAVED)
            return result

        answer = deferToThreadPool(self._reactor, self._reader, question, self._reading)
        return answer.addBoth(answered)

    async def recall(self, before: int, after: int | None, limit: int) -> Recalled:
        if after is None:
            taken = await self._newest(before, limit, spoken=False)
            return Recalled(tuple(reversed(taken.events)), self.first_id)
        if after + 1 >= self._log.first_id:
            taken = take_page(self._log.between(before, max(after, self.first_id - 1)), limit)
            return Recalled(tuple(taken.events), self.first_id, self._gone(after, before))

        def page(connection: sqlite3.Connection) -> tuple[Page, int]:
            old = _happenings(connection, after, before, newest_first=False, spoken=False)
            with _snapshot(connection):
                return take_page(old, limit), rows.first_id(connection) or 0

        saved, first = await self.read(page)
        self.first_id = max(self.first_id, first)  # some have been deleted just now
        gone = self._gone(after, before)
        events = list(saved.events)
        last = events[-1].id if events else after
        if not saved.full:
            newer = chain(self._held(last, before), self._log.between(before, last))
            events = take_page(chain(events, newer), limit).events
        return Recalled(tuple(events), self.first_id, gone)

    async def recent(self, before: int, limit: int) -> Messages:
        taken = await self._newest(before, limit, spoken=True)
        return newest(taken.events, limit)

    async def find(self, words: str, before: int, limit: int) -> Messages:
        indexed = self._indexed
        found = await self.read(lambda c: search.find(c, words, before, limit, indexed=indexed))
        return newest(reversed(found), limit)

    async def seen(self, name: str) -> ReadPosition | None:
        for marks in (self._marks, self._marking):
            if name in marks:
                return await self._mark_at(marks[name])
        return await self.read(lambda c: _mark(c, name))

    async def _mark_at(self, place: "_Place | None") -> ReadPosition | None:
        return None if place is None else await self.read(place.mark)

    async def away(self, since: ReadPosition, before: int) -> MissedCount:
        first = max(since.position, self.first_id)
        until_before = self._log.messages_before(before)  # be it saved or not
        if first >= self._log.first_id:
            until_first = self._log.messages_before(first)
        else:
            until_first = await self.read(lambda c: rows.messages_before(c, first))
        return MissedCount(until_before - until_first, max(until_first - since.messages, 0))

    async def _newest(self, before: int, limit: int, *, spoken: bool) -> Page:
        """The newest ones come first."""
        unsaved = reversed(list(self._held(-1, before)))
        held = (
            event
            for event in takewhile(self._is_kept, chain(self._log.between(before, None), unsaved))
            if not spoken or isinstance(event, Said | Emoted)
        )
        taken, first = take_page(held, limit), self._log.first_id
        if taken.full or first <= self.first_id:
            return taken
        older = await self.read(
            lambda c: take_page(
                _happenings(c, -1, min(before, first), newest_first=True, spoken=spoken), limit
            )
        )
        return take_page(chain(taken.events, older.events), limit)

    def _held(self, after: int, before: int) -> Iterator[Happening]:
        """What waits for a disk that fails and is no longer in the log in memory."""
        for unsaved in self._unsaved:
            if unsaved.batch.end > self._log.first_id:
                return
            for event in chain.from_iterable(map(_one_by_one, unsaved.batch.entries)):
                if after < event.id < before:
                    yield event

    def _is_kept(self, event: Happening) -> bool:
        """The log in memory may have what has been deleted."""
        return event.id >= self.first_id

    def _gone(self, after: int, before: int) -> int:
        """How many ids after that one stand for events that are not kept any more."""
        first = min(self.first_id, before)
        gaps = sum(max(min(past, first) - max(start, after + 1), 0) for start, past in self._gaps)
        return max(first - after - 1 - gaps, 0)

    # Housekeeping, and the end.

    def _keep_house(self) -> None:
        """A step: index some, or delete some of what need not be kept. After the commits."""
        at, now = self._reactor.seconds(), self._now()
        prune = at - self._pruned_at >= PRUNE_SECONDS

        def step(connection: sqlite3.Connection) -> tuple[bool, int | None]:
            more = self._indexed and search.index_some(connection)
            if more or not prune:
                return more, None
            pruned = _prune(connection, self._keep, now, indexed=self._indexed)
            return pruned, rows.first_id(connection)

        def stepped(result: "tuple[bool, int | None] | Failure") -> None:
            more = False
            if not isinstance(result, Failure):
                more, first = result
                if first is not None:
                    self.first_id = first
                if prune and not more:
                    self._pruned_at = at
            else:
                result.trap(Refusal)  # the disk fails, and that has been said
            if self._closing is None:
                wait = STEP_SECONDS if more else IDLE_SECONDS
                self._house = self._reactor.callLater(wait, self._keep_house)

        self._house = None
        self.write(step).addBoth(stepped).addErrback(_log_fault)

    def close(self) -> "Deferred[None]":
        """Fires when everything is on disk and the file is closed; or after CLOSE_SECONDS."""
        if self._house is not None:
            self._house.cancel()
        self._closing = closing = Deferred[None]()
        deadline = self._reactor.callLater(CLOSE_SECONDS, self._tell_closed, given_up=True)

        def end(_: object) -> "Deferred[None]":
            if deadline.active():
                deadline.cancel()
            if self._retry is not None:
                self._retry.cancel()
            self._reader.stop()
            return deferToThreadPool(self._reactor, self._writer, self._end)

        def stop(result: object) -> None:
            if isinstance(result, Failure):
                log.failure("The database was not closed well.", result)
            self._writer.stop()

        over: Deferred[None] = closing.addCallback(end).addBoth(stop)
        self._write_on()
        return over

    def _tell_closed(self, *, given_up: bool = False) -> None:
        self._given_up = self._given_up or given_up
        if self._closing is None or self._closing.called or self._busy:
            return
        if self._held_messages:
            log.error("{count} messages could not be saved.", count=self._held_messages)
        self._closing.callback(None)

    def _end(self) -> None:
        """On the thread that writes."""
        connection = self._opened.connection
        self._reading.close()
        try:
            if not self._unsaved:
                connection.execute("INSERT OR REPLACE INTO facts VALUES('clean', 1)")
        finally:
            self._opened.close()


def _has_accounts(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM accounts LIMIT 1").fetchone() is not None


def _begin(connection: sqlite3.Connection) -> tuple[Origin, list[tuple[int, int]]]:
    """Where the log goes on, and the ids that stand for nothing. From here on a crash is one."""
    facts = dict(connection.execute("SELECT key, value FROM facts").fetchall())
    newest_row = connection.execute(
        "SELECT id, messages, earlier FROM events ORDER BY id DESC LIMIT 1"
    ).fetchone()
    next_id, messages = 1, 0
    if newest_row is not None:
        id_, its_messages, earlier = newest_row
        next_id, messages = id_ + (its_messages or 1), earlier + its_messages
    with _transaction(connection):
        connection.execute(
            "UPDATE readers SET id = ?, earlier = ? WHERE id IS NULL", (next_id, messages)
        )
        if facts.get("opened") and not facts.get("clean"):
            last = connection.execute("SELECT max(past) FROM gaps").fetchone()[0] or 0
            start = max(next_id, last)
            connection.execute("INSERT INTO gaps VALUES(?, ?)", (start, start + CRASH_GAP))
            next_id = start + CRASH_GAP
        connection.execute("INSERT OR REPLACE INTO facts VALUES('opened', 1)")
        connection.execute("DELETE FROM facts WHERE key = 'clean'")
    gaps = connection.execute("SELECT first, past FROM gaps").fetchall()
    return Origin(facts["epoch"], next_id, messages), gaps


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it is on disk in the end, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """What is read within does not change meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def _attempt(connection: sqlite3.Connection, write: _Write) -> Callable[[], None]:
    """Write it; and what to call then, on the reactor's thread, to tell who waits."""
    try:
        with _transaction(connection):
            result = write.work(connection)
    except sqlite3.OperationalError as error:
        log.error("The database cannot be written to: {error}", error=error)
        return lambda: write.done.errback(Refusal(ErrorCode.NOT_SAVED))
    except Exception:
        failure = Failure()
        return lambda: write.done.errback(failure)
    return lambda: write.done.callback(result)


class _Place(NamedTuple):
    """Where somebody has stopped reading: all below that position. `messages`: how many there had
    ever been until then, if that is not to be looked up: what is there may not be saved yet."""

    position: int
    messages: int | None

    def mark(self, connection: sqlite3.Connection) -> ReadPosition:
        if self.messages is not None:
            return ReadPosition(self.position, self.messages)
        return ReadPosition(self.position, rows.messages_before(connection, self.position))


def _save_marks(connection: sqlite3.Connection, marks: dict[str, _Place | None]) -> None:
    now = time.time()
    for name, place in marks.items():
        position, earlier = (None, None) if place is None else place.mark(connection)
        connection.execute(
            "INSERT OR REPLACE INTO readers VALUES(?, ?, ?, ?)", (name, position, earlier, now)
        )


def _mark(connection: sqlite3.Connection, name: str) -> ReadPosition | None:
    row = connection.execute("SELECT id, earlier FROM readers WHERE name = ?", (name,)).fetchone()
    return ReadPosition(*row) if row is not None and row[0] is not None else None


def _one_by_one(entry: Entry) -> Iterable[Happening]:
    return entry.event.messages() if isinstance(entry.event, Burst) else (entry.event,)


def _happenings(
    connection: sqlite3.Connection, after: int, before: int, *, newest_first: bool, spoken: bool
) -> Iterable[Happening]:
    for row in rows.rows_between(
        connection, after, before, newest_first=newest_first, spoken=spoken
    ):
        events = rows.happenings(row)
        for event in reversed(events) if newest_first else events:
            if after < event.id < before:
                yield event


def _prune(connection: sqlite3.Connection, keep: Keep, now: float, *, indexed: bool) -> bool:
    """Delete some of what need not be kept; the newest row says where the ids go on, and stays.
    Whether there may be more."""
    connection.execute(
        "DELETE FROM readers WHERE name NOT IN (SELECT name FROM accounts) AND name IN "
        "(SELECT name FROM readers WHERE id IS NOT NULL ORDER BY at DESC LIMIT -1 OFFSET ?)",
        (MAX_READ_POSITIONS,),
    )
    if keep == Keep():
        return False
    (ever, newest_id) = connection.execute(
        "SELECT earlier + messages, id FROM events ORDER BY id DESC LIMIT 1"
    ).fetchone() or (0, 0)
    oldest = -1.0 if keep.days is None else now - keep.days * 86400
    size = 0
    for old in list(islice(rows.rows_between(connection, -1, newest_id), PRUNE_ROWS)):
        if size >= PRUNE_SIZE:
            return True
        too_many = keep.messages is not None and ever - old.earlier - old.messages >= keep.messages
        if not (too_many or old.at < oldest):
            return False
        if indexed:
            search.forget(connection, old)
        connection.execute("DELETE FROM events WHERE id = ?", (old.id,))
        size += len(old.text)
    return size > 0


def _log_fault(failure: Failure) -> None:
    log.failure("A fault in the history.", failure)
