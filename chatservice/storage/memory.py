"""The archive that has no more than the log in memory."""

from collections import OrderedDict
from collections.abc import Callable

from chatservice.core.events import Emoted, Recalled, Said, Saving
from chatservice.core.log import Batch, Log, Messages, Origin, commit_at_once, newest, recalled
from chatservice.core.stores import MAX_READ_POSITIONS, MissedCount, ReadPosition


class MemoryArchive:
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
