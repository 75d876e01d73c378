"""How much of what is addressed to one connection may wait for it, while it takes nothing."""

from collections.abc import Callable, Iterable, Mapping
from sys import getsizeof
from typing import Any

from chatservice.core.events import (
    Announced,
    Answered,
    AwaySet,
    Banned,
    Emoted,
    Happening,
    IgnoredList,
    Left,
    Muted,
    Person,
    PersonalEvent,
    Recalled,
    Refused,
    Removed,
    Replayed,
    Reported,
    RoomInfo,
    RoomList,
    RoomSwitched,
    Said,
    SanctionInfo,
    SanctionList,
    Sent,
    Told,
    TopicShown,
    Welcomed,
)

# Answers and private messages.
MAX_PERSONAL_EVENTS = 64
# And bytes of them, as they lie in memory. Nothing more is read from a connection for which so many
# wait, so the answer that exceeds this is the last: some 0.3 MB, and for the 100 connections of one
# address (see `limits.Limits`) some 30 MB.
MAX_PERSONAL_SIZE = 64 * 1024

# What an event takes without its texts, and one of those in a page, roughly.
_EVENT_SIZE = 256


def is_too_much(events: int, size: int) -> bool:
    """Whether nothing more should be addressed to a connection for which so many events wait, which
    take so many bytes."""
    return events >= MAX_PERSONAL_EVENTS or size >= MAX_PERSONAL_SIZE


def size_of(event: PersonalEvent) -> int:
    """How many bytes `event` takes in memory. Lists of names are shared."""
    if isinstance(event, Answered):
        return size_of(event.event) + getsizeof(event.ref)
    texts = _TEXTS.get(type(event))
    return _EVENT_SIZE if texts is None else _EVENT_SIZE + texts(event)


def _page(events: Iterable[Happening | Told]) -> int:
    size = 0
    for event in events:
        size += _EVENT_SIZE
        if isinstance(event, Said | Emoted | Told):
            size += getsizeof(event.text)
    return size


def _room(room: RoomInfo) -> int:
    return getsizeof(room.topic) + getsizeof(room.users)


_TEXTS: Mapping[type[PersonalEvent], Callable[[Any], int]] = {
    Recalled: lambda event: _page(event.events),
    Replayed: lambda event: _page(event.events),
    Told: lambda event: getsizeof(event.text),
    AwaySet: lambda event: getsizeof(event.text),
    Reported: lambda event: getsizeof(event.why),
    Sent: lambda event: getsizeof(event.text),
    Announced: lambda event: sum(map(getsizeof, event.lines)),
    RoomInfo: _room,
    RoomList: lambda event: sum(_EVENT_SIZE + _room(room) for room in event.rooms),
    Welcomed: lambda event: sum(_EVENT_SIZE + _room(room) for room in event.rooms),
    SanctionInfo: lambda event: getsizeof(event.why),
    SanctionList: lambda event: sum(_EVENT_SIZE + getsizeof(each.why) for each in event.bans),
    IgnoredList: lambda event: getsizeof(event.ignored) + sum(map(getsizeof, event.ignored)),
    Removed: lambda event: getsizeof(event.why),
    Left: lambda event: getsizeof(event.names) + getsizeof(event.why),
    Banned: lambda event: getsizeof(event.why),
    Muted: lambda event: getsizeof(event.why),
    Person: lambda event: getsizeof(event.rooms),
    TopicShown: lambda event: getsizeof(event.topic),
    RoomSwitched: lambda event: getsizeof(event.topic) + getsizeof(event.names),
    Refused: lambda event: sum(map(getsizeof, event.refusal.details.values())),
}
