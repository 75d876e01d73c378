"""One connection of an operator's shell to the socket of a server. It blocks."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from chatservice.control.wire import MAX_LINE, PATIENCE, VERSION, Json, decode, encode
from chatservice.core.sanitize import sanitize

MAX_ANSWER = 16 * 1024 * 1024  # bytes in a line of the server; a page of 500 people takes 200 KB
# What connect says of a socket at which nobody listens.
_NOBODY = {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTSOCK, errno.ENOTDIR}


class ControlError(Exception):
    """There is no answer; the message is why, in one line."""


class Declined(ControlError):
    """The server has answered, and declines; the message is why."""


class Shell:
    """Asks the server at the socket `path`, and waits `patience` seconds for each part of what it
    says. Raises `ControlError` for whatever goes wrong."""

    def __init__(self, path: str, patience: float = PATIENCE) -> None:
        self._path = path
        self._patience = patience
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(patience)
        try:
            with self._explained():
                self._socket.connect(os.fsencode(path))
            self._file = self._socket.makefile("rb")
        except BaseException:
            self._socket.close()
            raise
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ask nothing more."""
        self._file.close()
        self._socket.close()

    def interrupt(self) -> None:
        """Whatever waits for an answer, in another thread, gets none."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def ask(self, type_: str, **fields: object) -> Json:
        """The answer, whose parts are put together."""
        given = {key: value for key, value in fields.items() if value is not None}
        request = encode({**given, "type": type_})
        if len(request) > MAX_LINE:
            raise Declined(f"that is too long: {MAX_LINE:,} bytes at most.")
        with self._explained():
            self._socket.sendall(request)
        answer: Json = {}
        while True:
            part = self._next()
            for key, value in part.items():
                if key in answer and isinstance(value, list):
                    answer[key] += value
                else:
                    answer[key] = value
            if not answer.pop("more", False):
                return answer

    def _greet(self) -> None:
        greeting = self._next()
        if greeting.get("type") != "hello" or greeting.get("control") != VERSION:
            theirs = sanitize(str(greeting.get("version", "unknown")))[:40]
            raise ControlError(
                f"{self._path}: the server is of another version ({theirs}). Use the chatservice "
                "that it was started with."
            )

    def _next(self) -> Json:
        with self._explained():
            line = self._file.readline(MAX_ANSWER)
        if not line.endswith(b"\n"):
            raise ControlError(f"{self._path}: the server has ended the connection.")
        try:
            part = decode(line)
        except ValueError:
            raise ControlError(f"{self._path}: this is not a chat server's socket.") from None
        if part.get("type") == "error":
            raise Declined(sanitize(str(part.get("message", "It was refused."))))
        return part

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise ControlError(
                f"{self._path}: the server has not responded for {self._patience:g} s."
            ) from None
        except (BrokenPipeError, ConnectionResetError):
            raise ControlError(f"{self._path}: the server has ended the connection.") from None
        except OSError as error:
            if error.errno in _NOBODY:
                raise ControlError(f"{self._path}: no server is running here.") from None
            why = error.strerror or error  # it has none if the path is too long
            raise ControlError(f"{self._path}: {why}.") from None
