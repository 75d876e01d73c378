"""The past: what an archive has of it, in memory and on disk; and a file's life."""

import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatservice.accounts.authenticator import Authenticator, Visitor
from chatservice.core import log
from chatservice.core.chat import Chat
from chatservice.core.events import (
    Account,
    Announced,
    Burst,
    Emoted,
    ErrorCode,
    Happening,
    Joined,
    Recalled,
    Refusal,
    Renamed,
    RoomEvent,
    Said,
)
from chatservice.core.limits import Limits
from chatservice.core.log import Log
from chatservice.core.stores import Archive, MissedCount, ReadPosition
from chatservice.server.factory import ChatFactory
from chatservice.session import replay as recollection
from chatservice.session.asker import Settings
from chatservice.storage.memory import MemoryArchive
from chatservice.storage.sqlite import archive as history
from chatservice.storage.sqlite import database, rows, search
from chatservice.storage.sqlite.archive import KEEP_ALL, Keep, SqliteArchive
from chatservice.storage.sqlite.database import CRASH_GAP, UPGRADES, BadDatabase
from tests.support.people import TWISTD
from tests.unit.test_protocol import Transport

T = TypeVar("T")
DAY = 86400.0
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


def new_history(path: Path, clock: Turns, keep: Keep = KEEP_ALL, **options: Any) -> SqliteArchive:
    """Its threads are turns of the clock."""

    def thread(_: str) -> ThreadPool:
        return Thread(clock)  # type: ignore[return-value]

    return SqliteArchive(path, clock, keep, thread=thread, now=clock.seconds, **options)


def crash(archive: SqliteArchive) -> None:
    """As if the process had been killed, but for the files that stay open: they are copied, and
    the copies take their place."""
    path = archive._path
    copies = [
        (shutil.copy(file, file.with_suffix(".copy")), file)
        for file in (path, path.with_name(path.name + "-wal"))
        if file.exists()
    ]
    archive._reading.close()
    archive._opened.close()
    path.with_name(path.name + "-wal").unlink(missing_ok=True)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    for copy, file in copies:
        Path(copy).replace(file)


class Kept(NamedTuple):
    """An archive, and a log beside it."""

    clock: Turns
    archive: Any
    log: Log


@contextmanager
def kept(kind: str, *, keep: Keep = KEEP_ALL, indexed: bool = True) -> Iterator[Kept]:
    """An archive of that kind, which is new."""
    clock = Turns()
    clock.advance(1e9)
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        archive: Archive = MemoryArchive("epoch")
        if kind == "disk":
            archive = new_history(Path(folder, "chat"), clock, keep, indexed=indexed)
        made = Log(clock, archive.commit, lambda batch: None)
        archive.attach(made)
        if isinstance(archive, SqliteArchive):
            archive.open()
        yield Kept(clock, archive, made)
        if isinstance(archive, SqliteArchive):
            clock.wait_for(archive.close())


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


# pytest-twisted wraps a test once more for each of its parameters, which Hypothesis's cannot take:
# so what an archive is made of is drawn, too.
KINDS = st.sampled_from(["memory", "disk"])
STEPS = st.lists(st.integers(0, 7), max_size=40)
PLACE = st.integers(0, 80)


@contextmanager
def short_log(kind: str) -> Iterator[None]:
    """On disk, there is more than in memory."""
    with pytest.MonkeyPatch.context() as patch:
        if kind == "disk":
            patch.setattr(log, "LOG_MESSAGES", 10)
        yield


@settings(max_examples=120)
@given(KINDS, STEPS, PLACE, st.none() | PLACE, st.integers(1, 30))
def test_an_archive_has_what_happened(
    kind: str, steps: list[int], before: int, after: int | None, limit: int
) -> None:
    with short_log(kind), kept(kind) as made:
        happened = happen(made, steps)
        before = min(before, made.log.next_id)
        between = [e for e in happened if e.id < before and (after is None or e.id > after)]
        recalled = made.clock.wait_for(made.archive.recall(before, after, limit))
        assert list(recalled.events) == (between[-limit:] if after is None else between[:limit])
        assert (recalled.first_id, recalled.gone) == (1, 0)
        recent = made.clock.wait_for(made.archive.recent(before, limit))
        assert list(recent) == spoken([e for e in happened if e.id < before])[-limit:]


