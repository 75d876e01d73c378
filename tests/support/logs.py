"""Logs for tests: events happen without anybody who makes them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from chatservice.core.drafts import Committed, Draft, Entry, decide
from chatservice.core.events import Deleted, RoomEvent
from chatservice.core.log import Batch, Log, Reach

LOBBY: Reach = {"lobby": 0}


class Happens(Draft):
    """`event` happens, whoever is there."""

    def __init__(self, event: RoomEvent, size: int, messages: int = 0) -> None:
        super().__init__(event.at)
        self.event = event
        self.size = size
        self.messages = messages

    def decide(self, registry: Any, id_: int) -> Entry:
        event = replace(self.event, id=id_)
        return Entry(event, (event.room,), messages=self.messages, size=self.size)


class FreeLog(Log):
    """A log of what is appended. `deliver`: who listens."""

    def __init__(
        self, clock: Any, store: Any, deliver: Callable[[Batch], None] = lambda batch: None
    ) -> None:
        self.next_id = 1  # of the event that is appended next
        super().__init__(clock, store, self._apply_deletions, deliver)

    def begin(self, origin: Any) -> None:
        super().begin(origin)
        self.next_id = origin.next_id

    def _apply_deletions(self, batch: Batch) -> None:
        for entry in list(batch.entries):
            if isinstance(entry.event, Deleted):
                self.erase(entry.event, batch)

    def append(self, event: RoomEvent, size: int, *, messages: int = 0) -> None:
        self.submit(Happens(event, size, messages))
        self.next_id += messages or 1


class AtOnce:
    """A store that commits at once, and keeps nothing."""

    def __init__(self) -> None:
        self.next_id = 1

    def submit(self, drafts: Sequence[Draft], committed: Any) -> None:
        decided: list[Committed] = decide(drafts, None, self.next_id)  # type: ignore[arg-type]
        self.next_id = decided[-1].next_id
        committed(decided)
