"""What is left of messages that were deleted: a tombstone for each, with its id.

An entry may hold several messages that were said together; those before and after a deleted one
stay, in entries of their own. So ids and counts are what they were.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from chatservice.core.drafts import Entry, size_of
from chatservice.core.events import (
    Burst,
    Emoted,
    Happening,
    RoomEvent,
    Said,
    Style,
    Tombstone,
)

# Deletions that are remembered for what was looked up before them, and is told after: many more
# than happen while anything is looked up. Some 1 MB.
MAX_ERASED = 10_000

H = TypeVar("H")


class Erased:
    """The newest deletions: who has deleted the message with an id."""

    def __init__(self) -> None:
        self._by: dict[int, str] = {}

    def note(self, ids: Collection[int], by: str) -> None:
        """They have been deleted; what was deleted before stays as it is."""
        for id_ in ids:
            self._by.setdefault(id_, by)
        while len(self._by) > MAX_ERASED:
            del self._by[next(iter(self._by))]

    def between(self, start: int, end: int) -> Mapping[int, str]:
        """Those with an id from `start` on, before `end`."""
        return {id_: by for id_, by in self._by.items() if start <= id_ < end}

    def applied(self, event: H) -> H | Tombstone:
        """`event`, or what is left of it."""
        if not isinstance(event, Said | Emoted) or event.id not in self._by:
            return event
        return Tombstone(event.id, event.at, event.room, event.name, self._by[event.id])

    def applied_to_all(self, events: Sequence[Happening]) -> tuple[Happening, ...]:
        """The same for each of them."""
        return tuple(map(self.applied, events))


def without(entry: Entry, erased: Mapping[int, str]) -> list[Entry]:
    """The entries in place of `entry`, once messages with these ids have been deleted. `erased`:
    by whom."""
    event = entry.event
    ids = range(event.id, entry.end)
    if not isinstance(event, Burst | Emoted) or erased.keys().isdisjoint(ids):
        return [entry]
    parts: list[RoomEvent] = []
    for by, run in groupby(ids, erased.get):
        these = list(run)
        if by is not None:
            parts += [Tombstone(id_, event.at, event.room, event.name, by) for id_ in these]
        elif isinstance(event, Burst):
            parts.append(_part(event, these))
    *others, last = parts
    # Their author is told of all of them at once, after the last.
    first = [_entry(entry, part)._replace(acknowledged=0, ref=None) for part in others]
    return [*first, _entry(entry, last)]


def _part(burst: Burst, ids: Sequence[int]) -> Burst:
    """Those messages of `burst`. Of its style it keeps what does not tell of the others."""
    start = ids[0] - burst.id
    style = None if burst.style is None else Style(burst.style.notice)
    return replace(burst, id=ids[0], texts=burst.texts[start : start + len(ids)], style=style)


def _entry(entry: Entry, event: RoomEvent) -> Entry:
    texts = event.texts if isinstance(event, Burst) else ("",)
    size = size_of(texts, event.name) if isinstance(event, Burst | Tombstone) else entry.size
    return entry._replace(event=event, messages=len(texts), size=size)
