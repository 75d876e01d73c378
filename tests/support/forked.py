"""Python programs that begin at once, forked from a process that has imported what they import.

A start of ``twistd`` takes half a second of processor time, nearly all of it for imports; so, it
takes twenty milliseconds. What is run is what ``python SCRIPT`` or ``python -m MODULE`` would run,
from its first line on, in a process of its own that ends as Python does. The tests of how servers
start, and all faults, let ``python`` start them.
"""

import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO, Protocol

# What servers import. None of it installs a reactor, which each process has to do for itself.
MODULES = (
    *("twisted.scripts._twistd_unix", "twisted.internet.epollreactor", "chatservice.tap"),
    *("chatservice.server.tls", "chatservice.accounts.hashing"),
    *("chatservice.server.web.browsers", "chatservice.server.web.events"),
    *("chatservice.server.web.forwarded", "chatservice.server.web.hooks"),
    *("chatservice.server.web.hosts", "chatservice.server.web.machines"),
    *("chatservice.storage.postgres.archive", "chatservice.storage.sqlite.files"),
    "argparse",
)
OURS = {key: value for key, value in os.environ.items() if key.startswith("PYTHON")}


class Process(Protocol):
    """The part of `subprocess.Popen` that tests of servers use."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


def start(
    command: Sequence[str | Path],
    *,
    folder: Path,
    output: BinaryIO,
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Run `command` in `folder`, with its output and its errors in `output`. It is forked if it is
    a Python program which `python` would run as this process does."""
    words = [str(word) for word in command]
    if environment is None and _is_possible(words):
        with Path(os.devnull).open("rb") as nothing:
            return Forked(words[1:], folder, nothing, output, output)
    return subprocess.Popen(
        words, stdout=output, stderr=output, cwd=folder, env=environment or os.environ
    )


def run(
    command: Sequence[str | Path],
    *,
    folder: Path,
    typed: bytes = b"",
    output: BinaryIO | None = None,
    timeout: float = 30,
) -> "subprocess.CompletedProcess[bytes]":
    """Run `command` to its end, with `typed` coming through a pipe. `output`: where it writes to,
    or what it says is in the answer."""
    words = [str(word) for word in command]
    if not _is_possible(words):
        return subprocess.run(
            words,
            cwd=folder,
            input=typed,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            check=False,
        )
    with TemporaryFile() as said, TemporaryFile() as complaints:
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as reads:
            process = Forked(words[1:], folder, reads, output or said, complaints)
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as writes:
            writes.write(typed)
        status = process.wait(timeout)
        said.seek(0)
        complaints.seek(0)
        return subprocess.CompletedProcess(words, status, said.read(), complaints.read())


def run_text(
    command: Sequence[str | Path], *, folder: Path, typed: str = ""
) -> "subprocess.CompletedProcess[str]":
    done = run(command, folder=folder, typed=typed.encode())
    said, complaints = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, said, complaints)


def _is_possible(words: Sequence[str]) -> bool:
    there = {key: value for key, value in os.environ.items() if key.startswith("PYTHON")}
    return words[0] == sys.executable and there == OURS and Forked.allowed


class Forked:
    """A process that another one of ours has forked."""

    allowed = True  # or `start` starts them one by one

    def __init__(self, words: Sequence[str], folder: Path, *standard: IO[bytes]) -> None:
        self._status: int | None = None
        self._keeper, theirs = socket.socketpair()
        self._answers = self._keeper.makefile("rb")
        order = {"words": words, "folder": str(folder), "environment": dict(os.environ)}
        with theirs:
            files = [*(file.fileno() for file in standard), theirs.fileno()]
            socket.send_fds(_template(), [b"!"], files)
        self._keeper.sendall(json.dumps(order).encode() + b"\n")
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        if self._status is None:
            self._keeper.settimeout(timeout)
            try:
                told = self._keeper.recv(16)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0) from None
            self._status = int(told)
            self._answers.close()
            self._keeper.close()
        return self._status

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


_templates: list[tuple[socket.socket, "subprocess.Popen[bytes]"]] = []


def _template() -> socket.socket:
    """What to tell the process that forks. There is one for each of the test run's."""
    if not _templates:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", __name__], stdin=theirs.fileno(), stdout=subprocess.DEVNULL
            )
        _templates.append((ours, process))
    return _templates[0][0]


def stop() -> None:
    """End the process that forks."""
    while _templates:
        ours, process = _templates.pop()
        ours.close()
        process.wait()


def _fork_on_request() -> list[str]:
    """In each new process: the command that it is to run."""
    door = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        request, files, _, _ = socket.recv_fds(door, 1, 4)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not request:
            os._exit(0)
        if os.fork() == 0:
            door.close()
            return _keep(files)
        for file in files:
            os.close(file)


def _keep(files: Sequence[int]) -> list[str]:
    """In a process between the two, which tells the test how its child ends."""
    *standard, test = files
    teller = socket.socket(fileno=test)
    with teller.makefile("rb") as lines:
        order = json.loads(lines.readline())
    if (child := os.fork()) == 0:
        teller.close()
        return _become(order, standard)
    for file in (0, 1, 2, *standard):
        os.close(file)
    teller.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    with suppress(OSError):  # the test may not wait for it
        teller.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(order: dict[str, Any], standard: Sequence[int]) -> list[str]:
    """A process as one that has just been started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(standard):
        os.dup2(file, number)
        os.close(file)
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    for name, file in (("stdout", 1), ("stderr", 2)):
        raw, was = io.FileIO(file, "w", closefd=False), getattr(sys, name)
        stream = io.TextIOWrapper(
            raw if unbuffered else io.BufferedWriter(raw),
            encoding=was.encoding,
            errors=was.errors,
            line_buffering=was.line_buffering,
            write_through=unbuffered,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    return list(order["words"])


def _run(words: Sequence[str]) -> None:
    if words[0] == "-m":
        sys.argv, sys.path[0] = list(words[1:]), str(Path.cwd())
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = list(words), str(Path(words[0]).parent)
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    for module in MODULES:
        with suppress(ModuleNotFoundError):  # of an extra
            importlib.import_module(module)
    assert "twisted.internet.reactor" not in sys.modules
    gc.collect()
    gc.freeze()
    _run(_fork_on_request())
