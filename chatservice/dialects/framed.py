"""The JSON dialect where its lines do not go out as they are, but in frames of some kind."""

from abc import ABC, abstractmethod

from chatservice.core import log
from chatservice.core.drafts import Entry
from chatservice.core.events import Answered, Closed, Event, PersonalEvent
from chatservice.dialects.dialect import Asked, Expected
from chatservice.dialects.jsonlines import JSON


class FramedJson(ABC):
    """The JSON dialect, whose subclasses say what a frame is. A frame has one object a line."""

    wants = JSON.wants
    labels_rooms = JSON.labels_rooms
    echoes = JSON.echoes

    @abstractmethod
    def frame(self, lines: bytes) -> bytes:
        """What is sent for some lines; there is at least one."""

    @abstractmethod
    def last_word(self, closed: Closed, framed: bytes) -> bytes:
        """What is sent for the last word, which is `framed`, and for the end."""

    def _framed(self, lines: bytes) -> bytes:
        return self.frame(lines) if lines else b""

    @property
    def shared(self) -> log.Dialect:
        return self

    def greet(self) -> PersonalEvent | None:
        return None

    def read(self, line: bytes, expected: Expected) -> Asked:
        return JSON.read(line, expected)

    def read_talk(self, data: bytes) -> tuple[str, ...]:
        return ()

    def render(self, event: Event, *, labelled: bool = False) -> bytes:
        return self._framed(JSON.render(event, labelled=labelled))

    def render_personal(self, event: PersonalEvent) -> bytes:
        answer = event.event if isinstance(event, Answered) else event
        lines = self._framed(JSON.render_personal(event))
        return self.last_word(answer, lines) if isinstance(answer, Closed) else lines

    def acknowledge(self, entry: Entry) -> bytes:
        return self._framed(JSON.acknowledge(entry))
