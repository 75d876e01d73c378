"""A WebSocket's other end, byte by byte, with nothing but the standard library."""

import base64
import json
import os
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tests.support.people import PATIENCE, Server, trusting

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bytes | None = b"\1\2\3\4"
) -> bytes:
    """A frame as clients send it; `mask` None: unmasked, as they must not."""
    length = len(payload)
    masked = 0x80 if mask is not None else 0
    first = (0x80 if fin else 0) | opcode
    if length < 126:
        head = struct.pack("!BB", first, masked | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, masked | 126, length)
    else:
        head = struct.pack("!BBQ", first, masked | 127, length)
    if mask is None:
        return head + payload
    key = (mask * (length // 4 + 1))[:length]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + mask + mixed.to_bytes(length, "big")


class Heard(NamedTuple):
    """A frame of the server's."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """Why it closes."""
        assert self.opcode == CLOSE, self
        (code,) = struct.unpack("!H", self.payload[:2])
        return int(code)


class WebSocket:
    """A WebSocket to ``/chat`` of a server with a web door at `port`."""

    def __init__(
        self,
        port: int,
        certificate: Path | None = None,
        headers: str = "",
        first: bytes = b"",
        before: bytes = b"",
    ) -> None:
        self.socket: Any = socket.create_connection(("127.0.0.1", port), PATIENCE)
        if certificate is not None:
            self.socket = trusting(certificate).wrap_socket(
                self.socket, server_hostname="localhost"
            )
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            before
            + (
                f"GET /chat HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
                f"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                f"Sec-WebSocket-Version: 13\r\n{headers}\r\n"
            ).encode()
            + first
        )
        self._file = self.socket.makefile("rb")
        self.status = self._file.readline().decode().strip()
        self.headers: list[str] = []
        while line := self._file.readline().decode().strip():
            self.headers.append(line)
        self._waiting: list[dict[str, Any]] = []

    def __enter__(self) -> "WebSocket":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self.socket.close()

    def sends(self, data: bytes) -> None:
        self.socket.sendall(data)

    def next_frame(self) -> Heard:
        head = self._file.read(2)
        assert len(head) == 2, "the connection has ended"
        first, length = head
        assert first & 0xF0 == 0x80, first  # each is a whole message, and not compressed
        if length == 126:
            (length,) = struct.unpack("!H", self._file.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._file.read(8))
        assert length < 1 << 40  # not masked
        return Heard(first & 0xF, self._file.read(length))

    def is_closed(self) -> bool:
        """Whether the connection ends now."""
        try:
            return bool(self._file.read(1) == b"")
        except ConnectionResetError:
            return True

    def asks(self, type_: str, **fields: Any) -> None:
        self.sends(frame(TEXT, json.dumps({"type": type_, **fields}).encode()))

    def next_object(self) -> dict[str, Any]:
        if not self._waiting:
            heard = self.next_frame()
            assert heard.opcode == TEXT, heard
            self._waiting = [json.loads(line) for line in heard.payload.split(b"\n")]
        return self._waiting.pop(0)

    def hears(self, type_: str, **fields: Any) -> dict[str, Any]:
        """The next object has that type, and those fields among others."""
        heard = self.next_object()
        assert heard["type"] == type_, heard
        assert {key: heard.get(key) for key in fields} == fields, heard
        return heard

    def comes_in(self, name: str, **fields: Any) -> dict[str, Any]:
        self.asks("hello", name=name, **fields)
        return self.hears("welcome", name=name)


WEB = "tcp:0:interface=127.0.0.1"


def web_port(server: Server, how: str = "for browsers") -> int:
    """Where the web door of a server listens."""
    return int(server.wait_for_log(rf"Listening on 127\.0\.0\.1:(\d+) {how}\n")[1])
