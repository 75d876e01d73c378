"""Our own clients before a server that never ends what it tells: memory, and that one can leave."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.hostile import ENDLESS, HostileServer, said
from tests.support.people import PATIENCE, client_command, run_client
from tests.support.xdisplay import Display

SECONDS = 1.0  # of listening; ten show the same
# Megabytes. A client that has just begun takes 45 to 65; what it may keep is bounded to less than
# the rest. Before there were bounds, it was 300 to 600 MB after 10 s.
MAX_RSS = 200
FACES = ("plain", "terminal", "window")


class Face:
    """One of our clients, which listens to a hostile server."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.printed = b""

    def reads(self, file: int) -> None:
        """What it prints, until it ends."""
        with suppress(OSError):
            while data := os.read(file, 65_536):
                self.printed = (self.printed + data)[-200_000:]

    def peak(self) -> float:
        """The most memory that it has had, in megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def leaves(self) -> None:
        """When it is told twice; it may not have noticed the first time."""
        deadline = time.monotonic() + 3 * PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.5)


@contextmanager
def started(kind: str, port: int, request: pytest.FixtureRequest, folder: Path) -> Iterator[Face]:
    environment = {**os.environ, "TERM": "xterm", "XDG_DATA_HOME": str(folder)}
    command = list(client_command(port, "--name", "Alice"))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    if kind == "terminal":
        pytest.importorskip("prompt_toolkit")
    elif kind == "plain":
        command.append("--plain")
    else:
        pytest.importorskip("tkinter")
        display: Display = request.getfixturevalue("display")
        environment["DISPLAY"] = display.name
        command[2] = "chatservice.gui"
        command.append("--connect")
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    face = Face(process)
    os.close(slave)
    reading = threading.Thread(target=face.reads, args=(master,), daemon=True)
    reading.start()
    try:
        yield face
    finally:
        process.kill()
        process.wait()
        reading.join(PATIENCE)
        os.close(master)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("kind", ENDLESS)
def test_its_memory_is_bounded_and_one_can_leave(
    kind: str, face: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with HostileServer(kind) as server, started(face, server.port, request, tmp_path) as client:
        deadline = time.monotonic() + 3 * PATIENCE
        while server.sent < 10_000 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.sent >= 10_000
        time.sleep(SECONDS)
        assert client.peak() < MAX_RSS
        client.leaves()
    assert b"Traceback" not in client.printed, client.printed.decode("utf-8", "replace")


TIMES = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "NaN", "1969-12-31T00:00:00Z")


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_times_that_no_clock_shows_end_nothing(
    zone: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TZ", zone)
    lines = [said(11 + n, f"message {n}", at=at) for n, at in enumerate(TIMES)]
    told = {"type": "told", "id": 1, "from": "Bob", "to": "Alice", "text": "psst", "waited": True}
    lines += [{**told, "at": at} for at in TIMES]
    with HostileServer(lines=(*lines, said(99, "the last"))) as server:
        ended = run_client(server.port, "--name", "Alice")
        assert b"Traceback" not in ended.stderr
        command = [*client_command(server.port, "--name", "Alice", "--plain")]
        master, slave = pty.openpty()
        with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave) as process:
            os.close(slave)
            printed = b""
            while b"the last" not in printed:
                printed += os.read(master, 4096)
            os.write(master, b"\x04")
            assert process.wait(PATIENCE) == 0
        os.close(master)
        assert b"Traceback" not in printed
        assert printed.count(b"message ") == 3  # one has a time that is none
