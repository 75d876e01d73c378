"""Group commit: while one transaction is being written, what is submitted gathers for the next.

What happens when the disk fails is decided here, too: after some patience messages are delivered
all the same, and held and tried again until they are saved. No database is known here: a `Group` is
handed to whatever writes one.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.core.drafts import Committed, Draft, Entry, decide
from chatservice.core.events import SLOW_DISK, ErrorCode, Happening, Refusal, Saving
from chatservice.core.log import Reach, one_by_one
from chatservice.core.registry import Registry

log = Logger()

# Characters in one transaction: some 20 ms of writing.
TRANSACTION_SIZE = 4 * 1024 * 1024
# After so many seconds a transaction holds nobody up any longer. A disk that is well takes some
# milliseconds; and another program that writes is waited for for one second (sqlite.database).
PATIENCE_SECONDS = 2.0
RETRY_SECONDS = 1.0  # between attempts while the disk fails
# What is held for a disk that fails, in characters and in messages; beyond, the oldest is lost.
HELD_SIZE = 16 * 1024 * 1024
HELD_MESSAGES = 100_000
# Other writes that may wait, in bytes. Each connection waits for one of its own at a time.
MAX_WRITES_SIZE = 32 * 1024 * 1024
WRITE_SIZE = 1024  # what one takes beside the text in it, roughly
CLOSE_SECONDS = 5.0  # for what is not saved, in the end


Deliver = Callable[[Sequence[Committed]], None]


class State(Enum):
    """What is being done about what is to be written."""

    IDLE = "there is nothing to write"
    WRITING = "a transaction is being written, and its messages wait for it"
    LATE = "a transaction is being written, and messages do not wait for it"
    PAUSED = "the last transaction failed, and the next attempt is due"
    CLOSED = "nothing more will be written"


# The rules: from which state to which.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.IDLE: frozenset({State.WRITING, State.CLOSED}),
    State.WRITING: frozenset({State.IDLE, State.LATE, State.PAUSED}),
    State.LATE: frozenset({State.IDLE, State.LATE, State.PAUSED}),
    State.PAUSED: frozenset({State.LATE, State.CLOSED}),
    State.CLOSED: frozenset(),
}


class Unsaved:
    """What became of drafts that were submitted together, and is not on disk so far: a part of the
    log from the id `start` to before `end`. `earlier`: how many messages there had ever been before
    it in each room. It is delivered once."""

    __slots__ = ("_decided", "_then", "earlier", "end", "entries", "messages", "size", "start")

    def __init__(
        self, decided: Sequence[Committed], start: int, earlier: Mapping[str, int], then: Deliver
    ) -> None:
        self.entries = [each.outcome for each in decided if isinstance(each.outcome, Entry)]
        self.start = start
        self.end = decided[-1].next_id
        self.earlier = earlier
        self.messages = sum([entry.messages for entry in self.entries])
        self.size = sum([entry.size for entry in self.entries])
        self._decided = decided
        self._then: Deliver | None = then

    def deliver(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(self._decided)


class Held:
    """The batches that are not on disk, in the order of their ids, and found by these."""

    def __init__(self) -> None:
        self.size = 0  # in characters
        self.messages = 0
        self._batches: list[Unsaved] = []

    def __bool__(self) -> bool:
        return bool(self._batches)

    def __iter__(self) -> Iterator[Unsaved]:
        return iter(self._batches)

    def add(self, unsaved: Unsaved) -> None:
        self._batches.append(unsaved)
        self.size += unsaved.size
        self.messages += unsaved.messages

    def group(self) -> list[Unsaved]:
        """The oldest: as many as make one transaction."""
        taken: list[Unsaved] = []
        size = 0
        for unsaved in self._batches:
            taken.append(unsaved)
            size += unsaved.size
            if size >= TRANSACTION_SIZE:
                break
        return taken

    def drop(self, start: int, end: int) -> None:
        """Hold the batches with these indices no longer."""
        for unsaved in self._batches[start:end]:
            self.size -= unsaved.size
            self.messages -= unsaved.messages
        del self._batches[start:end]

    def drop_excess(self, spare: int) -> int:
        """Keep within the bounds, but for the first `spare` batches: the oldest of the others are
        lost. Returns how many messages."""
        end, size, messages = spare, self.size, self.messages
        while end < len(self._batches) and (size > HELD_SIZE or messages > HELD_MESSAGES):
            size -= self._batches[end].size
            messages -= self._batches[end].messages
            end += 1
        lost = self.messages - messages
        self.drop(spare, end)
        return lost

    def newest_first(self, before: int, reach: Reach, *, spoken: bool) -> Iterator[Happening]:
        """What is held within `reach` and has a smaller id; `spoken`: without the notices."""
        for index in range(bisect_left(self._batches, before, key=_start) - 1, -1, -1):
            if spoken and not self._batches[index].messages:
                continue
            for entry in reversed(self._batches[index].entries):
                if not spoken or entry.messages:
                    heard = within(entry, reach)
                    yield from (e for e in reversed(heard) if e.id < before)

    def oldest_first(self, after: int, before: int, reach: Reach) -> Iterator[Happening]:
        """What is held within `reach` between these ids."""
        for index in range(bisect_right(self._batches, after + 1, key=_end), len(self._batches)):
            unsaved = self._batches[index]
            if unsaved.start >= before:
                return
            for entry in unsaved.entries:
                yield from (e for e in within(entry, reach) if after < e.id < before)


def _start(unsaved: Unsaved) -> int:
    return unsaved.start


def _end(unsaved: Unsaved) -> int:
    return unsaved.end


def within(entry: Entry, reach: Reach) -> list[Happening]:
    """What an entry of the log stands for, as it is heard by those who are in these rooms."""
    last = entry.end - 1
    heard = tuple(room for room in entry.rooms if reach.get(room, last + 1) <= last)
    if not heard:
        return []
    lowest = min(reach[room] for room in heard)
    return [event for event in one_by_one(entry.heard_in(heard)) if event.id >= lowest]


class Write(NamedTuple):
    """Something else to be written, in a transaction of its own. `work` is what a store makes of
    it; `done` fires with its result, or fails. `of_registry`: it is what `work` makes of what has
    been decided by the time when it is written."""

    work: Callable[..., Any]
    done: "Deferred[Any]"
    size: int
    of_registry: bool = False


class Group(NamedTuple):
    """What is written together: batches and read positions in one transaction, then each of
    `writes` in its own."""

    batches: list[Unsaved]
    positions: Mapping[str, Any]
    writes: list[Write]


class Positions(Protocol):
    """Read positions that are to be saved."""

    def __bool__(self) -> bool:
        """Whether there are any."""

    def take(self) -> Mapping[str, Any]:
        """They are being saved."""

    def taken(self, *, saved: bool) -> None:
        """They have been, or not."""


class GroupCommit:
    """Hands groups to `write`, one at a time.

    `write` does what it is asked off the reactor's thread. Its result is called, on the reactor's
    thread, once the group's messages have been delivered; it fails if the batches could not be
    saved. `notice` is called when what is said cannot be saved, and when it can be again.
    """

    def __init__(
        self,
        clock: IReactorTime,
        write: "Callable[[Group], Deferred[Callable[[], None]]]",
        positions: Positions,
        notice: Callable[[Saving], None],
    ) -> None:
        self.state = State.IDLE
        self.trouble: Saving | None = None  # why what is said is not being saved, if it is not
        self.held = Held()
        self._clock = clock
        self._write = write
        self._positions = positions
        self._notice = notice
        self._registry = Registry()
        self._next_id = 1
        self._messages: Counter[str] = Counter()
        self._writes: deque[Write] = deque()
        self._writes_size = 0
        self._group = Group([], {}, [])  # that is being written
        self._lost = 0
        self._due: IDelayedCall | None = None  # the end of patience, or the next attempt
        self._closing: Deferred[None] | None = None
        self._given_up = False

    def begin(self, next_id: int, messages: Mapping[str, int], registry: Registry) -> None:
        """The log goes on with `next_id`; so many messages there have been in each room; and these
        rooms there are."""
        self._next_id = next_id
        self._messages = Counter(messages)
        self._registry = registry

    def submit(self, drafts: Sequence[Draft], deliver: Deliver) -> None:
        """Decide `drafts`, which gives them their ids, save what becomes of them, and call
        `deliver` with it: in order, once it is saved, or once it need not wait for that."""
        unsaved = self._decide(drafts, deliver)
        self.held.add(unsaved)
        if self.trouble is None:
            self.go_on()
        else:
            self._lose_excess()
            unsaved.deliver()

    def _decide(self, drafts: Sequence[Draft], deliver: Deliver) -> Unsaved:
        """Their place in the log: the one place where that is given."""
        start = self._next_id
        decided = decide(drafts, self._registry, start)
        unsaved = Unsaved(decided, start, dict(self._messages), deliver)
        for entry in unsaved.entries:
            if entry.messages:
                self._messages[entry.rooms[0]] += entry.messages
        self._next_id = unsaved.end
        return unsaved

    def enqueue(
        self, work: Callable[..., Any], size: int = 0, *, of_registry: bool = False
    ) -> "Deferred[Any]":
        """Do `work` in a transaction of its own. `size`: bytes of text in it; `of_registry`: see
        `Write`. Fires when that is on disk; fails with what `work` raises, or with `Refusal`
        (NOT_SAVED, BUSY)."""
        write = Write(work, Deferred(), WRITE_SIZE + size, of_registry)
        if self.state is State.CLOSED:
            write.done.errback(Refusal(ErrorCode.NOT_SAVED))
        elif self._writes_size + write.size > MAX_WRITES_SIZE:
            write.done.errback(Refusal(ErrorCode.BUSY))
        else:
            self._writes.append(write)
            self._writes_size += write.size
            self.go_on()
        return write.done

    def go_on(self) -> None:
        """Write what waits, unless that is being done."""
        if self.state is not State.IDLE:
            return
        if (self.held or self._writes or self._positions) and not self._given_up:
            self._begin_writing(State.WRITING)
        elif self._closing is not None:
            self._close()

    def close(self) -> "Deferred[None]":
        """Fires when everything is written; or when that has been tried for CLOSE_SECONDS."""
        closing: Deferred[None] = Deferred()
        self._closing = closing
        deadline = self._clock.callLater(CLOSE_SECONDS, self._give_up)

        def closed(_: object) -> None:
            if deadline.active():
                deadline.cancel()

        closing.addCallback(closed)
        self.go_on()
        return closing

    def _enter(self, state: State) -> None:
        if state not in TRANSITIONS[self.state]:
            raise AssertionError(f"{self.state} -> {state}")
        self.state = state
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None

    def _begin_writing(self, state: State) -> None:
        self._enter(state)
        writes = [
            each._replace(work=each.work(self._registry)) if each.of_registry else each
            for each in self._writes
        ]
        self._writes, self._writes_size = deque(), 0
        self._group = Group(self.held.group(), self._positions.take(), writes)
        if state is State.WRITING:
            self._due = self._clock.callLater(PATIENCE_SECONDS, self._lose_patience)
        self._write(self._group).addCallbacks(self._written, self._failed).addErrback(
            lambda failure: log.failure("A fault in the group commit.", failure)
        )

    def _lose_patience(self) -> None:
        self._enter(State.LATE)
        self._tell_trouble(SLOW_DISK)

    def _written(self, tell: Callable[[], None]) -> None:
        group, self._group = self._group, Group([], {}, [])
        self.held.drop(0, len(group.batches))
        self._positions.taken(saved=True)
        catching_up = self.trouble is not None and bool(self.held) and not self._given_up
        if not catching_up:
            self._enter(State.IDLE)
        for unsaved in group.batches:
            unsaved.deliver()
        if self.trouble is not None and not self.held:
            self._tell_saved_again()
        tell()
        if catching_up:
            self._begin_writing(State.LATE)
        else:
            self.go_on()

    def _failed(self, failure: Failure) -> None:
        group, self._group = self._group, Group([], {}, [])
        self._positions.taken(saved=False)
        self._enter(State.PAUSED)
        self._tell_trouble(failure.getErrorMessage())
        for write in group.writes:
            write.done.errback(Refusal(ErrorCode.NOT_SAVED))
        if self._given_up:
            self._close()
        else:
            self._due = self._clock.callLater(RETRY_SECONDS, self._begin_writing, State.LATE)

    def _tell_trouble(self, why: str) -> None:
        """From now on no message waits for the disk."""
        if self.trouble is None:
            self.trouble = Saving(False, why)
            log.error("Messages are not being saved: {why}", why=why)
            self._notice(self.trouble)
        for unsaved in list(self.held):
            unsaved.deliver()
        self._lose_excess()

    def _tell_saved_again(self) -> None:
        lost, self._lost = self._lost, 0
        self.trouble = None
        log.info("Messages are being saved again; {lost} are lost.", lost=lost)
        self._notice(Saving(True, lost=lost))

    def _lose_excess(self) -> None:
        self._lost += self.held.drop_excess(len(self._group.batches))

    def _give_up(self) -> None:
        self._given_up = True
        if self.state in (State.IDLE, State.PAUSED):
            self._close()

    def _close(self) -> None:
        self._enter(State.CLOSED)
        if self.held.messages:
            log.error("{count} messages could not be saved.", count=self.held.messages)
        for write in self._writes:
            write.done.errback(Refusal(ErrorCode.NOT_SAVED))
        self._writes.clear()
        if self._closing is not None:
            self._closing.callback(None)