@settings(max_examples=120)
@given(
    *(KINDS, st.booleans(), STEPS, PLACE, st.integers(1, 30)),
    st.sampled_from(("hello", "w1", "HELLO w2", "4 w", "-")),
)
def test_an_archive_finds_what_was_said(
    kind: str, indexed: bool, steps: list[int], before: int, limit: int, wanted: str
) -> None:
    with short_log(kind), kept(kind, indexed=indexed) as made:
        happened = happen(made, steps)
        made.clock.turn(10)  # all of it is committed
        half = made.clock.seconds() + history.IDLE_SECONDS
        made.clock.advance(half - made.clock.seconds())  # and indexed
        made.clock.turn(10)
        happened += happen(made, steps[:3])
        made.clock.turn(10)
        before = min(before, made.log.next_id)
        found = made.clock.wait_for(made.archive.find(wanted, before, limit))
        parts = wanted.casefold().split()

        def has_them(text: str) -> bool:
            if kind == "memory":
                return all(part in text for part in parts)
            return parts != ["-"] and all(f" {part}" in f" {text}" for part in parts)

        earlier = spoken([e for e in happened if e.id < before])
        has = [event for event in earlier if has_them(event.text)]
        assert list(found) == has[-limit:]


@settings(max_examples=80)
@given(KINDS, STEPS, STEPS, PLACE)
def test_an_archive_knows_where_somebody_stopped_reading(
    kind: str, first: list[int], then: list[int], position: int
) -> None:
    with short_log(kind), kept(kind) as made:
        archive, clock = made.archive, made.clock
        assert clock.wait_for(archive.seen("Alice")) is None
        archive.arrive("Alice")
        happened = happen(made, first)
        clock.turn(10)
        position = min(max(position, 1), made.log.next_id)
        archive.depart("Alice", position)
        happened += happen(made, then)
        clock.turn(10)
        mark = clock.wait_for(archive.seen("Alice"))
        said = [event.id for event in spoken(happened)]
        assert mark == ReadPosition(position, sum(id_ < position for id_ in said))
        before = made.log.next_id
        away = clock.wait_for(archive.away(mark, before))
        assert away == MissedCount(sum(position <= id_ < before for id_ in said), 0)
        archive.arrive("Alice")
        clock.turn(10)
        assert clock.wait_for(archive.seen("Alice")) is None


# Retention.


def pruned(made: Kept) -> None:
    """Until there is nothing left to delete."""
    made.clock.advance(history.PRUNE_SECONDS)
    for _ in range(40):
        made.clock.turn(6)
        made.clock.advance(history.STEP_SECONDS)
    made.clock.turn(6)


