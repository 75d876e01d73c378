"""The thread that answers questions, with real threads and a real file."""

import queue
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatservice.complaints import Complaints
from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.limits import REPEAT_SECONDS
from chatservice.storage.sqlite.threads import Reader

PATIENCE = 10


class Loop(Clock):
    """A reactor whose time passes as one waits."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def callFromThread(self, call: Callable[..., object], *arguments: Any) -> None:
        self._calls.put(lambda: call(*arguments))

    def run(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < deadline
            time.sleep(0.005)
            self.advance(0.005)
            while not self._calls.empty():
                self._calls.get()()


def endless(connection: sqlite3.Connection) -> Any:
    """It is over only when it is interrupted."""
    return connection.execute(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) "
        "SELECT count(*) FROM numbers"
    ).fetchone()


def endless_in_python(connection: sqlite3.Connection) -> Any:
    """In many short statements, between which nothing can be interrupted."""
    while True:
        connection.execute("SELECT 1").fetchall()
        list(range(1000))
        connection.execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
            "LIMIT 50000) SELECT count(*) FROM numbers"
        ).fetchone()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def reader(loop: Loop, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(
        loop,
        ThreadPool(0, 1, "reader"),
        Complaints(loop, known=(sqlite3.Error,)),
        seconds=0.2,
        too_slow=ErrorCode.TOO_SLOW,
    )
    reader.start(sqlite3.connect(tmp_path / "db", check_same_thread=False))
    yield reader
    stopped = reader.stop()
    loop.run(lambda: stopped.called)


def outcome(asked: "Deferred[Any]") -> list[Any]:
    results: list[Any] = []
    asked.addBoth(results.append)
    return results


def code(results: list[Any]) -> ErrorCode:
    (failure,) = results
    assert isinstance(failure, Failure)
    assert isinstance(failure.value, Refusal)
    return failure.value.code


@pytest.mark.parametrize("question", [endless, endless_in_python])
def test_a_question_that_takes_too_long_is_interrupted(
    reader: Reader, loop: Loop, question: Callable[[sqlite3.Connection], Any]
) -> None:
    slow = outcome(reader.ask(question))
    quick = outcome(reader.ask(lambda connection: connection.execute("SELECT 7").fetchone()))
    loop.run(lambda: bool(quick))
    assert code(slow) is ErrorCode.TOO_SLOW
    assert quick == [(7,)]


@pytest.mark.parametrize("started", [True, False])
def test_a_question_whose_asker_has_gone_is_not_answered(
    reader: Reader, loop: Loop, started: bool
) -> None:
    asked = reader.ask(endless)
    others = [] if started else [reader.ask(endless, asker="b")]
    results = outcome(asked if started else others[0])
    (asked if started else others[0]).cancel()
    assert results[0].check(CancelledError)
    if not started:
        asked.addErrback(lambda failure: None)
        asked.cancel()
    quick = outcome(reader.ask(lambda connection: 7))
    begun = loop.seconds()
    loop.run(lambda: bool(quick))
    assert quick == [7]
    assert loop.seconds() - begun < 0.2  # before its time would have been over


def test_the_end_is_not_held_up(reader: Reader, loop: Loop) -> None:
    running, waiting = outcome(reader.ask(endless)), outcome(reader.ask(endless))
    loop.run(lambda: loop.seconds() > 0.05)
    begun = time.monotonic()
    stopped = reader.stop()
    assert code(running) is code(waiting) is ErrorCode.NOT_SAVED
    loop.run(lambda: stopped.called)
    assert time.monotonic() - begun < PATIENCE / 2
    assert code(outcome(reader.ask(endless))) is ErrorCode.NOT_SAVED
    stopped = Deferred()
    reader.stop = lambda: stopped  # type: ignore[method-assign]
    stopped.callback(None)


def broken(connection: sqlite3.Connection) -> Any:
    raise sqlite3.DatabaseError("database disk image is malformed")


def senseless(connection: sqlite3.Connection) -> Any:
    raise KeyError("flew")


@pytest.mark.parametrize("question", [broken, senseless])
def test_a_damaged_file_is_told_once(
    reader: Reader,
    loop: Loop,
    question: Callable[[sqlite3.Connection], Any],
) -> None:
    """However often it is read: again only after a minute."""
    for told in ("The database cannot be read", "The database cannot be read (20 times since"):
        with capturedLogs() as events:
            for _ in range(20):
                results = outcome(reader.ask(question))
                loop.run(lambda results=results: bool(results))  # type: ignore[misc]
                assert code(results) is ErrorCode.NOT_SAVED
        (event,) = events
        assert formatEvent(event).startswith(told)
        assert ("log_failure" in event) == (question is senseless)
        loop.advance(REPEAT_SECONDS)
