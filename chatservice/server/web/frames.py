"""What a browser sends over WebSocket, as messages; no I/O.

wsproto parses the frames and checks what RFC 6455 demands of a client: masks, reserved bits, UTF-8,
the order of fragments, codes. This adds a bound for messages, and reads one frame at a time, so
that frames can be counted and charged. permessage-deflate is not offered: 34 MB came out of one
read.
"""

from typing import NamedTuple

from wsproto.frame_protocol import Frame as WireFrame
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

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
        # Not wsproto's Connection, which holds another 0.9 KB for what is not used here.
        self._wsproto = FrameProtocol(client=False, extensions=[])
        self._max_message = max_message
        self._parts: list[bytes] = []
        self._size = 0
        self._over = False

    def feed(self, data: bytes) -> None:
        """`data` has been received."""
        if not self._over:
            self._wsproto.receive_bytes(data)

    def read(self) -> Frame | None:
        """The next frame of what has been received; None: there is no more."""
        if self._over:
            return None
        try:
            frame = next(self._wsproto.received_frames(), None)
        except ParseFailed as failed:
            return self._violated(failed.code)
        return None if frame is None else self._read(frame)

    def _read(self, frame: WireFrame) -> Frame:
        match frame:
            case WireFrame(opcode=Opcode.TEXT, payload=str(text)):
                return self._add(text, is_last=frame.message_finished)
            case WireFrame(opcode=Opcode.BINARY):
                return self._violated(UNSUPPORTED)
            case WireFrame(opcode=Opcode.PING, payload=bytes() | bytearray() as payload):
                return Pinged(bytes(payload))
            case WireFrame(opcode=Opcode.CLOSE, payload=(code, _)):
                self._over = True
                return PeerClosed(int(code))
            case _:
                return _PART

    def _add(self, text: str, *, is_last: bool) -> Frame:
        part = text.encode()
        self._size += len(part)
        if self._size > self._max_message:
            return self._violated(TOO_BIG)
        if part:  # fragments can be empty, without end
            self._parts.append(part)
        if not is_last:
            return _PART
        whole = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return Text(whole)

    def _violated(self, code: int) -> Violated:
        self._over = True
        self._parts.clear()
        return Violated(code)
