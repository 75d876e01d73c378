"""What anyone has seen is on disk first, and who comes back reads on: crashes, and disks that fail.

The messages are numbered by their authors, so that each can be looked for.
"""

import contextlib
import itertools
import json
import os
import random
import re
import selectors
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import LONG
from tests.faults.crowd import milliseconds, needs
from tests.support.people import PATIENCE, TWISTD, Person, Server
from tests.support.programs import Program, join

KILLS = 30 if LONG else 5
LOCKED_SECONDS = 30 if LONG else 5
LISTENS_SECONDS = 2.0  # what is promised of a start; the machine may be busy with other things
NOT_SAVED = "*** Messages are not being saved at the moment: "
SAVED_AGAIN = "*** Messages are being saved again."


class Chatter:
    """A program that talks, hears, and after each break reads on from the last id it has heard.

    `heard`: the others' messages, live and caught up with, in the order of hearing; `acked`: the
    ids of its own, by text.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.last = 0
        self.heard: list[tuple[int, str, str]] = []
        self.acked: dict[str, int] = {}
        self.said = 0
        self.is_up_to_date = False
        self.socket: Any = None
        self._token = ""
        self._until = 0
        self._buffer = b""
        self._early: list[dict[str, Any]] = []

    def connect(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setblocking(False)
        self.is_up_to_date = False
        self._buffer = b""
        self._early.clear()
        self._ask("hello", name=self.name, token=self._token)  # the server may not have seen us go

    def talk(self) -> None:
        text = f"{self.name} {self.said}"
        self.said += 1
        self._ask("say", text=text, ref=text)

    def read(self) -> None:
        """Take what is there, also what came before a server was killed."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while data := self.socket.recv(262_144):
                *lines, self._buffer = (self._buffer + data).split(b"\r\n")
                for line in lines:
                    if line.startswith(b"{"):
                        self._take(json.loads(line))

    def _ask(self, type_: str, **fields: Any) -> None:
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(json.dumps({"type": type_, **fields}).encode() + b"\n")

    def _take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "welcome":
                self._token, self._until = event["token"], event["last_id"]
                self._catch_up()
            case "history":
                assert event.get("gone", 0) == 0
                for old in event["events"]:
                    self._hear(old)
                if event["events"]:
                    self._catch_up()
                else:
                    self._be_up_to_date()
            case "ack":
                assert event["ref"] not in self.acked
                self.acked[event["ref"]] = event["id"]
            case "said" | "joined" | "left" if self.is_up_to_date:
                self._hear(event)
            case "said" | "joined" | "left":
                self._early.append(event)
            case "error":
                raise AssertionError(event)

    def _catch_up(self) -> None:
        if self.last < self._until:
            self._ask("history", after=self.last, before=self._until + 1, limit=1000)
        else:
            self._be_up_to_date()

    def _be_up_to_date(self) -> None:
        self.is_up_to_date = True
        for event in self._early:
            self._hear(event)
        self._early.clear()

    def _hear(self, event: dict[str, Any]) -> None:
        assert event["id"] > self.last, event
        self.last = event["id"]
        if event["type"] == "said" and event["from"] != self.name:
            self.heard.append((event["id"], event["from"], event["text"]))


def whole_history(program: Program) -> list[dict[str, Any]]:
    """All that a server has, page by page."""
    events: list[dict[str, Any]] = []
    while True:
        after = events[-1]["id"] if events else 0
        program.asks("history", after=after, limit=1000, ref="all")
        while (answer := json.loads(program.person.next_line())).get("ref") != "all":
            pass
        if not answer["events"]:
            return events
        events += answer["events"]


