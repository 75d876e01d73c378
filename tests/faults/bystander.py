"""Somebody who is attacked by nobody, and measures how long they wait while others are.

A process of its own, so that the interpreter that attacks does not hold it up. Its requests need
only the server's reactor, so a trip takes as long as the reactor is kept from serving it.
"""

import itertools
import json
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.people import Server

# Connections that make the trips in turn: each stays within the 50 lines a second that a server
# allows by default.
CONNECTIONS = 4
INTERVAL = 0.005  # seconds between two trips
IDLE_INTERVAL = 0.05  # the same while nothing is measured
NEWCOMER_INTERVAL = 0.25
PATIENCE = 60.0  # seconds for one trip, or for a newcomer


@dataclass(frozen=True)
class Waits:
    """What has been measured; times are in milliseconds.

    A trip is counted from when it was due, also if it could not begin since the one before it was
    still under way: a server that answers nothing for a second shows as 200 slow trips, not as one.
    `newcomer`: the longest that anyone took to be welcomed; `turned_away`: how many were not.
    `noise`: the longest that the machine kept the bystander itself from running when it was due.
    """

    trips: int
    median: float
    p99: float
    worst: float
    newcomers: int
    newcomer: float
    turned_away: int
    noise: float


class Bystander:
    """The process, from outside: ``with Bystander(server) as bystander``."""

    def __init__(self, server: "Server") -> None:
        self.door = "tls" if server.tls else "tcp"
        certificate = str(server.certificate) if server.tls else "-"
        self._process = subprocess.Popen(
            [sys.executable, __file__, server.host, str(server.port), certificate],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Bystander":
        try:
            self._hears()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self) -> None:
        """Measure from now on."""
        self._says("begin")
        self._hears()

    def end(self) -> Waits:
        """What has been measured since `begin`. The trip that is under way counts, and is waited
        for."""
        self._says("end")
        return Waits(**self._hears())

    def _says(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def _hears(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the bystander has ended: see its standard error"
        return json.loads(line)


# In the process itself.


class _Connection:
    """A program in the room."""

    def __init__(self, address: tuple[str, int], certificate: str, source: str, name: str) -> None:
        self._socket: socket.socket = socket.create_connection(address, PATIENCE, (source, 0))
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if certificate != "-":
                context = ssl.create_default_context(cafile=certificate)
                self._socket = context.wrap_socket(self._socket, server_hostname="localhost")
            self.ask("hello", b'"welcome"', name=name)
        except BaseException:
            self.close()
            raise

    def ask(self, type_: str, answer: bytes, **fields: str) -> None:
        """Until `answer` is there."""
        self._socket.sendall(json.dumps({"type": type_, **fields}).encode() + b"\n")
        tail = b""
        while answer not in tail:
            tail = tail[-len(answer) :] + self._receive()

    def _receive(self) -> bytes:
        if not (data := self._socket.recv(262_144)):
            raise ConnectionError("the server has closed the connection")
        return data

    def close(self) -> None:
        self._socket.close()


class _Phase:
    """Trips, one each `interval`, and newcomers if `with_newcomers`, until it is ended."""

    def __init__(self, measuring: "_Measuring", interval: float, *, with_newcomers: bool) -> None:
        self._measuring = measuring
        self._interval = interval
        self._is_over = threading.Event()
        self._failure: Exception | None = None
        self.trips: list[float] = []
        self.newcomers: list[float] = []
        self.turned_away = 0
        self.noise = 0.0
        work = [self._make_trips, *([self._send_newcomers] if with_newcomers else [])]
        self._threads = [threading.Thread(target=self._run, args=[it], daemon=True) for it in work]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Wait for what is under way. Raises what has gone wrong."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._failure = error

    def _make_trips(self) -> None:
        due = time.monotonic()
        for number in itertools.count():
            if self._is_over.wait(max(due - time.monotonic(), 0)):
                return
            self.noise = max(self.noise, time.monotonic() - due)
            self._measuring.make_trip(number)
            now = time.monotonic()
            while due < now:  # the first of these has been made, the others could not begin
                self.trips.append(now - due)
                due += self._interval

    def _send_newcomers(self) -> None:
        for number in itertools.count(1):
            if self._is_over.wait(NEWCOMER_INTERVAL):
                return
            start = time.monotonic()
            try:
                newcomer = self._measuring.connect(f"127.0.4.{number % 250 + 1}", f"new{number}")
            except OSError:
                self.turned_away += 1
            else:
                self.newcomers.append(time.monotonic() - start)
                newcomer.close()

    def waits(self) -> Waits:
        trips = [trip * 1000 for trip in self.trips]
        return Waits(
            trips=len(trips),
            median=statistics.median(trips),
            p99=statistics.quantiles(trips, n=100)[98],
            worst=max(trips),
            newcomers=len(self.newcomers),
            newcomer=max(self.newcomers, default=0.0) * 1000,
            turned_away=self.turned_away,
            noise=self.noise * 1000,
        )


class _Measuring:
    def __init__(self, host: str, port: int, certificate: str) -> None:
        self._address = host, port
        self._certificate = certificate
        self._connections = [
            self.connect(f"127.0.3.{number + 1}", f"bystander{number}")
            for number in range(CONNECTIONS)
        ]

    def connect(self, source: str, name: str) -> _Connection:
        return _Connection(self._address, self._certificate, source, name)

    def make_trip(self, number: int) -> None:
        connection = self._connections[number % CONNECTIONS]
        connection.ask("who", f'"ref": "{number}"'.encode(), ref=str(number))


def main(host: str, port: str, certificate: str) -> None:
    sys.setswitchinterval(0.0005)
    measuring = _Measuring(host, int(port), certificate)
    idle = _Phase(measuring, IDLE_INTERVAL, with_newcomers=False)
    print(json.dumps("ready"), flush=True)
    while sys.stdin.readline() == "begin\n":
        idle.end()
        measured = _Phase(measuring, INTERVAL, with_newcomers=True)
        print(json.dumps("begun"), flush=True)
        assert sys.stdin.readline() == "end\n"
        measured.end()
        print(json.dumps(asdict(measured.waits())), flush=True)
        idle = _Phase(measuring, IDLE_INTERVAL, with_newcomers=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
