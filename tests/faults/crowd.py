"""Many people at once, who read all that comes and know what should; and what a server takes."""

import re
import selectors
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.support.people import PATIENCE, QUESTION, Person, Server

NUMBERED = re.compile(rb"(\w+): (\d+) x")
SKIPPED = re.compile(rb"\*\*\* You missed (\d+) message")
MOVED = re.compile(r"\*\*\* (.*) ha(?:s|ve) (joined|left) the chat")


class Member:
    """Somebody in a crowd, who checks that what others number comes whole and in order.

    `heard`: how many numbered lines of each speaker there have been (or were said to be missed);
    `notices`: the other lines. `is_late`: they were not there when the speakers began.
    """

    def __init__(self, name: str, person: Person, *, is_late: bool = False) -> None:
        self.is_late = is_late
        self.name = name
        self.person = person
        self.socket = person.socket
        self.socket.setblocking(False)
        self.heard: Counter[str] = Counter()
        self.missed = 0
        self.notices: list[str] = []
        self.is_in = False
        self.is_closed = False
        self.to_say = b""
        self.said = 0
        self._buffer = b""

    def say(self, count: int, size: int) -> None:
        """The next `count` numbered lines, each of `size` bytes with the line end."""
        start, self.said = self.said, self.said + count
        numbers = range(start, self.said)
        self.to_say += b"".join(
            [b"%d " % number + FILL[: size - 10] + b"\r\n" for number in numbers]
        )

    def write(self) -> None:
        try:
            sent = self.person.sends_some(self.to_say[:262_144])
        except OSError:  # reading will show that it is closed
            sent = len(self.to_say)
        self.to_say = self.to_say[sent:]

    def read(self) -> bool:
        """Take what is there. False: that was the end."""
        while True:
            try:
                data = self.socket.recv(262_144)
            except (BlockingIOError, ssl.SSLWantReadError):
                return True
            except (ConnectionError, ssl.SSLError):
                data = b""
            if not data:
                self.is_closed = True
                return False
            *lines, self._buffer = (self._buffer + data).split(b"\r\n")
            for line in lines:
                self._hear(line)

    def _hear(self, line: bytes) -> None:
        if numbered := NUMBERED.match(line):
            speaker, number = numbered[1].decode(), int(numbered[2])
            if self.is_late and speaker not in self.heard:
                self.heard[speaker] = number
            assert number == self.heard[speaker], (self.name, speaker, self.heard[speaker], number)
            self.heard[speaker] += 1
        elif skipped := SKIPPED.match(line):
            self.missed += int(skipped[1])
            assert len(self.heard) < 2, "who was missed?"
            for speaker in self.heard:
                self.heard[speaker] += int(skipped[1])
        else:
            self.notices.append(line.decode())
            self.is_in = self.is_in or line.startswith(b"*** Online (")


FILL = b"x" * 8192