@settings(max_examples=60)
@given(st.booleans(), STEPS, st.integers(1, 12), PLACE)
def test_so_many_messages_are_kept(
    short: bool, steps: list[int], messages: int, after: int
) -> None:
    with (
        short_log("disk" if short else ""),
        kept("disk", keep=Keep(messages=messages)) as made,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(history, "PRUNE_ROWS", 2)
        happened = happen(made, steps)
        made.clock.turn(10)
        pruned(made)
        first_id = made.archive.first_id
        left = [event for event in happened if event.id >= first_id]
        assert not steps or len(spoken(left)) >= min(messages, len(spoken(happened)))
        assert len(spoken(left)) < messages + 4  # those that were said together go together
        before = made.log.next_id
        recalled = made.clock.wait_for(made.archive.recall(before, after, 1000))
        assert list(recalled.events) == [event for event in left if event.id > after]
        assert recalled.gone == len([e for e in happened if after < e.id < first_id])
        newest = made.clock.wait_for(made.archive.recall(before, None, 1000))
        assert list(newest.events) == left
        assert list(made.clock.wait_for(made.archive.recent(before, 1000))) == spoken(left)
        assert list(made.clock.wait_for(made.archive.find("hello", before, 1000))) == spoken(left)
        away = made.clock.wait_for(made.archive.away(ReadPosition(1, 0), before))
        assert away == MissedCount(len(spoken(left)), len(spoken(happened)) - len(spoken(left)))
        (more,) = spoken(happen(made, [1]))
        assert more.id == before  # ids go on


@pytest.mark.parametrize("indexed", [True, False])
def test_so_many_days_are_kept(indexed: bool) -> None:
    with kept("disk", keep=Keep(days=2), indexed=indexed) as made:
        old = happen(made, [1, 2, 5, 0])
        made.clock.turn(10)
        made.clock.advance(DAY)
        newer = happen(made, [1, 7, 3, 0])
        made.clock.turn(10)
        pruned(made)
        assert made.archive.first_id == 1
        made.clock.advance(DAY)
        pruned(made)
        assert made.archive.first_id == newer[0].id
        made.clock.advance(10 * DAY)
        pruned(made)
        before = made.log.next_id
        recalled = made.clock.wait_for(made.archive.recall(before, 0, 100))
        assert recalled.events == (newer[-1],)  # the newest says where ids go on
        assert recalled.gone == len(old) + len(newer) - 1
        assert made.clock.wait_for(made.archive.find("hello", before, 100)) == ()
        if indexed:  # nor is it in the index
            found = "SELECT count(*) FROM words WHERE words MATCH 'hello'"
            assert made.archive._reading.execute(found).fetchone() == (0,)


def test_what_is_gone_is_exact_when_it_goes_while_it_is_asked_for() -> None:
    with short_log("disk"), kept("disk", keep=Keep(messages=5)) as made:
        happened = happen(made, [1, 0] * 30)
        made.clock.turn(10)
        asked = Deferred.fromCoroutine(made.archive.recall(made.log.next_id, 0, 100))
        history._prune(
            made.archive._opened.connection, Keep(messages=20), made.clock.seconds(), indexed=False
        )
        recalled = made.clock.wait_for(asked)
        assert recalled.gone + len(recalled.events) == len(happened)
        assert recalled.first_id == recalled.events[0].id


# Searching.

PIECES = (
    *(
        "hello",
        "Hello",
        "hell",
        "CAFÉ",
        "café",
        "cafe",
        "re\u0301sume\u0301",
        "ﬁne",
        "fine",
        "ＦＵＬＬ",
    ),
    *(
        "under_score",
        "100%",
        "a-b",
        "東京都",
        "京",
        "สวัสดี",
        "ΣΊΣΥΦΟΣ",
        "straße",
        "STRASSE",
        "\U0001f600",
    ),
)
SAYING = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(" ".join)


@settings(max_examples=200)
@given(st.lists(st.lists(SAYING, min_size=1, max_size=3), max_size=8), SAYING, st.integers(0, 8))
def test_with_an_index_or_without_the_same_is_found(
    bursts: list[list[str]], wanted: str, indexed: int
) -> None:
    """And with an index of the first few; just those that have each of the words."""
    looked_for = [phrase for part in wanted.split() if (phrase := search.words(part))]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript("".join(UPGRADES))
        assert search.has_index(connection)
        said: list[Said] = []
        for number, texts in enumerate(bursts):
            burst = Burst(len(said) + 1, 0.0, "lobby", "Alice", tuple(texts))
            rows.save(connection, [log.Entry(burst, (), len(texts), 1)], len(said))
            said += burst.messages()
            if number < indexed:
                search.index_some(connection)
        expected = [
            each
            for each in said
            if looked_for and all(_has(search.words(each.text), phrase) for phrase in looked_for)
        ]
        for with_index in (True, False):
            found = search.find(connection, wanted, len(said) + 1, 100, indexed=with_index)
            assert found == expected


def _has(said: list[str], phrase: list[str]) -> bool:
    """One after the other; of the last, the beginning is enough."""
    text, wanted = (" ".join(["", *words]) for words in (said, phrase))
    return wanted in text


def test_a_step_of_the_housekeeping_is_short() -> None:
    """However long the rows are: who waits for the thread that writes does not wait for long."""
    texts = ("word " * 60,) * 100
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript("".join(UPGRADES))
        assert search.has_index(connection)
        entries = [
            log.Entry(Burst(1 + number * 100, 0.0, "lobby", "Alice", texts), (), 100, 1)
            for number in range(100)
        ]
        rows.save(connection, entries, 0)
        size = len("".join(texts))
        assert search.index_some(connection)
        indexed = search._indexed_to(connection) // 100 + 1
        assert indexed * size <= search.INDEX_SIZE + size
        assert history._prune(connection, Keep(days=1), 1e9, indexed=True)
        (left,) = connection.execute("SELECT count(*) FROM events").fetchone()
        assert (100 - left) * size <= history.PRUNE_SIZE + size


# Coming back.


class House:
    """A chat on a file, and programs and people in it whose connections are strings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Turns()
        self.clock.advance(1e9)
        self.start()

    def start(self) -> None:
        self.archive = new_history(self.path, self.clock)
        self.admit(Chat(self.clock, self.archive))
        self.archive.notice = self.chat.lobby.announce
        self.archive.open()

    def admit(self, chat: Chat) -> None:
        self.chat = chat
        limits = Limits(rate=0, max_per_address=0, shutdown_timeout=1)
        self.factory = ChatFactory(chat, Settings(history=0), self.clock, limits)

    def connect(self) -> Any:
        protocol: Any = self.factory.buildProtocol(None)
        transport = Transport(protocol)
        protocol.makeConnection(transport)
        return protocol

    def stop(self) -> None:
        self.clock.wait_for(self.factory.close_all())
        self.clock.wait_for(self.archive.close())

    def kill(self) -> None:
        for call in self.clock.getDelayedCalls():
            call.cancel()
        crash(self.archive)


class Reader:
    """`heard`: the messages of others, as they came; a text is one word that nobody else says."""

    def __init__(self, house: House, name: str) -> None:
        self.name = name
        self.house = house
        self.heard: list[str] = []
        self.protocol: Any = None

    def drop(self, *, clean: bool = True) -> None:
        if self.protocol is not None:
            self.read()
            reason = ConnectionDone() if clean else ConnectionLost()
            protocol, self.protocol = self.protocol, None
            protocol.connectionLost(Failure(reason))

    def type(self, line: str) -> None:
        self.protocol.dataReceived(f"{line}\n".encode())

    def read(self) -> None:
        """What has come since the last time."""
        lines = self.protocol.transport.value().decode().splitlines()
        self.protocol.transport.clear()
        for line in lines:
            self.take(line)

    def take(self, line: str) -> None:
        if (found := re.fullmatch(r"(?:\[.*\] )?(\w+): (\w+)", line)) and found[1] != self.name:
            self.heard.append(found[2])

    def come(self) -> None:
        self.protocol = self.house.connect()
        self.type(self.name)

    def say(self, text: str) -> None:
        self.type(text)

    def exit(self) -> None:
        self.type("/exit")


class JsonReader(Reader):
    """Reads on from the last id that it has heard, by `history`."""

    last = 0
    until = 0
    is_up_to_date = False

    def come(self) -> None:
        self.protocol = self.house.connect()
        self.is_up_to_date = False
        self.early: list[Any] = []
        self.type(f'{{"type": "hello", "name": "{self.name}"}}')

    def say(self, text: str) -> None:
        self.type(f'{{"type": "say", "text": "{text}"}}')

    def exit(self) -> None:
        self.type('{"type": "exit"}')

    def take(self, line: str) -> None:
        import json  # noqa: PLC0415

        if not line.startswith("{"):
            return
        event = json.loads(line)
        match event["type"]:
            case "welcome":
                self.until = event["last_id"]
                self.go_on()
            case "history":
                assert event.get("gone", 0) == 0
                for old in event["events"]:
                    self.hear(old)
                self.go_on(end=not event["events"])
            case "said" | "joined" | "left":
                self.hear(event) if self.is_up_to_date else self.early.append(event)
            case "error":
                raise AssertionError(event)

    def go_on(self, *, end: bool = False) -> None:
        if self.last < self.until and not end:
            ids = f'"after": {self.last}, "before": {self.until + 1}'
            self.type(f'{{"type": "history", {ids}, "limit": 3}}')
            return
        self.is_up_to_date = True
        for event in self.early:
            self.hear(event)

    def hear(self, event: Any) -> None:
        assert event["id"] > self.last
        self.last = event["id"]
        if event["type"] == "said" and event["from"] != self.name:
            self.heard.append(event["text"])


ACTIONS = st.lists(
    st.sampled_from(
        ["say"] * 5 + ["turn"] * 4 + ["drop", "lose", "exit", "come", "restart", "kill"]
    ),
    max_size=60,
)
WHOSE = st.lists(st.integers(0, 2), min_size=60, max_size=60)


@settings(max_examples=200)
@given(
    st.sampled_from([Reader, JsonReader]),
    ACTIONS,
    st.lists(st.integers(0, 2), min_size=60, max_size=60),
)
def test_each_reader_hears_everything_once(
    kind: type[Reader], actions: list[str], whose: list[int]
) -> None:
    """In whatever order people talk, drop, come back, and the server is started anew; programs
    also when it is killed, by what they have been told was the last id."""
    with tempfile.TemporaryDirectory(dir=FAST) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "LOG_MESSAGES", 5)
        patch.setattr(recollection, "MAX_PAGE_EVENTS", 2)
        house = House(Path(folder, "chat"))
        readers = [kind(house, f"r{number}") for number in range(3)]
        numbers = count()

        def settle() -> None:
            for _ in range(30):
                house.clock.advance(0.05)
                for reader in readers:
                    if reader.protocol is not None:
                        reader.read()

        def come() -> None:
            for reader in readers:
                if reader.protocol is None:
                    reader.come()
            settle()

        def end_of_server(action: str) -> None:
            if action == "kill" and kind is JsonReader:
                for reader in readers:
                    if reader.protocol is not None:
                        reader.read()
                        reader.protocol = None
                house.kill()
            else:
                for reader in readers:
                    reader.drop()
                house.stop()
            house.start()

        come()
        for action, number in zip(actions, whose, strict=False):
            reader = readers[number]
            here = reader.protocol is not None
            match action:
                case "say" if here:
                    reader.say(f"m{next(numbers)}")
                case "turn":
                    house.clock.turn()
                    if here:
                        reader.read()
                case "drop" | "lose" if here:
                    reader.drop(clean=action == "drop")
                case "exit" if here:
                    reader.exit()
                    settle()
                    assert reader.protocol.transport.disconnecting
                    reader.drop()
                case "come" if not here:
                    reader.come()
                case "restart" | "kill":
                    end_of_server(action)
        settle()
        come()
        settle()
        everything = said_on_disk(house)
        for reader in readers:
            assert reader.heard == [text for name, text in everything if name != reader.name]
            reader.drop()
        house.stop()


class HouseWithoutDisk(House):
    def start(self) -> None:
        self.admit(Chat(self.clock, MemoryArchive("epoch")))

    def stop(self) -> None:
        self.clock.wait_for(self.factory.close_all())


@pytest.mark.parametrize("kind", [House, HouseWithoutDisk])
def test_something_is_said_just_when_somebody_comes_back(
    kind: type[House], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they are shown of the past, and their welcome, do not wait for each other."""
    monkeypatch.setattr(recollection, "MAX_PAGE_EVENTS", 2)
    house = kind(tmp_path / "chat")
    speaker, reader = Reader(house, "speaker"), Reader(house, "reader")
    speaker.come()
    reader.come()
    house.clock.turn(10)
    expected = []
    for turns in range(10):
        reader.drop()
        early, late = f"early{turns}", f"late{turns}"
        speaker.say(early)
        house.clock.turn(10)
        speaker.say("now")
        reader.come()
        house.clock.turn(turns)
        speaker.say(late)
        house.clock.turn(30)
        expected += [early, "now", late]
        reader.read()
        assert reader.heard == expected
    reader.drop()
    speaker.drop()
    house.stop()


class Latecomer:
    """A reader who has missed some messages, each page of which has two; and comes back."""

    def __init__(self, house: House, patch: pytest.MonkeyPatch, missed: int = 6) -> None:
        patch.setattr(recollection, "MAX_PAGE_EVENTS", 2)
        self.house = house
        self.speaker, self.reader = Reader(house, "speaker"), Reader(house, "reader")
        self.speaker.come()
        self.reader.come()
        self.turn()
        self.reader.drop()
        self.missed = [f"m{number}" for number in range(missed)]
        for text in self.missed:
            self.say(text)

    def turn(self) -> None:
        self.house.clock.turn(20)
        self.house.clock.advance(1)
        self.house.clock.turn(20)

    def say(self, text: str) -> None:
        self.speaker.say(text)
        self.turn()

    def hears_everything(self, *later: str) -> None:
        """Once, and in order, when they come the next time."""
        self.reader.come()
        self.turn()
        self.turn()
        self.reader.read()
        assert self.reader.heard == [*self.missed, *later]

    def waits_for(self, question: str) -> "Deferred[None]":
        """What the archive is asked waits until that fires."""
        gate: Deferred[None] = Deferred()
        real = getattr(self.house.archive, question)

        async def asked(*arguments: Any) -> Any:
            await gate
            return await real(*arguments)

        setattr(self.house.archive, question, asked)
        return gate

    def comes_and_waits_for(self, question: str) -> "Deferred[None]":
        """The reader does, until that fires."""
        gate = self.waits_for(question)
        self.reader.come()
        self.house.clock.turn(10)
        return gate

    def end(self) -> None:
        self.speaker.drop()
        self.reader.drop()
        self.house.stop()


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Latecomer]:
    latecomer = Latecomer(House(tmp_path / "chat"), monkeypatch)
    yield latecomer
    latecomer.end()


