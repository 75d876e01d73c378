"""What a chat remembers of the past beside its log: the seam where a database goes.

`Archive` is what the chat asks for. Here is the one that has no more than the log in memory.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol, cast

from chatservice.core.events import Emoted, Happening, Recalled, Said, Saving
from chatservice.core.log import Batch, Log, Origin, commit_at_once, take_page

# People whose place is remembered, those longest away forgotten first: some 2 MB.
MAX_READ_POSITIONS = 20_000

Messages = tuple[Said | Emoted, ...]


class ReadPosition(NamedTuple):
    """Where somebody has stopped reading: they have heard all below the id `position`."""

    position: int
    messages: int  # that there had ever been until then


class MissedCount(NamedTuple):
    """What was said while somebody was away: how many messages there are, and how many of them are
    gone."""

    kept: int
    gone: int


def recalled(log: Log, before: int, after: int | None, limit: int) -> tuple[Happening, ...]:
    """The events between two ids: of more than a page the oldest, or the newest if `after` is
    None."""
    taken = take_page(log.between(before, after), limit).events
    return tuple(taken if after is not None else reversed(taken))


def newest(events: Iterable[Happening], limit: int) -> Messages:
    """The first messages among `events`, of which the newest come first; in their order."""
    taken = take_page((event for event in events if isinstance(event, Said | Emoted)), limit).events
    return cast(Messages, tuple(reversed(taken)))


class Archive(Protocol):
    """What there is of the past. What takes time is awaited; it may raise `Refusal`."""

    trouble: Saving | None  # why what is said is not being saved, if it is not

    def commit(self, batch: Batch, committed: Callable[[Batch], None], /) -> None:
        """A `log.Commit`."""

    @property
    def first_id(self) -> int:
        """Nothing older is kept."""

    def attach(self, log: Log) -> None:
        """`log` has the newest part, and goes on where the archive ends."""

    def recall(self, before: int, after: int | None, limit: int) -> Awaitable[Recalled]:
        """What happened between two ids, as `recalled` has it."""

    def recent(self, before: int, limit: int) -> Awaitable[Messages]:
        """The newest messages before that id, the oldest of them first."""

    def find(self, words: str, before: int, limit: int) -> Awaitable[Messages]:
        """The newest messages before that id that have these words."""

    def seen(self, name: str) -> Awaitable[ReadPosition | None]:
        """Where `name`, who is not here, had stopped reading."""

    def arrive(self, name: str) -> None:
        """`name` is here, and hears everything from now on."""

    def depart(self, name: str, position: int) -> None:
        """`name` has stopped reading there."""

    def away(self, since: ReadPosition, before: int) -> Awaitable[MissedCount]:
        """What was said since then, before that id."""


class Memory:
    """Nothing but the log in memory."""

    trouble: Saving | None = None

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._marks: OrderedDict[str, ReadPosition] = OrderedDict()

    def commit(self, batch: Batch, committed: Callable[[Batch], None], /) -> None:
        commit_at_once(batch, committed)

    @property
    def first_id(self) -> int:
        return self._log.first_id

    def attach(self, log: Log) -> None:
        self._log = log
        log.begin(Origin(self._epoch))

    async def recall(self, before: int, after: int | None, limit: int) -> Recalled:
        log = self._log
        gone = 0 if after is None else max(min(log.first_id, before) - after - 1, 0)
        return Recalled(recalled(log, before, after, limit), log.first_id, gone)

    async def recent(self, before: int, limit: int) -> Messages:
        return newest(self._log.between(before, None), limit)

    async def find(self, words: str, before: int, limit: int) -> Messages:
        wanted = words.casefold().split()
        found = (
            event
            for event in self._log.between(before, None)
            if isinstance(event, Said | Emoted)
            and all(word in event.text.casefold() for word in wanted)
        )
        return newest(found, limit) if wanted else ()

    async def seen(self, name: str) -> ReadPosition | None:
        return self._marks.get(name)

    def arrive(self, name: str) -> None:
        self._marks.pop(name, None)

    def depart(self, name: str, position: int) -> None:
        self._marks[name] = ReadPosition(position, self._log.messages_before(position))
        if len(self._marks) > MAX_READ_POSITIONS:
            self._marks.popitem(last=False)

    async def away(self, since: ReadPosition, before: int) -> MissedCount:
        first = max(since.position, self._log.first_id)
        gone = self._log.messages_before(first) - since.messages
        return MissedCount(self._log.messages_before(before) - since.messages - gone, gone)
