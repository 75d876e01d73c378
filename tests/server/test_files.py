"""The database as a file: where it may lie, backups, and the operator's programs."""

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from chatservice.core.drafts import Entry
from chatservice.core.events import Account, Burst, Joined
from chatservice.storage.sqlite import accounts, files, rows
from chatservice.storage.sqlite.database import open_for_server
from tests.support import forked
from tests.support.people import PATIENCE, TWISTD, Server, joined

PROGRAMS = {
    "export": ("export",),
    "list": ("accounts", "list"),
    "add": ("accounts", "add", "Carol"),
    "remove": ("accounts", "remove", "Alice"),
    "backup": ("backup", "copy.sqlite3"),
}


def run(
    folder: Path,
    *words: str,
    typed: bytes = b"correct horse\n",
    output: BinaryIO | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    """One of the operator's programs."""
    return forked.run(
        [sys.executable, "-m", f"chatservice.{words[0]}", *words[1:]],
        folder=folder,
        typed=typed,
        output=output,
    )


def program(folder: Path, name: str, database: str | Path) -> "tuple[int, str]":
    """Its status, and what it says on standard error."""
    word, *rest = PROGRAMS[name]
    done = run(folder, word, "--database", str(database), *rest)
    return done.returncode, done.stderr.decode()


def last_line(folder: Path, database: str | Path) -> str:
    """Of a server that does not start."""
    done = forked.run_text(
        [
            *(sys.executable, TWISTD, "-n", "--pidfile=", "chat", "--database", str(database)),
            *("--port", "tcp:0:interface=127.0.0.1"),
        ],
        folder=folder,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout.splitlines()[-1].partition("] ")[2]


def filled(path: Path, said: int = 3) -> None:
    """A database in which something was said, and Alice has an account."""
    opened = open_for_server(path)
    with contextlib.closing(opened.connection):
        lobby = ("lobby",)
        entries = [Entry(Joined(1, 1e9, "lobby", ("Bob",)), lobby, size=3)]
        entries += [
            Entry(Burst(2 + n, 1e9, "lobby", "Bob", (f"m{n}",)), lobby, messages=1, size=2)
            for n in range(said)
        ]
        opened.connection.execute("BEGIN")
        rows.save(opened.connection, entries, {})
        accounts.add(opened.connection, Account("Alice", 1e9), "hash")
        opened.connection.execute("COMMIT")
    os.close(opened.lock)


def said(exported: bytes) -> list[str]:
    return [e["text"] for line in exported.splitlines() if "text" in (e := json.loads(line))]


# What is not a regular file.


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes a device")
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))


def directory(path: Path) -> None:
    path.mkdir()


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def link_to_a_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def memory(path: Path) -> None: ...


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (fifo, "this is a FIFO, not a regular file"),
        (device, "this is a device, not a regular file"),
        (directory, "this is a directory, not a regular file"),
        (unix_socket, "this is a socket, not a regular file"),
        (link_to_a_fifo, "this is a FIFO, not a regular file"),
        (memory, "this is not a file (--database none keeps everything in memory)"),
    ],
)
def test_what_is_not_a_regular_file_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], what: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "db"
    make(path)
    name = ":memory:" if make is memory else str(path)
    before = [(entry.name, entry.lstat().st_mode) for entry in sorted(folder.iterdir())]
    assert last_line(folder, name) == f"chat: --database {name}: {what}."
    for word in PROGRAMS:
        assert program(folder, word, name) == (
            1,
            f"{PROGRAMS[word][0]}: {name}: {what}.\n",
        )
    assert [(entry.name, entry.lstat().st_mode) for entry in sorted(folder.iterdir())] == before


def start(folder: Path, database: str) -> None:
    """A server can use it, and something is said."""
    with Server(folder, "--database", database) as server:
        server.join("Bob").types("hello", "/exit")


