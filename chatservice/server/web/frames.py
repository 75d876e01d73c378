"""What a browser sends over WebSocket, as messages; no I/O.

wsproto parses the frames and checks what RFC 6455 demands of a client: masks, reserved bits, UTF-8,
the order of fragments, codes. This adds a bound for messages, and reads one frame at a time, so
that frames can be counted and charged. Between messages it keeps nothing of wsproto's: most
connections are silent most of the time. permessage-deflate is not offered: 34 MB came out of one
read.
"""

from typing import NamedTuple, cast

from wsproto import frame_protocol as wsproto
from wsproto.frame_protocol import CloseReason, FrameDecoder, MessageDecoder, Opcode, ParseFailed

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
# Those of RFC 6455, section 7.4; from _FREE_CODES on they are whatever a program makes of them.
_MIN_CODE, _FREE_CODES, _MAX_CODE = 1000, 3000, 4999
_CODES = frozenset(map(int, CloseReason))


class FrameReader:
    """Reads frames. `max_message`: bytes in a message, all its fragments together.

    After `PeerClosed` or `Violated` nothing follows.
    """

    __slots__ = ("_frames", "_max_message", "_message", "_over", "_parts", "_size")

    def __init__(self, max_message: int) -> None:
        self._frames: FrameDecoder | None = None  # while something is received
        self._message: MessageDecoder | None = None  # while it is a message that has begun
        self._max_message = max_message
        self._parts: list[bytes] | None = None
        self._size = 0
        self._over = False

    def feed(self, data: bytes) -> None:
        """`data` has been received."""
        if self._over:
            return
        if self._frames is None:
            self._frames = FrameDecoder(client=False)
        self._frames.receive_bytes(data)

    def read(self) -> Frame | None:
        """The next frame of what has been received; None: there is no more."""
        if self._frames is None:
            return None
        try:
            frame = self._frames.process_buffer()
            if frame is None:
                if not self._frames.buffer and self._frames.header is None:
                    self._frames = None
                return None
            return self._take(frame)
        except ParseFailed as failed:
            return self._violated(failed.code)

    def _take(self, frame: wsproto.Frame) -> Frame:
        payload = cast(bytes, frame.payload)  # that of a message becomes str later
        match frame.opcode:
            case Opcode.PING:
                return Pinged(payload)
            case Opcode.PONG:
                return _PART
            case Opcode.CLOSE:
                closed = PeerClosed(_code_of(payload))
                self._end()
                return closed
            case _:
                return self._take_part(frame)

    def _take_part(self, frame: wsproto.Frame) -> Frame:
        if self._message is None:
            self._message = MessageDecoder()
        frame = self._message.process_frame(frame)
        if frame.opcode is not Opcode.TEXT:
            return self._violated(UNSUPPORTED)
        part = str(frame.payload).encode()
        self._size += len(part)
        if self._size > self._max_message:
            return self._violated(TOO_BIG)
        if self._parts is None:
            self._parts = []
        if part:  # fragments can be empty, without end
            self._parts.append(part)
        if not frame.message_finished:
            return _PART
        whole = b"".join(self._parts)
        self._message = self._parts = None
        self._size = 0
        return Text(whole)

    def _violated(self, code: int) -> Violated:
        self._end()
        return Violated(code)

    def _end(self) -> None:
        self._over = True
        self._frames = self._message = self._parts = None


def _code_of(payload: bytes) -> int:
    """With which code a frame closes. Raises ParseFailed."""
    if not payload:
        return CloseReason.NO_STATUS_RCVD
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not _MIN_CODE <= code <= _MAX_CODE:
        raise ParseFailed("This is no code.")
    if code in wsproto.LOCAL_ONLY_CLOSE_REASONS or (code < _FREE_CODES and code not in _CODES):
        raise ParseFailed("No peer sends this code.")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise ParseFailed(
            "The reason is not UTF-8.", CloseReason.INVALID_FRAME_PAYLOAD_DATA
        ) from None
    return code
