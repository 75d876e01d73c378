"""What a browser sends over WebSocket, as messages; no I/O.

wsproto parses the frames and checks what RFC 6455 demands of a client: masks, reserved bits, UTF-8,
the order of fragments, codes. This adds a bound for messages, and reads one frame at a time, so
that frames can be counted and charged. permessage-deflate is not offered: 34 MB came out of one
read.
"""

from typing import Any, NamedTuple

from wsproto.connection import SERVER, Connection, ConnectionState
from wsproto.events import CloseConnection, Message, Ping, TextMessage

from chatservice.dialects.frames import TOO_BIG, UNSUPPORTED


class Text(NamedTuple):
    """A message is complete."""

    line: bytes


class Pinged(NamedTuple):
    """A pong with the same payload is due."""

    payload: bytes


class Part(NamedTuple):
    """A frame, or a part of one, that asks for nothing yet."""


class PeerClosed(NamedTuple):
    """The peer has ended the connection, with `code` (1005: without any)."""

    code: int


class Violated(NamedTuple):
    """The peer has sent what may not be sent; the connection is to be closed with `code`."""

    code: int


Frame = Text | Pinged | Part | PeerClosed | Violated
_PART = Part()


class FrameReader:
    """Reads frames. `max_message`: bytes in a message, all its fragments together.

    After `PeerClosed` or `Violated` nothing follows.
    """

    __slots__ = ("_max_message", "_over", "_parts", "_size", "_wsproto")

    def __init__(self, max_message: int) -> None:
        self._wsproto = Connection(SERVER)
        self._max_message = max_message
        self._parts: list[bytes] = []
        self._size = 0
        self._over = False

    def feed(self, data: bytes) -> None:
        """`data` has been received."""
        if not self._over:
            self._wsproto.receive_data(data)

    def read(self) -> Frame | None:
        """The next frame of what has been received; None: there is no more."""
        if self._over:
            return None
        event = next(self._wsproto.events(), None)
        if event is None:
            return None
        if isinstance(event, Message):
            return self._take(event)
        if isinstance(event, Ping):
            return Pinged(bytes(event.payload))
        if isinstance(event, CloseConnection):
            self._over = True
            closed = self._wsproto.state is ConnectionState.REMOTE_CLOSING
            return PeerClosed(event.code) if closed else Violated(event.code)
        return _PART

    def _take(self, message: Message[Any]) -> Frame:
        if not isinstance(message, TextMessage):
            return self._violated(UNSUPPORTED)
        part = message.data.encode()
        self._size += len(part)
        if self._size > self._max_message:
            return self._violated(TOO_BIG)
        if part:  # fragments can be empty, without end
            self._parts.append(part)
        if not message.message_finished:
            return _PART
        whole = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return Text(whole)

    def _violated(self, code: int) -> Violated:
        self._over = True
        self._parts.clear()
        return Violated(code)
