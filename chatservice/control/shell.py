"""One connection of an operator's shell to the socket of a server. It blocks."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from chatservice.control.wire import PATIENCE, VERSION, Json, decode, encode
from chatservice.core.sanitize import sanitize

MAX_ANSWER = 16 * 1024 * 1024  # bytes in a line of the server; a page of 500 people takes 200 KB
# What connect says of a socket at which nobody listens.
_NOBODY = {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTSOCK, errno.ENOTDIR}


class ControlError(Exception):
    """There is no answer; the message is why, in one line."""


class Shell:
    """Asks the server at the socket `path`. Raises `ControlError` for whatever goes wrong."""

    def __init__(self, path: str, patience: float = PATIENCE) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(patience)
        with self._explained():
            self._socket.connect(os.fsencode(path))
            self._file = self._socket.makefile("rb")
        greeting = self._next()
        if greeting.get("type") != "hello" or greeting.get("control") != VERSION:
            theirs = sanitize(str(greeting.get("version", "an unknown version")))
            raise ControlError(
                f"{path}: the server is of another version ({theirs}); "
                "use the chatservice that it was started with."
            )

    def __enter__(self) -> "Shell":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def ask(self, type_: str, **fields: object) -> Iterator[Json]:
        """The objects of the answer."""
        given = {key: value for key, value in fields.items() if value is not None}
        with self._explained():
            self._socket.sendall(encode({"type": type_, **given}))
        while True:
            answer = self._next()
            yield answer
            if not answer.get("more"):
                return

    def _next(self) -> Json:
        with self._explained():
            line = self._file.readline(MAX_ANSWER)
        if not line.endswith(b"\n"):
            raise ControlError(f"{self._path}: the server has ended the connection.")
        try:
            answer = decode(line)
        except ValueError:
            raise ControlError(f"{self._path}: this is not a chat server's socket.") from None
        if answer.get("type") == "error":
            raise ControlError(sanitize(str(answer.get("message", "It was refused."))))
        return answer

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise ControlError(f"{self._path}: the server does not respond.") from None
        except OSError as error:
            if error.errno in _NOBODY:
                raise ControlError(f"{self._path}: no server is running here.") from None
            if error.errno is None:  # the path is too long
                raise ControlError(f"{self._path}: {error}.") from None
            raise ControlError(f"{self._path}: {error.strerror}.") from None
