"""A real server in a process of its own, and people who talk to it through real sockets."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support import forked

PATIENCE = 10  # seconds until a test gives up waiting; nothing that works takes as long
TWISTD = Path(sys.executable).with_name("twistd")
QUESTION = "What is your name?"
HINT = "*** Type /help for a list of commands."
# Tests are many people at one address who talk fast; what holds these has tests of its own.
GENEROUS = ("--max-per-address", "0", "--rate", "0")
# And what was said before they came is for others to test.
FORGETFUL = ("--database", "none", "--history", "0")
TELNET_OPTION = re.compile(rb"\xff[\xfb-\xfe].", re.DOTALL)


class Server:
    """``twistd -n chat`` at a free `port` of `host`, unless one is given. `log` is its log so far.

    `tls`: it speaks TLS, with a certificate that it makes itself, and so do people who connect.
    `runner`: what runs it, instead of ``python twistd``. `environment`: instead of ours. `usual`:
    the options that come before its own.
    """

    usual: Sequence[str] = (*GENEROUS, *FORGETFUL)

    def __init__(
        self,
        folder: Path,
        *options: str,
        tls: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        runner: Sequence[str | Path] = (sys.executable, TWISTD),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.tls = tls
        self.host = host
        self.certificate = folder / "chat-certificate.pem"  # that people trust
        self.log_file = folder / "server.log"
        self.port = 0
        self.killed = False  # by the test itself
        self._people: list[Person] = []
        with self.log_file.open("wb") as log:
            self.process: forked.Process = forked.start(
                [
                    *self.program(runner),
                    *(("--port", "none", "--tls") if tls else ("--port",)),
                    *(f"tcp:{port}:interface={host}", *self.usual),
                    *options,
                ],
                folder=folder,
                output=log,
                environment=environment,
            )

    def program(self, runner: Sequence[str | Path]) -> Sequence[str | Path]:
        """What the options are those of."""
        return (*runner, "-n", "--pidfile=", "chat")

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        """The first match for `pattern` in the log."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.log):
                return found
            assert self.process.poll() is None, self.log
            time.sleep(0.01)
        raise AssertionError(f"{pattern} not in the log:\n{self.log}")

    def __enter__(self) -> "Server":
        self.port = int(self.wait_for_log(rf"Listening on \[?{re.escape(self.host)}\]?:(\d+)")[1])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for person in self._people:
            person.leaves()
        status = self.stop()
        if kind is None:
            assert status == (-signal.SIGKILL if self.killed else 0), self.log
            assert "Traceback" not in self.log, self.log

    def stop(self) -> int:
        """Ask it to end, as an operator does. Its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def connect_bare(self, source: str = "") -> "Person":
        """A connection that does not speak TLS, whatever the server does; from the address `source`
        if that matters."""
        connection = socket.create_connection(
            (self.host, self.port), PATIENCE, (source, 0) if source else None
        )
        person = Person(connection)
        self._people.append(person)
        return person

    def connect(self, source: str = "", first: bytes = b"") -> "Person":
        """Somebody who has not been asked anything yet. `first` is sent before anything else, TLS
        included."""
        person = self.connect_bare(source)
        person.sends(first)
        if self.tls:
            person.secures(self.certificate)
        return person

    def forget(self, people: "Sequence[Person]") -> None:
        """They have left, and need not be sent away in the end."""
        self._people = [person for person in self._people if person not in people]

    def join(self, name: str) -> "Person":
        """Somebody who has been let in as `name`."""
        person = self.connect()
        person.hears(QUESTION)
        person.types(name)
        person.hears(f"Welcome {name}, you are connected to the server.", HINT)
        list_of_names = person.next_line()
        assert list_of_names.startswith("*** Online (")
        return person


class Person:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket: Any = connection  # or an SSLSocket
        self.socket.settimeout(PATIENCE)
        self._file = connection.makefile("rb")

    def secures(self, certificate: Path) -> None:
        """From here on through TLS, with a server that has this certificate."""
        self._file.close()
        self.socket = trusting(certificate).wrap_socket(
            self.socket,
            server_hostname="localhost",
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,  # a server that closes says so, or is_cut_off fails
        )
        self.socket.do_handshake()
        self._file = self.socket.makefile("rb")

    def types(self, *lines: str) -> None:
        self.sends("".join(line + "\r\n" for line in lines).encode())

    def sends(self, data: bytes) -> None:
        self.socket.sendall(data)

    def sends_some(self, data: bytes) -> int:
        """How many bytes of `data` a socket that does not block has taken."""
        try:
            taken: int = self.socket.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError):
            return 0
        return taken

    def reads(self, size: int) -> bytes:
        return self._file.read(size)

    def next_line(self) -> str:
        line = self._file.readline()
        assert line.endswith(b"\r\n"), line
        return TELNET_OPTION.sub(b"", line)[:-2].decode()

    def hears(self, *lines: str) -> None:
        """The next lines are these, to the letter."""
        for line in lines:
            heard = self.next_line()
            assert heard == line

    def hears_until(self, last: str) -> list[str]:
        """What comes before the line `last`."""
        lines: list[str] = []
        while (line := self.next_line()) != last:
            lines.append(line)
        return lines

    def is_cut_off(self) -> bool:
        """Whether the server closes now, with nothing more to say."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def leaves(self) -> None:
        self._file.close()
        self.socket.close()


def trusting(certificate: Path) -> ssl.SSLContext:
    """TLS for a client that trusts this certificate alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    return context


LONG_TEXT = "x" * 1000


def speak(speaker: Person, listener: Person, total: int) -> None:
    """`speaker`, who is called that, says so many long messages that are numbered, and `listener`
    hears them all."""
    heard = 0
    for start in range(0, total, 100):
        speaker.types(*(f"{number} {LONG_TEXT}" for number in range(start, start + 100)))
        while heard < start + 100:
            line = listener.next_line()
            if not line.startswith("***"):
                assert line == f"Speaker: {heard} {LONG_TEXT}"
                heard += 1


def hear_all(sleeper: Person, total: int) -> int:
    """`sleeper` hears all that `speak` has said in its order, or is told of a gap. How often that
    was."""
    expected = skips = 0
    while expected < total:
        line = sleeper.next_line()
        if line.startswith("*** You missed"):
            expected += int(line.split()[3])
            skips += 1
        elif not line.startswith("***"):
            assert line == f"Speaker: {expected} {LONG_TEXT}"
            expected += 1
    return skips


def joined(name: str) -> str:
    return f"*** {name} has joined the chat."


def left(name: str) -> str:
    return f"*** {name} has left the chat."


def run_client(
    server_port: int,
    *options: str,
    typed: bytes = b"",
    timeout: float = PATIENCE,
    host: str = "127.0.0.1",
) -> "subprocess.CompletedProcess[bytes]":
    """``python -m chatservice.client`` with `typed` coming through a pipe."""
    return subprocess.run(
        client_command(server_port, *options, host=host),
        input=typed,
        capture_output=True,
        timeout=timeout,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        check=False,
    )


def client_command(server_port: int, *options: str, host: str = "127.0.0.1") -> Sequence[str]:
    return [
        *(sys.executable, "-m", "chatservice.client", "--host", host),
        *("--port", str(server_port), *options),
    ]
