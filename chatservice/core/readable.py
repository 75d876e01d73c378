"""What may still be read of an answer, which was looked up before: rights may have changed, and
messages may have been deleted."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chatservice.core.erasing import Erased
from chatservice.core.events import Answered, PersonalEvent, Recalled, Replayed


def readable(event: PersonalEvent, rooms: Mapping[str, int], erased: Erased) -> PersonalEvent:
    """`event` as it is told to somebody who is in these `rooms`: nothing of others, nor of what has
    been `erased`."""
    match event:
        case Answered(event=Recalled() | Replayed() as answer):
            return replace(event, event=readable(answer, rooms, erased))
        case Recalled(events=events) | Replayed(events=events):
            kept: Any = tuple(erased.applied(each) for each in events if _is_in(each, rooms))
            return event if kept == events else replace(event, events=kept)
        case _:
            return event


def _is_in(event: Any, rooms: Mapping[str, int]) -> bool:
    """Whether it happened in one of `rooms`. (A private message did so in none, and is theirs.)"""
    room = getattr(event, "room", None)
    if room is None or room in rooms:
        return True
    return not rooms.keys().isdisjoint(getattr(event, "rooms", ()))
