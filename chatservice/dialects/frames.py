"""The JSON dialect in frames of WebSocket, as the server sends them (RFC 6455, section 5).

Frames of a server are not masked, so that all readers are sent the same bytes, and a frame that is
rendered once serves them all. A frame has one JSON object a line.
"""

import struct

from chatservice.core import log
from chatservice.core.drafts import Entry
from chatservice.core.events import Answered, Closed, CloseReason, Event, PersonalEvent
from chatservice.dialects.dialect import Asked, Expected
from chatservice.dialects.jsonlines import JSON

_TEXT, _CLOSE, _PONG = 0x81, 0x88, 0x8A  # the last, and only, frame of its message
_MAX_SHORT, _SIXTEEN_BITS, _SIXTY_FOUR_BITS = 125, 126, 127

# Why a connection ends (RFC 6455, 7.4.1).
NORMAL, GOING_AWAY, UNSUPPORTED, TOO_BIG = 1000, 1001, 1003, 1009
_CODES = {CloseReason.SHUTDOWN: GOING_AWAY, CloseReason.LONG_LINE: TOO_BIG}


def text_frame(payload: bytes) -> bytes:
    """A message in one frame."""
    return _frame(_TEXT, payload)


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping."""
    return _frame(_PONG, payload)


def close_frame(code: int) -> bytes:
    """The last frame of a connection."""
    return _frame(_CLOSE, struct.pack("!H", code))


def _frame(first: int, payload: bytes) -> bytes:
    length = len(payload)
    if length <= _MAX_SHORT:
        return struct.pack("!BB", first, length) + payload
    if length < 1 << 16:
        return struct.pack("!BBH", first, _SIXTEEN_BITS, length) + payload
    return struct.pack("!BBQ", first, _SIXTY_FOUR_BITS, length) + payload


def _lines_frame(lines: bytes) -> bytes:
    return text_frame(lines.rstrip()) if lines else b""


class JsonFrames:
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
        return JSON.read(line, expected)

    def read_talk(self, data: bytes) -> tuple[str, ...]:
        return ()

    def render(self, event: Event, *, labelled: bool = False) -> bytes:
        return _lines_frame(JSON.render(event, labelled=labelled))

    def render_personal(self, event: PersonalEvent) -> bytes:
        last = event.event if isinstance(event, Answered) else event
        if not isinstance(last, Closed):
            return _lines_frame(JSON.render_personal(event))
        if last.reason is CloseReason.MALFORMED:  # its door has sent the code of what was wrong
            return b""
        code = _CODES.get(last.reason, NORMAL)
        return _lines_frame(JSON.render_personal(event)) + close_frame(code)

    def acknowledge(self, entry: Entry) -> bytes:
        return _lines_frame(JSON.acknowledge(entry))


JSON_FRAMES = JsonFrames()
