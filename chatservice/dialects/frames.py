"""The JSON dialect in frames of WebSocket, as the server sends them (RFC 6455, section 5).

Frames of a server are not masked, so that all readers are sent the same bytes, and a frame that is
rendered once serves them all. A frame has one JSON object a line.
"""

import struct

from chatservice.core.events import Closed, CloseReason
from chatservice.dialects.framed import FramedJson

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


class JsonFrames(FramedJson):
    """The dialect."""

    def frame(self, lines: bytes) -> bytes:
        return text_frame(lines.rstrip())

    def last_word(self, closed: Closed, framed: bytes) -> bytes:
        if closed.reason is CloseReason.MALFORMED:  # its door has sent the code of what was wrong
            return b""
        return framed + close_frame(_CODES.get(closed.reason, NORMAL))


JSON_FRAMES = JsonFrames()