@pytest.mark.parametrize("how", ["cut", "exit", "kick", "shutdown"])
@pytest.mark.parametrize("question", ["away", "recall"])
def test_who_goes_before_they_are_shown_it_is_shown_it_the_next_time(
    away: Latecomer, how: str, question: str
) -> None:
    gate = away.comes_and_waits_for(question)
    match how:
        case "exit":
            away.reader.type("/exit")
        case "kick":
            away.house.chat.kick(away.house.chat.users["reader"])
        case "shutdown":
            away.house.factory.close_all()
    away.house.clock.turn(10)
    away.reader.drop()
    gate.callback(None)
    away.turn()
    away.hears_everything()


def test_a_page_that_nobody_took_is_shown_again(away: Latecomer) -> None:
    gate = away.comes_and_waits_for("recall")
    away.reader.protocol._sender.pauseProducing()
    gate.callback(None)
    away.turn()
    away.reader.drop()
    assert away.reader.heard == []
    away.turn()
    away.hears_everything()


def test_what_is_announced_to_a_reader_who_is_about_to_be_told_of_the_past(away: Latecomer) -> None:
    """It waits behind what they take slowly, and holds nothing up."""
    gate = away.comes_and_waits_for("away")
    protocol = away.reader.protocol
    protocol._sender.pauseProducing()
    away.house.chat.lobby.announce(Announced(("noon",)))
    gate.callback(None)
    away.turn()
    protocol._sender.resumeProducing()
    away.turn()
    assert b"*** noon\r\n" in protocol.transport.value()
    away.say("later")
    away.reader.read()
    assert away.reader.heard == [*away.missed, "later"]