def test_a_link_leads_to_the_file(tmp_path: Path) -> None:
    """Also one to a file that is not there: that is the one which is made."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "chat.sqlite3").symlink_to("disk/real")
    for times in (1, 2):
        start(tmp_path, "chat.sqlite3")
        assert (tmp_path / "chat.sqlite3").is_symlink()
        assert said(run(tmp_path, "export").stdout) == ["hello"] * times
    assert [entry.name for entry in (tmp_path / "disk").iterdir()] == ["real"]
    (tmp_path / "empty").touch()
    (tmp_path / "other").symlink_to("empty")
    start(tmp_path, "other")
    assert (tmp_path / "other").is_symlink()
    assert (tmp_path / "empty").stat().st_size > 0


def test_an_empty_file_that_is_mounted_is_used_as_it_is(tmp_path: Path) -> None:
    """As containers do it. It cannot be renamed over."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    for file in (outside, inside):
        file.touch()
    mount = subprocess.run(["mount", "--bind", outside, inside], check=False, capture_output=True)
    if mount.returncode != 0:
        pytest.skip("this system allows no mounts")
    try:
        start(tmp_path, "inside")
        assert said(run(tmp_path, "export", "--database", "inside").stdout) == ["hello"]
    finally:
        subprocess.run(["umount", inside], check=True)
    assert outside.stat().st_size > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["inside", "outside", "server.log"]


def test_of_a_file_that_cannot_be_made_nothing_is_left(tmp_path: Path) -> None:
    assert "No such file or directory" in last_line(tmp_path, "no/such/folder")
    assert "Not a directory" in last_line(tmp_path, f"{__file__}/db")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this system allows no mounts")
    try:
        assert "full" in last_line(tmp_path, disk / "db")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


# Backups.


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[Server]:
    """A server on which ten messages were said."""
    with Server(tmp_path, "--database", "chat.sqlite3") as server:
        alice, bob = server.join("Alice"), server.join("Bob")
        alice.hears(joined("Bob"))
        alice.types(*(f"m{number}" for number in range(10)))
        bob.hears(*(f"Alice: m{number}" for number in range(10)))
        yield server


def kill(server: Server) -> None:
    server.killed = True
    server.process.kill()
    server.process.wait()


def test_a_backup_while_the_server_runs_holds_everything(tmp_path: Path, talking: Server) -> None:
    done = run(tmp_path, "backup", "copy.sqlite3")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"copy.sqlite3: 10 messages and 0 accounts in ")
    texts = [f"m{number}" for number in range(10)]
    assert said(run(tmp_path, "export", "--database", "copy.sqlite3").stdout) == texts
    assert (tmp_path / "copy.sqlite3").stat().st_mode & 0o777 == 0o600
    assert not [p for p in tmp_path.iterdir() if "copy" in p.name and p.name != "copy.sqlite3"]


def test_a_backup_replaces_nothing_unless_it_is_asked_to(tmp_path: Path) -> None:
    filled(tmp_path / "chat.sqlite3")
    (tmp_path / "copy.sqlite3").write_text("precious")
    refused = run(tmp_path, "backup", "copy.sqlite3")
    assert refused.stderr == (
        b"backup: copy.sqlite3: there is a file of that name (--force replaces it).\n"
    )
    assert (tmp_path / "copy.sqlite3").read_text() == "precious"
    assert run(tmp_path, "backup", "--force", "copy.sqlite3").returncode == 0
    assert said(run(tmp_path, "export", "--database", "copy.sqlite3").stdout) == ["m0", "m1", "m2"]
    for itself in ("chat.sqlite3", "./chat.sqlite3"):
        assert b"this is the database itself" in run(tmp_path, "backup", "--force", itself).stderr


def test_a_backup_of_a_damaged_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "chat.sqlite3"
    filled(path, said=2000)
    data = bytearray(path.read_bytes())
    data[-8192:] = b"\x5a" * 8192
    path.write_bytes(data)
    done = run(tmp_path, "backup", "copy.sqlite3")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["chat.sqlite3"]


def by_ours(folder: Path) -> None:
    assert run(folder, "backup", "copy.sqlite3").returncode == 0


def by_sqlites_backup(folder: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(folder / "chat.sqlite3")) as source,
        contextlib.closing(sqlite3.connect(folder / "copy.sqlite3")) as copy,
    ):
        source.backup(copy)


