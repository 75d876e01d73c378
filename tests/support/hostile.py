"""A server that speaks the protocol, and means no good: it never ends what it tells."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any

AT = "2026-11-21T12:00:00.000Z"
FAR = 2**52  # an id that nobody comes to
PILE = "a" + "\u0301\u0316" * 1300  # a message of 8 KB: NFC takes long over it
Json = dict[str, Any]


def said(number: int, text: str = "x" * 500, name: str = "Mallory", at: str = AT) -> Json:
    fields = {"id": number, "at": at, "room": "lobby", "from": name, "text": text}
    return {"type": "said", **fields}


def joined(number: int, *names: str) -> Json:
    return {"type": "joined", "id": number, "at": AT, "room": "lobby", "names": names}


def told(number: int, text: str = "psst") -> Json:
    fields = {"id": number, "at": AT, "from": f"sender{number}", "to": "Alice", "text": text}
    return {"type": "told", **fields}


def skipped(before: int) -> Json:
    return {"type": "skipped", "count": 10, "after": 0, "before": before}


# What each kind of server says once somebody is in, without end.
ENDLESS: dict[str, Callable[[], Iterator[Json]]] = {
    "people": lambda: (joined(n, *(f"{n}name{i}" for i in range(1000))) for n in count(11)),
    "messages": lambda: (said(n) for n in count(11)),
    "long messages": lambda: (said(n, "x" * 100_000) for n in count(11)),
    "private messages": lambda: (told(n) for n in count(1)),
    "piles of marks": lambda: (said(n, PILE) for n in count(11)),
    "right to left": lambda: (said(n, "سلام " * 800) for n in count(11)),
    "typing": lambda: ({"type": "typing", "name": f"typist{n}", "on": True} for n in count()),
    "announcements": lambda: ({"type": "announced", "lines": ["x"] * 10_000} for _ in count()),
    "gaps": lambda: (skipped(n) if n % 2 else said(n) for n in count(11)),
    "one gap": lambda: (skipped(FAR) if n == 11 else said(FAR + n) for n in count(11)),
    "recalls": lambda: (said(FAR + n) for n in count(11)),
    "welcomes": lambda: (welcome() for _ in count()),
    "nonsense": lambda: ({"type": f"new{n}", "deep": [[[]]] * 1000} for n in count()),
}


def welcome(**fields: Any) -> Json:
    base = {"name": "Alice", "users": ["Alice"], "epoch": "e", "last_id": 10, "token": "t"}
    return {"type": "welcome", **base, **fields}


class HostileServer:
    """Serves one connection after the other, in threads of its own. `kind`: of ENDLESS; `lines`:
    say these instead, and then nothing."""

    def __init__(self, kind: str = "", lines: tuple[Json, ...] = ()) -> None:
        self.sent = 0  # bytes
        self._kind = kind
        self._lines = lines
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._connections: list[socket.socket] = []

    def __enter__(self) -> "HostileServer":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in (self._socket, *self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        lock = threading.Lock()

        def say(*objects: Json) -> None:
            data = "".join(json.dumps(each) + "\r\n" for each in objects).encode()
            with lock:
                connection.sendall(data)
            self.sent += len(data)

        with suppress(OSError, ValueError), connection.makefile("rb") as lines:
            connection.sendall(b"What is your name?\r\n")
            lines.readline()  # the hello
            past = {"last_id": FAR, "seen": 10} if self._kind == "recalls" else {}
            say(welcome(**past))
            talk = self._lines or ENDLESS[self._kind]()
            threading.Thread(target=self._talk, args=(say, talk), daemon=True).start()
            for line in lines:
                self._answer(json.loads(line), say)
                if self._lines and b'"exit"' in line:
                    connection.shutdown(socket.SHUT_WR)

    def _talk(self, say: Callable[..., None], talk: Any) -> None:
        with suppress(OSError):
            for each in talk:
                say(each)

    def _answer(self, request: Json, say: Callable[..., None]) -> None:
        """A page always has something, and never what comes last."""
        if request["type"] == "history":
            first = request.get("after") or 10
            events = [said(number) for number in range(first + 1, first + 1001)]
            page = {"events": events, "first_id": 1, "ref": request.get("ref")}
            say({"type": "history", **page})
        elif request["type"] == "exit":
            say({"type": "bye", "name": "Alice", "reason": "exit"})