def said_on_disk(database: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        texts = connection.execute("SELECT text FROM events WHERE kind = 'said' ORDER BY id")
        return [text for (lines,) in texts for text in lines.split("\n")]


def test_kill_9(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """Again and again on one database, at random moments, while many messages are said: nothing
    that anyone has seen is missing, nothing comes twice, and everyone reads on."""
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    print("seed", seed)
    database = tmp_path / "chat.sqlite"
    chatters = [Chatter(f"c{number}") for number in range(4)]
    starts, rates = [], []
    for round_ in range(KILLS + 1):
        begun = time.monotonic()
        with Server(tmp_path, "--database", str(database)) as server:
            auditor = join(server, "auditor")
            starts.append(time.monotonic() - begun)
            check(whole_history(auditor), chatters)
            with contextlib.closing(
                sqlite3.connect(f"file:{database}?mode=ro", uri=True)
            ) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            auditor.person.leaves()
            for chatter in chatters:
                chatter.connect(server.port)
            before, begun = sum(len(chatter.acked) for chatter in chatters), time.monotonic()
            talk(chatters, server.port, choose, choose.uniform(0.3, 2.0))
            if round_ == KILLS:
                settle(chatters)
                check(whole_history(join(server, "auditor")), chatters, complete=True)
            else:
                server.killed = True
                server.process.kill()
                server.process.wait()
                seconds = time.monotonic() - begun
                for chatter in chatters:
                    chatter.read()
                rates.append((sum(len(c.acked) for c in chatters) - before) / seconds)
        for chatter in chatters:
            chatter.read()
            chatter.socket.close()
    acked = sum(len(chatter.acked) for chatter in chatters)
    figure(
        f"{KILLS} kills; {acked} of {sum(c.said for c in chatters)} messages acknowledged, "
        f"{sum(rates) / len(rates):.0f} a second; served again after {max(starts):.2f} s at most"
    )
    assert max(starts) < LISTENS_SECONDS * 2.5


def talk(chatters: list[Chatter], port: int, choose: random.Random, seconds: float) -> None:
    """Some 500 messages a second in all; and now and then somebody comes back."""
    end = time.monotonic() + seconds
    due = time.monotonic()
    with contextlib.closing(selectors.DefaultSelector()) as selector:
        for chatter in chatters:
            selector.register(chatter.socket, selectors.EVENT_READ, chatter)
        while time.monotonic() < end:
            while due < time.monotonic():
                due += 1 / 500
                chatter = choose.choice(chatters)
                if chatter.is_up_to_date:
                    chatter.talk()
            chatter = choose.choice(chatters)
            if chatter.is_up_to_date and choose.random() < 0.01:
                selector.unregister(chatter.socket)
                chatter.read()
                chatter.socket.close()
                chatter.connect(port)
                selector.register(chatter.socket, selectors.EVENT_READ, chatter)
            for key, _ in selector.select(0.005):
                key.data.read()


def settle(chatters: list[Chatter]) -> None:
    quiet = 0
    while quiet < 20:
        before = [(chatter.last, len(chatter.acked)) for chatter in chatters]
        time.sleep(0.02)
        for chatter in chatters:
            chatter.read()
        same = before == [(chatter.last, len(chatter.acked)) for chatter in chatters]
        quiet = quiet + 1 if same and all(c.is_up_to_date for c in chatters) else 0


def check(
    history: list[dict[str, Any]], chatters: list[Chatter], *, complete: bool = False
) -> None:
    """`complete`: everyone has heard everything there is."""
    ids = [event["id"] for event in history]
    assert ids == sorted(set(ids))
    said = [(e["id"], e["from"], e["text"]) for e in history if e["type"] == "said"]
    numbers: dict[str, list[int]] = defaultdict(list)
    for _, name, text in said:
        numbers[name].append(int(text.split()[1]))
    for each in numbers.values():
        assert each == sorted(set(each))
    by_text = {text: id_ for id_, _, text in said}
    for chatter in chatters:
        assert chatter.acked.items() <= by_text.items()
        others = [message for message in said if message[1] != chatter.name]
        assert chatter.heard == [m for m in others if m[0] <= chatter.last]
        if complete:
            assert chatter.heard == others


TRACED = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$")


def test_a_sync_lies_before_each_acknowledgement(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """The system's calls, as strace saw them: between reading what is said and sending its
    acknowledgement, or sending it to anyone, an fdatasync has begun and ended."""
    needs(shutil.which("strace") is not None, "strace")
    can = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], check=False).returncode == 0
    needs(can, "to be allowed to trace (CAP_SYS_PTRACE)")
    trace = tmp_path / "trace"
    calls = "trace=recvfrom,sendto,sendmsg,write,writev,fdatasync,fsync"
    runner = ("strace", "-D", "-f", "-s", "100000", "-o", trace, "-e", calls)
    database = tmp_path / "chat.sqlite"
    total = 200
    with Server(
        tmp_path, "--database", str(database), runner=(*runner, sys.executable, TWISTD)
    ) as server:
        talker, hearer = join(server, "talker"), join(server, "hearer")
        for number in range(total):
            talker.asks("say", text=f"text{number};", ref=f"ref{number};")
            if choice := number % 10:
                time.sleep(choice / 1000)
        while f"ref{total - 1};" not in talker.person.next_line():
            pass
        while f"text{total - 1};" not in hearer.person.next_line():
            pass
    checked, syncs = follow(trace.read_text())
    figure(f"{checked} messages acknowledged and heard, each after one of {syncs} syncs")
    assert checked == 2 * total


def follow(trace: str) -> tuple[int, int]:
    """Goes through a trace. Returns how many times a message, or its acknowledgement, was sent
    after a sync that began after it was read; and how many syncs there were."""
    read: dict[str, int] = {}  # the line of the trace where a message was read
    begun: dict[str, int] = {}  # where the sync that a thread waits for has begun
    synced = checked = syncs = 0  # all that was read before the line `synced` is on disk
    for place, line in enumerate(trace.splitlines()):
        if not (found := TRACED.match(line)):
            continue
        thread, resumed, called, rest = found.groups()
        call = resumed or called
        if call in ("fdatasync", "fsync"):
            if called:
                begun[thread] = place
            if "unfinished" not in rest:
                assert rest.endswith("= 0"), line
                synced = max(synced, begun[thread])
                syncs += 1
        elif call == "recvfrom":
            for number in re.findall(r"\btext(\d+);", rest):
                read.setdefault(number, place)
        elif called:  # a call that writes has all its arguments in its first line
            for number in re.findall(r"(?:text|ref)(\d+);", rest):
                if "\\23\\0" not in rest and not is_of_sqlite(rest):
                    assert read[number] < synced, line
                    checked += 1
    return checked, syncs


def is_of_sqlite(arguments: str) -> bool:
    """SQLite writes with pwrite64, which is not traced."""
    return '"type"' not in arguments.replace('\\"', '"')


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    needs(os.geteuid() == 0, "root, to mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    needs(mounted, "to be allowed to mount (CAP_SYS_ADMIN)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class Talk:
    """Alice tells Bob something, again and again; a program hears the acknowledgements."""

    def __init__(self, server: Server) -> None:
        self.alice, self.bob = server.join("Alice"), server.join("Bob")
        self.program = join(server, "Program")
        self.trips: list[float] = []
        self.seen: list[str] = []
        self.notices: list[str] = []
        self._numbers = itertools.count()

    def go_on(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """For so long, or until something is so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            self.trip()
            time.sleep(0.02)

    def trip(self) -> None:
        number = next(self._numbers)
        text = f"number {number}, at some length, as people speak when they have something to say"
        begun = time.monotonic()
        self.alice.types(text)
        self._hears_of(self.bob, f"Alice: {text}", note=True)
        self.trips.append(time.monotonic() - begun)
        begun = time.monotonic()
        said = f"program {number}"
        self.program.asks("say", text=said, ref=said)
        while json.loads(self.program.person.next_line()).get("ref") != said:
            pass
        self._hears_of(self.bob, f"Program: {said}", note=True)
        self.trips.append(time.monotonic() - begun)
        self._hears_of(self.alice, f"Program: {said}", note=False)
        self.seen += [text, said]

    def is_saved_again(self) -> bool:
        return SAVED_AGAIN in self.notices

    def _hears_of(self, person: Person, wanted: str, *, note: bool) -> None:
        while (line := person.next_line()) != wanted:
            if note and "saved" in line:
                self.notices.append(line)

    def check(self, database: Path) -> str:
        """All of it is on disk, in order; the trouble was told once, and its end. Figures."""
        assert len(self.notices) == 2, self.notices
        assert self.notices[0].startswith(NOT_SAVED)
        assert self.notices[1] == SAVED_AGAIN
        assert said_on_disk(database) == self.seen
        return (
            f"{len(self.seen)} messages, all on disk in the end; round trips "
            f"{milliseconds(sorted(self.trips)[len(self.trips) // 2])}, "
            f"{milliseconds(max(self.trips))} at most; told: {self.notices[0]!r}"
        )


def test_a_full_disk(tmp_path: Path, small_disk: Path, figure: Callable[[str], None]) -> None:
    """It fills while people talk, and gets room again: they talk on."""
    database, ballast = small_disk / "chat.sqlite", small_disk / "ballast"
    with Server(tmp_path, "--database", str(database)) as server:
        talk = Talk(server)
        talk.go_on(0.2)
        with ballast.open("wb", buffering=0) as file:

            def fill() -> bool:
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(4096))
                return bool(talk.notices)

            talk.go_on(PATIENCE, fill)
            talk.go_on(4)
        assert len(talk.notices) == 1, talk.notices
        ballast.unlink()
        talk.go_on(PATIENCE, talk.is_saved_again)
        talk.go_on(0.2)  # what is written ahead fills so small a disk in a second
        figure(talk.check(database))
    assert talk.seen == said_on_disk(database)


def test_a_start_on_a_disk_that_takes_nothing(
    tmp_path: Path, small_disk: Path, figure: Callable[[str], None]
) -> None:
    """Full, or read-only: one line says so, and the file is as it was."""
    database, ballast = small_disk / "chat.sqlite", small_disk / "ballast"
    with Server(tmp_path, "--database", str(database)):
        pass
    before = database.read_bytes()
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    lines = [last_line(tmp_path, path) for path in (database, small_disk / "new")]
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    lines += [last_line(tmp_path, path) for path in (database, small_disk / "new")]
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert database.read_bytes() == before
    with Server(tmp_path, "--database", str(database)) as server:
        server.join("Alice")
    figure("; ".join(line.rpartition(": ")[2] for line in lines))


def last_line(folder: Path, database: Path) -> str:
    """Of a server that cannot begin."""
    command = [sys.executable, str(TWISTD), "-n", "--pidfile=", "chat", "--port", "tcp:0"]
    done = subprocess.run(
        [*command, "--database", str(database)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE,
        cwd=folder,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    last: str = done.stdout.splitlines()[-1]
    assert f"chat: --database {database}: " in last
    return last


def test_somebody_else_writes_and_does_not_end(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Another program holds the database's write lock for a long time."""
    database = tmp_path / "chat.sqlite"
    with Server(tmp_path, "--database", str(database)) as server:
        talk = Talk(server)
        talk.go_on(0.5)
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            talk.go_on(LOCKED_SECONDS)
            assert len(talk.notices) == 1, talk.notices
            other.execute("ROLLBACK")
            talk.go_on(PATIENCE, talk.is_saved_again)
        talk.go_on(0.5)
        figure(talk.check(database))


def test_a_file_that_is_moved_away_and_comes_back(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """What would be written to a file that nobody can find any more counts as not saved."""
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    folder.mkdir()
    database = folder / "chat.sqlite"
    with Server(tmp_path, "--database", str(database)) as server:
        talk = Talk(server)
        talk.go_on(0.5)
        folder.rename(elsewhere)
        talk.go_on(3)
        assert len(talk.notices) == 1, talk.notices
        elsewhere.rename(folder)
        talk.go_on(PATIENCE, talk.is_saved_again)
        talk.go_on(0.5)
        figure(talk.check(database))


def test_a_folder_that_is_deleted(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """People talk on, are told once, and the server ends in time with a word in its log."""
    folder = tmp_path / "data"
    folder.mkdir()
    with Server(tmp_path, "--database", str(folder / "chat.sqlite")) as server:
        talk = Talk(server)
        talk.go_on(0.5)
        shutil.rmtree(folder)
        talk.go_on(3)
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE)
        ended = time.monotonic() - begun
        assert "could not be saved" in server.log
    assert len(talk.notices) == 1
    figure(f"round trips {milliseconds(max(talk.trips))} at most; it ended after {ended:.1f} s")
