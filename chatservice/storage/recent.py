"""The messages that are in memory, without the notices between them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import takewhile

from chatservice.core.events import Emoted, Said
from chatservice.core.log import Batch, Log
from chatservice.storage.group_commit import one_by_one


class RecentMessages:
    """An index of the batches in `log` that have messages: a log can be full of notices, and to
    look at each of them for the newest twenty messages takes some 10 ms."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._batches: list[Batch] = []
        self._end = 0  # everything before it has been added

    def add(self, batch: Batch) -> None:
        """`batch` is the newest there is."""
        self._end = batch.end
        if not any(entry.messages for entry in batch.entries):
            return
        batches, first = self._batches, self._log.first_id
        batches.append(batch)
        # As the log does, one by one: Python looks for garbage whenever a few hundred objects more
        # have been made than freed, which took a tenth of a batch's time.
        if batches[0].end <= first:
            del batches[: bisect_right(batches, first, key=_end)]

    def newest_first(self, before: int) -> Iterator[Said | Emoted]:
        """Those with an id before that."""
        if before > self._end:  # what has not been committed so far comes first
            pending = takewhile(lambda e: e.id >= self._end, self._log.between(before, None))
            yield from (event for event in pending if isinstance(event, Said | Emoted))
        first = self._log.first_id
        for index in range(bisect_left(self._batches, before, key=_start) - 1, -1, -1):
            if self._batches[index].end <= first:
                return
            for entry in reversed(self._batches[index].entries):
                if entry.messages:
                    for event in reversed(one_by_one(entry)):
                        if event.id < before and isinstance(event, Said | Emoted):
                            yield event


def _start(batch: Batch) -> int:
    return batch.start


def _end(batch: Batch) -> int:
    return batch.end