def by_vacuum(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "chat.sqlite3")) as source:
        source.execute(f"VACUUM INTO '{folder / 'copy.sqlite3'}'")


@pytest.mark.parametrize("back_up", [by_ours, by_sqlites_backup, by_vacuum])
def test_a_log_beside_a_restored_backup_is_noticed(
    tmp_path: Path, talking: Server, back_up: Callable[[Path], None]
) -> None:
    """SQLite would write it into the backup. Nothing is touched until it is moved away."""
    back_up(tmp_path)
    bob = talking.join("Carol")
    bob.types("later", "/history 1")
    bob.hears("*** The last message:")
    kill(talking)
    shutil.copy(tmp_path / "copy.sqlite3", tmp_path / "chat.sqlite3")
    before = {
        p.name: p.read_bytes()
        for p in tmp_path.iterdir()
        if p.name.startswith("chat.sqlite3") and p.is_file()
    }
    why = (
        "chat.sqlite3: chat.sqlite3-wal belongs to another copy of it. If this is a backup that "
        "was restored, move chat.sqlite3-wal away first (see docs/backup.md)."
    )
    assert last_line(tmp_path, "chat.sqlite3") == f"chat: --database {why}"
    for word in PROGRAMS:
        assert program(tmp_path, word, "chat.sqlite3") == (1, f"{PROGRAMS[word][0]}: {why}\n")
    after = {
        p.name: p.read_bytes()
        for p in tmp_path.iterdir()
        if p.name.startswith("chat.sqlite3") and p.is_file()
    }
    assert after == before
    (tmp_path / "chat.sqlite3-wal").unlink()
    start(tmp_path, "chat.sqlite3")
    texts = [*(f"m{number}" for number in range(10)), "hello"]
    assert said(run(tmp_path, "export").stdout) == texts


def test_an_older_file_beside_a_newer_log_is_noticed(tmp_path: Path) -> None:
    """One that was copied while no server ran."""
    start(tmp_path, "chat.sqlite3")
    shutil.copy(tmp_path / "chat.sqlite3", tmp_path / "copy")
    with Server(tmp_path, "--database", "chat.sqlite3") as server:
        bob, listener = server.join("Bob"), server.join("Listener")
        bob.types("later")
        listener.hears("Bob: later")
        kill(server)
    shutil.copy(tmp_path / "copy", tmp_path / "chat.sqlite3")
    assert "belongs to another copy" in last_line(tmp_path, "chat.sqlite3")


def test_a_log_that_belongs_is_used(tmp_path: Path) -> None:
    """After each of several crashes, and with programs that write beside the server."""
    for number in range(3):
        with Server(tmp_path, "--database", "chat.sqlite3") as server:
            assert run(tmp_path, "accounts", "add", f"Member{'abc'[number]}").returncode == 0
            bob, listener = server.join("Bob"), server.join(f"Listener{'abc'[number]}")
            bob.types(f"m{number}")
            listener.hears_until(f"Bob: m{number}")
            kill(server)
    start(tmp_path, "chat.sqlite3")
    assert said(run(tmp_path, "export").stdout) == ["m0", "m1", "m2", "hello"]
    assert len(run(tmp_path, "accounts", "list").stdout.splitlines()) == 3