@pytest.mark.parametrize("kind", [House, HouseWithoutDisk])
@pytest.mark.parametrize("goodbye", ["/exit", ""])
def test_what_is_said_just_before_one_goes(
    kind: type[House], goodbye: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither their own last words, nor what they heard with the goodbye, were said while they
    were away."""
    away = Latecomer(kind(tmp_path / "chat"), monkeypatch, missed=0)
    away.reader.come()
    away.turn()
    away.reader.say("mine")
    if goodbye:
        away.speaker.say("theirs")
        away.reader.type(goodbye)
        away.turn()
    away.reader.drop()
    away.turn()
    away.reader.come()
    away.turn()
    assert "while you were away" not in away.reader.protocol.transport.value().decode()
    away.reader.read()
    assert away.reader.heard == (["theirs"] if goodbye else [])
    away.end()


@pytest.mark.parametrize("goodbye", ["/exit", ""])
def test_a_refused_answer_loses_nothing_for_good(away: Latecomer, goodbye: str) -> None:
    real, asked = away.house.archive.recall, count()

    async def recall(before: int, after: int | None, limit: int) -> Recalled:
        if next(asked) == 1:
            raise Refusal(ErrorCode.NOT_SAVED)
        return await real(before, after, limit)

    away.house.archive.recall = recall  # type: ignore[method-assign]
    away.reader.come()
    away.turn()
    away.say("live")
    if goodbye:
        away.reader.type(goodbye)
    away.reader.drop()
    assert away.reader.heard == ["m0", "live"]
    away.turn()
    away.reader.come()
    away.turn()
    away.turn()
    away.reader.read()
    assert away.reader.heard[2:] == ["m1", "m2", "m3", "m4", "m5", "live"]


def test_what_is_not_saved_counts_among_what_was_missed(
    away: Latecomer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(rows, "save", save)
    away.say("m6")
    away.missed.append("m6")
    away.reader.come()
    away.turn()
    assert b"*** 7 messages while you were away:" in away.reader.protocol.transport.value()


class TestTheOwnerOfAName:
    """Somebody who comes in under an account: by a rule of the test's own, "reader" is one."""

    @pytest.fixture
    def owned(self, away: Latecomer) -> Latecomer:
        class Owners(Authenticator):
            async def admit(self, name: str, password: str, visitor: Visitor) -> Account | None:
                return Account(name, 1.0) if name == "reader" else None

        away.house.factory.services.authenticator = Owners(None, None, away.house.clock.seconds)
        return away

    @pytest.mark.parametrize("cut_off", ["reading", "reading as READER", "coming back"])
    def test_hears_at_another_connection_what_the_first_one_did_not(
        self, owned: Latecomer, cut_off: str
    ) -> None:
        if cut_off == "coming back":
            gate = owned.comes_and_waits_for("away")
            owned.reader.come()
            owned.house.clock.turn(10)
            gate.callback(None)
            owned.turn()
            owned.turn()
            owned.reader.read()
            assert owned.reader.heard == owned.missed
            return
        owned.hears_everything()
        if "READER" in cut_off:
            owned.reader.type("/nick READER")
            owned.turn()
        owned.reader.protocol._sender.pauseProducing()
        owned.say("later")
        owned.reader.read()
        owned.hears_everything("later")

    def test_has_heard_what_they_heard_under_another_name(self, owned: Latecomer) -> None:
        owned.hears_everything()
        owned.reader.type("/nick other")
        owned.say("later")
        owned.reader.drop()
        owned.turn()
        owned.hears_everything("later")


def said_on_disk(house: House) -> list[tuple[str, str]]:
    rows = house.archive._reading.execute(
        "SELECT name, text FROM events WHERE kind = 'said' ORDER BY id"
    )
    return [(name, text) for name, texts in rows for text in texts.split("\n")]


# Files.


def opened(path: Path, **options: Any) -> Kept:
    clock = Turns()
    archive = new_history(path, clock, **options)
    made = Log(clock, archive.commit, lambda batch: None)
    archive.attach(made)
    archive.open()
    return Kept(clock, archive, made)


def test_ids_and_counts_go_on_where_the_file_ends(tmp_path: Path) -> None:
    made = opened(tmp_path / "chat")
    happen(made, [5, 5, 2, 0])
    epoch, next_id = made.log.epoch, made.log.next_id
    made.clock.wait_for(made.archive.close())
    again = opened(tmp_path / "chat")
    assert (again.log.epoch, again.log.next_id, again.log.messages) == (epoch, next_id, 4)
    again.clock.wait_for(again.archive.close())


def test_after_a_crash_ids_leave_a_gap_that_counts_as_nothing(tmp_path: Path) -> None:
    made = opened(tmp_path / "chat")
    happened = happen(made, [4, 5])
    made.clock.turn(10)
    happen(made, [4] * 3)  # seen by nobody
    crash(made.archive)
    again = opened(tmp_path / "chat")
    assert again.log.next_id == happened[-1].id + 1 + CRASH_GAP
    happened += happen(again, [4, 1])
    recalled = again.clock.wait_for(again.archive.recall(again.log.next_id, 0, 100))
    assert list(recalled.events) == happened
    assert recalled.gone == 0
    crash(again.archive)
    third = opened(tmp_path / "chat")
    assert third.log.next_id > happened[-1].id + CRASH_GAP
    third.clock.wait_for(third.archive.close())


VERSION = len(UPGRADES)
NEWER = (*UPGRADES, "CREATE TABLE more(id INTEGER PRIMARY KEY)")


def test_an_older_file_is_brought_up_to_date_after_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "chat"
    made = opened(path)
    happened = happen(made, [4, 5])
    made.clock.turn(10)
    crash(made.archive)  # what was said is in the write-ahead log only
    again = opened(path, upgrades=NEWER)
    assert list(again.clock.wait_for(again.archive.recent(again.log.next_id, 10))) == happened
    again.clock.wait_for(again.archive.close())
    saved = tmp_path / f"chat.version-{VERSION}"
    with closing(sqlite3.connect(saved)) as backup:
        assert backup.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert backup.execute("SELECT count(*) FROM events").fetchone() == (2,)
        assert backup.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert saved.stat().st_mode & 0o777 == 0o600
    too_new = f"version {VERSION + 1} of the schema, which a newer chatservice"
    with pytest.raises(BadDatabase, match=too_new):
        opened(path)


def test_an_upgrade_that_was_cut_off_is_not_done_twice(tmp_path: Path) -> None:
    """It is in the write-ahead log, and the file itself says so only later."""
    path = tmp_path / "chat"
    made = opened(path)
    made.archive._opened.connection.executescript(
        f"BEGIN; {NEWER[-1]}; PRAGMA user_version = {VERSION + 1}; COMMIT"
    )
    crash(made.archive)
    assert path.read_bytes()[60:64] == VERSION.to_bytes(4)
    copy = tmp_path / "copy"
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{copy}{end}")
    with pytest.raises(BadDatabase, match="newer chatservice"):
        opened(copy)
    again = opened(path, upgrades=NEWER)
    again.clock.wait_for(again.archive.close())


def test_the_file_stays_locked_after_an_upgrade(tmp_path: Path) -> None:
    """To SQLite's own locks, too: who closes the file last deletes what is written ahead."""
    path = tmp_path / "chat"
    made = opened(path)
    made.clock.wait_for(made.archive.close())
    again = opened(path, upgrades=NEWER)
    happened = happen(again, [4])
    again.clock.turn(10)
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM facts')"
    subprocess.run([sys.executable, "-c", f"{code}.fetchall(); c.close()", path], check=True)
    assert (tmp_path / "chat-wal").exists()
    happened += happen(again, [4])
    again.clock.turn(10)
    crash(again.archive)
    third = opened(path, upgrades=NEWER)
    assert list(third.clock.wait_for(third.archive.recent(third.log.next_id, 10))) == happened
    third.clock.wait_for(third.archive.close())


def whole(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE things(id)")


def no_database(path: Path) -> None:
    path.write_text("Dear diary, " * 100)


def newer(path: Path) -> None:
    made = opened(path, upgrades=NEWER)
    made.clock.wait_for(made.archive.close())


def corrupt(path: Path) -> None:
    made = opened(path)
    for _ in range(100):
        happen(made, [7, 0])
    made.clock.turn(10)
    made.clock.wait_for(made.archive.close())
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(byte ^ 0x5A for byte in data[4096:])
    path.write_bytes(data)


def of_one_that_is_gone(path: Path) -> None:
    path.with_name(path.name + "-wal").write_bytes(b"what was written ahead")


BAD = pytest.mark.parametrize(
    ("make", "why"),
    [
        (foreign, "this is some other program's database"),
        (no_database, "this is no SQLite database"),
        (newer, "which a newer chatservice has made"),
        (corrupt, "it is corrupt|malformed"),
        (of_one_that_is_gone, "is left of it"),
    ],
)


@BAD
def test_a_file_that_cannot_be_used_is_left_alone(
    tmp_path: Path, make: Callable[[Path], None], why: str
) -> None:
    path = tmp_path / "chat"
    make(path)
    before = whole(path)
    with pytest.raises(BadDatabase, match=why) as raised:
        opened(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)
    assert whole(path) == before


def test_a_file_that_another_server_uses_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "chat"
    made = opened(path)
    before = whole(path)
    with pytest.raises(BadDatabase, match="another server uses it"):
        opened(path)
    assert whole(path) == before
    made.clock.wait_for(made.archive.close())


def test_a_database_that_is_locked_at_the_start_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    path = tmp_path / "chat"
    made = opened(path)
    made.clock.wait_for(made.archive.close())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BadDatabase, match=r"chat: database is locked\.$"):
            opened(path)
        other.execute("ROLLBACK")
    again = opened(path)  # and it was let go of
    again.clock.wait_for(again.archive.close())


@BAD
def test_twistd_says_so_and_ends(tmp_path: Path, make: Callable[[Path], None], why: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "chat"
    make(path)
    before = whole(path)
    options = ["--port", "tcp:0:interface=127.0.0.1", "--database", str(path)]
    done = subprocess.run(
        [sys.executable, TWISTD, "-n", "--pidfile=", "chat", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        cwd=tmp_path,
    )
    last = done.stdout.splitlines()[-1]
    assert re.search(rf"\] chat: --database {re.escape(str(path))}.*({why})", last)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert whole(path) == before


# Trouble.


def test_what_is_asked_of_a_disk_that_fails_is_refused(tmp_path: Path) -> None:
    made = opened(tmp_path / "chat")
    (tmp_path / "chat").rename(tmp_path / "away")
    told: list[Any] = []
    made.archive.notice = told.append
    write = made.archive.write(lambda connection: None)
    with pytest.raises(Refusal) as refused:
        made.clock.wait_for(write)
    assert refused.value.code is ErrorCode.NOT_SAVED
    happened = happen(made, [4, 5])
    made.clock.turn(10)
    (tmp_path / "away").rename(tmp_path / "chat")
    made.clock.advance(history.RETRY_SECONDS)
    made.clock.turn(10)
    assert [event.on for event in told] == [False, True]
    assert list(made.clock.wait_for(made.archive.recent(made.log.next_id, 10))) == happened
    made.clock.wait_for(made.archive.close())


def test_what_is_held_for_a_disk_that_fails_is_part_of_the_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the log in memory has moved past it."""
    monkeypatch.setattr(log, "LOG_MESSAGES", 5)
    made = opened(tmp_path / "chat")
    happened = happen(made, [4, 0] * 10)
    made.clock.turn(10)
    (tmp_path / "chat").rename(tmp_path / "away")
    happened += happen(made, [5, 0, 2, 0, 1, 0] * 10)
    made.clock.turn(10)
    before = made.log.next_id
    for after in (0, 8, 15, before - 3):
        recalled = made.clock.wait_for(made.archive.recall(before, after, 100))
        assert list(recalled.events) == [event for event in happened if event.id > after]
    newest = made.clock.wait_for(made.archive.recall(before, None, 100))
    assert list(newest.events) == happened
    recent = made.clock.wait_for(made.archive.recent(before - 9, 100))
    assert list(recent) == spoken([event for event in happened if event.id < before - 9])
    (tmp_path / "away").rename(tmp_path / "chat")
    made.clock.advance(history.RETRY_SECONDS)
    made.clock.turn(10)
    recalled = made.clock.wait_for(made.archive.recall(before, 0, 100))
    assert list(recalled.events) == happened
    made.clock.wait_for(made.archive.close())


def test_what_is_held_for_a_disk_that_fails_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "HELD_MESSAGES", 10)
    made = opened(tmp_path / "chat")
    told: list[Any] = []
    made.archive.notice = told.append
    (tmp_path / "chat").rename(tmp_path / "away")
    happened = []
    for _ in range(30):
        happened += happen(made, [4])
        made.clock.turn(5)
    (tmp_path / "away").rename(tmp_path / "chat")
    made.clock.advance(history.RETRY_SECONDS)
    made.clock.turn(10)
    assert told[-1].lost == 20
    found = made.clock.wait_for(made.archive.find("hello", made.log.next_id, 100))
    assert list(found) == happened[20:]
    made.clock.wait_for(made.archive.close())
