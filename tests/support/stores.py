"""Stores for tests: each kind by its name, with a log beside it and a clock that is turned by hand.

A test of the contract takes `kind` and opens it with `stores`; another store joins the contract by
a function in `KINDS`.
"""

import select
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatservice.core.events import Burst, Emoted, Happening, Joined, Renamed, RoomEvent, Said
from chatservice.core.stores import AccountsAndMessages
from chatservice.storage.keep import KEEP_ALL, Keep
from chatservice.storage.memory import MemoryAccountStore, MemoryArchive
from chatservice.storage.sqlite.accounts import SqliteAccountStore
from chatservice.storage.sqlite.archive import SqliteArchive
from tests.support import postgres as clusters
from tests.support.logs import FreeLog

T = TypeVar("T")
# Where examples have their files: a hundred of them would wait for the disk for long.
FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Turns(Clock):
    """A reactor whose turns are called for."""

    def callFromThread(self, call: Callable[..., object], *arguments: Any) -> None:
        self.callLater(0, call, *arguments)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.advance(0)

    def wait_for(self, awaited: "Awaitable[T] | Deferred[T]") -> T:
        """Turn until it is there."""
        deferred = (
            awaited if isinstance(awaited, Deferred) else Deferred.fromCoroutine(_awaited(awaited))
        )
        results: list[Any] = []
        deferred.addBoth(results.append)
        for _ in range(100):
            if not results:
                self.advance(0)
        for _ in range(100):
            if not results:
                self.advance(0.25)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: T = results[0]
        return result


async def _awaited(awaited: Awaitable[T]) -> T:
    return await awaited


class Thread:
    """Works at the next turn; what comes of it is there at the one after that."""

    def __init__(self, clock: Turns) -> None:
        self._clock = clock

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def callInThreadWithCallback(
        self, then: Callable[[bool, Any], None], work: Callable[..., Any], *arguments: Any
    ) -> None:
        def run() -> None:
            try:
                result = work(*arguments)
            except Exception:
                then(False, Failure())
            else:
                then(True, result)

        self._clock.callLater(0, run)


class PollingTurns(Turns):
    """The same, for what waits for sockets as well. While a reader is `busy` (an answer is due to
    it), a turn waits for it."""

    patience = 5.0

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[Any, None] = {}
        self.writers: dict[Any, None] = {}

    def addReader(self, reader: Any) -> None:
        self.readers[reader] = None

    def addWriter(self, writer: Any) -> None:
        self.writers[writer] = None

    def getThreadPool(self) -> Thread:
        return Thread(self)

    def removeReader(self, reader: Any) -> None:
        self.readers.pop(reader, None)

    def removeWriter(self, writer: Any) -> None:
        self.writers.pop(writer, None)

    def advance(self, rightNow: float) -> None:
        super().advance(rightNow)
        patience = self.patience if any(reader.busy for reader in self.readers) else 0.0
        able = select.select(list(self.readers), list(self.writers), [], patience)
        for reader in able[0]:
            if reader in self.readers:
                reader.doRead()
        for writer in able[1]:
            if writer in self.writers:
                writer.doWrite()


def new_archive(path: Path, clock: Turns, keep: Keep = KEEP_ALL, **options: Any) -> SqliteArchive:
    """Its threads are turns of the clock."""

    def thread(_: str) -> ThreadPool:
        return Thread(clock)  # type: ignore[return-value]

    return SqliteArchive(path, clock, keep, thread=thread, **{"now": clock.seconds, **options})


def crash(archive: SqliteArchive) -> None:
    """As if the process had been killed, but for the files that stay open: they are copied, and
    the copies take their place."""
    path = archive._path
    copies = [
        (shutil.copy(file, file.with_suffix(".copy")), file)
        for file in (path, path.with_name(path.name + "-wal"))
        if file.exists()
    ]
    archive._reader.connection.close()
    archive._searcher.connection.close()
    archive._opened.close()
    path.with_name(path.name + "-wal").unlink(missing_ok=True)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    for copy, file in copies:
        Path(copy).replace(file)


class Kept(NamedTuple):
    """Stores of one kind, and a log beside them. `place`: what the operator's programs call it."""

    clock: Turns
    archive: Any
    log: FreeLog
    accounts: AccountsAndMessages
    place: str = ""


def opened(path: Path, **options: Any) -> Kept:
    """An SQLite file, which may be there already."""
    clock = Turns()
    clock.advance(1e9)
    archive = new_archive(path, clock, **options)
    log = FreeLog(clock, archive)
    archive.attach(log)
    archive.open()
    return Kept(clock, archive, log, SqliteAccountStore(archive, clock.seconds), str(path))


@contextmanager
def memory() -> Iterator[Kept]:
    clock = Turns()
    clock.advance(1e9)
    archive = MemoryArchive("epoch", clock)
    log = FreeLog(clock, archive)
    archive.attach(log)
    yield Kept(clock, archive, log, MemoryAccountStore())


@contextmanager
def sqlite(**options: Any) -> Iterator[Kept]:
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        made = opened(Path(folder, "chat"), **options)
        yield made
        made.clock.wait_for(made.archive.close())


@contextmanager
def postgresql(**options: Any) -> Iterator[Kept]:
    """A database of a cluster that all tests of this process share, emptied."""
    clusters.shared().empty()
    clock = PollingTurns()
    clock.advance(1e9)
    with one_of_several(clock, **options) as kept:
        yield kept


@contextmanager
def one_of_several(clock: PollingTurns, **options: Any) -> Iterator[Kept]:
    """One server's store, in that database."""
    from chatservice.storage.postgres.archive import PostgresArchive  # noqa: PLC0415 (an extra)

    uri = clusters.shared().uri("postgres")
    archive = PostgresArchive(uri, clock, now=clock.seconds, seconds=clock.seconds, **options)
    log = FreeLog(clock, archive)
    archive.attach(log)
    archive.open()
    yield Kept(clock, archive, log, archive.accounts, uri)
    clock.wait_for(archive.close())


KINDS: dict[str, Callable[[], AbstractContextManager[Kept]]] = {"memory": memory, "sqlite": sqlite}
if clusters.is_installed():
    KINDS["postgresql"] = postgresql


def stores(kind: str) -> AbstractContextManager[Kept]:
    """New ones of that kind."""
    return KINDS[kind]()


def happen(kept: Kept, steps: list[int]) -> list[Happening]:
    """Something for each step. Returns all of it."""
    happened: list[Happening] = []
    made, now = kept.log, kept.clock.seconds()
    for index, step in enumerate(steps):
        name = f"n{step}"
        event: RoomEvent
        match step:
            case 0:
                kept.clock.turn()
                continue
            case 1:
                event = Emoted(made.next_id, now, "lobby", name, f"w{index} hello")
                made.append(event, 1, messages=1)
            case 2:
                event = Joined(made.next_id, now, "lobby", (name, f"m{index}"))
                made.append(event, 1)
            case 3:
                event = Renamed(made.next_id, now, "lobby", name, f"m{index}")
                made.append(event, 1)
            case _:
                texts = tuple(f"w{index} hello {number}" for number in range(step - 3))
                burst = Burst(made.next_id, now, "lobby", name, texts)
                made.append(burst, 10, messages=len(texts))
                happened += burst.messages()
                continue
        happened.append(event)
    return happened


def spoken(events: list[Happening]) -> list[Said | Emoted]:
    return [event for event in events if isinstance(event, Said | Emoted)]
