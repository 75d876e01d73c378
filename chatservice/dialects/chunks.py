"""The JSON dialect in chunks of an HTTP answer that does not end (RFC 9112, section 7.1)."""

from chatservice.core.events import Closed
from chatservice.dialects.framed import FramedJson

_LAST = b"0\r\n\r\n"


class JsonChunks(FramedJson):
    """The dialect."""

    def frame(self, lines: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(lines), lines)

    def last_word(self, closed: Closed, framed: bytes) -> bytes:
        return framed + _LAST


JSON_CHUNKS = JsonChunks()