def test_who_knows_ids_from_after_a_backup_takes_none_for_another(
    tmp_path: Path, talking: Server
) -> None:
    """The restored chat has another epoch."""
    by_ours(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as copy:
        (copied,) = copy.execute("SELECT value FROM facts WHERE key = 'epoch'").fetchone()
    with contextlib.closing(sqlite3.connect(tmp_path / "chat.sqlite3")) as original:
        (epoch,) = original.execute("SELECT value FROM facts WHERE key = 'epoch'").fetchone()
    assert copied != epoch


# One line where something goes wrong.


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_full_disk_for_the_output_is_said_in_a_line(tmp_path: Path, name: str) -> None:
    filled(tmp_path / "chat.sqlite3", said=5000)
    with Path("/dev/full").open("wb") as full:
        done = run(tmp_path, *PROGRAMS[name], output=full)
    if name in ("add", "remove"):
        assert (done.returncode, done.stderr) == (0, b"")  # they print nothing
    else:
        word = PROGRAMS[name][0]
        assert done.stderr.decode() == f"{word}: standard output: No space left on device.\n"
        assert done.returncode == 1


def test_a_reader_who_has_seen_enough_is_told_nothing(tmp_path: Path) -> None:
    filled(tmp_path / "chat.sqlite3", said=5000)
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m chatservice.export; echo status $? >&2"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=closed_pipe(),
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stderr == b"status 1\n"


def closed_pipe() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


def corrupt_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(byte ^ 0x5A for byte in data[4096:])
    path.write_bytes(data)


def corrupt_text(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE events SET text = CAST(x'ff00fe' AS TEXT) WHERE id = 3")
        connection.commit()


def corrupt_kind(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE events SET kind = 'flew' WHERE id = 3")
        connection.commit()


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize("spoil", [corrupt_pages, corrupt_text, corrupt_kind, empty_file, cut_off])
def test_a_damaged_file_is_said_in_a_line(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "chat.sqlite3"
    filled(path)
    spoil(path)
    done = run(tmp_path, "export")
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(b"export: chat.sqlite3: ")
    for word in ("list", "add", "remove", "backup"):
        _, told = program(tmp_path, word, "chat.sqlite3")
        assert len(told.splitlines()) <= 1
        assert "Traceback" not in told


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A file that was closed well can be read; whatever writes says so in a line."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this system allows no mounts")
    try:
        filled(disk / "db")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        done = run(tmp_path, "export", "--database", str(disk / "db"))
        assert (said(done.stdout), done.stderr) == (["m0", "m1", "m2"], b"")
        assert run(tmp_path, "accounts", "--database", str(disk / "db"), "list").stdout
        assert program(tmp_path, "backup", disk / "db") == (0, "")
        for word in ("add", "remove"):
            status, told = program(tmp_path, word, disk / "db")
            assert status == 1
            assert len(told.splitlines()) == 1
        done = run(tmp_path, "backup", "--database", "copy.sqlite3", str(disk / "copy"))
        assert done.stderr.endswith(b"/copy: Read-only file system.\n")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_an_export_that_is_read_slowly_holds_up_no_checkpoint(tmp_path: Path) -> None:
    """Or the write-ahead log would grow for as long as a pager is open."""
    path = tmp_path / "chat.sqlite3"
    filled(path, said=3 * files.STEP_ROWS)
    events = files.events_in(path, "lobby")
    for _ in range(10):
        next(events)
    opened = open_for_server(path)
    with contextlib.closing(opened.connection) as connection:
        for number in range(3):
            connection.execute("INSERT INTO facts VALUES(?, ?)", (f"x{number}", "y"))
            busy, pages, checkpointed = connection.execute(
                "PRAGMA wal_checkpoint(RESTART)"
            ).fetchone()
            assert (busy, pages) == (0, checkpointed)
    os.close(opened.lock)
    assert len(list(events)) == 3 * files.STEP_ROWS + 1 - 10


def test_a_password_from_a_pipe_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    done = run(tmp_path, "accounts", "add", "Carol", typed="\ufeffcorrect horse\r\n".encode())
    assert (done.returncode, done.stderr) == (0, b"")
    with Server(tmp_path, "--database", "chat.sqlite3") as server:
        carol = server.connect()
        carol.hears("What is your name?")
        carol.types("Carol")
        carol.hears("Password for Carol:")
        carol.types("correct horse")
        carol.hears("Welcome Carol, you are connected to the server.")


@pytest.mark.parametrize(
    "typed", [b"", b"\n", b"short\n", b"x" * 100_000, b"\xff\xfe not utf-8\n", b"bell \x07 ring\n"]
)
def test_what_cannot_be_a_password_is_refused_in_a_line(tmp_path: Path, typed: bytes) -> None:
    begun = time.monotonic()
    done = run(tmp_path, "accounts", "add", "Carol", typed=typed)
    assert done.returncode == 1
    assert done.stderr.startswith(b"accounts: a password must have 8 to 256")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "chat.sqlite3").exists()
    assert time.monotonic() - begun < PATIENCE
