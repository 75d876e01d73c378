"""The JSON dialect in chunks of an HTTP answer that does not end (RFC 9112, section 7.1)."""

from chatservice.core import log
from chatservice.core.drafts import Entry
from chatservice.core.events import Answered, Closed, Event, PersonalEvent
from chatservice.dialects.dialect import Asked, Expected
from chatservice.dialects.jsonlines import JSON

_LAST = b"0\r\n\r\n"


def _chunk(lines: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(lines), lines) if lines else b""


class JsonChunks:
    """The dialect."""

    wants = JSON.wants
    labels_rooms = JSON.labels_rooms
    echoes = JSON.echoes

    @property
    def shared(self) -> log.Dialect:
        return self

    def greet(self) -> PersonalEvent | None:
        return None

    def read(self, line: bytes, expected: Expected) -> Asked:
        return Asked(None)

    def read_talk(self, data: bytes) -> tuple[str, ...]:
        return ()

    def render(self, event: Event, *, labelled: bool = False) -> bytes:
        return _chunk(JSON.render(event, labelled=labelled))

    def render_personal(self, event: PersonalEvent) -> bytes:
        last = event.event if isinstance(event, Answered) else event
        end = _LAST if isinstance(last, Closed) else b""
        return _chunk(JSON.render_personal(event)) + end

    def acknowledge(self, entry: Entry) -> bytes:
        return _chunk(JSON.acknowledge(entry))


JSON_CHUNKS = JsonChunks()
