"""Group commit: with a clock, and a disk that does what it is told."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatservice.core.drafts import Committed
from chatservice.core.events import Burst, ErrorCode, Refusal, Saving
from chatservice.storage import group_commit
from chatservice.storage.group_commit import (
    CLOSE_SECONDS,
    PATIENCE_SECONDS,
    RETRY_SECONDS,
    TRANSITIONS,
    Group,
    GroupCommit,
    State,
)
from tests.support.logs import Happens


class NoPositions:
    def __bool__(self) -> bool:
        return False

    def take(self) -> Mapping[str, Any]:
        return {}

    def taken(self, *, saved: bool) -> None: ...


class Disk:
    """`saved` are the ids that are on it. A group is written when `writes` or `fails` says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.saved: list[int] = []
        self.delivered: list[int] = []
        self.notices: list[Saving] = []
        self.group: Group | None = None
        self.done: Deferred[Callable[[], None]] = Deferred()
        self.ids = count(1)
        self.commits = GroupCommit(
            self.clock,
            self.write,
            NoPositions(),
            self.notices.append,
        )

    def write(self, group: Group) -> "Deferred[Callable[[], None]]":
        assert self.group is None
        self.group, self.done = group, Deferred()
        return self.done

    def writes(self) -> None:
        assert self.group is not None
        group, self.group = self.group, None
        self.saved += [unsaved.start for unsaved in group.batches]

        def tell() -> None:
            for write in group.writes:
                write.done.callback(write.work())

        self.done.callback(tell)

    def fails(self) -> None:
        self.group = None
        self.done.errback(OSError("no space"))

    def says(self) -> int:
        id_ = next(self.ids)
        draft = Happens(Burst(id_, 0.0, "lobby", "Alice", ("x",)), 10, 1)

        def deliver(committed: Sequence[Committed]) -> None:
            self.delivered += [each.next_id - 1 for each in committed]

        self.commits.submit([draft], deliver)
        return id_


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_what_is_said_while_a_transaction_is_written_makes_the_next(disk: Disk) -> None:
    for _ in range(3):
        disk.says()
    assert disk.group is not None
    assert len(disk.group.batches) == 1
    disk.writes()
    assert disk.group is not None
    assert len(disk.group.batches) == 2
    assert disk.delivered == [1]
    disk.writes()
    assert disk.delivered == disk.saved == [1, 2, 3]
    assert disk.commits.state is State.IDLE


def test_messages_wait_for_a_slow_disk_only_so_long(disk: Disk) -> None:
    disk.says()
    disk.says()
    disk.clock.advance(PATIENCE_SECONDS)
    assert disk.delivered == [1, 2]
    assert [notice.on for notice in disk.notices] == [False]
    assert disk.says() == 3
    assert disk.delivered == [1, 2, 3]
    disk.writes()
    assert disk.commits.trouble is not None
    disk.writes()
    assert disk.saved == [1, 2, 3]
    assert [notice.on for notice in disk.notices] == [False, True]
    assert disk.says() == 4
    assert disk.delivered == [1, 2, 3]  # it waits again


def test_a_disk_that_fails_is_tried_again(disk: Disk) -> None:
    disk.says()
    disk.fails()
    assert disk.delivered == [1]
    disk.says()
    disk.clock.advance(RETRY_SECONDS)
    disk.fails()
    disk.clock.advance(RETRY_SECONDS)
    disk.writes()
    assert disk.saved == disk.delivered == [1, 2]
    assert [notice.on for notice in disk.notices] == [False, True]


def test_what_is_being_written_is_not_lost(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "HELD_MESSAGES", 2)
    disk.says()
    disk.clock.advance(PATIENCE_SECONDS)
    for _ in range(5):
        disk.says()
    disk.writes()
    disk.writes()
    assert disk.saved == [1, 6]
    assert disk.delivered == [1, 2, 3, 4, 5, 6]
    assert disk.notices[-1] == Saving(True, lost=4)


def outcome(done: "Deferred[Any]") -> Any:
    results: list[Any] = []
    done.addBoth(results.append)
    return results[0] if results else None


def test_other_writes_are_refused_by_a_disk_that_fails(disk: Disk) -> None:
    disk.says()
    write = disk.commits.enqueue(lambda: "done")
    disk.writes()
    disk.writes()
    assert outcome(write) == "done"
    write = disk.commits.enqueue(lambda: "done")
    disk.fails()
    failure = outcome(write)
    assert isinstance(failure.value, Refusal)
    assert failure.value.code is ErrorCode.NOT_SAVED


def test_other_writes_that_wait_are_bounded_by_their_size(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not by their number: thousands come back at once after a restart."""
    disk.says()
    waiting = [disk.commits.enqueue(lambda: "done") for _ in range(5000)]
    assert not any(write.called for write in waiting)
    monkeypatch.setattr(group_commit, "MAX_WRITES_SIZE", 0)
    assert outcome(disk.commits.enqueue(lambda: "done")).value.code is ErrorCode.BUSY
    disk.writes()
    disk.writes()
    assert all(outcome(write) == "done" for write in waiting)


@pytest.mark.parametrize("trouble", ["none", "fails", "hangs"])
def test_closing(disk: Disk, trouble: str) -> None:
    """When all is written; or after some seconds, but not while a transaction is being written."""
    disk.says()
    closed = disk.commits.close()
    match trouble:
        case "none":
            disk.writes()
        case "fails":
            disk.fails()
            for _ in range(int(CLOSE_SECONDS)):
                assert not closed.called
                disk.clock.advance(RETRY_SECONDS)
                if disk.group is not None:
                    disk.fails()
        case "hangs":
            disk.clock.advance(CLOSE_SECONDS)
            assert not closed.called
            disk.writes()
    assert closed.called
    assert disk.commits.state is State.CLOSED
    assert outcome(disk.commits.enqueue(lambda: None)).value.code is ErrorCode.NOT_SAVED
    assert disk.clock.getDelayedCalls() == []


@given(st.lists(st.sampled_from(["says", "writes", "fails", "waits", "enqueues"]), max_size=80))
def test_whatever_the_disk_does(actions: list[str]) -> None:
    """Each message is delivered once and in order, at once while the disk fails; none is delivered
    before it is saved while it does not; and the states change as the table says."""
    disk = Disk()
    waiting: list[Deferred[Any]] = []
    for action in actions:
        before = disk.commits.state
        match action:
            case "says":
                disk.says()
            case "enqueues":
                waiting.append(disk.commits.enqueue(lambda: "done"))
            case "waits":
                disk.clock.advance(max(PATIENCE_SECONDS, RETRY_SECONDS))
            case "writes" | "fails" if disk.group is not None:
                getattr(disk, action)()
        after = disk.commits.state
        assert after is before or after in TRANSITIONS[before] | {State.WRITING}
        if disk.commits.trouble is None:
            assert disk.delivered == disk.saved
        else:
            assert len(disk.delivered) == next(disk.ids) - 1
            disk.ids = count(len(disk.delivered) + 1)
    closed = disk.commits.close()
    while not closed.called:
        if disk.group is not None:
            disk.writes()
        else:
            disk.clock.advance(RETRY_SECONDS)
    assert disk.saved == disk.delivered == sorted(disk.delivered)
    for write in waiting:
        write.addErrback(lambda failure: failure.trap(Refusal))
        assert write.called