class Crowd:
    """People whose sockets are looked after together, while `run` runs."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.members: dict[str, Member] = {}
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def join(self, names: Iterable[str], source: str = "") -> list[Member]:
        """People come in, some at a time, and have heard of all who came."""
        members = []
        for name in names:
            member = self.add(name, self.server.connect(source))
            member.to_say = f"{name}\n".encode()
            members.append(member)
            self._watch(member)
            self._turn(0)
        self.run(lambda: all(member.is_in for member in members), 60)
        self.settle()
        for member in self.members.values():
            member.notices.clear()
        return members

    def add(self, name: str, person: Person, *, is_late: bool = False) -> Member:
        """Somebody who has to say who they are."""
        member = self.members[name] = Member(name, person, is_late=is_late)
        self._selector.register(member.socket, selectors.EVENT_READ, member)
        return member

    def say(self, name: str, count: int, size: int = 100) -> None:
        member = self.members[name]
        member.say(count, size)
        self._watch(member)

    def type(self, name: str, text: str) -> None:
        member = self.members[name]
        member.to_say += f"{text}\r\n".encode()
        self._watch(member)

    def ignore(self, member: Member) -> None:
        """They read no more."""
        if member.socket in self._selector.get_map():
            self._selector.unregister(member.socket)

    def notice(self, member: Member) -> None:
        """They read again."""
        if member.is_closed:
            return
        self._selector.register(member.socket, selectors.EVENT_READ, member)
        if isinstance(member.socket, ssl.SSLSocket):
            member.read()  # what TLS holds already shows at no socket

    def cut(self, members: Iterable[Member]) -> None:
        """Their connections break."""
        gone = []
        for member in members:
            self.ignore(member)
            del self.members[member.name]
            linger_zero = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            member.socket.setsockopt(1, 13, linger_zero)  # SOL_SOCKET, SO_LINGER
            member.person.leaves()
            gone.append(member.person)
        self.server.forget(gone)

    def run(self, until: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Read and write for everybody until something is so."""
        deadline = time.monotonic() + timeout
        while not until():
            assert time.monotonic() < deadline, "waited for too long"
            self._turn(0.05)

    def run_while(self, condition: Callable[[], bool], seconds: float) -> None:
        """So long at most."""
        end = time.monotonic() + seconds
        while condition() and time.monotonic() < end:
            self._turn(0.05)

    def run_for(self, seconds: float) -> None:
        self.run_while(lambda: True, seconds)

    def settle(self) -> None:
        """Until nothing has come for a while: longer than comings and goings are gathered for."""
        quiet = time.monotonic()
        while time.monotonic() - quiet < 0.4:
            if self._turn(0.05):
                quiet = time.monotonic()

    def hear_all(self, speaker: str, listeners: Iterable[Member], timeout: float = 60) -> None:
        """Until all of them have heard all that the speaker said."""
        total = self.members[speaker].said
        waiting = list(listeners)

        def done() -> bool:
            waiting[:] = [member for member in waiting if member.heard[speaker] < total]
            return not waiting

        self.run(done, timeout)

    def _watch(self, member: Member) -> None:
        if member.socket not in self._selector.get_map():
            return
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        wanted = both if member.to_say else selectors.EVENT_READ
        self._selector.modify(member.socket, wanted, member)

    def _turn(self, timeout: float) -> bool:
        busy = False
        for key, events in self._selector.select(timeout):
            member: Member = key.data
            if events & selectors.EVENT_WRITE:
                member.write()
                if not member.to_say:
                    self._watch(member)
            if events & selectors.EVENT_READ:
                busy = True
                if not member.read():
                    self.ignore(member)
        return busy


def moved(notices: Iterable[str]) -> Counter[str]:
    """How many people have joined and left, after all that was told."""
    count: Counter[str] = Counter()
    for notice in notices:
        if told := MOVED.match(notice):
            names = told[1]
            if more := re.search(r" and (\d+) others$", names):
                count[told[2]] += int(more[1]) + names[: more.start()].count(",") + 1
            else:
                count[told[2]] += names.count(",") + 1
    return count


def rss(server: Server) -> int:
    """Its resident memory, in KiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def descriptors(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def send_buffers(server: Server) -> int:
    """Bytes that the kernel holds in what the server has sent and nobody has taken."""
    shown = subprocess.run(
        ["ss", "-Htmn", f"sport = :{server.port}"], capture_output=True, text=True, check=True
    ).stdout
    return sum(int(queued) for queued in re.findall(r"skmem:\(.*?,w(\d+),", shown))


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def login(server: Server, name: str, source: str = "") -> float:
    """Seconds that a newcomer takes to be in."""
    start = time.monotonic()
    person = server.connect(source)
    person.hears(QUESTION)
    person.types(name)
    person.hears(f"Welcome {name}, you are connected to the server.")
    return time.monotonic() - start


def needs(condition: bool, what: str) -> None:
    if not condition:
        pytest.skip(f"this needs {what}")
